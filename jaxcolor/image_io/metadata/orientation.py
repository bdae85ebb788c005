"""EXIF's orientations, 1 to 8: how a stored picture is turned upright."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TRANSPOSING = (5, 6, 7, 8)  # those that exchange the sides

_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """A picture (H, W, ...) as it is stored -> upright, in memory row by row."""
    return np.ascontiguousarray(_TURNS[orientation](stored))
