"""How the picture moves from one frame to the next, on small lightness.

Dense inverse search (Kroeger, Timofte, Dai, Van Gool: "Fast Optical Flow using Dense Inverse
Search", ECCV 2016) as OpenCV has it, both ways. Where the two do not undo each other something is
covered or uncovered, and the motion is not trusted.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_CONSISTENT = 0.6  # cells that there and back may differ, where trust has fallen to 1/e
_PER_CELL = 0.05  # and more, by the length of the motion

cv2.setNumThreads(1)  # its flow hangs on how many share it, and there are threads enough

# x and y of the motion in cells, and how far it can be trusted: from 0 to 1.
Path: TypeAlias = Float[np.ndarray, "s t 3"]
Ends: TypeAlias = tuple[Float[np.ndarray, "s t"], Float[np.ndarray, "s t"]]  # x and y in cells


def between(one: UInt8[np.ndarray, "s t"], other: UInt8[np.ndarray, "s t"]) -> tuple[Path, Path]:
    """The motion from one frame to another, and back."""
    there, back = _flow(one, other), _flow(other, one)
    return _trusted(there, back), _trusted(back, there)


def ends(path: Path) -> Ends:
    """Where paths end."""
    height, width = path.shape[:2]
    rows, columns = _grid((height, width))
    x, y, _ = cv2.split(path)
    return x + columns, y + rows


def found(planes: Float[np.ndarray, "s t c"], at: Ends) -> Float[np.ndarray, "s t c"]:
    """What is found at the ends of paths; beyond the border, what is on it."""
    return cv2.remap(planes, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def joined(first: Path, second: Path, at: Ends) -> Path:
    """Two motions, one after the other; `at` are the ends of the first."""
    x, y, trust = cv2.split(first)
    further_x, further_y, further = cv2.split(found(second, at))
    return cv2.merge([x + further_x, y + further_y, trust * further])


def resized(path: Path, shape: tuple[int, int]) -> Path:
    """The same motion, in cells of another grid."""
    if path.shape[:2] == shape:
        return path
    scale = np.array([shape[1] / path.shape[1], shape[0] / path.shape[0], 1], np.float32)
    return cv2.resize(path, shape[::-1], interpolation=cv2.INTER_LINEAR) * scale


@functools.lru_cache(maxsize=8)
def _grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of rows and of columns, as float32, to be added to."""
    rows, columns = np.indices(shape, dtype=np.float32, sparse=True)
    return rows, columns


@functools.cache
def _search() -> Any:
    untyped: Any = cv2  # not all of its stubs know of optical flow
    return untyped.DISOpticalFlow_create(untyped.DISOPTICAL_FLOW_PRESET_FAST)


def _flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    flow: np.ndarray = _search().calc(one, other, None)
    return flow


def _trusted(there: np.ndarray, back: np.ndarray) -> Path:
    """A motion, with how well the one back undoes it."""
    height, width = there.shape[:2]
    rows, columns = _grid((height, width))
    x, y = cv2.split(there)
    at = x + columns, y + rows
    undone_x, undone_y = cv2.split(found(back, at))
    allowed = _CONSISTENT + _PER_CELL * (np.abs(x) + np.abs(y))
    off = ((x + undone_x) ** 2 + (y + undone_y) ** 2) / allowed**2
    inside = (at[0] > -0.5) & (at[1] > -0.5) & (at[0] < width - 0.5) & (at[1] < height - 0.5)
    return cv2.merge([x, y, np.exp(-off) * inside])
