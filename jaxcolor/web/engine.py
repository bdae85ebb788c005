"""Photos in, coloured photos out: requests that come together share a pass of the network.

Threads decode, one feeds the network, others enlarge, join and encode, as in `album.run`. The
network has one compiled shape for each colorizer, a whole batch; what is missing is filled up, so a
photo's bytes do not depend on who else is there. Nobody waits for a batch to become full: it takes
what has been decoded, and what is being decoded if that takes a moment only.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import io
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from jaxcolor import image_io
from jaxcolor.image_io import Photo, PhotoError, TooLarge
from jaxcolor.predict import paint_rows, predict_small
from jaxcolor.web.metrics import Metrics
from jaxcolor.web.preview import fit
from jaxcolor.web.room import Room
from jaxcolor.web.settings import Settings

if TYPE_CHECKING:
    from jaxcolor.models.colorizer import Params

# A photo of that many pixels is decoded without asking how large it is; a larger one is refused by
# its header and tried again when there is room for it.
_FIRST_TRY = 4_000_000
_MOMENT = 0.02  # seconds that the network waits for a photo that is being decoded


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is asked of a photo.

    Attributes:
      model: the name of a colorizer that the engine has.
      saturation: as `jaxcolor.colorize` takes it.
      refine: likewise.
      format: as `save_photo` takes it.
      frame: as `open_photo` takes it.
      fit: the most pixels that the result has in width and in height. None: the photo's own size.
    """

    model: str
    saturation: float = 1.0
    refine: float = 1.0
    format: str | None = None
    frame: int | None = None
    fit: int | None = None


@dataclasses.dataclass(frozen=True)
class Coloured:
    """A photo in its colours.

    Attributes:
      content: the file.
      format: what it is.
      size: height and width in pixels.
      warnings: what of the photo could not be read, or not be kept in the format.
    """

    content: bytes
    format: image_io.Format
    size: tuple[int, int]
    warnings: tuple[str, ...]


class GivenUp(Exception):
    """Nobody waits for the photo any more."""


