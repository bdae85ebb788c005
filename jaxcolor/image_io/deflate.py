"""Compression of blocks side by side, in order, whatever the number of processors."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from jaxcolor import interrupts

_A = TypeVar("_A")
_B = TypeVar("_B")

BLOCK = 1 << 20  # bytes of rows that are compressed together
_THREADS = min(4, os.cpu_count() or 1)


def side_by_side(function: Callable[[_A], _B], items: Iterable[_A]) -> Iterator[_B]:
    """`map` in threads: results in order, few waiting; compressors let go of Python's lock."""
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[_B]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * _THREADS:
                yield interrupts.wait(waiting.popleft())
        while waiting:
            yield interrupts.wait(waiting.popleft())


def blocks(strips: Iterable[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """Rows of pixels in strips of any height -> in blocks of `rows` rows; the last may have less.

    What a file's bytes are must not depend on how the picture was handed over.
    """
    parts: list[np.ndarray] = []
    have = 0
    for strip in strips:
        while len(strip):
            part, strip = strip[: rows - have], strip[rows - have :]
            parts.append(part)
            have += len(part)
            if have == rows:
                yield np.concatenate(parts) if len(parts) > 1 else parts[0]
                parts, have = [], 0
    if parts:
        yield np.concatenate(parts)
