"""Ctrl-C at any instruction: it is heard, and leaves no lock taken that others wait for."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
from patience import HANG

from jaxcolor import engine, interrupts, jobs


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """Though a shell's background jobs, as these tests may be, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(function: Callable[[], object], instruction: int) -> bool:
    """Calls it; Ctrl-C comes before so many of its instructions. Whether it has as many."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == instruction:
                handler = signal.getsignal(signal.SIGINT)
                assert callable(handler)
                handler(signal.SIGINT, frame)
        return trace

    before = sys.gettrace()
    gc.disable()  # an exception in what the collector calls is reported, and lost
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
        gc.enable()
    return count >= instruction


def ends(function: Callable[[], object]) -> bool:
    """Whether another thread comes to its end."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(HANG)
    return not thread.is_alive()


def every(step: int, function: Callable[[int], bool]) -> int:
    """Calls it with 1, 1 + step, ... until it gives False: how often it gave True."""
    count = 0
    while function(1 + count * step):
        count += 1
    return count


def nested(number: int, done: list[str]) -> None:
    with interrupts.held_back():
        with interrupts.held_back():
            signal.raise_signal(number)
        done.append("inner")


def test_it_is_heard_at_the_end() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        done: list[str] = []
        before = signal.signal(number, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                nested(number, done)
            assert signal.getsignal(number) is signal.default_int_handler
        finally:
            signal.signal(number, before)
        assert done == ["inner"]


def test_what_is_not_heard_stays_unheard() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts.held_back():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_leave_signals_alone() -> None:
    def in_thread() -> Any:
        with interrupts.held_back():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(in_thread).result() is signal.default_int_handler


def test_handlers_are_as_before_wherever_it_comes() -> None:
    def body() -> None:
        with interrupts.held_back():
            pass

    def once(instruction: int) -> bool:
        there = interrupt(body, instruction)
        handler = signal.getsignal(signal.SIGINT)
        assert callable(handler)
        with pytest.raises(KeyboardInterrupt):
            handler(signal.SIGINT, None)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return there

    assert every(1, once) > 50


def test_waiting_for_a_future_leaves_it_free() -> None:
    def once(instruction: int) -> bool:
        future: Future[int] = Future()
        threading.Timer(0.001, future.set_result, [1]).start()
        there = interrupt(lambda: interrupts.wait(future), instruction)
        assert ends(future.result)
        return there

    assert every(7, once) > 10


def test_an_engine_that_is_interrupted_ends() -> None:
    def once(instruction: int) -> bool:
        pipeline = engine.Engine(engine.Settings(threads=1))
        wish = jobs.Wish("")
        there = interrupt(
            lambda: pipeline.submit("there is none.jpg", "none.png", wish), instruction
        )
        assert ends(pipeline.close), instruction
        return there

    assert every(11, once) > 30
