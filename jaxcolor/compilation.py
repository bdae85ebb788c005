"""The cache of compiled programs: for the command and the server, never behind a user's back."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import jax

_DAMAGED = re.compile(r"Error reading persistent compilation cache entry for '([^']+)'")
_NOT_WRITTEN = "Error writing persistent compilation cache entry"


def cache_in(folder: Path) -> None:
    """Keeps every compiled program in `folder`, small ones too, for all runs to come.

    Compiling takes longer than colorizing: the second run finds it done. JAX does not write an
    entry at once, so that a run that is killed can leave half of one, and does not replace it: it
    would warn and compile again for ever. Here a damaged entry is removed when it is met, without a
    word, and what is compiled in its stead is kept. A full disk, which what becomes of the photos
    tells well enough, is no reason for a word either.
    """
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    show = warnings.showwarning

    def remove_damaged(message: Warning | str, *rest: Any, **more: Any) -> None:
        if str(message).startswith(_NOT_WRITTEN):
            return
        damaged = _DAMAGED.search(str(message))
        if damaged is None:
            show(message, *rest, **more)
            return
        for entry in folder.glob(f"{damaged[1]}-*-cache"):
            entry.unlink(missing_ok=True)

    warnings.showwarning = remove_damaged
