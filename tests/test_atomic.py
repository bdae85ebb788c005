"""Files appear whole or not at all, also where the writer is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jaxcolor.atomic import open_whole, remove_leftovers, tells_case_apart


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open_whole(path) as file:
        file.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            fail(path, error)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def fail(path: Path, error: type[BaseException]) -> None:
    with open_whole(path) as file:
        file.write(b"second")
        raise error


def test_it_may_be_read_as_other_files_are(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with open_whole(tmp_path / "whole"):
        pass
    modes = {(tmp_path / name).stat().st_mode for name in ("plain", "whole")}
    assert len(modes) == 1


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with open_whole(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"
    assert not (tmp_path / "link").is_symlink()


def test_names_as_long_as_they_may_be(tmp_path: Path) -> None:
    for name in ("n" * 255, "漢" * 85):
        with open_whole(tmp_path / name) as file:
            file.write(b"x")
        assert (tmp_path / name).read_bytes() == b"x"


WRITER = """
import sys, time
from jaxcolor.atomic import open_whole
with open_whole(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(1000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".hidden", ".notes.tmp", "a.1234abcd.tmp", ".a.1234ABCD.tmp", "photo.jpg"):
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".folder.1234abcd.tmp").mkdir()
    (tmp_path / ".link.1234abcd.tmp").symlink_to(tmp_path / "photo.jpg")
    others = set(tmp_path.iterdir())
    command = [sys.executable, "-c", WRITER, str(tmp_path / "result.png")]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
    assert len(set(tmp_path.iterdir()) - others) == 2
    assert remove_leftovers(tmp_path) == 0  # both are at work
    writers[0].send_signal(signal.SIGKILL)
    writers[0].wait()
    assert remove_leftovers(tmp_path) == 1
    assert len(set(tmp_path.iterdir()) - others) == 1
    writers[1].kill()
    writers[1].wait()
    assert remove_leftovers(tmp_path) == 1
    assert set(tmp_path.iterdir()) == others
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()


def test_writers_and_a_sweeper_at_once(tmp_path: Path) -> None:
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            remove_leftovers(tmp_path)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for i in range(300):
            with open_whole(tmp_path / f"{i}") as file:
                file.write(b"%d" % i)
    finally:
        done.set()
        sweeper.join()
    assert sorted(int(path.read_bytes()) for path in tmp_path.iterdir()) == list(range(300))


def test_whether_case_tells_files_apart_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "A"):
        (tmp_path / name).touch()
    found = len(list(tmp_path.iterdir()))
    assert tells_case_apart(tmp_path) == (found == 2)
    assert len(list(tmp_path.iterdir())) == found

    def folding(path: Path) -> bool:
        """As a file system that keeps the case of names and does not look at it."""
        return path.name.lower() in {other.name.lower() for other in path.parent.iterdir()}

    monkeypatch.setattr("os.path.lexists", folding)
    assert not tells_case_apart(tmp_path)
    assert len(list(tmp_path.iterdir())) == found
    with pytest.raises(OSError, match="nowhere"):
        tells_case_apart(tmp_path / "nowhere")
