"""Where a hint's place is in each frame of its scene: it moves with what is there."""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxcolor.film import motion, scenes
from jaxcolor.film.motion import Path
from jaxcolor.hints import KEEP, Hint

_TRUSTED = 0.15  # below it what a hint lies on is covered, or gone: the hint ends there

Thin = UInt8[np.ndarray, "s t"]


class Place(NamedTuple):
    """A hint at a frame; x and y are shares of the frame."""

    hint: Hint
    x: float
    y: float


def tracked(
    frames: Iterable[tuple[float, Thin]], hints: Sequence[Hint], size: tuple[int, int]
) -> dict[int, tuple[Hint, ...]]:
    """The hints of each frame of the scenes that have some.

    Frames are read up to the end of the last such scene. Those of one scene are kept in a file
    meanwhile.

    Args:
      frames: each's time in seconds, and itself, small.
      hints: of the film.
      size: height and width of its frames.

    Returns:
      By the frames' numbers, as places of shares. A frame of such a scene, in which all of them are
      covered, has one that changes nothing: so that all are worked on alike.
    """
    found: dict[int, tuple[Hint, ...]] = {}
    waiting = sorted(hints, key=lambda hint: hint.time or 0.0)
    with tempfile.TemporaryFile() as file:
        for first, times, scene in _scenes(frames, _Spool(file)):
            due = [hint for hint in waiting if (hint.time or 0.0) < times[-1]]
            mine = [hint for hint in due if hint.time is not None and hint.time >= times[0]]
            if mine:
                placed = _of_scene(scene, times, mine, size)
                found |= {first + i: some for i, some in enumerate(placed)}
            waiting = [hint for hint in waiting if hint not in due]
            if not waiting:
                break
    return found


class _Spool:
    """Thin frames in a file, by their numbers."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._count = 0
        self._shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self._count

    def append(self, thin: Thin) -> None:
        self._shape = thin.shape
        self._file.seek(self._count * thin.size)
        self._file.write(thin.tobytes())
        self._count += 1

    def __getitem__(self, number: int) -> Thin:
        size = math.prod(self._shape)
        self._file.seek(number * size)
        return np.frombuffer(self._file.read(size), np.uint8).reshape(self._shape)

    def clear(self) -> None:
        self._count = 0


def _scenes(
    frames: Iterable[tuple[float, Thin]], spool: _Spool
) -> Iterator[tuple[int, list[float], _Spool]]:
    """Scenes: the number of the first frame, the frames' times and the end's, and the frames."""
    first = 0
    times: list[float] = []
    seen: list[float] = []

    def thin() -> Iterator[Thin]:
        for time, one in frames:
            seen.append(time)
            yield one

    for number, watched in enumerate(scenes.watched(thin())):
        if watched.opens and times:
            yield first, [*times, seen[-1]], spool
            spool.clear()
            times, first = [], number
        times.append(seen[-1])
        spool.append(watched.thin)
    if times:
        yield first, [*times, math.inf], spool


def _of_scene(
    scene: _Spool, times: list[float], hints: Sequence[Hint], size: tuple[int, int]
) -> list[tuple[Hint, ...]]:
    count = len(scene)
    begins: dict[int, list[Place]] = defaultdict(list)
    for hint in hints:
        number = max(i for i in range(count) if times[i] <= (hint.time or 0.0))
        y, x, _ = hint.placed(size)
        begins[number].append(Place(hint, x, y))
    places: list[list[Place]] = [list(begins[i]) for i in range(count)]
    for step, order in ((1, range(count - 1)), (-1, range(count - 1, 0, -1))):
        moving: list[Place] = []
        for i in order:
            moving += begins[i]
            if moving:
                path = motion.between(scene[i], scene[i + step])[0]
                moving = [place for one in moving if (place := _moved(one, path))]
                places[i + step] += moving
    nothing = (Hint(0.5, 0.5, KEEP),)
    return [tuple(_placed(p, size) for p in some) or nothing for some in places]


def _moved(place: Place, path: Path) -> Place | None:
    height, width = path.shape[:2]
    column, row = (
        min(max(int(share * n), 0), n - 1) for share, n in ((place.x, width), (place.y, height))
    )
    near = path[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].reshape(-1, 3)
    dx, dy, trust = np.median(near, axis=0)
    x, y = place.x + float(dx) / width, place.y + float(dy) / height
    if trust < _TRUSTED or not (0 <= x < 1 and 0 <= y < 1):
        return None
    return place._replace(x=x, y=y)


def _placed(place: Place, size: tuple[int, int]) -> Hint:
    radius = place.hint.placed(size)[2]
    reach = None if math.isinf(radius) else min(radius, 1.0)
    return Hint(float(place.x), float(place.y), place.hint.colour, reach)
