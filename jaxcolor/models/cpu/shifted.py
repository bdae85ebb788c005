"""Depthwise convolution as a sum of shifted copies.

XLA's grouped convolution is its weak spot on CPU: tens of milliseconds a layer. The same sum
written as k * k shifted multiply-adds becomes one fused loop and takes a few.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce
from itertools import product
from operator import add

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array

from jaxcolor.models.cpu.plain import Pads


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve_channels(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """Sums k * k strided slices of the padded input, each times its weight."""
    size = kernel.shape[0]
    slices = _slices(jnp.pad(x, ((0, 0), *pads, (0, 0))), size, stride)
    weighted = (
        piece * kernel[row : row + 1, col : col + 1] for (row, col), piece in slices
    )  # (B, H2, W2, C) times (1, 1, 1, C)
    return reduce(add, weighted)


def _forward(x: Array, kernel: Array, stride: int, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return convolve_channels(x, kernel, stride, pads), (x, kernel)


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
    dx = convolve_channels(
        lax.pad(gradient, zero, [*spread, (0, 0, 0)]), kernel[::-1, ::-1], 1, ((0, 0), (0, 0))
    )
    slices = _slices(jnp.pad(x, ((0, 0), *pads, (0, 0))), size, stride)
    sums = [jnp.sum(piece * gradient, axis=(0, 1, 2)) for _, piece in slices]  # k * k of (c,)
    return dx, jnp.stack(sums).reshape(kernel.shape)


convolve_channels.defvjp(_forward, _backward)


def _slices(x: Array, size: int, stride: int) -> Iterator[tuple[tuple[int, int], Array]]:
    """Yields for each of the kernel's positions the part of the padded input that it meets."""
    batch, height, width, channels = x.shape
    for row, col in product(range(size), repeat=2):
        bottom = height - size + row + 1
        right = width - size + col + 1
        step = (1, stride, stride, 1)
        yield (row, col), lax.slice(x, (0, row, col, 0), (batch, bottom, right, channels), step)
