"""A decoder that crashes, for processes that read photos: these import nothing that is slow."""

from __future__ import annotations

import os
import signal

from jaxcolor.training.input import small


def read(path: bytes, short_side: int) -> small.Outcome:
    """Reads a photo, unless it is the one with the number 4: that ends the process."""
    if path.endswith(b"04.jpg"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return small.outcome(path, short_side)
