"""How long a test waits for what must happen.

No test looks at a clock: on a busy machine everything takes longer. What must be cheap is measured
in CPU time or in counts of events, and waiting has one bound, which only a hang exceeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

HANG = 300.0  # seconds


def until(happened: Callable[[], bool]) -> None:
    """Returns as soon as it has happened."""
    end = time.monotonic() + HANG  # noqa: TID251
    while not happened():
        assert time.monotonic() < end, "it never happened"  # noqa: TID251
        time.sleep(0.01)
