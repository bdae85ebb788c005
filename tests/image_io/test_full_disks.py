"""Results where the disk or a quota is full: refused and gone, never cut short."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_network

from jaxcolor import image_io

resource = pytest.importorskip("resource", reason="limits are set by POSIX systems only")

PHOTO = image_io.Photo(np.random.default_rng(1).integers(0, 256, (110, 130), np.uint8))
RGB = np.random.default_rng(2).integers(0, 256, (110, 130, 3), np.uint8)

# A process of its own, as the limit holds for all files of a process. Every format and way out
# under each limit: what became of it, which is to be a refusal or the whole file.
SWEEP = """
import io, json, resource, sys, tempfile
from pathlib import Path
import numpy as np
from jaxcolor import image_io

folder, format = Path(sys.argv[1]), sys.argv[2]
photo = image_io.Photo(np.random.default_rng(1).integers(0, 256, (110, 130), np.uint8))
rgb = np.random.default_rng(2).integers(0, 256, (110, 130, 3), np.uint8)
whole = io.BytesIO()
image_io.save_photo(whole, photo, rgb, format=format)
size = len(whole.getvalue())
tempfile.gettempdir()  # looks for one by writing into it, once
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

def attempt(limit, target, close=lambda: None):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        image_io.save_photo(target, photo, rgb, format=format)
        said = ""
    except image_io.PhotoError as error:
        said = str(error)
    try:
        close()
    except OSError as error:
        said += f" and closing fails: {error}"
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    return said

wrong = []
for limit in [*range(0, size + 8192, 4096), size - 1, size]:
    path = folder / f"a.{format}"
    said = [attempt(limit, path)]
    found = [[f.read_bytes() for f in folder.iterdir()]]
    path.unlink(missing_ok=True)
    for mode, buffering in (("wb", -1), ("wb", 0), ("ab", -1), ("w+b", -1)):
        file = path.open(mode, buffering)
        said.append(attempt(limit, file, file.close))
        content = path.read_bytes()
        found.append([content] if content else [])
        path.unlink()
    for words, files in zip(said, found):
        good = (
            words == "" and files == [whole.getvalue()]
            if limit >= size
            else words == f"{path}: cannot be written (File too large)" and files == []
        )
        if not good:
            wrong.append([limit, words, [len(f) for f in files]])
    assert list(folder.iterdir()) == []
print(json.dumps({"size": size, "wrong": wrong}))
"""


@pytest.mark.parametrize("format", image_io.NAMES)
def test_no_limit_cuts_a_result(tmp_path: Path, format: str) -> None:
    words = [sys.executable, "-c", SWEEP, str(tmp_path), format]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    outcome = json.loads(done.stdout)
    assert outcome["size"] > 25_000
    assert outcome["wrong"] == []


class Full(io.RawIOBase):
    """A device that takes `room` bytes, a part of a block at a time, then none."""

    def __init__(self, room: int):
        self.content, self._room = bytearray(), room

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        if len(self.content) >= self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = bytes(block)[: min(1000, self._room - len(self.content))]
        self.content += part
        return len(part)


@pytest.mark.parametrize("buffered", [False, True])
def test_files_that_take_a_part_get_the_rest(buffered: bool) -> None:
    whole = io.BytesIO()
    image_io.save_photo(whole, PHOTO, RGB, format="jpg")
    size = len(whole.getvalue())
    for room in (size, size - 1, 999, 0):
        device = Full(room)
        target: Any = io.BufferedWriter(device) if buffered else device
        if room == size:
            image_io.save_photo(target, PHOTO, RGB, format="jpg")
            assert device.content == whole.getvalue()
            continue
        with pytest.raises(image_io.PhotoError, match=r"\(No space left on device\)$"):
            image_io.save_photo(target, PHOTO, RGB, format="jpg")
        target.close()  # nothing waits that would fail once more


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_errors_of_the_last_steps_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"what was there")

    def fail(*_: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(image_io.PhotoError, match=r"cannot be written \(Disk quota exceeded\)$"):
        image_io.save_photo(tmp_path / "a.jpg", PHOTO, RGB)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"what was there"]


@pytest.mark.parametrize("format", image_io.NAMES)
def test_a_result_in_memory_needs_no_disk(monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    """So a server's temporary folder can neither be full nor hold anybody's photo."""
    before = io.BytesIO()
    image_io.save_photo(before, PHOTO, RGB, format=format)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    file = io.BytesIO()
    image_io.save_photo(file, PHOTO, RGB, format=format)
    assert file.getvalue() == before.getvalue()
    assert file.tell() == len(file.getvalue())
    broken = io.BytesIO()
    with pytest.raises(ValueError, match="50 rows of 110"):
        image_io.save_photo(broken, PHOTO, RGB[:50], format=format)
    assert broken.getvalue() == b""


# Sets the limit and becomes the command: `preexec_fn` would fork a process that JAX has threads in.
LIMITED = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (80 * 1024, 80 * 1024))
os.execv(sys.executable, [sys.executable, {str(tiny_network.COMMAND)!r}, *sys.argv[1:]])
"""


def test_the_command_under_a_quota(
    tiny_file: Path, tmp_path: Path, photos: dict[str, np.ndarray]
) -> None:
    """What does not fit is named and left out, the rest is done; and the same to a file by `-o -`.

    On the way the cache of compiled programs cannot be written, which nobody needs to know.
    """
    from PIL import Image

    album = tmp_path / "album"
    album.mkdir()
    noise = np.random.default_rng(0).normal(0, 25, (300, 400))
    large = (photos["coffee"][:300, :400, 0] + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(large).save(album / "large.jpg")
    Image.fromarray(large[:40, :50]).save(album / "small.jpg")

    def command(*words: object, stdout: Any = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", LIMITED, "colorize", *map(str, words)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    out = tmp_path / "out"
    done = command(album, "-o", out, "--report", tmp_path / "report.json")
    assert done.returncode == 1, done.stderr
    assert f"jaxcolor: {out / 'large.jpg'}: cannot be written (File too large)" in done.stderr
    assert [path.name for path in out.iterdir()] == ["small.jpg"]
    assert image_io.open_photo(out / "small.jpg").size == (40, 50)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [line["status"] for line in report] == ["failed", "done"]

    with (tmp_path / "out.jpg").open("wb") as stdout:
        words = (album / "large.jpg", "-o", "-", "--weights", tiny_file)
        done = command(*words, stdout=stdout)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["jaxcolor: <stdout>: cannot be written (File too large)"]
    assert (tmp_path / "out.jpg").read_bytes() == b""
