"""Ctrl-C and SIGTERM: both end a run, at a moment that does no harm.

Python runs a signal's handler in the main thread, between any two of its instructions. Where the
handler raises, as that of Ctrl-C does, just when `threading.Condition` has taken its lock, that
lock is never given back, and other threads wait for it for ever.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from types import FrameType
from typing import TypeVar

_T = TypeVar("_T")
_SIGNALS = signal.SIGINT, signal.SIGTERM


def heed_sigterm() -> None:
    """SIGTERM does what Ctrl-C does: nothing half-written is left."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No more signals are heard: all is done, and is only to be written down."""
    before = [signal.signal(number, signal.SIG_IGN) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """What comes meanwhile is heard at the end of it: for what takes locks, and takes no time.

    Other threads than the main one are never interrupted; there it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    holding = True

    def hold(number: int, frame: FrameType | None) -> None:
        if holding:
            came.append(number)
        else:
            handlers[number](number, frame)

    found = {int(number): signal.getsignal(number) for number in _SIGNALS}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, hold)
        yield
    finally:
        holding = False  # what comes from here on is handed on, though `hold` may still be there
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            handlers[number](number, None)


def wait(future: Future[_T]) -> _T:
    """Is `future.result()`, but that Ctrl-C while it waits leaves no lock of the future taken."""
    ended: queue.SimpleQueue[Future[_T]] = queue.SimpleQueue()  # its lock is C's
    with held_back():
        future.add_done_callback(ended.put)
    ended.get()
    with held_back():
        return future.result()
