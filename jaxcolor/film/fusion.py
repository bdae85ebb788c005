"""Colours that hold: the small colours of a scene's frames, averaged along its motion.

A frame's colours are averaged with those of the frames before and behind it, 1, then 2, then 4, 8
and 16 frames away, each time with what the last time gave: so few steps reach far, as in the
"algorithme a trous" of wavelets (Holschneider et al., 1989). Each neighbour counts as far as its
motion is trusted and as the lightness at its end is that of the frame. Nothing crosses a cut, and
memory hangs on the reach alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from jaxcolor.film import motion
from jaxcolor.film.motion import Path

HOPS = (1, 2, 4, 8, 16)
REACH = sum(HOPS)  # frames that a frame's colours hang on, each way

_NEIGHBOUR = 0.5  # what each of the two neighbours weighs beside the frame, where all fits
_LIKE = 6.0  # L: the difference at which a neighbour's weight has fallen to 1/e
_CALM = 1.2  # cells: the lightness that is compared is without grain


@dataclasses.dataclass(frozen=True)
class Small:
    """A frame of a scene, small.

    Attributes:
      lab: L and ab as the network, or the step before, gives them.
      ahead: the motion to the frame that is a hop later, in cells of `lab`; None: there is none.
      behind: to the frame that is a hop earlier.
      calm: L without grain.
      carried: whatever goes with it.
    """

    lab: Float[np.ndarray, "s t 3"]
    ahead: Path | None
    behind: Path | None
    calm: Float[np.ndarray, "s t"]
    carried: Any


def fused(
    scene: Iterable[tuple[np.ndarray, Path | None, Path | None, Any]],
) -> Iterator[tuple[np.ndarray, Any]]:
    """The colours of a scene, averaged along its motion.

    Args:
      scene: of each frame: Lab of the small picture, the motion from the frame before to it and
        back (None for the first), and whatever is to come out with it.

    Returns:
      Lab of each, whose L is its own, and what came with it; in their order, `REACH` frames behind.
    """
    frames = _begun(scene)
    for hop in HOPS:
        frames = _averaged(frames, hop)
    for frame in frames:
        yield frame.lab, frame.carried


def _begun(
    scene: Iterable[tuple[np.ndarray, Path | None, Path | None, Any]],
) -> Iterator[Small]:
    before: Small | None = None
    for lab, there, back, carried in scene:
        calm = cv2.GaussianBlur(np.ascontiguousarray(lab[..., 0]), (0, 0), _CALM)
        frame = Small(lab, None, _fitted(back, lab), calm, carried)
        if before is not None:
            yield dataclasses.replace(before, ahead=_fitted(there, before.lab))
        before = frame
    if before is not None:
        yield before


def _fitted(path: Path | None, lab: np.ndarray) -> Path | None:
    return None if path is None else motion.resized(path, lab.shape[:2])


def _averaged(frames: Iterator[Small], hop: int) -> Iterator[Small]:
    """Each frame with the ones that are a hop away; its paths become two hops long."""
    held: dict[int, Small] = {}
    count = 0
    for count, frame in enumerate(frames, 1):
        held[count - 1] = frame
        if count > hop:
            yield _one(held, count - 1 - hop, hop)
            held.pop(count - 1 - 2 * hop, None)
    for number in range(max(0, count - hop), count):
        yield _one(held, number, hop)


def _one(held: dict[int, Small], number: int, hop: int) -> Small:
    frame = held[number]
    total = np.ones(frame.calm.shape, np.float32)
    ab = frame.lab[..., 1:].copy()
    paths: list[Path | None] = []
    for other, name in ((held.get(number + hop), "ahead"), (held.get(number - hop), "behind")):
        path = getattr(frame, name)
        if other is None or path is None:
            paths.append(None)
            continue
        weight, theirs = _seen_along(frame, other, path)
        total += weight
        ab += weight[..., None] * theirs
        beyond = getattr(other, name)
        paths.append(None if beyond is None else motion.joined(path, beyond))
    lab = np.dstack([frame.lab[..., :1], ab / total[..., None]])
    return dataclasses.replace(frame, lab=lab, ahead=paths[0], behind=paths[1])


def _seen_along(frame: Small, other: Small, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """What another frame's colours weigh, and those."""
    theirs = motion.moved(np.dstack([other.calm, other.lab[..., 1:]]), path)
    differ = theirs[..., 0] - frame.calm
    differ -= np.median(differ[::4, ::4])  # exposure changes, and colours do not
    weight = _NEIGHBOUR * path[..., 2] * np.exp(-((differ / _LIKE) ** 2))
    return weight.astype(np.float32), theirs[..., 1:]