class Job:
    """A photo on its way."""

    def __init__(self, content: bytes, wish: Wish):
        self.content, self.wish = content, wish
        self.photo: Photo | None = None
        self.small: np.ndarray | None = None
        self.held = 0  # pixels of the engine's room
        self.done: Future[Coloured] = Future()
        self.done.set_running_or_notify_cancel()  # who stops waiting does not cancel it: `give_up`
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Tells the threads that nobody waits any more; they stop at the next opportunity."""
        self._given_up.set()

    @property
    def given_up(self) -> bool:
        """Whether nobody waits any more."""
        return self._given_up.is_set()


class Engine:
    """Two pools of threads, with the network between them."""

    def __init__(self, models: Mapping[str, Params], settings: Settings, metrics: Metrics):
        self.models = models
        self.ready = threading.Event()
        self.failure: Exception | None = None  # why it will never be ready
        self._settings, self._metrics = settings, metrics
        self._room = Room(settings.held_pixels)
        self._decoders = ThreadPoolExecutor(settings.threads, "decode")
        self._encoders = ThreadPoolExecutor(settings.threads, "encode")
        self._network = threading.Thread(target=self._run_network, name="network", daemon=True)
        self._changed = threading.Condition()
        self._decoding = 0
        self._decoded: collections.deque[Job] = collections.deque()
        self._closed = False
        metrics.watch("held_pixels", "Decoded pixels in memory.", lambda: self._room.taken)

    def start(self) -> None:
        """Compiles what will be needed, then takes photos; those that come earlier wait."""
        self._network.start()

    def submit(self, content: bytes, wish: Wish) -> Job:
        """Begins a photo; `Job.done` gives the result, or raises.

        Raises (by way of `Job.done`):
          PhotoError: the photo cannot be read, or not be written as wished.
          GivenUp: after `Job.give_up`.
        """
        job = Job(content, wish)
        self._decoders.submit(self._decode, job)
        return job

    def close(self) -> None:
        """Ends the threads, after the photos that are on their way."""
        self._decoders.shutdown()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._network.is_alive():
            self._network.join()
        self._encoders.shutdown()

    # -- before the network ------------------------------------------------------------------------

    def _decode(self, job: Job) -> None:
        with self._failing(job):
            with self._counted_as_decoding():
                self._take(job, _FIRST_TRY)
                with self._metrics.stages.labels("decode").time():
                    job.photo = self._open(job)
                job.content = b""
                height, width = job.photo.size
                self._give_back(job, down_to=min(job.held, height * width))
                image_io.check_writable(io.BytesIO(), job.photo, format=job.wish.format)
            with self._changed:
                if self.failure:
                    raise self.failure
                self._decoded.append(job)
                self._changed.notify_all()

    def _open(self, job: Job) -> Photo:
        wish, limit = job.wish, self._settings.max_pixels
        file = io.BytesIO(job.content)
        try:
            photo = image_io.open_photo(file, max_pixels=min(limit, _FIRST_TRY), frame=wish.frame)
        except PhotoError as error:
            refusal = error.refusal
            if not isinstance(refusal, TooLarge) or refusal.width * refusal.height > limit:
                raise
            self._give_back(job)
            self._take(job, refusal.width * refusal.height)
            photo = image_io.open_photo(file, max_pixels=limit, frame=wish.frame)
        return photo if wish.fit is None else fit(photo, wish.fit)

    def _take(self, job: Job, pixels: int) -> None:
        if not self._room.take(pixels, lambda: job.given_up):
            raise GivenUp
        job.held = pixels

    def _give_back(self, job: Job, down_to: int = 0) -> None:
        self._room.give_back(job.held - down_to)
        job.held = down_to

    @contextlib.contextmanager
    def _counted_as_decoding(self) -> Iterator[None]:
        with self._changed:
            self._decoding += 1
        try:
            yield
        finally:
            with self._changed:
                self._decoding -= 1
                self._changed.notify_all()

    # -- the network -------------------------------------------------------------------------------

    def _run_network(self) -> None:
        try:
            self._warm_up()
        except Exception as error:
            with self._changed:
                self.failure = error
                waiting, self._decoded = self._decoded, collections.deque()
            for job in waiting:
                self._fail(job, error)
            return
        while batch := self._next_batch():
            try:
                with self._metrics.stages.labels("network").time():
                    small = predict_small(
                        self.models[batch[0].wish.model],
                        [job.photo.pixels for job in batch if job.photo is not None],
                        batch_size=self._settings.batch,
                    )
            except Exception as error:
                for job in batch:
                    self._fail(job, error)
                continue
            self._metrics.batch.observe(len(batch))
            for job, lab in zip(batch, small, strict=True):
                job.small = lab
                self._encoders.submit(self._encode, job)

    def _next_batch(self) -> list[Job]:
        """Photos for one colorizer, oldest first; none when the engine is closed."""
        batch: list[Job] = []
        with self._changed:
            self._changed.wait_for(lambda: self._decoded or self._closed)
            latest = time.monotonic() + _MOMENT
            while self._decoded and not batch:
                self._changed.wait_for(
                    lambda: len(self._decoded) >= self._settings.batch or not self._decoding,
                    latest - time.monotonic(),
                )
                model = self._decoded[0].wish.model
                fitting = [job for job in self._decoded if job.wish.model == model]
                batch = fitting[: self._settings.batch]
                for job in batch:
                    self._decoded.remove(job)
                for job in [job for job in batch if job.given_up]:
                    self._fail(job, GivenUp())
                    batch.remove(job)
        return batch

    def _warm_up(self) -> None:
        """Compiles every program that photos of 8 and of 16 bits need, before the first comes."""
        for params in self.models.values():
            for channels in (1, 3):
                for dtype in (np.uint8, np.uint16):
                    pixels = np.zeros((16, 16, channels), dtype)
                    (small,) = predict_small(params, [pixels], batch_size=self._settings.batch)
                    for _ in paint_rows(pixels, small):
                        pass
        self.ready.set()

    # -- behind the network ------------------------------------------------------------------------

    def _encode(self, job: Job) -> None:
        with self._failing(job), self._metrics.stages.labels("encode").time():
            photo = job.photo
            assert photo is not None
            file = io.BytesIO()
            format = image_io.check_writable(file, photo, format=job.wish.format)
            left_out = image_io.save_photo(file, photo, self._painted(job), format=job.wish.format)
            warnings = (*photo.warnings, *left_out)
            result = Coloured(file.getvalue(), format, photo.size, warnings)
            job.photo = job.small = None
            self._give_back(job)
            job.done.set_result(result)

    def _painted(self, job: Job) -> Iterator[np.ndarray]:
        photo, small, wish = job.photo, job.small, job.wish
        assert photo is not None
        assert small is not None
        for strip in paint_rows(
            photo.pixels, small, saturation=wish.saturation, refine=wish.refine
        ):
            if job.given_up:
                raise GivenUp
            yield strip

    # -- whatever goes wrong -----------------------------------------------------------------------

    @contextlib.contextmanager
    def _failing(self, job: Job) -> Iterator[None]:
        """Whatever goes wrong is the job's, and never the thread's."""
        try:
            if job.given_up:
                raise GivenUp
            yield
        except Exception as error:
            self._fail(job, error)

    def _fail(self, job: Job, error: Exception) -> None:
        job.content, job.photo, job.small = b"", None, None
        self._give_back(job)
        job.done.set_exception(error)
