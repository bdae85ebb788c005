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
      lightness: L, its own.
      look: L without grain, and ab as the network, or the step before, gives them.
      ahead: the motion to the frame that is a hop later, in cells of `look`; None: there is none.
      behind: to the frame that is a hop earlier.
      carried: whatever goes with it.
    """

    lightness: Float[np.ndarray, "s t"]
    look: Float[np.ndarray, "s t 3"]
    ahead: Path | None
    behind: Path | None
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
        _, a, b = cv2.split(frame.look)
        yield cv2.merge([frame.lightness, a, b]), frame.carried


def _begun(
    scene: Iterable[tuple[np.ndarray, Path | None, Path | None, Any]],
) -> Iterator[Small]:
    before: Small | None = None
    for lab, there, back, carried in scene:
        lightness, a, b = cv2.split(lab)
        look = cv2.merge([cv2.GaussianBlur(lightness, (0, 0), _CALM), a, b])
        frame = Small(lightness, look, None, _fitted(back, look), carried)
        if before is not None:
            yield dataclasses.replace(before, ahead=_fitted(there, before.look))
        before = frame
    if before is not None:
        yield before


def _fitted(path: Path | None, look: np.ndarray) -> Path | None:
    return None if path is None else motion.resized(path, look.shape[:2])


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
    calm, a, b = cv2.split(frame.look)
    total = np.ones_like(calm)
    paths: list[Path | None] = []
    for other, name in ((held.get(number + hop), "ahead"), (held.get(number - hop), "behind")):
        path = getattr(frame, name)
        if other is None or path is None:
            paths.append(None)
            continue
        at = motion.ends(path)
        theirs, their_a, their_b = cv2.split(motion.found(other.look, at))
        weight = _weight(calm, theirs, path)
        total += weight
        a += weight * their_a
        b += weight * their_b
        beyond = getattr(other, name)
        last = hop == HOPS[-1] or beyond is None
        paths.append(None if last else motion.joined(path, beyond, at))
    look = cv2.merge([calm, a / total, b / total])
    return dataclasses.replace(frame, look=look, ahead=paths[0], behind=paths[1])


def _weight(calm: np.ndarray, theirs: np.ndarray, path: Path) -> np.ndarray:
    """What another frame's colours weigh, where the frame's own weigh 1."""
    differ = theirs - calm
    differ -= np.median(differ[::4, ::4])  # exposure changes, and colours do not
    return _NEIGHBOUR * cv2.split(path)[2] * np.exp(-(differ * differ) / (_LIKE * _LIKE))
