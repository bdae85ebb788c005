"""A film's picture: its luma as numbers of its own depth and range, and chroma planes for it.

The luma stays as it is. Chroma is painted at the size of its planes, mostly half of the luma's.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt

from jaxcolor import color
from jaxcolor.controls import Controls
from jaxcolor.predict import pure
from jaxcolor.refine import Taps, averaging, enlarge, taps

_MOST = 512  # samples; the side of the squares that planes are worked on in, at most


class Encoding(NamedTuple):
    """What the numbers of a film's planes mean.

    Attributes:
      bits: 8 to 16.
      full: whether black is 0 and white the largest number; else 16 and 235 of 8 bits.
      matrix: one of `color.LUMA`.
      down: luma rows to a row of chroma.
      across: luma columns to a column of chroma.
    """

    bits: int
    full: bool
    matrix: str
    down: int = 2
    across: int = 2

    @property
    def black(self) -> int:
        """The number of black."""
        return 0 if self.full else 16 << (self.bits - 8)

    @property
    def white(self) -> int:
        """The number of white."""
        return (1 << self.bits) - 1 if self.full else 235 << (self.bits - 8)

    @property
    def dtype(self) -> type[np.uint8 | np.uint16]:
        """The type of a plane's numbers."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def reach(self) -> int:
        """From the smallest to the largest number of chroma."""
        return (1 << self.bits) - 1 if self.full else 224 << (self.bits - 8)


@functools.lru_cache(maxsize=8)
def _greys(encoding: Encoding) -> UInt[np.ndarray, " n"]:
    numbers = np.arange(1 << encoding.bits, dtype=np.float64)
    unit = (numbers - encoding.black) / (encoding.white - encoding.black)
    return np.round(unit.clip(0, 1) * 65535).astype(np.uint16)


def to_grey(luma: UInt[np.ndarray, "h w"], encoding: Encoding) -> UInt[np.ndarray, "h w"]:
    """A plane of luma -> a picture of 16 bits, from black to white."""
    return _greys(encoding)[luma]


def paint_chroma(
    luma: UInt[np.ndarray, "h w"],
    small: Float[np.ndarray, "s t 3"],
    controls: Controls,
    encoding: Encoding,
) -> UInt[np.ndarray, "2 p q"]:
    """Planes of Cb and Cr for a plane of luma.

    Args:
      luma: of the picture.
      small: its colours, as `stages.run_network` gives them.
      controls: the user's.
      encoding: of the luma, and of what is given back.
    """
    height, width = (-(-n // step) for n, step in zip(luma.shape, encoding[3:], strict=True))
    down, across = small.shape[:2]
    matrices = averaging(down, height), averaging(across, width)
    controls = pure.on_device(jax.tree.map(np.float32, jax.device_get(controls)))
    ready = pure.prepare(*pure.on_device((small, *matrices)), controls)
    rows, columns = taps(down, height), taps(across, width)
    planes = np.empty((2, height, width), encoding.dtype)
    high, wide = _tile(height), _tile(width)
    for top in range(0, height, high):
        for left in range(0, width, wide):
            part = planes[:, top : top + high, left : left + wide]
            y, x = slice(top, top + high), slice(left, left + wide)
            piece = _piece(luma, y, x, encoding)
            places = _cut(rows, y, high), _cut(columns, x, wide)
            painted = _paint(*pure.on_device((piece, ready, *places)), controls, encoding)
            part[...] = jax.device_get(painted)[:, : part.shape[1], : part.shape[2]]
    return planes


@functools.partial(jax.jit, static_argnames="encoding")
def _paint(
    luma: Int[Array, "h w"] | UInt[Array, "h w"],
    small: Float[Array, "s t 3"],
    rows: Taps,
    columns: Taps,
    controls: Controls,
    encoding: Encoding,
) -> UInt[Array, "2 p q"]:
    unit = (luma.astype(jnp.float32) - encoding.black) / (encoding.white - encoding.black)
    height, width = luma.shape[0] // encoding.down, luma.shape[1] // encoding.across
    blocks = unit.clip(0, 1).reshape(height, encoding.down, width, encoding.across)
    mean = blocks.mean(axis=(1, 3))
    ab = enlarge(small, color.grey_to_lightness(mean), rows, columns, controls.refine)
    cbcr = color.ab_to_cbcr(mean, ab, encoding.matrix)
    middle = 1 << (encoding.bits - 1)
    numbers = jnp.moveaxis(cbcr, -1, 0) * encoding.reach + middle + 0.5
    # From 1 on: 0 is no chroma of any range that would show, and video keeps it for other ends.
    return numbers.clip(1, (1 << encoding.bits) - 2 + 0.5).astype(encoding.dtype)


def _tile(count: int) -> int:
    """Tiles of one size that cover an axis with as little beyond it as can be."""
    return -(-count // -(-count // _MOST))


def _piece(luma: np.ndarray, y: slice, x: slice, encoding: Encoding) -> np.ndarray:
    """Luma of a tile of chroma; its last numbers go on beyond the border."""
    rows, columns = encoding.down, encoding.across
    part = luma[y.start * rows : y.stop * rows, x.start * columns : x.stop * columns]
    missing = (
        (y.stop - y.start) * rows - part.shape[0],
        (x.stop - x.start) * columns - part.shape[1],
    )
    if not any(missing):
        return part
    return np.pad(part, [(0, n) for n in missing], mode="edge")


def _cut(axis: Taps, part: slice, size: int) -> Taps:
    cut = [array[:, part] for array in axis]
    return Taps(*(np.pad(a, [(0, 0), (0, size - a.shape[1])], mode="edge") for a in cut))
