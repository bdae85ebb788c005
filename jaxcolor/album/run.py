"""Planned jobs -> files, by way of the engine; what became of each is told in their order."""

from __future__ import annotations

import collections
import functools
import queue
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from jaxcolor import engine
from jaxcolor.album.places import make_folder
from jaxcolor.album.plan import Job
from jaxcolor.album.report import INTERRUPTED, Outcome, outcome
from jaxcolor.controls import UNTOUCHED, Controls
from jaxcolor.hints import Finder, beside, read
from jaxcolor.jobs import FileJob, Wish

if TYPE_CHECKING:
    from jaxcolor.models.colorizer import Params

_AHEAD = 32  # photos that the engine has at once


def colorize_files(
    load: Callable[[], Params],
    jobs: Sequence[Job],
    settings: engine.Settings,
    controls: Controls = UNTOUCHED,
    *,
    frame: int | None = None,
    hints: Finder | None = None,
    left: list[Outcome] | None = None,
) -> Generator[Outcome, None, None]:
    """Does the jobs, and tells of each as it ends, in their order.

    A photo that fails is told of, and the others go on. Where the run is ended in the middle
    (Ctrl-C, or the iterator is closed), results in work are given up and leave nothing.

    Args:
      load: gives the colorizer; called while the first photos are decoded, if there are any.
      jobs: of `plan`.
      settings: how much is done at once; where there is only one photo, a batch of 1 is best.
      controls: how the colours are wished.
      frame: as `open_photo` takes it.
      hints: those of the photo, if there is one only. None: those of the file beside each photo,
        where there is one (`jaxcolor.hints.beside`).
      left: where the run is ended in the middle, gets what became of those that were not told of:
        done or failed in the meantime, or skipped. One that was told of last may be among them.

    Raises:
      Whatever `load` raises.
    """
    if not jobs:
        return
    waiting = collections.deque(jobs)
    begun: collections.deque[tuple[Job, FileJob, Path | None]] = collections.deque()
    ended: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()
    done: set[Future[None]] = set()  # of those in `begun`

    def begin_some() -> None:
        while waiting and len(begun) - len(done) < _AHEAD:
            job = waiting[0]
            wish, file = wish_for(job, controls, frame=frame, hints=hints)
            begun.append((job, pipeline.submit(job.photo, job.target, wish, ended), file))
            waiting.popleft()
        if not waiting:
            pipeline.finish()

    try:
        with engine.Engine(settings) as pipeline:
            begin_some()
            pipeline.start({"": load()})
            while begun:
                done.add(ended.get())
                while begun and begun[0][1].done in done:
                    yield outcome(*begun[0])
                    done.remove(begun.popleft()[1].done)
                begin_some()
    except BaseException:
        if left is not None:
            left += [outcome(*one) for one in begun]
            left += [Outcome(job, "skipped", INTERRUPTED) for job in waiting]
        raise


def wish_for(
    job: Job, controls: Controls, *, frame: int | None = None, hints: Finder | None = None
) -> tuple[Wish, Path | None]:
    """What is asked of a photo, and the file of hints beside it, if there is one.

    Args:
      job: of `plan`.
      controls: how the colours are wished.
      frame: as `open_photo` takes it.
      hints: as `colorize_files` takes them.
    """
    prepare = functools.partial(make_folder, job)
    file = beside(job.photo) if hints is None and isinstance(job.photo, Path) else None
    finder = functools.partial(read, file) if file else hints
    return Wish("", controls, job.format, frame, prepare, finder), file
