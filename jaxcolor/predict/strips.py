"""Pictures of any size through programs of one shape: strip by strip, in bounded memory.

A strip is as many whole rows as fit, each row cut into short segments: hardly any of the work falls
beside the picture. Every pixel's result depends on the pixel and on the small picture alone, so
there are no seams: however the strips lie, the bytes are the same.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator

import jax
import numpy as np
from jax import Array
from jaxtyping import Float
from PIL import Image

from jaxcolor.controls import Controls
from jaxcolor.predict import pure
from jaxcolor.predict.framing import WHOLE, Box
from jaxcolor.refine import Taps, averaging, taps

_SEGMENT = 128  # pixels of a row
_SEGMENTS = 2048  # that are painted at once
_AHEAD = 4  # that the device is given before the first is asked for: it never waits for NumPy


def shrink(
    pixels: np.ndarray, shape: tuple[int, int], box: Box = WHOLE
) -> Float[np.ndarray, "s t"]:
    """L of a picture (H, W, 1 or 3), or of the part of it in a box, at `shape`.

    As `refine.resize_matrix` has it: Pillow's bilinear filter is the same triangle.
    """
    height, width, _ = pixels.shape
    left, right = box.left * width, box.right * width
    strips, parts = _strips(height, width)
    pieces = _ahead(_lightness(_segments(pixels[y, x])) for y in strips for x in parts)
    narrow = np.empty((height, shape[1]), np.float32)
    for y in strips:
        strip = np.empty((y.stop - y.start, width), np.float32)
        for x in parts:
            strip[:, x] = _joined(jax.device_get(next(pieces)), *strip[:, x].shape)
        narrow[y] = _resized(strip, (shape[1], len(strip)), (left, 0, right, len(strip)))
    rows = box.top * height, box.bottom * height
    return _resized(narrow, (shape[1], shape[0]), (0, rows[0], shape[1], rows[1]))


def _resized(
    lightness: Float[np.ndarray, "h w"],
    size: tuple[int, int],
    box: tuple[float, float, float, float],
) -> Float[np.ndarray, "s t"]:
    return np.asarray(Image.fromarray(lightness).resize(size, Image.Resampling.BILINEAR, box))


def paint(
    pixels: np.ndarray, small: Float[np.ndarray, "s t 3"], controls: Controls
) -> Iterator[np.ndarray]:
    """A picture (H, W, 1 or 3) in the small picture's colours: strips (rows, W, 3) of its type."""
    height, width, _ = pixels.shape
    across, down = small.shape[1], small.shape[0]
    matrices = averaging(down, height), averaging(across, width)
    controls = pure.on_device(jax.tree.map(np.float32, jax.device_get(controls)))
    ready = pure.prepare(*pure.on_device((small, *matrices)), controls)
    rows, columns = taps(down, height), taps(across, width)
    strips, parts = _strips(height, width)
    high = strips[0].stop  # rows of most strips
    placed = [(x, _columns(columns, x, high)) for x in parts]
    dtype = _device_type(pixels)
    pieces = _ahead(
        pure.paint_piece(
            _lightness(_segments(pixels[y, x])), ready, _rows(rows, y, x), at, controls, dtype=dtype
        )
        for y in strips
        for x, at in placed
    )
    for y in strips:
        strip = np.empty((y.stop - y.start, width, 3), native(pixels.dtype))
        for x in parts:
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


# -- strips ----------------------------------------------------------------------------------------


def _strips(height: int, width: int) -> tuple[list[slice], list[slice]]:
    """The rows of the strips, and the columns of their parts.

    There is one part, but of a picture whose single row is too long.
    """
    high = max(1, _SEGMENTS // _segments_in(width))
    return _slices(height, high), _slices(width, _SEGMENT * _SEGMENTS)


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
    lines = segments[: rows * across]
    return lines.reshape(rows, across * _SEGMENT, *lines.shape[2:])[:, :width]


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
