"""A grey film -> the same in colour, by way of the engine.

The film is read twice, side by side: once ahead, small, for the network and for what holds the
colours; and once behind it at full size, for painting. So memory hangs on how far the one is ahead
of the other, and not on the film's length.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcolor import __version__, engine, interrupts, jobs
from jaxcolor.atomic import open_whole
from jaxcolor.controls import UNTOUCHED, Controls
from jaxcolor.film import choices, fusion, reading, scenes, tracks, writing
from jaxcolor.film.reading import Film, FilmError, Frame
from jaxcolor.hints import Hint, HintError
from jaxcolor.predict import planes, stages

if TYPE_CHECKING:
    from jaxcolor.models.colorizer import Params

_SEGMENT = 250  # frames of a segment at least: what a run that was ended may lose
_PAINTED_AHEAD = 4  # frames

Tell = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is asked of a film.

    Attributes:
      controls: how the colours are wished.
      hints: colours that the user knows, each with its time.
      codec: of `choices.CODECS`.
      crf: how much H.264 may lose.
      start: seconds from the first frame, where the result begins.
      end: where it ends; None: with the film.
      resume: what a run that was ended has done is kept, and taken up.
      batch: frames in a pass of the network.
    """

    controls: Controls = UNTOUCHED
    hints: tuple[Hint, ...] = ()
    codec: str = "h264"
    crf: int = choices.CRF
    start: float = 0.0
    end: float | None = None
    resume: bool = False
    batch: int = engine.Settings.batch


def colorize(
    params: Params,
    film: Film,
    path: Path,
    wish: Wish,
    *,
    tell: Tell = lambda _: None,
    progress: Callable[[int], object] = lambda _: None,
) -> int:
    """Colorizes a film into a file, which appears whole or not at all.

    Args:
      params: the colorizer.
      film: of `reading.probed`.
      path: the file; its suffix says what it is.
      wish: what is asked.
      tell: is given a line for each thing that is not as it should be.
      progress: is called with the number of further frames that are done.

    Returns:
      How many frames it has.

    Raises:
      FilmError: the film cannot be read, or not be written so.
      HintError: a hint is outside of the frame.
    """
    target = writing.planned(film, path, wish.codec, wish.crf)
    for number, hint in enumerate(wish.hints, 1):
        try:
            hint.placed(film.size)
        except HintError as error:
            raise HintError(f"hint {number}: {error}") from None
    with _parts(params, film, target, wish) as parts:
        done = parts.segments()
        first = done[-1].end if done else 0
        progress(first)
        with contextlib.closing(_Painter(params, film, target, wish, first, tell)) as painter:
            for number, segment in enumerate(_segments(painter.frames()), len(done)):
                packets = _encoded(film, target, segment, progress)
                first = parts.save(number, first, packets)
        if not first:
            raise FilmError(f"{film.path}: there is no frame between --start and --end")
        files = [part.path for part in parts.segments()]
        start, end = _cut(film, wish)
        writing.join(film, target, files, start, end)
    return first


@dataclasses.dataclass(frozen=True)
class Painted:
    """A frame on its way to the encoder.

    Attributes:
      frame: itself; its luma in the target's numbers.
      opens: whether it is the first of a scene.
      chroma: its planes of chroma, when they are done.
    """

    frame: Frame
    opens: bool
    chroma: Future[np.ndarray]


