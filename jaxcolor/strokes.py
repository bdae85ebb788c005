"""Hints painted over a photo: a PNG of its size, transparent but for strokes.

That is what GIMP, Krita and Photoshop export of a layer. Each stroke becomes hints along it, the
longer the more, and all of them together no more than a photo can have.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcolor.hints import CAPACITY, Hint, HintError, Size

_LONG = 256  # cells of the long side: strokes are looked at in this grid
_OPAQUE = 128  # alpha from which a pixel is part of a stroke, and not its soft rim
_ALIKE = 24.0  # distance of sRGB, of 255, within which pixels are of one colour
_SPACING = 0.04  # of the long side, between the hints of a stroke, if there is room for so many


def read(file: Path, size: Size | None) -> tuple[Hint, ...]:
    """The hints of a PNG.

    Args:
      file: the PNG.
      size: height and width that it must have. None: nothing is read but its own.

    Raises:
      HintError: it is damaged, of another size, has no transparency, or no or too many strokes.
    """
    from PIL import Image

    try:
        with Image.open(file, formats=("PNG",)) as image:
            if not image.has_transparency_data:
                raise HintError("nothing of it is transparent: export the layer of strokes alone")
            if size is None:
                return ()
            width, height = image.size
            if (height, width) != size:
                raise HintError(
                    f"it has {width}x{height} pixels, and the photo, upright, {size[1]}x{size[0]}"
                )
            pixels = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, HintError):
            raise
        raise HintError("a damaged PNG") from None
    return from_layer(pixels)


def from_layer(pixels: np.ndarray) -> tuple[Hint, ...]:
    """The hints of a picture (H, W, 4) of uint8 RGBA.

    Raises:
      HintError: there is no stroke on it, or there are too many.
    """
    height, width = pixels.shape[:2]
    y, x = np.nonzero(pixels[..., 3] >= _OPAQUE)
    if not len(y):
        raise HintError("no stroke on it: all of it is transparent")
    cell = max(1.0, max(height, width) / _LONG)
    down, across = (y / cell).astype(np.int64), (x / cell).astype(np.int64)
    _, first = np.unique(down * (_LONG + 1) + across, return_index=True)  # a pixel of each cell
    cells = list(zip(down[first].tolist(), across[first].tolist(), strict=True))
    y, x = y[first], x[first]
    strokes = list(_strokes(cells, pixels[y, x, :3]))
    if len(strokes) > CAPACITY:
        raise HintError(f"{len(strokes)} strokes are too many: {CAPACITY} are the most")
    places = np.stack([y, x], axis=1)
    chosen = [_spread_out(places[inner]) for inner, _ in strokes]
    spacing = _SPACING * max(height, width)
    while sum(int((away >= spacing).sum()) for _, away in chosen) > CAPACITY:
        spacing *= 1.1
    return tuple(
        Hint(int(x), int(y), colour)
        for (_, colour), (points, away) in zip(strokes, chosen, strict=True)
        for y, x in points[away >= spacing]
    )


def _strokes(
    cells: list[tuple[int, int]], rgb: np.ndarray
) -> Iterator[tuple[list[int], tuple[int, int, int]]]:
    """The inner cells of each stroke, by number, and its colour.

    A stroke is what hangs together and is of one colour.
    """
    for alike, colour in _colours(rgb.astype(np.float64)):
        left = {cells[i]: i for i in np.flatnonzero(alike).tolist()}
        while left:
            place, number = left.popitem()
            stroke, edge = [number], [place]
            while edge:
                for near in _around(edge.pop()):
                    if near in left:
                        stroke.append(left.pop(near))
                        edge.append(near)
            yield _inner(cells, sorted(stroke)), colour


def _colours(
    rgb: Float[np.ndarray, "n 3"],
) -> Iterator[tuple[Bool[np.ndarray, " n"], tuple[int, int, int]]]:
    """Which pixels are of one colour, the most frequent first."""
    left = np.ones(len(rgb), bool)
    while left.any():
        each, counts = np.unique(rgb[left], axis=0, return_counts=True)
        centre = each[np.argmax(counts)]
        alike = left & (((rgb - centre) ** 2).sum(axis=1) <= _ALIKE**2)
        red, green, blue = (int(c) for c in centre)
        yield alike, (red, green, blue)
        left &= ~alike


def _inner(cells: list[tuple[int, int]], stroke: list[int]) -> list[int]:
    """Without the rim, which may lie beyond an edge of the photo; all of it where it is thin."""
    whole = {cells[i] for i in stroke}
    inner = {cell for cell in whole if all(near in whole for near in _around(cell))}
    thin = {cell for cell in whole if not any(near in inner for near in _around(cell))}
    return [i for i in stroke if cells[i] in inner or cells[i] in thin]


def _around(cell: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """A cell and its eight neighbours."""
    y, x = cell
    return itertools.product((y - 1, y, y + 1), (x - 1, x, x + 1))


def _spread_out(
    places: Int[np.ndarray, "k 2"],
) -> tuple[Int[np.ndarray, "m 2"], Float[np.ndarray, " m"]]:
    """Places of a stroke, each the farthest from those before it, and how far that is.

    The first is the one nearest to the stroke's middle, and infinitely far.
    """
    chosen = [int(np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1)))]
    distances = [np.inf]
    away = np.full(len(places), np.inf)
    while len(chosen) <= CAPACITY:
        away = np.minimum(away, ((places - places[chosen[-1]]) ** 2).sum(axis=1))
        if not away.any():
            break
        chosen.append(int(np.argmax(away)))
        distances.append(float(np.sqrt(away[chosen[-1]])))
    return places[chosen], np.array(distances)
