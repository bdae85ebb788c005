"""SIGTERM, with which a cluster announces that it will take the machine away."""

from __future__ import annotations

import signal
import threading
from typing import Any

import jax
from jax.experimental import multihost_utils


class Preemption:
    """Says after which step to save and stop, once SIGTERM has come.

    A context, for the main thread, made after `jax.distributed.initialize`. The first SIGTERM is
    noted and the second kills; Ctrl-C stops at any time, as always. In another thread, where
    Python has no signal handlers, SIGTERM does what it did before.

    On several processes JAX listens, and agrees on a step with the others through its coordination
    service, whichever of them got the signal. There the second SIGTERM kills from that step on.
    """

    def __init__(self) -> None:
        self._several = jax.process_count() > 1
        self._noted = False

    def __enter__(self) -> Preemption:
        self._previous = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
        if not self._several:
            _handle(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        _handle(self._previous)

    def reached(self, step: int) -> bool:
        """Whether to stop after this step: on several processes at the same one.

        Args:
          step: steps done; every process asks about every step.
        """
        if not self._several:
            return self._noted
        if not multihost_utils.reached_preemption_sync_point(step):
            return False
        _handle(signal.SIG_DFL)  # JAX' own handler would swallow the next one
        return True

    def _note(self, *_: object) -> None:
        self._noted = True
        _handle(signal.SIG_DFL)


def _handle(handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
