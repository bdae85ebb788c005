"""Downloads a file once: checked, resumable, and under its final name whole or not at all.

Bytes go to `<name>.part` beside the final place; only after the checksum is the file renamed. What
an interruption leaves is continued with an HTTP Range request. A lock on `<name>.lock` makes a
second process wait for the first. Proxies are those of the environment (`HTTPS_PROXY` and so on).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ATTEMPTS = 4  # connections in a row that may bring nothing before giving up
PAUSE = 0.5  # seconds before connecting again, doubled each time
TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 18  # bytes read at once


class FetchError(OSError):
    """A download failed; the text is one line for the person who asked for it."""


class _Broken(Exception):
    """The connection ended too early; another may bring the rest."""


class _Unreachable(_Broken):
    """There was no connection at all."""


def fetch(
    url: str,
    path: str | os.PathLike[str],
    *,
    md5: str | None = None,
    sha256: str | None = None,
    by_hand: str = "",
    progress: bool | None = None,
) -> Path:
    """Downloads `url` to `path`, unless it is there already.

    Args:
      url: http or https.
      path: the final place; folders are made.
      md5: the expected checksum, in hex.
      sha256: the same with another hash; exactly one of the two is needed.
      by_hand: what to do with a file that was downloaded in a browser; ends the error line.
      progress: a bar on stderr; by default only where stderr is a terminal.

    Returns:
      `path`, whose content has the checksum.

    Raises:
      FetchError: no network, not found, interrupted, or another content than expected. What came
        of an interrupted file stays for the next call; wrong content is deleted.
      ValueError: not exactly one checksum.
    """
    if (md5 is None) == (sha256 is None):
        raise ValueError("exactly one of md5 and sha256 is needed")
    algorithm, expected = ("md5", md5) if md5 else ("sha256", sha256)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(path.name + ".lock"), quiet=progress is False):
        if path.is_file() and _checksum(path, algorithm) == expected:
            return path
        part = path.with_name(path.name + ".part")
        try:
            _download(url, part, progress)
        except FetchError as error:
            by_hand = by_hand or f"put it at {path}"
            text = f"cannot fetch {url}: {error}. By hand: download it in a browser, then {by_hand}"
            raise FetchError(text) from None
        found = _checksum(part, algorithm)
        if found != expected:
            size = part.stat().st_size
            part.unlink()
            raise FetchError(
                f"{url}: wrong checksum, the {size:,} bytes received are deleted ({algorithm} "
                f"{found}, expected {expected}). Try again; a proxy may have changed the file"
            )
        part.replace(path)
    return path


def _download(url: str, part: Path, progress: bool | None) -> None:
    """Brings `part` to its full length, over several connections if they break."""
    begun = before = _size(part)
    failures = 0
    while True:
        try:
            return _connect(url, part, before, progress)
        except _Broken as error:
            after = _size(part)
            failures = 1 if after > before else failures + 1
            unreachable = isinstance(error, _Unreachable) and after == begun
            if unreachable or failures >= ATTEMPTS:
                kept = f"; {after:,} bytes are kept, run again to resume" if after else ""
                raise FetchError(f"{error}{kept}") from None
            before = after
        time.sleep(PAUSE * 2 ** (failures - 1))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _connect(url: str, part: Path, start: int, progress: bool | None) -> None:
    """Appends what one connection gives to `part`, which holds `start` bytes."""
    headers = {"User-Agent": "jaxcolor"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener()  # urlopen would remember the proxies of the first call
    try:
        response = opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing after `start`: it is whole, and the checksum will tell
            return
        if error.code >= 500 or error.code == 429:
            raise _Broken(f"HTTP {error.code} {error.reason}") from None
        raise FetchError(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _Unreachable(f"no connection ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"no answer ({error!r})") from None
    with response:
        if response.status != 206:  # the server sends all of it again
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            received = _copy(response, file, start, total, progress)
    if total is not None and received < total:
        raise _Broken(f"interrupted after {received:,} of {total:,} bytes")


def _copy(
    response: http.client.HTTPResponse,
    file: IO[bytes],
    start: int,
    total: int | None,
    progress: bool | None,
) -> int:
    """Copies the body and counts the bytes of the file so far."""
    import tqdm

    received = start
    with tqdm.tqdm(
        desc="fetching",
        total=total,
        initial=start,
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        disable=None if progress is None else not progress,
    ) as bar:
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _Broken(f"interrupted after {received:,} bytes ({error!r})") from None
            if not chunk:
                return received
            file.write(chunk)
            received += len(chunk)
            bar.update(len(chunk))


def _checksum(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return digest.hexdigest()


@contextlib.contextmanager
def _locked(lock: Path, *, quiet: bool) -> Iterator[None]:
    """Holds a lock that the system releases even when the process dies. The empty file stays."""
    with lock.open("a+b") as file:
        if not _try_lock(file):
            if not quiet:
                print(f"waiting for another process that holds {lock}", file=sys.stderr)
            while not _try_lock(file):
                time.sleep(0.1)
        yield  # closing the file releases it


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True
