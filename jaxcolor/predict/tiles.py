"""Pictures of any size through programs of one shape: tile by tile, in bounded memory.

Every pixel's result depends on the pixel and on the small picture alone, so tiles have no seams:
however many stand side by side, the bytes are the same.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator

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
    rows = resize_matrix(height, shape[0], box.top, box.bottom)
    columns = resize_matrix(width, shape[1], box.left, box.right)
    parts = (
        pure.shrink_tile(
            *pure.on_device((_lightness(pixels, y, x), _pad(rows[:, y], 1), _pad(columns[:, x], 1)))
        )
        for y, x in _tiles(height, width)
    )
    total = np.zeros(shape, np.float32)
    for part in _ahead(parts):
        total += jax.device_get(part)
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
    rows, columns = taps(down, height), taps(across, width)
    dtype = _device_type(pixels)
    painted = _ahead(
        pure.paint_tile(
            _lightness(pixels, y, x),
            ready,
            *pure.on_device((_cut(rows, y), _cut(columns, x))),
            controls,
            dtype=dtype,
        )
        for y, x in _tiles(height, width)
    )
    for top in range(0, height, _TILE):
        strip = np.empty((min(_TILE, height - top), width, 3), native(pixels.dtype))
        for left in range(0, width, _TILE):
            part = strip[:, left : left + _TILE]
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


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            yield slice(top, top + _TILE), slice(left, left + _TILE)


def _lightness(pixels: np.ndarray, y: slice, x: slice) -> Array:
    """L of a tile.

    Where it reaches over the border, the picture's last pixels go on: their colours are in gamut
    where those of the picture are, and need not be searched for.
    """
    tile = pixels[y, x].astype(_device_type(pixels), copy=False)
    # A program of its own: fused with painting, XLA would compute L anew for each of its uses.
    return pure.to_lightness(pure.on_device(_pad(_pad(tile, 0, "edge"), 1, "edge")))


def _cut(axis: Taps, part: slice) -> Taps:
    return Taps(*(_pad(array[:, part], 1, "edge") for array in axis))


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
