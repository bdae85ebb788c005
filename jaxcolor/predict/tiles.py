"""Pictures of any size through programs of one shape: piece by piece, in bounded memory.

A picture is made small in square tiles. It is painted in strips of whole rows, as many as fit, each
row cut into short segments: hardly any of the work falls beside the picture. Every pixel's result
depends on the pixel and on the small picture alone, so there are no seams: however the pieces lie,
the bytes are the same.
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

_TILE = 512  # pixels; the square that the full-size picture is made small in
_SEGMENT = 128  # pixels of a row
_SEGMENTS = 2048  # that are painted at once
_AHEAD = 4  # that the device is given before the first is asked for: it never waits for NumPy


def shrink_by_tiles(
    pixels: np.ndarray, shape: tuple[int, int], box: Box = WHOLE
) -> Float[np.ndarray, "s t"]:
    """L of a picture (H, W, 1 or 3), or of the part of it in a box, at `shape`."""
    height, width, _ = pixels.shape
    rows = _reaching(resize_matrix(height, shape[0], box.top, box.bottom))
    columns = _reaching(resize_matrix(width, shape[1], box.left, box.right))
    places = list(itertools.product(rows, columns))
    parts = (
        pure.shrink_tile(_lightness(_tile(pixels, y.part, x.part)), y.weights, x.weights)
        for y, x in places
    )
    total = np.zeros(shape, np.float32)
    for (y, x), part in zip(places, _ahead(parts), strict=True):
        total[y.samples, x.samples] += jax.device_get(part)
    return total


def paint_by_strips(
    pixels: np.ndarray, small: Float[np.ndarray, "s t 3"], controls: Controls
) -> Iterator[np.ndarray]:
    """A picture (H, W, 1 or 3) in the small picture's colours: strips (rows, W, 3) of its type."""
    height, width, _ = pixels.shape
    across, down = small.shape[1], small.shape[0]
    matrices = averaging(down, height), averaging(across, width)
    controls = pure.on_device(jax.tree.map(np.float32, jax.device_get(controls)))
    ready = pure.prepare(*pure.on_device((small, *matrices)), controls)
    rows, columns = taps(down, height), taps(across, width)
    high = max(1, _SEGMENTS // _segments_in(width))
    strips = _slices(height, high)
    # One, but of a picture whose single row is too long.
    parts = [(x, _columns(columns, x, high)) for x in _slices(width, _SEGMENT * _SEGMENTS)]

    def painted(y: slice, x: slice, columns: Taps) -> Array:
        lightness, dtype = _lightness(_segments(pixels[y, x])), _device_type(pixels)
        return pure.paint_tile(lightness, ready, _rows(rows, y, x), columns, controls, dtype=dtype)

    pieces = _ahead(painted(y, x, columns) for y in strips for x, columns in parts)
    for y in strips:
        strip = np.empty((y.stop - y.start, width, 3), native(pixels.dtype))
        for x, _ in parts:
            strip[:, x] = _joined(jax.device_get(next(pieces)), *strip[:, x].shape[:2])
        yield strip


def _ahead(pieces: Iterator[Array]) -> Iterator[Array]:
    """The same pieces, each begun some time before it is handed out."""
    begun: collections.deque[Array] = collections.deque()
    for piece in pieces:
        begun.append(piece)
        if len(begun) > _AHEAD:
            yield begun.popleft()
    yield from begun


def _slices(length: int, step: int) -> list[slice]:
    """An axis in parts; the last one may be shorter."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _lightness(pixels: np.ndarray) -> Array:
    """L of a piece."""
    # A program of its own: fused with painting, XLA would compute L anew for each of its uses.
    return pure.to_lightness(pure.on_device(pixels.astype(_device_type(pixels), copy=False)))


# -- tiles -----------------------------------------------------------------------------------------


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
    parts = _slices(matrix.shape[1], _TILE)
    reached = [np.flatnonzero(matrix[:, part].any(axis=1)) for part in parts]
    most = max(int(np.ptp(samples)) + 1 for samples in reached if samples.size)
    count = min(1 << (most - 1).bit_length(), size)
    for part, samples in zip(parts, reached, strict=True):
        first = min(int(samples[0]) if samples.size else 0, size - count)
        inside = slice(first, first + count)
        yield _Reach(part, inside, pure.on_device(_pad(matrix[inside, part], 1)))


def _tile(pixels: np.ndarray, y: slice, x: slice) -> np.ndarray:
    return _pad(_pad(pixels[y, x], 0), 1)


def _pad(array: np.ndarray, axis: int) -> np.ndarray:
    """Up to a tile's size by zeros, which weigh nothing."""
    missing = _TILE - array.shape[axis]
    if not missing:
        return array
    return np.pad(array, [(0, missing if i == axis else 0) for i in range(array.ndim)])


# -- strips ----------------------------------------------------------------------------------------


def _segments_in(width: int) -> int:
    """How many segments a row of that width has."""
    return -(-width // _SEGMENT)


def _segments(strip: np.ndarray) -> np.ndarray:
    """(rows, width, ...) -> (segments, pixels of a segment, ...), row by row.

    Where a segment is not full, its last pixel goes on, and the last segment goes on behind it:
    their colours are in gamut where those of the picture are, and need not be searched for.
    """
    rows, width = strip.shape[:2]
    across = _segments_in(width)
    segments = np.empty((_SEGMENTS, _SEGMENT, *strip.shape[2:]), strip.dtype)
    filled = segments[: rows * across].reshape(rows, across * _SEGMENT, *strip.shape[2:])
    filled[:, :width] = strip
    filled[:, width:] = strip[:, -1:]
    segments[rows * across :] = segments[rows * across - 1]
    return segments


def _joined(segments: np.ndarray, rows: int, width: int) -> np.ndarray:
    """The strip that `_segments` were made of, or what became of it."""
    across = _segments_in(width)
    return segments[: rows * across].reshape(rows, across * _SEGMENT, -1)[:, :width]


def _rows(axis: Taps, y: slice, x: slice) -> Taps:
    """Where the segments of a strip lie in the small picture, from top to bottom."""
    row = np.arange(_SEGMENTS) // _segments_in(x.stop - x.start)
    return pure.on_device(Taps(*(array[:, y].take(row, axis=1, mode="clip") for array in axis)))


def _columns(axis: Taps, x: slice, high: int) -> Taps:
    """Where their pixels lie, from left to right; the same for every strip, up to `high` rows."""
    width = x.stop - x.start
    lines = (np.broadcast_to(array[:, None, x], (2, high, width)) for array in axis)
    return pure.on_device(Taps(*(np.stack([*map(_segments, both)]) for both in lines)))


def _device_type(pixels: np.ndarray) -> np.dtype:
    return np.dtype(np.float32) if pixels.dtype.kind == "f" else native(pixels.dtype)


def native(dtype: np.dtype) -> np.dtype:
    """The same numbers in this machine's order of bytes: devices know no other."""
    return dtype.newbyteorder("=")
