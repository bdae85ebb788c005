"""Where a film's scenes begin: at cuts, and where it has faded to nothing or comes back from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from jaxcolor.film import motion
from jaxcolor.film.motion import Path

# Of a pair of frames: how much of the motion between them is undone by the one back, on average.
# In clips of `scripts/measure_film.py` it is above 0.5 even six frames apart, at cuts below 0.07.
_SCENE = 0.3
_BLANK = 2.5  # standard deviation, of 255: a frame with nothing on it
_DARK, _BRIGHT = 32.0, 224.0  # of 255: where a film fades to


class Watched(NamedTuple):
    """A frame, and how it comes out of the one before.

    Attributes:
      thin: its lightness, small.
      opens: whether it is the first of a scene.
      there: the motion from the frame before to this one; None for the first of a scene.
      back: and back.
    """

    thin: UInt8[np.ndarray, "s t"]
    opens: bool
    there: Path | None
    back: Path | None


def thinned(grey: UInt16[np.ndarray, "h w"], shape: tuple[int, int]) -> np.ndarray:
    """A grey picture of 16 bits, small, of 8 bits."""
    small = cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_AREA)
    return (np.asarray(small, np.uint16) >> 8).astype(np.uint8)


def watched(frames: Iterable[np.ndarray]) -> Iterator[Watched]:
    """Thin frames, with the motion between those of one scene."""
    before: np.ndarray | None = None
    for thin in frames:
        if before is None:
            yield Watched(thin, True, None, None)
        else:
            there, back = motion.between(before, thin)
            opens = _is_cut(there, back) or _is_blank(before) != _is_blank(thin)
            yield Watched(thin, opens, *((None, None) if opens else (there, back)))
        before = thin


def _is_cut(there: Path, back: Path) -> bool:
    return min(float(there[..., 2].mean()), float(back[..., 2].mean())) < _SCENE


def _is_blank(thin: np.ndarray) -> bool:
    mean, spread = thin.mean(), thin.std()
    return bool(spread < _BLANK and not _DARK < mean < _BRIGHT)
