"""Where things are kept that can be fetched or made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Names the folder: `JAXCOLOR_CACHE`, or the user's cache. Nothing is created."""
    if moved := os.environ.get("JAXCOLOR_CACHE"):
        return Path(moved).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("jaxcolor")
