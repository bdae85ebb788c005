"""The 3x3 convolution with fewer multiplications, forwards and backwards.

XLA's forward convolution runs at the matrix product's speed on a CPU, its weights' gradient at a
tenth to a half of it, and the input's gradient of a stride of 2 multiplies by inserted zeros. What
is here needs fewer multiplications, and is chosen where it measured faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from itertools import product
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from jaxcolor.models.cpu import plain
from jaxcolor.models.cpu.doubled import interleave

_STEP = 4  # outputs that one transform serves, along an axis


def _minimal(points: Sequence[float]) -> tuple[np.ndarray, ...]:
    """Cook and Toom's algorithm: `_STEP` outputs of three weights along an axis, from 6 products.

    The products are values of polynomials at the points and at infinity. Lavin and Gray, "Fast
    Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), call it F(4, 3).

    Returns:
      What makes the 6 products' factors out of 6 samples (6, 6) and of the weights (6, 3), and the
      outputs out of the products (4, 6).
    """
    finite = np.array(points)
    others = [np.delete(finite, number) for number in range(len(finite))]
    of_samples = np.zeros((len(finite) + 1, len(finite) + 1))
    for row, roots in enumerate([*others, finite]):
        of_samples[row, : len(roots) + 1] = np.poly(roots)[::-1]
    powers = np.vander(finite, _STEP, increasing=True)
    infinity = np.eye(1, _STEP, _STEP - 1)
    scales = [np.prod(finite[number] - roots) for number, roots in enumerate(others)]
    of_weights = np.vstack([powers[:, :3] / np.array(scales)[:, None], np.eye(1, 3, 2)])
    return of_samples, of_weights, np.vstack([powers, infinity]).T


# Of the sets of points that were tried these lose least to rounding: a fifth of the usual 1 and 2.
_SAMPLES, _WEIGHTS, _OUTPUTS = _minimal((0.0, 3 / 4, -3 / 4, 3 / 2, -3 / 2))


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def convolve(stride: int, padding: str, x: Array, kernel: Array) -> Array:
    """`plain.convolve` of a 3x3 kernel."""
    margin = int(padding == "SAME")
    if stride == 1 and _pays(x, kernel, x.shape[1] + 2 * margin - 2):
        return winograd(x, kernel, margin)
    return plain.convolve(x, kernel, stride, padding)


def _forward(
    stride: int, padding: str, x: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    return convolve(stride, padding, x, kernel), (x, kernel)


def _backward(
    stride: int, padding: str, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    _, height, width, _ = x.shape
    of_x, of_kernel = _xlas_own(stride, padding, x, kernel, gradient)
    if padding == "SAME" and stride == 1:
        of_x = convolve(1, padding, gradient, kernel[::-1, ::-1].swapaxes(2, 3))
        if _pays(x, kernel, height) and _pays(x, kernel, width):
            of_kernel = winograd_kernel_gradient(x, gradient, jax.typeof(kernel).sharding)
    elif padding == "SAME" and stride == 2 and not (height % 2 or width % 2):
        of_x = input_gradient_of_stride_2(gradient, kernel)
    return of_x, of_kernel  # what was replaced is never computed


convolve.defvjp(_forward, _backward)


def _xlas_own(
    stride: int, padding: str, x: Array, kernel: Array, gradient: Array
) -> tuple[Array, Array]:
    """Both gradients as autodiff makes them."""

    def plainly(x: Array, kernel: Array) -> Array:
        return plain.convolve(x, kernel, stride, padding)

    of_x, of_kernel = jax.vjp(plainly, x, kernel)[1](gradient)
    return of_x, of_kernel


def _pays(x: Array, kernel: Array, outputs: int) -> bool:
    """Whether Winograd's form is worth it along an axis with so many outputs.

    The products must outweigh the transforms, and steps beyond the map's end be few. Rounding as
    float32's is taken for granted.
    """
    wide = min(kernel.shape[2:]) >= 64
    return wide and -outputs % _STEP * 8 <= outputs and x.dtype == jnp.float32


def winograd(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c f"], margin: int = 1
) -> Float[Array, "b h2 w2 f"]:
    """`plain.convolve` with a `margin` of zeros: half of its multiplications.

    Rows are transformed and columns are not: six convolutions of 1x3. Transforming both leaves a
    quarter of the multiplications, but costs more than it saves.
    """
    batch, height, width, _ = x.shape
    rows, columns = (side + 2 * margin - 2 for side in (height, width))
    padded = jnp.pad(x, ((0, 0), (margin, margin + -rows % _STEP), (0, 0), (0, 0)))
    samples = _combine(_SAMPLES, _shifted(padded, 1))  # 6 of (B, rows / 4, W, C)
    weights = _combine(_WEIGHTS, [kernel[row : row + 1] for row in range(3)])
    products = [
        plain.convolve(one, other, padding=((0, 0), (margin, margin)))
        for one, other in zip(samples, weights, strict=True)
    ]
    steps = jnp.stack(_combine(_OUTPUTS, products), axis=2)  # (B, rows / 4, 4, columns, F)
    return steps.reshape(batch, -1, columns, kernel.shape[3])[:, :rows]


def winograd_kernel_gradient(
    x: Float[Array, "b h w c"],
    gradient: Float[Array, "b h w f"],
    sharding: NamedSharding | None = None,
) -> Float[Array, "3 3 c f"]:
    """The kernel's gradient of `plain.convolve` with a margin of 1: 36 matrix products.

    Args:
      x: what was convolved.
      gradient: of the convolution's result.
      sharding: the kernel's, over a mesh whose axes are explicit: there it cannot be derived.
    """
    both = sharding and NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[2:]))
    more = [-side % _STEP for side in x.shape[1:3]]
    gradient = jnp.pad(gradient, ((0, 0), *((0, extra) for extra in more), (0, 0)))
    padded = jnp.pad(x, ((0, 0), *((1, 1 + extra) for extra in more), (0, 0)))
    steps = [[gradient[:, p::_STEP, q::_STEP] for q in range(_STEP)] for p in range(_STEP)]
    tiles = [_shifted(rows, 2) for rows in _shifted(padded, 1)]
    factors = zip(_along_both(_SAMPLES, tiles), _along_both(_OUTPUTS.T, steps), strict=True)
    products = [
        [
            jnp.matmul(_flat(one).T, _flat(other), out_sharding=both)
            for one, other in zip(ones, others, strict=True)
        ]
        for ones, others in factors
    ]
    return jnp.asarray(_along_both(_WEIGHTS.T, products))


def _shifted(padded: Array, axis: int) -> list[Array]:
    """Of each step along the axis the first sample, the second, to the last that it needs: 6."""
    last = padded.shape[axis] - 2 - _STEP  # where the last step begins
    return [
        lax.slice_in_dim(padded, first, last + first + 1, _STEP, axis) for first in range(_STEP + 2)
    ]


def _flat(x: Float[Array, "b h w c"]) -> Float[Array, "b*h*w c"]:
    return x.reshape(-1, x.shape[-1])


def _combine(matrix: np.ndarray, arrays: Sequence[Array]) -> list[Array]:
    """The matrix times a column of arrays."""
    return [
        reduce(add, (float(factor) * x for factor, x in zip(row, arrays, strict=True) if factor))
        for row in matrix
    ]


def _along_both(matrix: np.ndarray, grid: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """The matrix times a grid of arrays times the matrix turned over."""
    columns = [_combine(matrix, column) for column in zip(*grid, strict=True)]
    return [_combine(matrix, row) for row in zip(*columns, strict=True)]


def input_gradient_of_stride_2(
    gradient: Float[Array, "b h w f"], kernel: Float[Array, "3 3 c f"]
) -> Float[Array, "b 2*h 2*w c"]:
    """The input's gradient of `plain.convolve(x, kernel, 2)`, height and width even.

    In half of XLA's time. An even pixel met the kernel's last weight and then its first, an odd one
    that between.
    """
    turned = kernel.swapaxes(2, 3)
    met = (np.array([2, 0]), (1, 0)), (np.array([1]), (0, 0))  # weights; zeros before and behind
    return interleave(
        [
            plain.convolve(gradient, turned[rows][:, columns], padding=(above, left))
            for (rows, above), (columns, left) in product(met, repeat=2)
        ]
    )
