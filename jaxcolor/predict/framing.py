"""What of a photo the network sees: a shape near the photo's own, without a margin round it.

A square would squash a panorama until nothing in it looks like itself, so a photo goes to the
network in the nearest of a few shapes: each is compiled once. A scan's margin (the white of a
print, the black of a film holder) is no part of the scene: it is found on the small copy, the
network sees what lies inside of it, and it stays without colour.

All of it is the same for NumPy and for traced JAX arrays: pass `xp=jax.numpy` for these.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxcolor.refine import numbers, real, triangles

# Width by height of the shapes. Up to 2 they have about the area of the square; longer ones are as
# high as that of 2, so that a panorama's trees are as large as any other photo's.
ASPECTS = (1.0, 4 / 3, 3 / 2, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
_LONG = 2.0

_LINE_SPREAD = 1.2  # standard deviation of L along a line of a margin, at most
_PAPER_SPREAD = 3.0  # likewise, where it is nearly white or nearly black
_NEARLY = 12.0  # L from white or black
_LEVEL = 3.0  # L that a line of a margin differs from the outermost one, at most
_EDGE = 4.0  # mean difference of L at least, between a margin and what it is round
_MOST = 0.2  # of the picture's side: a wider margin is a flat picture


def shape_for(height: int, width: int, size: int, multiple: int) -> tuple[int, int]:
    """The shape in which a photo goes to the network.

    Args:
      height: of the photo.
      width: of the photo.
      size: the side of the square that the network works on, in pixels.
      multiple: what its height and width must be multiples of.

    Returns:
      (height, width) of the nearest shape by the logarithm of its aspect.
    """
    aspect = max(height, width) / min(height, width)
    near = min(ASPECTS, key=lambda other: abs(math.log(other / aspect)))
    short = _multiple_of(multiple, size / math.sqrt(min(near, _LONG)))
    long = _multiple_of(multiple, size * math.sqrt(near) if near <= _LONG else short * near)
    return (long, short) if height > width else (short, long)


def _multiple_of(multiple: int, length: float) -> int:
    return max(1, round(length / multiple)) * multiple


class Box(NamedTuple):
    """The part of a photo inside of its margin, as shares of its height and width.

    Attributes:
      top, bottom, left, right: where the network's view begins and ends.
      rows: (h,) 1 for the rows of the small copy that are no margin, else 0.
      columns: (w,) likewise.
    """

    top: Any
    bottom: Any
    left: Any
    right: Any
    rows: Any
    columns: Any

    @property
    def is_all(self) -> bool:
        """Whether there is no margin; not of a traced one."""
        return bool(self[:4] == WHOLE[:4])


WHOLE = Box(0.0, 1.0, 0.0, 1.0, None, None)


def content(small: Float[Any, "h w"], xp: ModuleType = np) -> Box:
    """Finds the margin round a photo on its small copy, L in [0, 100].

    A margin's lines are even, alike, and end at an edge. One that is nearly white or black may lie
    at any side; one of a middle grey, which a sky might be, lies at two opposite ones.

    Args:
      small: the copy.
      xp: numpy, or jax.numpy for one that is traced.
    """
    top, bottom = _lines(small, xp)
    left, right = _lines(small.T, xp)
    height, width = small.shape
    # Where a margin ends, a sample holds some of it and some of the picture.
    first, last, start, end = (
        xp.where(count > 0, count + 1, 0).astype(real(xp)) for count in (top, bottom, left, right)
    )
    rows = _between(top, height - bottom, height, xp)
    columns = _between(left, width - right, width, xp)
    return Box(first / height, 1 - last / height, start / width, 1 - end / width, rows, columns)


def _lines(small: Any, xp: ModuleType) -> tuple[Any, Any]:
    """How many rows at the top and at the bottom are margin."""
    (above, upper), (below, lower) = _run(small, xp), _run(small[::-1], xp)
    alike = (above > 0) & (below > 0) & (abs(upper - lower) < 2 * _LEVEL)
    return (
        xp.where(_is_paper(upper) | alike, above, 0),
        xp.where(_is_paper(lower) | alike, below, 0),
    )


def _run(small: Any, xp: ModuleType) -> tuple[Any, Any]:
    """How many rows from the top on could be margin, and their L."""
    height = len(small)
    mean, spread = small.mean(axis=1), small.std(axis=1)
    level = mean[0]
    calm = (spread < _LINE_SPREAD) | (_is_paper(level) & (spread < _PAPER_SPREAD))
    even = calm & (abs(mean - level) < _LEVEL)
    count = xp.cumprod(even.astype(np.int32)).sum()
    beyond = small[xp.minimum(count + 1, height - 1)]
    nearest = mean[xp.maximum(count - 1, 0)]  # not `level`: a ramp drifts away from that
    ends = abs(beyond - nearest).mean() > _EDGE
    return xp.where(ends & (count <= int(_MOST * height)), count, 0), level


def _is_paper(level: Any) -> Any:
    return (level < _NEARLY) | (level > 100 - _NEARLY)


def _between(start: Any, end: Any, count: int, xp: ModuleType) -> Any:
    place = xp.arange(count)
    return ((place >= start) & (place < end)).astype(np.float32)


def back_matrix(
    size: int, whole: int, start: Any, end: Any, inside: Any, xp: ModuleType = np
) -> Any:
    """The matrix that puts a part's samples back into the whole axis.

    Args:
      size: samples of the part.
      whole: samples of the whole axis.
      start: where the part begins, as a share of the axis.
      end: where it ends.
      inside: (whole,) what each row of the matrix is multiplied by.
      xp: numpy, or jax.numpy for a part that is traced.

    Returns:
      (whole, size), float32; samples beyond the part's ends are those of its ends.
    """
    scale = size / (whole * (end - start))
    first = size * start / (end - start)  # all of it: `place` is exactly 0, 1, 2 ...
    place = (numbers(whole, xp) + 0.5) * scale - first - 0.5
    matrix = triangles(xp.clip(place, 0, size - 1), size, scale, xp)
    return matrix * inside[:, None]


def back_matrices(shape: tuple[int, int], box: Box, xp: ModuleType = np) -> tuple[Any, Any]:
    """`back_matrix` of rows and of columns, for the colours of what lies in a box."""
    height, width = shape
    return (
        back_matrix(height, height, box.top, box.bottom, box.rows, xp),
        back_matrix(width, width, box.left, box.right, box.columns, xp),
    )
