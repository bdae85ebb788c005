"""A worker: holds one engine, gets packets of names, and gives back what became of each photo."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Protocol

import pyarrow as pa

from jaxcolor import commands, engine
from jaxcolor.album.plan import Job, Somewhere
from jaxcolor.album.report import outcome
from jaxcolor.album.run import wish_for
from jaxcolor.archive.ledger import Past
from jaxcolor.archive.plan import Task, tasks
from jaxcolor.archive.report import SCHEMA, Line
from jaxcolor.atomic import open_whole
from jaxcolor.controls import Controls
from jaxcolor.image_io import Place, name_of
from jaxcolor.jobs import FileJob
from jaxcolor.storage import Address, address

if TYPE_CHECKING:
    from jaxcolor.models.colorizer import Params

_PATIENCE = 2  # times that a photo may lose its worker, while it is the only one there
_GRACE = 30.0  # seconds
_STDERR = 2


@dataclasses.dataclass(frozen=True)
class Order:
    """What is asked of all photos.

    Attributes:
      target: the folder of results.
      weights: as `jaxcolor.load` takes them.
      size: as `Params.with_size` takes it.
      format: of the results, as `save_photo` takes it.
      frame: as `open_photo` takes it.
      controls: how the colours are wished.
      max_pixels: of a photo, as `open_photo` takes it.
      seconds: after so many in which nothing goes on, a worker is ended.
      cores: of a worker.
    """

    target: Somewhere
    weights: str | None = None
    size: int | None = None
    format: str | None = None
    frame: int | None = None
    controls: Controls = dataclasses.field(default_factory=Controls)
    max_pixels: int = engine.Settings.max_pixels
    seconds: float = 600.0
    cores: int = 1


class NotStarted(Exception):
    """Why no worker can do anything; the message is one line."""


class Books(Protocol):
    """A `ledger.Ledger`, wherever it is kept."""

    def begin(self, piece: str) -> Past:
        """As there."""

    def overdue(self, piece: str) -> None:
        """As there."""

    def end(self, piece: str) -> None:
        """As there."""


class Worker:
    """Colorizes packets of photos."""

    def __init__(self, order: Order, books: Books, name: str):
        """Loads the colorizer; what photos need is compiled when they come.

        Args:
          order: what is asked.
          books: where work in hand is entered.
          name: what the report calls it.

        Raises:
          NotStarted: the weights cannot be loaded.
        """
        os.environ["NPROC"] = str(order.cores)  # XLA's threads
        self._order, self._books, self._name = order, books, name
        colorizer = _load(order)
        self._turns = _Turns()
        settings = engine.Settings(threads=order.cores, max_pixels=order.max_pixels)
        self._engine = engine.Engine(settings, lambda *_: self._watch.something_happens())
        self._watch = _Watch(order.seconds, books, self._engine.compiling)
        self._engine.start({"": colorizer})

    def __call__(self, table: pa.Table) -> pa.Table:
        """Does a packet: all its photos have their line when it is done."""
        rows = [line._asdict() for line in self._done(tasks(table))]
        return pa.table({"lines": pa.array([rows], pa.list_(pa.struct(list(SCHEMA))))})

    def _done(self, packet: Sequence[Task]) -> list[Line]:
        piece = f"packet {packet[0].target}"
        if self._books.begin(piece).deaths:
            lines = [self._alone(task) for task in packet]
        else:
            with self._turns.together(), self._watch.over(None):
                lines = self._run(packet)
        self._books.end(piece)
        return lines

    def _alone(self, task: Task) -> Line:
        """Does a photo of a packet that a worker has died of: if this one dies, it did it."""
        photo, target = task.photo, self._order.target / task.target
        line = Line(photo, str(target), "failed", worker=self._name)
        if (size := _size(target)) is not None:
            return line._replace(status="done", bytes=size)
        with self._turns.alone():
            past = self._books.begin(task.target)
            if past.overdue:
                seconds = f"{self._order.seconds:g} seconds"
                line = line._replace(reason=f"{name_of(photo)}: took longer than {seconds}")
            elif past.deaths >= _PATIENCE:
                line = line._replace(reason=f"{name_of(photo)}: its worker died of it, twice")
            else:
                with self._watch.over(task.target):
                    (line,) = self._run([task])
            self._books.end(task.target)
        return line

    def _run(self, packet: Sequence[Task]) -> list[Line]:
        begun = [self._begun(task) for task in packet]
        return [one if isinstance(one, Line) else one.line() for one in begun]

    def _begun(self, task: Task) -> _Begun | Line:
        order = self._order
        photo, target = address(task.photo) or Path(task.photo), order.target / task.target
        job = Job(photo, target, order.format, within=order.target)
        try:
            controls = dataclasses.replace(order.controls, **task.controls)
            controls.check()
        except ValueError as error:
            reason = f"{name_of(photo)}: {error}"
            return Line(task.photo, str(target), "failed", reason, worker=self._name)
        wish, hints = wish_for(job, controls, frame=order.frame)
        result = _Weighed(target)
        work = self._engine.submit(photo, result, wish)
        return _Begun(job, work, hints, result, self._name)


class _Begun:
    """A photo on its way."""

    def __init__(self, job: Job, work: FileJob, hints: Path | None, result: _Weighed, worker: str):
        self._job, self._work, self._hints = job, work, hints
        self._result, self._worker = result, worker
        self._ended = 0.0
        work.done.add_done_callback(self._note_end)

    def _note_end(self, _: object) -> None:
        self._ended = time.monotonic()

    def line(self) -> Line:
        """What became of it, as soon as that is known."""
        self._work.done.exception()  # waits
        told = outcome(self._job, self._work, self._hints)
        begun = self._ended if self._work.begun is None else self._work.begun
        return Line(
            str(self._job.photo),
            str(self._job.target),
            told.status,
            told.reason,
            max(0.0, self._ended - begun),
            self._worker,
            told.warnings,
            self._result.bytes if told.status == "done" else 0,
        )


class _Weighed(Place):
    """A result that remembers how many bytes it has.

    Attributes:
      bytes: when it is written.
    """

    def __init__(self, place: Somewhere):
        self.bytes = 0
        self._place = place

    def __fspath__(self) -> str:
        return str(self._place)

    def fetch(self) -> BinaryIO:
        raise NotImplementedError

    @contextlib.contextmanager
    def open_whole(self) -> Iterator[BinaryIO]:
        place = self._place
        with place.open_whole() if isinstance(place, Address) else open_whole(place) as file:
            yield file
            self.bytes = file.seek(0, os.SEEK_END)


class _Watch:
    """Ends the process when nothing goes on for too long, and nothing is being compiled."""

    def __init__(self, seconds: float, books: Books, compiling: Callable[[], bool]):
        self._seconds, self._books, self._compiling = seconds, books, compiling
        self._changed = threading.Condition()
        self._watched: list[str | None] = []
        self._deadline = 0.0
        threading.Thread(None, self._run, "watch", daemon=True).start()

    @contextlib.contextmanager
    def over(self, piece: str | None) -> Iterator[None]:
        """Watches over a piece of work, which the ledger is told of; None: over many."""
        self._watched.append(piece)
        self.something_happens()
        try:
            yield
        finally:
            self._watched.remove(piece)
            self.something_happens()

    def something_happens(self) -> None:
        """Begins to count anew."""
        with self._changed:
            self._deadline = time.monotonic() + self._seconds
            self._changed.notify_all()
            # Where a decoder never lets go of Python's lock, nothing else can end the process.
            if self._watched:
                faulthandler.dump_traceback_later(self._seconds + _GRACE, exit=True, file=_STDERR)
            else:
                faulthandler.cancel_dump_traceback_later()

    def _run(self) -> None:
        with self._changed:
            while True:
                left = self._deadline - time.monotonic()
                if not self._watched:
                    self._changed.wait()
                elif left > 0:
                    self._changed.wait(left)
                elif self._compiling():
                    self.something_happens()
                else:
                    self._end()

    def _end(self) -> NoReturn:
        for piece in self._watched:
            if piece is not None:
                self._books.overdue(piece)
        faulthandler.dump_traceback(file=_STDERR)  # the worker's log says where it stood
        os._exit(1)


class _Turns:
    """Several packets at once, or one photo alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together, self._is_alone = 0, False

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._is_alone = True
            self._changed.wait_for(lambda: not self._together)
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()


def _load(order: Order) -> Params:
    commands.set_up_jax()
    import jaxcolor

    try:
        return jaxcolor.load(order.weights).with_size(order.size)
    except (OSError, ValueError) as error:
        raise NotStarted(str(error)) from None


def _size(target: Somewhere) -> int | None:
    """The bytes of a result that is there already."""
    try:
        return target.size() if isinstance(target, Address) else target.lstat().st_size
    except OSError:  # there is none; or the photo will say what is wrong
        return None
