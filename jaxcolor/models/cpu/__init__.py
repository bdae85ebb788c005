"""Convolutions in the form that the platform computes fastest: the door to what is done for a CPU.

XLA's convolutions are its weak spot on a CPU, forwards or backwards. Each operation here has two
forms of the same sum, to 1e-5 of the largest value: the plain one (`plain.py`), which GPU and TPU
keep, and one for a CPU, chosen when the program is lowered. `docs/performance.md` has the times.
"""

from __future__ import annotations

from functools import partial

import jax
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.models.cpu import doubled, plain, shifted, winograd

__all__ = ["convolve", "convolve_channels", "convolve_doubled"]


def convolve(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "3 3 c f"],
    stride: int = 1,
    padding: str = "SAME",
) -> Float[Array, "b h2 w2 f"]:
    """A 3x3 convolution, "SAME" or "VALID"."""
    return lax.platform_dependent(
        *_alike(x, kernel),
        cpu=partial(winograd.convolve, stride, padding),
        default=lambda x, kernel: plain.convolve(x, kernel, stride, padding),
    )


def convolve_channels(
    x: Float[Array, "..."],
    kernel: Float[Array, "..."],
    stride: int = 1,
    padding: str = "SAME",
) -> Float[Array, "b h2 w2 c"]:
    """A depthwise convolution: each channel with its own k x k filter; "SAME" or "VALID".

    Args:
      x: (b, h, w, c).
      kernel: (k, k, 1, c).
      stride: of both axes.
      padding: "SAME" or "VALID".

    Raises:
      ValueError: other shapes.
    """
    if x.ndim != 4 or kernel.shape != (len(kernel), len(kernel), 1, x.shape[-1]):
        raise ValueError(
            f"convolve_channels needs x (b, h, w, c) and kernel (k, k, 1, c), "
            f"got {x.shape} and {kernel.shape}"
        )
    pads = plain.pads(x.shape, kernel.shape, stride, padding)
    return lax.platform_dependent(
        *_alike(x, kernel),
        cpu=lambda x, kernel: shifted.convolve_channels(x, kernel, stride, pads),
        default=lambda x, kernel: plain.convolve_channels(x, kernel, stride, pads),
    )


def convolve_doubled(
    kernel: Float[Array, "3 3 c_and_s f"],
    x: Float[Array, "b h w c"],
    skip: Float[Array, "b 2*h 2*w s"] | None = None,
) -> Float[Array, "b 2*h 2*w f"]:
    """A 3x3 'same' convolution of `x` doubled, with the channels of `skip` behind if there are any.

    Doubled by nearest neighbour.
    """
    maps = (x,) if skip is None else (x, skip)
    return lax.platform_dependent(
        *_alike(kernel, *maps), cpu=doubled.convolve_doubled, default=plain.convolve_doubled
    )


def _alike(*arrays: Array) -> list[Array]:
    """The arrays, all varying over those axes of a `shard_map` that any of them varies over.

    Derivatives that are written by hand must be of their arrays' own types: of a kernel that is the
    same on all devices, the gradient over each device's pictures is not. Cast before, it is the
    cast's own derivative that sums.
    """
    varying = [jax.typeof(array).manual_axis_type.varying for array in arrays]
    every: frozenset[str] = frozenset().union(*varying)
    return [
        lax.pcast(array, tuple(sorted(every - own)), to="varying") if own != every else array
        for array, own in zip(arrays, varying, strict=True)
    ]
