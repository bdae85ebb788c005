"""Random faults for a run over an album, and what they may make of each photo.

A plan is made from a seed. `armed` puts its faults in the way of whatever this process does with
the album; run as a script, this module does so and becomes the command:

    python fault_plan.py PLAN.json colorize ALBUM -o OUT ...
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import io
import json
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tiny_network  # noqa: F401  # makes it known

from jaxcolor.engine import Settings
from jaxcolor.models import Config, make_network
from jaxcolor.models.colorizer import Params
from jaxcolor.predict import stages, strips

PIECES = {"_SEGMENTS": 64}  # of `strips`: few, as the photos are small
ENDED = "the thread that worked on it was ended (SystemExit)"
# What strikes one photo, and the end of what is said of it; None: it is done all the same.
READING: dict[str, str | None] = {
    "gone before it is opened": "no such file",
    "gone while it is read": None,
    "not permitted": "no permission to read it",
    "unreadable": "Input/output error)",
    "its reader ends": ENDED,
}
WRITING: dict[str, str | None] = {
    "no space": "cannot be written (No space left on device)",
    "no folder any more": "cannot be written (Permission denied)",
    "not renamed": "cannot be written (Disk quota exceeded)",
    "its writer ends": ENDED,
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What goes wrong in a run.

    Attributes:
      album: the photos' folder.
      out: that of the results.
      photos: which of `READING` or `WRITING` strikes whom, by the photo's path in the album and by
        the result's in the folder of results.
      ended_pass: the pass of the network whose thread ends; -1: none.
      stopped: the event at which SIGTERM comes; -1: never. Opening a file is an event.
      full: two events between which no file may have more bytes than the third number says.
      lost: a folder of results that nothing can be written to from an event on.
      threads: that read, and that write.
    """

    album: str
    out: str
    photos: dict[str, str]
    ended_pass: int = -1
    stopped: int = -1
    full: tuple[int, int, int] | None = None
    lost: tuple[str, int] | None = None
    threads: int = 2

    def saved(self, path: Path) -> None:
        """Writes it where `main` reads it."""
        path.write_text(json.dumps(dataclasses.asdict(self)))


