"""The 3x3 convolution in forms that a CPU computes faster than XLA's own, gradients above all.

XLA's forward convolution runs at the matrix product's speed on a CPU; its weights' gradient at a
tenth to a half of it, and the input's gradient of a stride of 2 multiplies by inserted zeros. What
is here computes the same (to 1e-5 of the largest value), and is chosen where it measured faster
(`docs/performance.md`). GPU and TPU keep the plain form.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

Pads = tuple[tuple[int, int], tuple[int, int]]  # zeros above and below, left and right

# F(2x2, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"
# (arXiv 1509.09308): four outputs along two axes from 16 multiplications instead of 36.
_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)


def convolve(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c f"], stride: int = 1
) -> Float[Array, "b h2 w2 f"]:
    """A 3x3 'same' convolution in the platform's best form."""
    return lax.platform_dependent(
        x, kernel, cpu=partial(with_fast_gradients, stride), default=partial(_plain, stride)
    )


def plain(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l c f"],
    stride: int = 1,
    padding: str | Pads = "SAME",
) -> Float[Array, "b h2 w2 f"]:
    """Leaves it to the compiler."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _plain(stride: int, x: Array, kernel: Array) -> Array:
    return plain(x, kernel, stride)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def with_fast_gradients(stride: int, x: Array, kernel: Array) -> Array:
    """The convolution as a CPU computes it."""
    channels, filters = kernel.shape[2:]
    places = x.size // channels
    # Narrow layers, and few places that share the kernel's transform, lose by it.
    if stride == 1 and _pairs(x) and min(channels, filters) >= 256 and places >= 4096:
        return winograd(x, kernel)
    return plain(x, kernel, stride)


def _forward(stride: int, x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return with_fast_gradients(stride, x, kernel), (x, kernel)


def _backward(stride: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    if stride == 1:
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        of_x = with_fast_gradients(1, gradient, turned)
    elif stride == 2 and _pairs(x):
        of_x = input_gradient_of_stride_2(gradient, kernel)
    else:
        of_x = _gradient_of(0, stride, x, kernel, gradient)
    if stride == 1 and _pairs(x) and min(kernel.shape[2:]) >= 64:
        return of_x, winograd_kernel_gradient(x, gradient)
    return of_x, _gradient_of(1, stride, x, kernel, gradient)


with_fast_gradients.defvjp(_forward, _backward)


def _gradient_of(number: int, stride: int, x: Array, kernel: Array, gradient: Array) -> Array:
    """XLA's own gradient of the input (0) or the kernel (1)."""
    return jax.vjp(partial(_plain, stride), x, kernel)[1](gradient)[number]  # the other is dropped


def _pairs(x: Array) -> bool:
    """Whether rows and columns come in pairs; rounding as float32's is taken for granted."""
    return not (x.shape[1] % 2 or x.shape[2] % 2) and x.dtype == jnp.float32


def winograd(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c f"]
) -> Float[Array, "b h w f"]:
    """`plain(x, kernel)`, height and width even. From 256 channels up 0.8 to 0.9 of its time."""
    batch, height, width, _ = x.shape
    weights = jnp.einsum("iy,jx,yxcf->ijcf", _KERNEL, _KERNEL, kernel)
    tiles = _tiles(x)
    sums = [[tiles[i][j] @ weights[i, j] for j in range(4)] for i in range(4)]
    kinds = _along_both(lambda m: [m[0] + m[1] + m[2], m[1] - m[2] - m[3]], sums)
    shape = (batch, height // 2, width // 2, -1)
    return interleave([kind.reshape(shape) for row in kinds for kind in row])


def winograd_kernel_gradient(
    x: Float[Array, "b h w c"], gradient: Float[Array, "b h w f"]
) -> Float[Array, "3 3 c f"]:
    """The kernel's gradient of `plain`: 16 matrix products, 0.25 to 0.9 of XLA's time."""
    filters = gradient.shape[-1]
    kinds = [[gradient[:, p::2, q::2].reshape(-1, filters) for q in range(2)] for p in range(2)]
    spread = _along_both(lambda g: [g[0], g[0] + g[1], g[0] - g[1], -g[1]], kinds)
    tiles = _tiles(x)
    products = [[tiles[i][j].T @ spread[i][j] for j in range(4)] for i in range(4)]
    return jnp.einsum("iy,jx,ijcf->yxcf", _KERNEL, _KERNEL, jnp.asarray(products))


def _tiles(x: Array) -> list[list[Array]]:
    """Each pair of rows and columns with a neighbour on either side, transformed.

    Returns:
      16 arrays (places, c).
    """
    _, height, width, channels = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    seen = [
        [padded[:, i : i + height - 1 : 2, j : j + width - 1 : 2] for j in range(4)]
        for i in range(4)
    ]
    tiles = _along_both(lambda d: [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]], seen)
    return [[tile.reshape(-1, channels) for tile in row] for row in tiles]


def _along_both(transform: Any, grid: list[list[Array]]) -> list[list[Array]]:
    """Transforms the columns of a grid of arrays, then its rows."""
    columns = [transform(list(column)) for column in zip(*grid, strict=True)]
    return [transform(list(row)) for row in zip(*columns, strict=True)]


def input_gradient_of_stride_2(
    gradient: Float[Array, "b h w f"], kernel: Float[Array, "3 3 c f"]
) -> Float[Array, "b 2*h 2*w c"]:
    """The input's gradient of `plain(x, kernel, 2)`, height and width even: 0.5 of XLA's time.

    An even pixel met the kernel's last weight and then its first, an odd one that between.
    """
    turned = kernel.swapaxes(2, 3)
    met = (np.array([2, 0]), (1, 0)), (np.array([1]), (0, 0))  # weights; zeros before and behind
    return interleave(
        [
            plain(gradient, turned[rows][:, columns], padding=(above, left))
            for (rows, above), (columns, left) in product(met, repeat=2)
        ]
    )


def interleave(kinds: list[Array]) -> Array:
    """Pixels of even rows and columns, even and odd, odd and even, odd and odd -> all in place."""
    batch, height, width, _ = kinds[0].shape
    rows = [jnp.stack(pair, axis=3) for pair in (kinds[:2], kinds[2:])]  # (B, h, w, 2, F)
    joined = jnp.stack(rows, axis=2)  # (B, h, 2, w, 2, F)
    return joined.reshape(batch, 2 * height, 2 * width, -1)
