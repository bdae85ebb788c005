"""Planned jobs -> files: decode, network, encode, side by side.

The network is fed by the main thread, in batches of one shape. Threads decode ahead of it and
enlarge, join and encode behind it; these steps let go of Python's lock. How many photos wait is
bounded by their pixels. What a result's bytes are depends on the photo alone, neither on its
neighbours in a batch nor on the number of threads: a run that was killed is continued to the
same files.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from jaxcolor import atomic, image_io
from jaxcolor.album.plan import Job
from jaxcolor.image_io import Photo, PhotoError, name_of

if TYPE_CHECKING:
    from jaxcolor.models.colorizer import Params

_BATCH = 8  # photos in a pass of the network
_BATCH_PIXELS = 32_000_000  # a batch with more is not filled up: large photos would wait for others
_MOST_PIXELS = 64_000_000  # held at once; beyond it only one more photo is decoded


@dataclasses.dataclass(frozen=True)
class Settings:
    """How photos are read and coloured.

    Attributes:
      saturation: as `jaxcolor.colorize` takes it.
      refine: likewise.
      max_pixels: as `open_photo` takes it.
      frame: likewise.
      threads: photos decoded at once, and encoded at once.
    """

    saturation: float = 1.0
    refine: float = 1.0
    max_pixels: int = image_io.MAX_PIXELS
    frame: int | None = None
    threads: int = os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
      job: the job.
      status: done, skipped (its result is there) or failed.
      reason: why it was skipped or failed, on one line; of a failure with the file's name.
      warnings: what of the photo could not be read, or not be kept in the result's format.
    """

    job: Job
    status: Literal["done", "skipped", "failed"]
    reason: str = ""
    warnings: tuple[str, ...] = ()


class _Stopped(Exception):
    """The run ends before its time; no more results are written."""


def sort_out(jobs: Iterable[Job], *, overwrite: bool | None) -> tuple[list[Outcome], list[Job]]:
    """Which results are there already, and which are to be made; clears what killed runs left.

    Args:
      jobs: of `plan`.
      overwrite: whether results that are there are made anew. None: only those that the user named.
    """
    skipped, left = [], []
    folders: set[Path] = set()
    for job in jobs:
        target = job.target
        if not isinstance(target, Path):
            left.append(job)
            continue
        folders.add(target.parent)
        replaces = job.replaces if overwrite is None else overwrite
        if os.path.lexists(target) and not replaces:
            skipped.append(Outcome(job, "skipped", "already there"))
        else:
            left.append(job)
    for folder in folders:
        if folder.is_dir() and os.access(folder, os.R_OK):
            atomic.remove_leftovers(folder)
    return skipped, left


def colorize_files(
    load: Callable[[], Params], jobs: Sequence[Job], settings: Settings, *, alone: bool = False
) -> Generator[Outcome, None, None]:
    """Does the jobs, and tells of each as it ends, in their order.

    A photo that fails is told of, and the others go on. Where the run is ended in the middle
    (Ctrl-C, or the iterator is closed), results in work are given up and leave nothing.

    Args:
      load: gives the colorizer; called while the first photos are decoded. The network is compiled
        while the first are shrunk.
      jobs: of `plan`.
      settings: how.
      alone: send photos through the network one by one, for a run that never has more than one.

    Raises:
      Whatever `load` raises.
    """
    with _Pipeline(settings, batch_size=1 if alone else _BATCH) as pipeline:
        yield from pipeline.run(load, jobs)


@dataclasses.dataclass
class _Opened:
    """A photo in work, or what went wrong with it."""

    job: Job
    photo: Photo | None = None
    reason: str = ""

    @property
    def pixels(self) -> int:
        return 0 if self.photo is None else self.photo.size[0] * self.photo.size[1]