def made(seed: int, album: Path, out: Path, photos: dict[str, str], *, in_process: bool) -> Plan:
    """A random plan.

    Args:
      seed: of the random numbers.
      album: the photos' folder.
      out: that of the results.
      photos: the photos' paths in the album -> their results' in the folder of results.
      in_process: whether a process of its own is struck, which can be stopped and denied what it
        may do.
    """
    rng = np.random.default_rng(seed)
    share = rng.choice([0.02, 0.1, 0.5])
    struck: dict[str, str] = {}
    for photo, result in photos.items():
        if rng.random() < share:
            struck |= (
                {photo: str(rng.choice(list(READING)))}
                if rng.random() < 0.5
                else {f"-> {result}": str(rng.choice(list(WRITING)))}
            )
    events = 2 * len(photos)
    plan = Plan(str(album), str(out), struck, threads=int(rng.integers(1, 5)))
    if rng.random() < 0.3:
        passes = max(1, len(photos) // Settings.batch)
        plan = dataclasses.replace(plan, ended_pass=int(rng.integers(passes)))
    if rng.random() < 0.5:
        plan = dataclasses.replace(plan, stopped=int(rng.integers(events)))
    if in_process and rng.random() < 0.5:
        first, last = sorted(int(event) for event in rng.integers(events, size=2))
        plan = dataclasses.replace(plan, full=(first, last, int(rng.integers(200, 9000))))
    if in_process and rng.random() < 0.5:
        folder = str(rng.choice(sorted({str(Path(result).parent) for result in photos.values()})))
        plan = dataclasses.replace(plan, lost=(folder, int(rng.integers(events))))
    return plan


class _Unreadable(io.FileIO):
    """A file whose disk fails behind its first bytes."""

    def readinto(self, buffer: Any) -> int:
        if self.tell() >= 16:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().readinto(memoryview(buffer)[: 16 - self.tell()]) or 0


class _Full(io.FileIO):
    """A file on a disk that has room for some bytes."""

    def write(self, block: Any) -> int:
        if (room := 50 - self.tell()) <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(memoryview(block)[:room])


class _Faults:
    """A plan at work."""

    def __init__(self, plan: Plan, stop: Callable[[], object]):
        self.plan, self._stop = plan, stop
        self._album, self._out = Path(plan.album), Path(plan.out)
        self._lock = threading.Lock()
        self._events = self._passes = 0
        self._open, self._replace = Path.open, Path.replace
        self._run_network = stages.run_network

    def open(self, path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """In the place of `Path.open`."""
        if mode == "rb" and path.is_relative_to(self._album):
            self._happened()
            return self._opened_photo(path)
        if mode == "x+b" and path.is_relative_to(self._out):
            self._happened()
            return self._opened_result(path)
        return self._open(path, mode, *arguments, **options)

    def _opened_photo(self, path: Path) -> Any:
        fault = self.plan.photos.get(str(path.relative_to(self._album)))
        if fault == "gone before it is opened":
            path.unlink()
        if fault == "not permitted":
            if not obeys_permissions():
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            path.chmod(0)
        if fault == "unreadable":
            return _Unreadable(path)
        file = self._open(path, "rb", buffering=0)
        if fault == "gone while it is read":
            path.unlink()
        if fault == "its reader ends":
            file.close()
            sys.exit()
        return file

    def _opened_result(self, path: Path) -> Any:
        fault = self._fault_of_result(path)
        if fault == "no folder any more":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        if fault == "no space":
            return io.BufferedRandom(_Full(path, "x+b"))
        file = self._open(path, "x+b")
        if fault == "its writer ends":
            file.close()
            path.unlink()
            sys.exit()
        return file

    def replace(self, path: Path, target: Path) -> Path:
        """In the place of `Path.replace`."""
        if self.plan.photos.get(f"-> {os.path.relpath(target, self._out)}") == "not renamed":
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(target))
        return self._replace(path, target)

    def _fault_of_result(self, temporary: Path) -> str | None:
        name = temporary.name.removeprefix(".").rsplit(".", 2)[0]
        result = (temporary.parent / name).relative_to(self._out)
        return self.plan.photos.get(f"-> {result}")

    def run_network(self, *arguments: Any, **options: Any) -> Any:
        """In the place of `stages.run_network`, which one thread calls."""
        self._passes += 1
        if self._passes - 1 == self.plan.ended_pass:
            sys.exit()
        return self._run_network(*arguments, **options)

    def _happened(self) -> None:
        plan = self.plan
        with self._lock:
            event = self._events
            self._events += 1
        if event == plan.stopped:
            self._stop()
        if plan.full is not None and event in plan.full[:2]:
            limit_files(plan.full[2] if event == plan.full[0] else None)
        if plan.lost is not None and event == plan.lost[1]:
            with contextlib.suppress(FileNotFoundError):  # no result of it yet
                (self._out / plan.lost[0]).chmod(0o500)


@contextlib.contextmanager
def armed(plan: Plan, stop: Callable[[], object]) -> Iterator[None]:
    """The plan's faults strike until the context is left; `stop` is called where SIGTERM comes."""
    faults = _Faults(plan, stop)
    real = Path.open, Path.replace, stages.run_network
    Path.open = lambda path, *words, **options: faults.open(path, *words, **options)  # type: ignore
    Path.replace = lambda path, target: faults.replace(path, target)  # type: ignore
    stages.run_network = faults.run_network
    try:
        yield
    finally:
        Path.open, Path.replace, stages.run_network = real  # type: ignore
        limit_files(None)


def limit_files(most: int | None) -> None:
    """How many bytes a file may have; None: as many as it likes."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if most is None else most, hard))


def obeys_permissions() -> bool:
    """Whether the files' permissions hold for this thread."""
    if os.name == "nt" or os.geteuid():
        return os.name != "nt"
    status = Path("/proc/thread-self/status")
    return status.exists() and "CapEff:\t0000000000000000" in status.read_text()


def obey_permissions() -> None:
    """From here on permissions hold for root, too: for this thread and those that it starts."""
    if sys.platform == "linux":
        header = struct.pack("Ii", 0x20080522, 0)  # the version of the call; this thread
        ctypes.CDLL(None).capset(header, bytes(24))  # no capability is left


def params() -> Params:
    """A colorizer that costs little to make; with `PIECES`, to use."""
    config = Config(network="tiny").predicting(size=16)
    begin = make_network(config).init
    shapes = jax.eval_shape(begin, jax.random.key(0), jax.ShapeDtypeStruct((1, 16, 16, 1), "f4"))
    rng = np.random.default_rng(0)
    return Params(
        config, jax.tree.map(lambda s: rng.uniform(0.1, 0.2, s.shape).astype("f4"), shapes)
    )


def main() -> None:
    """Arm the plan of a file, and be the command."""
    from jaxcolor import cli, commands

    plan = json.loads(Path(sys.argv[1]).read_text())
    plan |= {name: plan[name] and tuple(plan[name]) for name in ("full", "lost")}
    commands.set_up_jax()
    vars(strips).update(PIECES)
    colorizer = params()
    commands.load = lambda weights, size: colorizer
    obey_permissions()
    with armed(Plan(**plan), lambda: os.kill(os.getpid(), signal.SIGTERM)):
        cli.main(sys.argv[2:])


if __name__ == "__main__":
    main()
