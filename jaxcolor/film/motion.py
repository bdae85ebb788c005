"""How the picture moves from one frame to the next, on small lightness.

Dense inverse search (Kroeger, Timofte, Dai, Van Gool: "Fast Optical Flow using Dense Inverse
Search", ECCV 2016) as OpenCV has it, both ways. Where the two do not undo each other something is
covered or uncovered, and the motion is not trusted.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_CONSISTENT = 0.6  # cells that there and back may differ, where trust has fallen to 1/e
_PER_CELL = 0.05  # and more, by the length of the motion

cv2.setNumThreads(1)  # its flow hangs on how many share it, and there are threads enough

# x and y of the motion in cells, and how far it can be trusted: from 0 to 1.
Path = Float[np.ndarray, "s t 3"]


def between(
    one: UInt8[np.ndarray, "s t"], other: UInt8[np.ndarray, "s t"]
) -> tuple[Path, Path]:
    """The motion from one frame to another, and back."""
    there, back = _flow(one, other), _flow(other, one)
    return _trusted(there, back), _trusted(back, there)


def joined(first: Path, second: Path) -> Path:
    """Two motions, one after the other."""
    beyond = moved(second, first)
    return np.dstack([first[..., :2] + beyond[..., :2], first[..., 2] * beyond[..., 2]])


def moved(
    planes: Float[np.ndarray, "s t c"], path: Path, *, how: int = cv2.INTER_LINEAR
) -> Float[np.ndarray, "s t c"]:
    """What each cell finds at the end of its path."""
    rows, columns = grid(planes.shape[:2])
    x, y = path[..., 0] + columns, path[..., 1] + rows
    return cv2.remap(planes, x, y, how, borderMode=cv2.BORDER_REPLICATE)


def inside(path: Path) -> Float[np.ndarray, "s t"]:
    """1 where a path ends within the picture, else 0."""
    rows, columns = grid(path.shape[:2])
    x, y = path[..., 0] + columns, path[..., 1] + rows
    height, width = path.shape[:2]
    within = (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)
    return within.astype(np.float32)


def resized(path: Path, shape: tuple[int, int]) -> Path:
    """The same motion, in cells of another grid."""
    if path.shape[:2] == shape:
        return path
    scale = np.array([shape[1] / path.shape[1], shape[0] / path.shape[0], 1], np.float32)
    return cv2.resize(path, shape[::-1], interpolation=cv2.INTER_LINEAR) * scale


@functools.lru_cache(maxsize=8)
def grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of rows and of columns, as float32, to be added to."""
    rows, columns = np.indices(shape, dtype=np.float32, sparse=True)
    return rows, columns


@functools.cache
def _search() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)


def _flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return _search().calc(one, other, None)


def _trusted(there: np.ndarray, back: np.ndarray) -> Path:
    """A motion, with how well the one back undoes it."""
    path = np.dstack([there, np.ones(there.shape[:2], np.float32)])
    differ = there + moved(back, path)
    length = np.abs(there).sum(axis=2)
    off = (differ * differ).sum(axis=2) / (_CONSISTENT + _PER_CELL * length) ** 2
    path[..., 2] = np.exp(-off) * inside(path)
    return path
