"""Fetching, against a real HTTP server on localhost: what a user's network can do to a download."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loopback
import pytest
from patience import until

from jaxcolor import fetch as fetching
from jaxcolor.cache import cache_dir
from jaxcolor.fetch import FetchError, fetch

CONTENT = bytes(range(256)) * 12_000  # 3 MB: more than any socket's buffer
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(loopback.Server):
    """Serves CONTENT under /file; its fields make it misbehave."""

    cuts: list[int]  # each request uses one up: the connection ends after so many bytes
    ranges: bool  # whether Range is understood
    slow: float  # seconds before each piece of the body
    requests: list[str | None]  # the Range header of every request

    @property
    def url(self) -> str:
        return f"{super().url}/file"


class Handler(loopback.Handler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        if self.path != "/file":
            self.send_error(404)
            return
        start = 0
        if wanted and self.server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        if self.server.cuts:
            body = body[: self.server.cuts.pop(0)]
        with contextlib.suppress(OSError):
            for piece in range(0, len(body), 1 << 16):
                time.sleep(self.server.slow)
                self.wfile.write(body[piece : piece + (1 << 16)])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetching, "PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "*")  # a proxy of this machine is not what is tested
    server = Server(Handler)
    server.cuts, server.ranges, server.slow, server.requests = [], True, 0.0, []
    with server.running():
        yield server


def no_file_but(folder: Path, *names: str) -> bool:
    return {path.name for path in folder.iterdir()} == {*names, "weights.h5.lock"}


@pytest.mark.parametrize("checksum", [{"md5": MD5}, {"sha256": SHA256}])
def test_whole_file_in_a_new_folder(server: Server, tmp_path: Path, checksum: Any) -> None:
    path = fetch(server.url, tmp_path / "a" / "b" / "weights.h5", **checksum)
    assert path.read_bytes() == CONTENT
    assert no_file_but(path.parent, "weights.h5")


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        fetch(server.url, tmp_path / "weights.h5", md5=MD5)
    assert server.requests == [None]


def test_another_content_under_the_name_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"older")
    assert fetch(server.url, tmp_path / "weights.h5", md5=MD5).read_bytes() == CONTENT


def test_cut_connections_are_resumed_where_they_broke(server: Server, tmp_path: Path) -> None:
    server.cuts = [1_000_000, 500_000]
    assert fetch(server.url, tmp_path / "weights.h5", md5=MD5).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_later_call_resumes(server: Server, tmp_path: Path) -> None:
    server.cuts = [700_000, *[0] * fetching.ATTEMPTS]
    with pytest.raises(FetchError, match=r"interrupted after 700,000 of 3,072,000 bytes.*resume"):
        fetch(server.url, tmp_path / "weights.h5", md5=MD5)
    assert no_file_but(tmp_path, "weights.h5.part")
    server.cuts, server.requests = [], []
    assert fetch(server.url, tmp_path / "weights.h5", md5=MD5).read_bytes() == CONTENT
    assert server.requests == ["bytes=700000-"]


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cuts = [1_000_000]
    assert fetch(server.url, tmp_path / "weights.h5", md5=MD5).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000000-"]


def test_a_part_that_is_whole_already_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.h5.part").write_bytes(CONTENT)
    assert fetch(server.url, tmp_path / "weights.h5", md5=MD5).read_bytes() == CONTENT
    assert no_file_but(tmp_path, "weights.h5")


@pytest.mark.parametrize("left", [b"", b"another file's beginning", CONTENT + b"too much"])
def test_wrong_content_is_deleted(server: Server, tmp_path: Path, left: bytes) -> None:
    if left:
        (tmp_path / "weights.h5.part").write_bytes(left)
    expected = MD5 if left else "0" * 32
    with pytest.raises(FetchError, match="wrong checksum") as error:
        fetch(server.url, tmp_path / "weights.h5", md5=expected)
    assert no_file_but(tmp_path)
    assert server.url in str(error.value)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_404_says_the_manual_way_at_once(server: Server, tmp_path: Path) -> None:
    url = server.url + "-gone"
    with pytest.raises(FetchError) as error:
        fetch(url, tmp_path / "weights.h5", md5=MD5, by_hand="pass --source FILE")
    assert str(error.value) == (
        f"cannot fetch {url}: HTTP 404 Not Found. "
        "By hand: download it in a browser, then pass --source FILE"
    )
    assert no_file_but(tmp_path)
    assert len(server.requests) == 1


def test_no_network_says_the_manual_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as closed:  # bound, never listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file"
        with pytest.raises(FetchError) as error:
            fetch(url, tmp_path / "weights.h5", md5=MD5, by_hand="pass --source FILE")
    assert re.fullmatch(
        re.escape(f"cannot fetch {url}: no connection (") + r".*refused\)\. "
        r"By hand: download it in a browser, then pass --source FILE",
        str(error.value),
    )
    assert no_file_but(tmp_path)


def test_the_proxy_of_the_environment_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/file"))
    # The server is no proxy: it sees the whole URL as the path, which it does not know.
    with pytest.raises(FetchError, match="HTTP 404"):
        fetch("http://no-such-host.invalid/file", tmp_path / "weights.h5", md5=MD5)
    assert len(server.requests) == 1


def test_two_processes_at_once_fetch_one_whole_file(server: Server, tmp_path: Path) -> None:
    server.slow = 0.02  # a second for the whole file: both are surely at it
    code = "import sys; from jaxcolor.fetch import fetch; fetch(*sys.argv[1:3], md5=sys.argv[3])"
    arguments = [sys.executable, "-c", code, server.url, str(tmp_path / "weights.h5"), MD5]
    processes = [
        subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(2)
    ]
    seen = set()
    while any(process.poll() is None for process in processes):
        if (tmp_path / "weights.h5").exists():
            seen.add((tmp_path / "weights.h5").read_bytes() == CONTENT)
        time.sleep(0.01)
    errors = "".join(process.communicate()[1] for process in processes)
    assert [process.returncode for process in processes] == [0, 0], errors
    assert errors.count("waiting for another process") == 1
    assert False not in seen
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert server.requests == [None]
    assert no_file_but(tmp_path, "weights.h5")


def test_a_killed_process_leaves_neither_lock_nor_broken_file(
    server: Server, tmp_path: Path
) -> None:
    server.slow = 0.05
    code = "import sys; from jaxcolor.fetch import fetch; fetch(*sys.argv[1:3], md5=sys.argv[3])"
    arguments = [sys.executable, "-c", code, server.url, str(tmp_path / "weights.h5"), MD5]
    with subprocess.Popen(arguments) as process:
        part = tmp_path / "weights.h5.part"
        until(lambda: part.exists() and part.stat().st_size > 0)
        process.kill()
    assert not (tmp_path / "weights.h5").exists()
    server.slow = 0.0
    assert fetch(server.url, tmp_path / "weights.h5", md5=MD5).read_bytes() == CONTENT
    assert server.requests[1].startswith("bytes=")  # type: ignore[union-attr]


def test_progress_goes_to_stderr(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(server.url, tmp_path / "weights.h5", md5=MD5, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3.07M/3.07M" in err


def test_progress_can_be_off(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(server.url, tmp_path / "weights.h5", md5=MD5)  # stderr is no terminal here
    fetch(server.url, tmp_path / "weights2.h5", md5=MD5, progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("checksums", [{}, {"md5": MD5, "sha256": SHA256}])
def test_exactly_one_checksum(tmp_path: Path, checksums: Any) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        fetch("http://127.0.0.1/file", tmp_path / "weights.h5", **checksums)


def test_cache_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAXCOLOR_CACHE", str(tmp_path / "elsewhere"))
    assert cache_dir() == tmp_path / "elsewhere"
    assert not cache_dir().exists()
    monkeypatch.delenv("JAXCOLOR_CACHE")
    assert cache_dir().name == "jaxcolor"


def test_importing_needs_no_jax() -> None:
    code = "import sys, jaxcolor.fetch; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
