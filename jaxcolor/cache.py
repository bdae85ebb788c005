"""Where things are kept that can be fetched or made again."""

from __future__ import annotations

import functools
import os
from pathlib import Path


def cache_dir() -> Path:
    """Names the folder: `JAXCOLOR_CACHE`, or the user's cache. Nothing is created."""
    if moved := os.environ.get("JAXCOLOR_CACHE"):
        return Path(moved).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("jaxcolor")


@functools.cache
def set_up_jax() -> None:
    """What the commands want of JAX, once; before anything imports it."""
    # XLA says at every use of its own cache that this machine might be another one (jax issue
    # 38445). 1 is nobody's wish: JAX sets it when it is imported, and programs hand it on.
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from jaxcolor import compilation

    compilation.cache_in(cache_dir() / "xla")