class _Painter:
    """Frames with their colours, in order."""

    def __init__(
        self, params: Params, film: Film, target: writing.Target, wish: Wish, first: int, tell: Tell
    ):
        self._params, self._film, self._target, self._wish = params, film, target, wish
        self._first, self._tell = first, tell
        shape = stages.shape_for(params, film.size)
        self._shape = stages.grid_for(stages.answer_shape(params, shape), film.size)
        self._engine = engine.Engine(engine.Settings(batch=wish.batch))
        self._engine.start({"": params})

    def close(self) -> None:
        """Gives up what is on its way."""
        self._engine.__exit__(None, None, None)

    def frames(self) -> Iterator[Painted]:
        """All from the first one on."""
        begun: collections.deque[Painted] = collections.deque()
        full = self._read(lambda _: None)
        for (lab, (controls, opens)), frame in zip(self._coloured(), full, strict=True):
            luma = writing.recoded(frame.luma, self._film.encoding, self._target.encoding)
            chroma = self._engine.paint(luma, lab, controls, self._target.encoding)
            begun.append(Painted(frame._replace(luma=luma), opens, chroma))
            if len(begun) > _PAINTED_AHEAD:
                yield begun.popleft()
        yield from begun

    def _read(self, tell: Tell) -> Iterator[Frame]:
        wanted = _wanted(self._film, self._wish, tell)
        return itertools.islice(wanted, self._first, None)

    def _coloured(self) -> Iterator[tuple[np.ndarray, tuple[Controls, bool]]]:
        """Of each frame the colours that hold, what is left of the controls, and if it opens."""
        for _, scene in itertools.groupby(self._watched(), lambda one: one[2]):
            yield from fusion.fused(_given(job, watched) for job, watched, _ in scene)

    def _watched(self) -> Iterator[tuple[jobs.PictureJob, scenes.Watched, int]]:
        looked, thin = itertools.tee(self._looked())
        scene = 0
        for (_, job), watched in zip(looked, scenes.watched(one for one, _ in thin), strict=True):
            scene += watched.opens
            yield job, watched, scene

    def _looked(self) -> Iterator[tuple[np.ndarray, jobs.PictureJob]]:
        """Thin frames, and the network's work on them; a pass is begun before it is asked for."""
        hints = self._tracked()
        begun: collections.deque[tuple[np.ndarray, jobs.PictureJob]] = collections.deque()
        frames = self._read(self._tell)
        while some := list(itertools.islice(frames, self._wish.batch)):
            greys = [planes.to_grey(frame.luma, self._film.encoding) for frame in some]
            wishes = [self._wish_of(hints.get(frame.number, ())) for frame in some]
            looks = self._engine.look(zip(greys, wishes, strict=True))
            thin = [scenes.thinned(grey, self._shape) for grey in greys]
            begun.extend(zip(thin, looks, strict=True))
            while len(begun) > self._wish.batch:
                yield begun.popleft()
        yield from begun

    def _wish_of(self, hints: Sequence[Hint]) -> jobs.Wish:
        finder = (lambda _: hints) if hints else None
        return jobs.Wish("", self._wish.controls, hints=finder)

    def _tracked(self) -> dict[int, tuple[Hint, ...]]:
        if not self._wish.hints:
            return {}
        film = self._film
        thin = (
            (
                float((frame.pts - film.start) * film.time_base),
                scenes.thinned(planes.to_grey(frame.luma, film.encoding), self._shape),
            )
            for frame in _wanted(film, self._wish, lambda _: None)
        )
        return tracks.tracked(thin, self._wish.hints, film.size)


def _given(job: jobs.PictureJob, watched: scenes.Watched) -> Any:
    """A frame as fusion takes it, when the network's work on it is done."""
    interrupts.wait(job.done)
    return job.small, watched.there, watched.back, (job.controls, watched.opens)


def _wanted(film: Film, wish: Wish, tell: Tell) -> Iterator[Frame]:
    """The frames between --start and --end, numbered from 0."""
    number = 0
    for frame in reading.frames(film, tell):
        time = float((frame.pts - film.start) * film.time_base)
        if time < wish.start:
            continue
        if wish.end is not None and time >= wish.end:
            return
        yield frame._replace(number=number)
        number += 1


