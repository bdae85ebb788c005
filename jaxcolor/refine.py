"""Chroma enlarged along the edges of the full-size lightness.

Joint bilateral upsampling (Kopf, Cohen, Lischinski, Uyttendaele: "Joint Bilateral Upsampling",
SIGGRAPH 2007): a pixel's chroma is a mean of the samples of the small picture around it, each
weighted by how near it lies and by how near its lightness is to the pixel's. So colour stops
where lightness jumps, as in the refinement of "Deep Colorization" (Cheng, Yang, Sheng, ICCV 2015).

The weights of place are those of linear interpolation: four samples a pixel, and no jump where
one leaves and another enters. The weight of lightness is exp(-|difference| / RANGE): against a
Gaussian it forgives grain. `docs/refine.md` has the figures behind both and behind the constants.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

RANGE = 10.0  # L: the difference at which a sample's weight has fallen to 1/e
# What a sample of quite another lightness still counts at full strength. Where no sample fits (a
# wire before the sky), all count so, and the mean goes smoothly over into linear interpolation.
FLOOR = 0.1


class Taps(NamedTuple):
    """Where each pixel of an axis lies between the samples of the small picture.

    Attributes:
      sample: the numbers of those before and after it.
      weight: linear interpolation's, which sum to one.
    """

    sample: Int[np.ndarray, "2 ..."]
    weight: Float[np.ndarray, "2 ..."]


def taps(size: int, new_size: int) -> Taps:
    """The taps of all `new_size` pixels in `size` samples; the border's sample goes on outside."""
    place = (np.arange(new_size) + 0.5) * (size / new_size) - 0.5
    before = np.floor(place)
    after = (place - before).astype(np.float32)
    sample = np.clip([before, before + 1], 0, size - 1).astype(np.int32)
    return Taps(sample, np.stack([1 - after, after]))


def resize_matrix(
    size: int, new_size: int, start: Any = 0.0, end: Any = 1.0, xp: ModuleType = np
) -> Any:
    """The matrix of linear resizing, which averages when it makes smaller.

    Args:
      size: samples of the axis.
      new_size: samples after resizing.
      start: where the part of the axis that is resized begins, as a share of it.
      end: where it ends.
      xp: numpy, or jax.numpy for a part that is traced.

    Returns:
      (new_size, size), float32.
    """
    scale = size * (end - start) / new_size
    middles = numbers(new_size, xp) + 0.5
    return triangles(size * start + middles * scale - 0.5, size, scale, xp)


def averaging(size: int, new_size: int) -> Float[np.ndarray, "size size"]:
    """What to apply to an axis before its taps are taken, so that making it smaller averages.

    The identity where nothing is made smaller.
    """
    return triangles(numbers(size), size, size / new_size)


def enlarge(
    small: Float[Array | np.ndarray, "s t 3"],
    lightness: Float[Array | np.ndarray, "h w"],
    rows: Taps,
    columns: Taps,
    strength: float | Float[Array, ""] = 1.0,
) -> Float[Array, "h w 2"]:
    """Chroma for every pixel of a picture, or of a part of it.

    Args:
      small: the whole picture as the network saw it and coloured it: Lab.
      lightness: L of the full-size picture's pixels, in [0, 100].
      rows: where their rows lie in the small picture.
      columns: where their columns lie: those of all rows, of (2, w), or each row's own, (2, h, w).
      strength: from 0, bilinear interpolation, to 1, as closely along the edges as it goes.

    Returns:
      ab of the pixels.
    """
    floor = 1 - strength * (1 - FLOOR)
    # Plane by plane, and by one number for both axes: other gathers are slower on a CPU.
    planes = [small[..., i].reshape(-1) for i in range(3)]
    total = jnp.zeros_like(lightness)
    sums = [total, total]
    for row, row_weight in zip(rows.sample, rows.weight, strict=True):
        for column, column_weight in zip(columns.sample, columns.weight, strict=True):
            place = row[:, None] * small.shape[1] + jnp.atleast_2d(column)
            guide, *chroma = (plane[place] for plane in planes)
            likeness = jnp.exp(-jnp.abs(lightness - guide) / RANGE)
            near = row_weight[:, None] * jnp.atleast_2d(column_weight)
            weight = near * (floor + (1 - floor) * likeness)
            total = total + weight
            sums = [s + weight * c for s, c in zip(sums, chroma, strict=True)]
    return jnp.stack([s / total for s in sums], axis=-1)


def numbers(count: int, xp: ModuleType = np) -> Any:
    """0, 1, 2 ... as floats."""
    return xp.arange(count, dtype=real(xp))


def real(xp: ModuleType) -> type[np.floating[Any]]:
    """The type of what is computed: float64 for NumPy, float32 for JAX, whatever its settings."""
    return np.float64 if xp is np else np.float32


def triangles(centres: Any, size: int, scale: Any, xp: ModuleType = np) -> Any:
    """Rows of weights over `size` samples: a triangle around each centre, (n, size), float32.

    A triangle is as wide as the larger of the old and the new pixel, cut at the border and made to
    sum to one.

    Args:
      centres: (n,) in samples.
      size: of the axis, in samples.
      scale: samples from one centre to the next.
      xp: numpy, or jax.numpy where centres or scale are traced.
    """
    weights = xp.abs(centres[:, None] - numbers(size, xp)[None])
    if xp is not np:
        weights = xp.maximum(0.0, 1.0 - weights / xp.maximum(scale, 1.0))
        return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    # In place: there are megabytes of them for a large picture.
    weights /= max(scale, 1.0)
    np.subtract(1.0, weights, out=weights)
    np.maximum(0.0, weights, out=weights)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)
