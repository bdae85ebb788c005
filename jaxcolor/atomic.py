"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, which does not let a file go that somebody writes
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.tmp", re.DOTALL)


@contextlib.contextmanager
def open_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a hidden file beside `path` for writing, and renames it to `path` at the end.

    After an error nothing is left, and what stood at `path` before is untouched. Where the process
    is killed the hidden file stays, until `remove_leftovers` finds it.

    Raises:
      OSError: the folder is missing or cannot be written; names the folder or file.
    """
    path = Path(path)
    temporary, file = _open_temporary(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a crash after the rename must not leave an empty file
            if fcntl:
                temporary.replace(path)  # before the lock goes with the closing of the file
        if not fcntl:
            temporary.replace(path)  # an open file cannot be renamed there
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(folder: str | os.PathLike[str]) -> int:
    """Removes the hidden files that killed processes have left in a folder.

    Those that some process is writing at this moment are not touched.

    Returns:
      How many there were.

    Raises:
      OSError: the folder cannot be read.
    """
    removed = 0
    for path in Path(folder).iterdir():
        if _TEMPORARY.fullmatch(path.name) and not path.is_symlink() and path.is_file():
            removed += _removed_if_left(path)
    return removed


def tells_case_apart(folder: str | os.PathLike[str]) -> bool:
    """Whether names that differ in case are two files in a folder; a hidden file there tells.

    Raises:
      OSError: no file can be made there.
    """
    probe, file = _open_temporary(Path(folder) / "Case")
    try:
        return not os.path.lexists(probe.with_name(probe.name.swapcase()))
    finally:
        file.close()
        probe.unlink()


def _open_temporary(path: Path) -> tuple[Path, BinaryIO]:
    while True:
        # Not tempfile: its files can be read by their owner only, and a photo would inherit that.
        temporary = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}.tmp")
        file = temporary.open("x+b")  # "+": TIFF goes back to its header
        if not fcntl:
            return temporary, file
        # A lock tells a file in work from one that was left; the kernel takes it from the dead.
        with contextlib.suppress(OSError):  # some network drives have no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return temporary, file
        file.close()  # taken for a leftover before it was locked


def _removed_if_left(path: Path) -> bool:
    try:
        with path.open("r+b") as file:  # network drives lock what is open for writing
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        if not fcntl:
            path.unlink()
    except OSError:  # in work, or gone meanwhile
        return False
    return True