def _cut(film: Film, wish: Wish) -> tuple[Fraction, Fraction | None]:
    """Start and end in seconds of the film's own clock; 0 where nothing is cut off."""
    zero = film.start * film.time_base
    unit = film.time_base
    start = Fraction(0)
    if wish.start:
        start = -(-(zero + Fraction(wish.start)) // unit) * unit  # of whole ticks
    return start, None if wish.end is None else zero + Fraction(wish.end)


def _segments(frames: Iterator[Painted]) -> Iterator[Iterator[Painted]]:
    """Whole scenes, as many as make a segment."""
    count, segment = 0, 0

    def key(painted: Painted) -> int:
        nonlocal count, segment
        if painted.opens and count >= _SEGMENT:
            count, segment = 0, segment + 1
        count += 1
        return segment

    for _, group in itertools.groupby(frames, key):
        yield group


def _encoded(
    film: Film, target: writing.Target, frames: Iterator[Painted], progress: Callable[[int], object]
) -> Iterator[tuple[int, list[writing.Packet]]]:
    """Of each frame, and of the end: how many frames went in, and the packets that came out."""
    encoder = writing.Encoder(film, target)
    for painted in frames:
        frame = painted.frame
        chroma = interrupts.wait(painted.chroma)
        packets = encoder.encode(frame.pts, frame.duration, frame.luma, chroma)
        yield 1, packets
        progress(1)
    yield 0, encoder.end()


# -- what a run has done ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Part:
    """A segment that is done: the number of its first frame, and of the one behind its last."""

    path: Path
    first: int
    end: int


class _Parts:
    """A hidden folder beside the result, with its segments; it goes when the result is there."""

    def __init__(self, folder: Path):
        self._folder = folder

    def segments(self) -> list[Part]:
        """Those that are done, without a gap."""
        found: list[Part] = []
        for path in sorted(self._folder.glob("*.segment")):
            number, first, end = map(int, path.stem.split("-"))
            if number == len(found) and first == (found[-1].end if found else 0):
                found.append(Part(path, first, end))
        return found

    def save(
        self, number: int, first: int, packets: Iterator[tuple[int, list[writing.Packet]]]
    ) -> int:
        """Writes a segment, and returns the number of the frame behind it."""
        end = first

        def counted() -> Iterator[writing.Packet]:
            nonlocal end
            for count, some in packets:
                end += count
                yield from some

        file = self._folder / "segment"
        writing.save_segment(file, counted())
        file.rename(self._folder / f"{number:06}-{first:09}-{end:09}.segment")
        return end


@contextlib.contextmanager
def _parts(params: Params, film: Film, target: writing.Target, wish: Wish) -> Iterator[_Parts]:
    """The folder of segments; left where the run is ended and may be taken up, else removed."""
    folder = target.path.with_name(f".{target.path.name}.parts")
    asked = json.dumps(_asked(params, film, target, wish), indent=1)
    note = folder / "asked.json"
    try:
        if not (wish.resume and note.is_file() and note.read_text() == asked):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with open_whole(note) as file:
                file.write(asked.encode())
        yield _Parts(folder)
    except BaseException as error:
        if not wish.resume:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, writing.FAILURES):
            raise FilmError(f"{target.path}: cannot be written ({reading.said(error)})") from None
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _asked(params: Params, film: Film, target: writing.Target, wish: Wish) -> dict[str, Any]:
    """All that the frames hang on: what was done for anything else is of no use."""
    import jax

    digest = hashlib.sha256(json.dumps(params.config.to_json()).encode())
    for leaf in jax.tree.leaves(params.variables):
        digest.update(np.asarray(leaf).tobytes())
    state = film.path.stat()
    return {
        "jaxcolor": __version__,
        "film": [str(film.path.resolve()), state.st_size, state.st_mtime_ns, film.interlaced],
        "weights": digest.hexdigest(),
        "target": [target.codec.name, target.crf, target.format, *target.encoding],
        "controls": dataclasses.asdict(wish.controls),
        "hints": [hint.to_json() for hint in wish.hints],
        "between": [wish.start, wish.end],
    }
