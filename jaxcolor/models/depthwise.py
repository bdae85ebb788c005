"""Depthwise convolution that is fast on a CPU too.

XLA's grouped convolution is its weak spot on CPU: tens of milliseconds a layer. The same sum
written as k * k shifted multiply-adds becomes one fused loop and takes a few. Other platforms have
a good kernel of their own, so the form is chosen per platform, when the program is lowered.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

import jax
from flax import linen as nn
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from jaxcolor.models.convolution import parameter
from jaxcolor.models.fast import Pads


def depthwise_convolution(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k 1 c"],
    stride: int = 1,
    padding: str = "SAME",
) -> Float[Array, "b h2 w2 c"]:
    """Convolves each channel with its own k x k filter; `padding` is "SAME" or "VALID"."""
    if x.ndim != 4 or kernel.shape != (len(kernel), len(kernel), 1, x.shape[-1]):
        raise ValueError(
            f"depthwise_convolution needs x (b, h, w, c) and kernel (k, k, 1, c), "
            f"got {x.shape} and {kernel.shape}"
        )
    pads = same_or_valid(x.shape, kernel.shape, stride, padding)
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: shifted_sum(x, kernel, stride, pads),
        default=lambda x, kernel: grouped_convolution(x, kernel, stride, pads),
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def shifted_sum(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """Sums k * k strided slices of the padded input, each times its weight: the CPU's form."""
    size = kernel.shape[0]
    slices = _slices(jnp.pad(x, ((0, 0), *pads, (0, 0))), size, stride)
    return sum(piece * kernel[row, col, 0] for (row, col), piece in slices)  # type: ignore[return-value]


def _forward(x: Array, kernel: Array, stride: int, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return shifted_sum(x, kernel, stride, pads), (x, kernel)


def _backward(
    stride: int, pads: Pads, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    """Gives what autodiff would, with the input's gradient as one shifted sum again.

    The transpose of a strided slice is a padded array as large as the input, k * k of them: the
    whole network's gradient takes 1.3 to 2.2 times as long with those.
    """
    x, kernel = saved
    size = kernel.shape[0]
    spread = [(0, 0, 0)]  # stride - 1 zeros between the rows, and a border for the flipped kernel
    for length, out, (low, _) in zip(x.shape[1:3], gradient.shape[1:3], pads, strict=True):
        covered = (out - 1) * stride + 1
        spread.append((size - 1 - low, length + low - covered, stride - 1))
    zero = jnp.zeros((), gradient.dtype)
    dx = shifted_sum(
        lax.pad(gradient, zero, [*spread, (0, 0, 0)]), kernel[::-1, ::-1], 1, ((0, 0), (0, 0))
    )
    slices = _slices(jnp.pad(x, ((0, 0), *pads, (0, 0))), size, stride)
    sums = [jnp.sum(piece * gradient, axis=(0, 1, 2)) for _, piece in slices]  # k * k of (c,)
    return dx, jnp.stack(sums).reshape(kernel.shape)


shifted_sum.defvjp(_forward, _backward)


def _slices(x: Array, size: int, stride: int) -> Iterator[tuple[tuple[int, int], Array]]:
    """Yields for each of the kernel's positions the part of the padded input that it meets."""
    batch, height, width, channels = x.shape
    for row, col in product(range(size), repeat=2):
        bottom = height - size + row + 1
        right = width - size + col + 1
        step = (1, stride, stride, 1)
        yield (row, col), lax.slice(x, (0, row, col, 0), (batch, bottom, right, channels), step)


def same_or_valid(x: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: str) -> Pads:
    """Finds the zeros that `padding` means for an input and a kernel of these shapes."""
    rows, cols = lax.padtype_to_pads(x[1:3], kernel[:2], (stride, stride), padding)
    return rows, cols


def grouped_convolution(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """Leaves it to the compiler: the form for GPU and TPU."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


class DepthwiseConv(nn.Module):
    """`depthwise_convolution` with a learned kernel (k, k, 1, c), no bias."""

    kernel_size: int
    stride: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], gain: Float[Array, " c"] | float = 1.0
    ) -> Float[Array, "b h2 w2 c"]:
        """Gives (B, ceil(H / stride), ceil(W / stride), C), multiplied by `gain`."""
        shape = (self.kernel_size, self.kernel_size, 1, x.shape[-1])
        kernel = parameter(self, "kernel", jax.nn.initializers.lecun_normal(), shape)
        return depthwise_convolution(x, kernel * gain, self.stride)
