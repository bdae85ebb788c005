"""Pictures of any size through programs of one shape: tile by tile, in bounded memory.

Every pixel's result depends on the pixel and on the small picture alone, so tiles have no seams:
however many stand side by side, the bytes are the same.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxcolor.controls import Controls
from jaxcolor.predict import pure
from jaxcolor.predict.framing import WHOLE, Box
from jaxcolor.refine import Taps, averaging, resize_matrix, taps

_TILE = 512  # pixels; the square that the full-size picture is worked on in
_AHEAD = 4  # tiles that the device is given before the first is asked for: it never waits for NumPy


def shrink_by_tiles(
    pixels: np.ndarray, shape: tuple[int, int], box: Box = WHOLE
) -> Float[np.ndarray, "s t"]:
    """L of a picture (H, W, 1 or 3), or of the part of it in a box, at `shape`."""
    height, width, _ = pixels.shape
    rows = _reaching(resize_matrix(height, shape[0], box.top, box.bottom))
    columns = _reaching(resize_matrix(width, shape[1], box.left, box.right))
    places = list(itertools.product(rows, columns))
    parts = (
        pure.shrink_tile(_lightness(pixels, y.part, x.part), y.weights, x.weights)
        for y, x in places
    )
    total = np.zeros(shape, np.float32)
    for (y, x), part in zip(places, _ahead(parts), strict=True):
        total[y.samples, x.samples] += jax.device_get(part)
    return total


def paint_by_tiles(
    pixels: np.ndarray, small: Float[np.ndarray, "s t 3"], controls: Controls
) -> Iterator[np.ndarray]:
    """A picture (H, W, 1 or 3) in the small picture's colours: strips (rows, W, 3) of its type."""
    height, width, _ = pixels.shape
    across, down = small.shape[1], small.shape[0]
    matrices = averaging(down, height), averaging(across, width)
    controls = pure.on_device(jax.tree.map(np.float32, jax.device_get(controls)))
    ready = pure.prepare(*pure.on_device((small, *matrices)), controls)
    rows, columns = _cut(taps(down, height)), _cut(taps(across, width))
    dtype = _device_type(pixels)
    painted = _ahead(
        pure.paint_tile(_lightness(pixels, y, x), ready, row, column, controls, dtype=dtype)
        for (y, row), (x, column) in itertools.product(rows, columns)
    )
    for y in _parts(height):
        strip = np.empty((min(_TILE, height - y.start), width, 3), native(pixels.dtype))
        for x in _parts(width):
            part = strip[:, x]
            part[...] = jax.device_get(next(painted))[: part.shape[0], : part.shape[1]]
        yield strip


def _ahead(tiles: Iterator[Array]) -> Iterator[Array]:
    """The same tiles, each begun some time before it is handed out."""
    begun: collections.deque[Array] = collections.deque()
    for tile in tiles:
        begun.append(tile)
        if len(begun) > _AHEAD:
            yield begun.popleft()
    yield from begun


def _parts(length: int) -> list[slice]:
    """An axis in tiles; the last one may reach over its end."""
    return [slice(start, start + _TILE) for start in range(0, length, _TILE)]


class _Reach(NamedTuple):
    """What a row or a column of tiles adds to the small picture.

    Attributes:
      part: of the picture.
      samples: of the small picture.
      weights: of the part's pixels in them, (samples, pixels), on the device.
    """

    part: slice
    samples: slice
    weights: Array


def _reaching(matrix: Float[np.ndarray, "s h"]) -> Iterator[_Reach]:
    """The parts of an axis, each with the few samples that `matrix` makes of it.

    They are as many for each part, and a power of two: pictures of many sizes share a program.
    """
    size = len(matrix)
    reached = [np.flatnonzero(matrix[:, part].any(axis=1)) for part in _parts(matrix.shape[1])]
    most = max(int(np.ptp(samples)) + 1 for samples in reached if samples.size)
    count = min(1 << (most - 1).bit_length(), size)
    for part, samples in zip(_parts(matrix.shape[1]), reached, strict=True):
        first = min(int(samples[0]) if samples.size else 0, size - count)
        inside = slice(first, first + count)
        yield _Reach(part, inside, pure.on_device(_pad(matrix[inside, part], 1)))


def _lightness(pixels: np.ndarray, y: slice, x: slice) -> Array:
    """L of a tile.

    Where it reaches over the border, the picture's last pixels go on: their colours are in gamut
    where those of the picture are, and need not be searched for.
    """
    tile = pixels[y, x].astype(_device_type(pixels), copy=False)
    # A program of its own: fused with painting, XLA would compute L anew for each of its uses.
    return pure.to_lightness(pure.on_device(_pad(_pad(tile, 0, "edge"), 1, "edge")))


def _cut(axis: Taps) -> Iterator[tuple[slice, Taps]]:
    """The parts of an axis, each with its taps, on the device."""
    for part in _parts(axis.sample.shape[1]):
        yield part, pure.on_device(Taps(*(_pad(array[:, part], 1, "edge") for array in axis)))


def _pad(array: np.ndarray, axis: int, mode: str = "constant") -> np.ndarray:
    missing = _TILE - array.shape[axis]
    if not missing:
        return array
    widths = [(0, missing if i == axis else 0) for i in range(array.ndim)]
    return np.pad(array, widths, mode=mode)  # type: ignore[call-overload]


def _device_type(pixels: np.ndarray) -> np.dtype:
    return np.dtype(np.float32) if pixels.dtype.kind == "f" else native(pixels.dtype)


def native(dtype: np.dtype) -> np.dtype:
    """The same numbers in this machine's order of bytes: devices know no other."""
    return dtype.newbyteorder("=")