class _Pipeline:
    """Two pools of threads, with the network between them."""

    def __init__(self, settings: Settings, batch_size: int):
        self._settings = settings
        self._batch_size = batch_size
        self._openers = ThreadPoolExecutor(settings.threads, "open")
        self._writers = ThreadPoolExecutor(settings.threads, "write")
        self._stopped = threading.Event()
        self._opening: collections.deque[Future[_Opened]] = collections.deque()
        self._writing: collections.deque[tuple[int, Future[Outcome]]] = collections.deque()
        self._held = 0  # pixels between the two pools and in the second
        self._compiled: Future[None] = Future()

    def __enter__(self) -> _Pipeline:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()  # at a good end nothing is left that could see it
        for pool in (self._openers, self._writers):
            pool.shutdown(wait=True, cancel_futures=True)

    def run(self, load: Callable[[], Params], jobs: Iterable[Job]) -> Iterator[Outcome]:
        waiting = collections.deque(jobs)
        self._open_some(waiting)
        params = load()
        if self._opening:
            self._compiled = self._writers.submit(self._compile, params, self._opening[0])
        while waiting or self._opening:
            batch: list[_Opened] = []
            while self._opening and not self._is_full(batch):
                opened = self._opening.popleft().result()
                self._held += opened.pixels
                batch.append(opened)
                self._open_some(waiting)
            self._write(params, batch)
            yield from self._written(wait=self._held > _MOST_PIXELS)
            self._open_some(waiting)
        del params  # room for the last ones' pixels
        while self._writing:
            yield from self._written(wait=True)

    def _open_some(self, waiting: collections.deque[Job]) -> None:
        """Keeps the openers busy, each with a photo ahead, as far as there is room for them."""
        while waiting and len(self._opening) < 2 * self._settings.threads:
            if self._held >= _MOST_PIXELS and self._opening:
                return
            self._opening.append(self._openers.submit(self._open, waiting.popleft()))

    def _is_full(self, batch: Sequence[_Opened]) -> bool:
        photos = sum(opened.photo is not None for opened in batch)
        pixels = sum(opened.pixels for opened in batch)
        return photos >= self._batch_size or pixels > _BATCH_PIXELS

    def _write(self, params: Params, batch: Sequence[_Opened]) -> None:
        """Sends a batch through the network and hands it to the writers."""
        from jaxcolor.predict import predict_shrunk, shrink

        photos = [opened.photo for opened in batch if opened.photo is not None]
        shrunk = [shrink(params, photo.pixels) for photo in photos]
        small = iter(())
        if shrunk:
            self._compiled.result()  # else it would be done twice, side by side
            small = iter(predict_shrunk(params, shrunk, batch_size=self._batch_size))
        for opened in batch:
            colours = None if opened.photo is None else next(small)
            future = self._writers.submit(self._finish, opened, colours)
            self._writing.append((opened.pixels, future))

    def _written(self, *, wait: bool) -> Iterator[Outcome]:
        """Results from the front of the queue: all that are ready, at least one if asked."""
        while self._writing and (wait or self._writing[0][1].done()):
            pixels, future = self._writing.popleft()
            self._held -= pixels
            yield future.result()
            wait = wait and self._held > _MOST_PIXELS

    # -- in threads --------------------------------------------------------------------------------

    def _compile(self, params: Params, first: Future[_Opened]) -> None:
        """Compiles what the first photo will need, unless that is known to be none."""
        from jaxcolor import predict

        if first.done() and first.result().photo is None:
            return
        # Painting first: its trace is short, and it is compiled while the network is traced.
        with ThreadPoolExecutor(1, "compile") as beside:
            beside.submit(self._compile_painting, params, first)
            predict.trace_network(params, batch_size=self._batch_size).compile()

    def _compile_painting(self, params: Params, first: Future[_Opened]) -> None:
        from jaxcolor.predict import paint_rows

        if (photo := first.result().photo) is None:
            return
        size = params.config.size
        for _ in paint_rows(photo.pixels[:1, :1], np.zeros((size, size, 3), np.float32)):
            pass  # one tile, as all of them are

    def _open(self, job: Job) -> _Opened:
        settings = self._settings
        try:
            _check_place(job)
            photo = image_io.open_photo(
                job.photo, max_pixels=settings.max_pixels, frame=settings.frame
            )
            image_io.check_writable(job.target, photo, format=job.format)
        except Exception as error:  # a night's run goes on, whatever it meets
            return _Opened(job, reason=_reason(job, error))
        return _Opened(job, photo)

    def _finish(self, opened: _Opened, small: np.ndarray | None) -> Outcome:
        job, photo = opened.job, opened.photo
        if photo is None or small is None:
            return Outcome(job, "failed", opened.reason)
        try:
            left_out = image_io.save_photo(
                job.target, photo, self._painted(photo, small), format=job.format
            )
        except Exception as error:
            return Outcome(job, "failed", _reason(job, error), photo.warnings)
        return Outcome(job, "done", warnings=(*photo.warnings, *left_out))

    def _painted(self, photo: Photo, small: np.ndarray) -> Iterator[np.ndarray]:
        from jaxcolor.predict import paint_rows

        settings = self._settings
        for strip in paint_rows(
            photo.pixels, small, saturation=settings.saturation, refine=settings.refine
        ):
            if self._stopped.is_set():
                raise _Stopped
            yield strip


def _check_place(job: Job) -> None:
    """Makes the target's folder, if it lies where results belong."""
    if job.within is None or not isinstance(job.target, Path):
        return
    folder = job.target.parent
    if not folder.resolve().is_relative_to(job.within.resolve()):
        raise PhotoError(f"{name_of(folder)}: a link out of the output folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"{name_of(folder)}: cannot be made ({error.strerror})") from None


def _reason(job: Job, error: Exception) -> str:
    if isinstance(error, PhotoError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{name_of(job.photo)}: too large for this machine's memory"
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{name_of(job.photo)}: {said}"
