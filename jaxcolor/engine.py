"""Photos in, coloured photos out: the one pipeline, whoever brings the photos.

Threads decode, one feeds the network, others paint and encode; most of that lets go of Python's
lock. A pass of the network has one compiled shape, a whole batch; what is missing is filled up. So
a result's bytes depend on its photo alone, not on its neighbours in a batch. Photos are decoded
while JAX and the colorizers are loaded, and what they need is compiled beside.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from jaxcolor import image_io, interrupts
from jaxcolor.controls import Controls
from jaxcolor.image_io import MAX_PIXELS, Source
from jaxcolor.jobs import FileJob, GivenUp, Job, PictureJob, Wish

if TYPE_CHECKING:
    import numpy as np

    from jaxcolor.models.colorizer import Params
    from jaxcolor.predict.ahead import Programs
    from jaxcolor.predict.planes import Encoding

Observer = Callable[[str, float, int], object]  # a stage, its seconds, and how many photos it did


@dataclasses.dataclass(frozen=True)
class Settings:
    """How much is done at once.

    Attributes:
      batch: photos in a pass of the network.
      patience: seconds to wait for a batch to fill up; None: as long as photos have room to come.
      threads: photos decoded in parallel, and encoded in parallel.
      max_pixels: of a photo, as `open_photo` takes it.
      held_pixels: decoded photos in memory at once, together; a larger one is worked on alone.
    """

    batch: int = 8
    patience: float | None = None
    threads: int = os.cpu_count() or 1
    max_pixels: int = MAX_PIXELS
    held_pixels: int = 64_000_000


class Room:
    """Pixels of decoded photos, of which jobs take some, first come, first served.

    A photo that is larger than the whole room gets all of it, and is alone.
    """

    def __init__(self, pixels: int, changed: threading.Condition):
        self.taken = 0
        self.waiting: collections.deque[Job] = collections.deque()
        self._pixels, self._changed = pixels, changed

    def take(self, job: Job, pixels: int) -> None:
        """Waits until there is room, or nobody waits for the photo; gives back what it has."""
        with self._changed:
            self.give_back(job)
            self.waiting.append(job)
            self._changed.notify_all()
            try:
                while self.waiting[0] is not job or 0 < self.taken > self._pixels - pixels:
                    job.check()
                    self._changed.wait(0.1)
                self.taken += pixels
                job.held = pixels
            finally:
                self.waiting.remove(job)
                self._changed.notify_all()

    def give_back(self, job: Job, keep: int = 0) -> None:
        """Lets the next one in; `keep` is what the job still needs of what it has taken."""
        with self._changed:
            keep = min(keep, job.held)
            self.taken -= job.held - keep
            job.held = keep
            self._changed.notify_all()


class Engine(contextlib.AbstractContextManager["Engine"]):
    """Two pools of threads, with the network between them.

    Used as a context, it gives up at the end what is still on its way.

    Attributes:
      ready: set when photos pass through the network.
      failure: why they never will.
      room: what bounds the photos in memory.
    """

    def __init__(self, settings: Settings, observe: Observer = lambda *_: None):
        self.ready = threading.Event()
        self.failure: Exception | None = None
        self._settings, self._observe = settings, observe
        _ = image_io.open_photo  # imported now, and not in threads beside JAX, or for a request
        self._changed = threading.Condition()  # guards what follows
        self.room = Room(settings.held_pixels, self._changed)
        self._jobs: set[Job] = set()  # on their way
        self._decoded: collections.deque[Job] = collections.deque()  # of them before the network
        self._closed = False
        self._colorizers: Mapping[str, Params] = {}
        self._programs: Programs | None = None
        self._decoders = ThreadPoolExecutor(settings.threads, "decode")
        self._encoders = ThreadPoolExecutor(settings.threads, "encode")
        self._network: threading.Thread | None = None

    def __exit__(self, *exception: object) -> None:
        try:
            with interrupts.held_back(), self._changed:
                for job in self._jobs:
                    job.give_up()
        finally:
            self.close()

    @interrupts.held_back()
    def submit(
        self,
        source: Source,
        target: Source,
        wish: Wish,
        ended: queue.SimpleQueue[Future[None]] | None = None,
    ) -> FileJob:
        """Begins a photo.

        Args:
          source: as `open_photo` takes it.
          target: as `save_photo` takes it; written strip by strip if its format allows it.
          wish: what is asked of the photo.
          ended: gets `Job.done` when it is, for those who wait for any of several.

        Returns:
          A job, whose `done` raises `PhotoError` where the photo cannot be read, or not be written
          as wished, `HintError` where a hint cannot be, and `GivenUp` after `Job.give_up`.
        """
        job = FileJob(source, target, wish)
        if ended is not None:
            job.done.add_done_callback(ended.put)
        with self._changed:
            self._jobs.add(job)
        try:
            self._decoders.submit(self._decode, job)
        except BaseException:  # no thread can be had
            job.give_up()
            self._let_go(job)
            raise
        return job

    @interrupts.held_back()
    def look(self, pictures: Iterable[tuple[np.ndarray, Wish]]) -> list[PictureJob]:
        """Begins pictures of which the small colours alone are asked, as those of a film.

        They go through the network together, as far as they fit. Who calls bounds how many are on
        their way.

        Args:
          pictures: each as `colorize` takes an array of NumPy, and what is asked of it: model,
            controls and hints.
        """
        jobs = [PictureJob(pixels, wish) for pixels, wish in pictures]
        with self._changed:
            for job in jobs:
                self._foresee(job)
            self._jobs.update(jobs)
            self._decoded.extend(jobs)
            self._changed.notify_all()
        return jobs

    @interrupts.held_back()
    def paint(
        self, luma: np.ndarray, small: np.ndarray, controls: Controls, encoding: Encoding
    ) -> Future[np.ndarray]:
        """Begins the chroma of a film's picture, as `planes.paint_chroma` has it."""
        from jaxcolor.predict import planes

        return self._encoders.submit(planes.paint_chroma, luma, small, controls, encoding)

    def start(self, colorizers: Mapping[str, Params], *, everything: bool = False) -> None:
        """Opens the way to the network.

        Args:
          colorizers: by the names that wishes call them by.
          everything: compile all that photos can need first, not only what those here need.
        """
        from jaxcolor.predict.ahead import Programs  # only now JAX is needed

        run, arguments = self._run_network, (everything,)
        with interrupts.held_back():
            self._programs = Programs(self._settings.batch)
            with self._changed:
                self._colorizers = colorizers
                for job in self._jobs:
                    self._foresee(job)
            self._network = threading.Thread(None, run, "network", arguments, daemon=True)
            self._network.start()

    def compiling(self) -> bool:
        """Whether something is compiled, for which photos may wait."""
        return self._programs is not None and self._programs.compiling()

    @interrupts.held_back()
    def finish(self) -> None:
        """Nothing more is submitted: the colorizers are let go of when nobody needs them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the threads, after the photos that are on their way."""
        self.finish()
        self._decoders.shutdown()
        if self._network is not None:
            self._network.join()
        while self._decoded:  # there was no network
            self._fail(self._decoded.popleft(), GivenUp())
        self._encoders.shutdown()
        if self._programs is not None:
            self._programs.close()

    # -- before the network ------------------------------------------------------------------------

    def _decode(self, job: FileJob) -> None:
        job.begun = time.monotonic()
        with self._failing(job):
            job.check()
            limit = self._settings.max_pixels
            self.room.take(job, job.first_try(limit))
            with self._timed("decode"):
                photo = job.open(limit, functools.partial(self.room.take, job))
            self.room.give_back(job, keep=photo.size[0] * photo.size[1])
            with self._changed:
                job.photo = photo
                self._foresee(job)
                self._decoded.append(job)
                self._changed.notify_all()

    def _foresee(self, job: Job) -> None:
        """Begins to compile what a photo will need, as far as that is known yet."""
        params = self._colorizers.get(job.wish.model)
        if params is None or self._programs is None:
            return
        hinted = bool(job.hints)
        if needs := self._programs.needed(params, job.photo, hinted=hinted, painted=job.painted):
            job.needs = needs

    def _all_decoded(self) -> bool:
        return self._photos() == len(self._jobs)

    def _photos(self) -> int:
        """How many of those on their way are decoded: before the network, in it and behind it."""
        return sum(job.photo is not None for job in self._jobs)

    # -- the network -------------------------------------------------------------------------------

    def _run_network(self, everything: bool) -> None:
        try:
            if everything and self._programs is not None:
                self._programs.compile_all(self._colorizers.values())
            self.ready.set()
        except BaseException as error:
            self.failure = _told(error)
        while (batch := self._next_batch()) is not None:
            self._pass(batch)
        self._colorizers = {}  # room for the last ones' pixels

    def _next_batch(self) -> list[Job] | None:
        """Photos for one pass, the oldest and what fits to it; None when no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._decoded or (self._closed and self._all_decoded()))
            if not self._decoded:
                return None
            self._changed.wait_for(self._is_time, self._settings.patience)
            batch = self._fitting()[: self._settings.batch]
            for job in batch:
                self._decoded.remove(job)
        return batch

    def _fitting(self) -> list[Job]:
        """Decoded photos that can go through the network with the oldest one."""
        keys = [(job.wish.model, job.needs and job.needs.shape) for job in self._decoded]
        return [job for job, key in zip(self._decoded, keys, strict=True) if key == keys[0]]

    def _is_time(self) -> bool:
        """Whether to wait for more photos would bring none, or too many pixels."""
        return (
            len(self._fitting()) >= self._settings.batch
            or self._all_decoded()
            or 2 * sum(job.held for job in self._decoded) > self._settings.held_pixels
            # They wait for room, and nobody but the network can make some.
            or (bool(self.room.waiting) and self._photos() == len(self._decoded))
        )

    def _pass(self, batch: list[Job]) -> None:
        """Sends photos through the network, and hands them on."""
        from jaxcolor.predict import stages

        views: dict[Job, stages.View] = {}
        for job in batch:
            with self._failing(job):
                job.check()
                if self.failure:
                    raise self.failure
                assert job.photo is not None
                params = self._colorizers[job.wish.model]
                views[job] = stages.shrink(params, job.photo.pixels)
        if not views:
            return
        try:
            job.needs.network.result()
            with self._timed("network", len(views)):
                small = stages.run_network(
                    params, list(views.values()), batch_size=self._settings.batch
                )
        except BaseException as error:
            for job in views:
                self._fail(job, _told(error))
            return
        for job, lab in zip(views, small, strict=True):
            with self._failing(job):
                self._encoders.submit(self._encode, job, lab)

    # -- behind the network ------------------------------------------------------------------------

    def _encode(self, job: Job, small: np.ndarray) -> None:
        with self._failing(job), self._timed("encode"):
            assert job.photo is not None
            job.finish(job.photo, small)
            self._let_go(job)
            job.done.set_result(None)

    # -- whatever goes wrong -----------------------------------------------------------------------

    @contextlib.contextmanager
    def _failing(self, job: Job) -> Iterator[None]:
        """Whatever goes wrong is the job's, and never the thread's."""
        try:
            yield
        except BaseException as error:
            self._fail(job, _told(error))

    def _fail(self, job: Job, error: Exception) -> None:
        self._let_go(job)
        if not job.done.done():
            job.done.set_exception(error)

    def _let_go(self, job: Job) -> None:
        with self._changed:
            job.let_go()
            self._jobs.discard(job)
            self.room.give_back(job)

    @contextlib.contextmanager
    def _timed(self, stage: str, photos: int = 1) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self._observe(stage, time.monotonic() - start, photos)


def _told(error: BaseException) -> Exception:
    """As it may be told to those who wait: what ends a thread must not end them, too."""
    if isinstance(error, Exception):
        return error
    return RuntimeError(f"the thread that worked on it was ended ({type(error).__name__})")
