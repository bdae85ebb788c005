"""The plain forms, left to the compiler: GPU and TPU keep them, a CPU's are held against them."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Pads = tuple[tuple[int, int], tuple[int, int]]  # zeros above and below, left and right

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolve(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l c f"],
    stride: int = 1,
    padding: str | Pads = "SAME",
) -> Float[Array, "b h2 w2 f"]:
    """A convolution with a kernel of any size."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=_LAYOUT)


def convolve_channels(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], stride: int, pads: Pads
) -> Float[Array, "b h2 w2 c"]:
    """A depthwise convolution."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        pads,
        dimension_numbers=_LAYOUT,
        feature_group_count=x.shape[-1],
    )


def convolve_doubled(
    kernel: Float[Array, "3 3 c_and_s f"],
    x: Float[Array, "b h w c"],
    *skip: Float[Array, "b 2*h 2*w s"],
) -> Float[Array, "b 2*h 2*w f"]:
    """A 'same' convolution of `double(x)` and the maps of `skip`."""
    return convolve(jnp.concatenate([double(x), *skip], axis=-1), kernel)


def double(x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w c"]:
    """Nearest neighbour, (B, h, w, C) -> (B, 2h, 2w, C)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def pads(x: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: str) -> Pads:
    """The zeros that "SAME" or "VALID" means for an input and a kernel of these shapes."""
    rows, columns = lax.padtype_to_pads(x[1:3], kernel[:2], (stride, stride), padding)
    return rows, columns
