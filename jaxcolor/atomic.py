"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def open_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a hidden file beside `path` for writing, and renames it to `path` at the end.

    After an error nothing is left, and what stood at `path` before is untouched.

    Raises:
      OSError: the folder is missing or cannot be written; names the folder or file.
    """
    path = Path(path)
    # Not tempfile: its files can be read by their owner only, and a photo would inherit that.
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x+b") as file:  # "+": TIFF reads back what it wrote
            yield file
            file.flush()
            os.fsync(file.fileno())  # a crash after the rename must not leave an empty file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
