"""How programs that import large packages begin sooner."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def collector_at_rest() -> Iterator[Callable[[], None]]:
    """The garbage collector rests until the block ends, or what the block is given is called.

    Of the million objects that imports and the tracing of networks make nearly all stay: to look
    through them again and again takes a tenth of the time of one photo. What has come by then is
    never looked through, not even at the end of the program.
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


@contextlib.contextmanager
def without_keras() -> Iterator[None]:
    """A block that imports TensorFlow, which otherwise imports all of Keras where it is installed.

    TensorFlow does so for the sake of saved Keras models, and goes without where there is none;
    Keras in turn imports pandas and Matplotlib. Whoever wants Keras afterwards, by its own name or
    TensorFlow's, has it.
    """
    spec = None if "keras" in sys.modules else importlib.util.find_spec("keras")
    if spec is None:
        yield
        return
    empty = importlib.util.module_from_spec(spec)
    empty.__path__ = []
    sys.modules["keras"] = empty
    try:
        yield
    finally:
        del sys.modules["keras"]
