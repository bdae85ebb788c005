"""Python's garbage collector, at rest while a program begins.

Of the million objects that imports and the tracing of networks make nearly all stay: to look
through them again and again takes a tenth of the time of one photo.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def at_rest() -> Iterator[Callable[[], None]]:
    """The collector rests until the block ends, or until what the block is given is called.

    What has come by then is never looked through, not even at the end of the program.
    """
    if not gc.isenabled():  # it is somebody else's
        yield lambda: None
        return

    def wake() -> None:
        if not gc.isenabled():
            gc.freeze()
            gc.enable()

    gc.disable()
    try:
        yield wake
    finally:
        wake()
