"""`scripts/port_weights.py inception_resnet_v2` as a user runs it, on a file that Keras wrote."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxcolor import weights
from jaxcolor.porting import inception_resnet_v2

SCRIPT = Path(__file__).parents[1] / "scripts" / "port_weights.py"
Port = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def port(tmp_path: Path) -> Port:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(SCRIPT), "inception_resnet_v2", *map(str, arguments)],
            env={**os.environ, "JAXCOLOR_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    return run


@pytest.mark.slow
def test_a_ported_file_is_found_by_name_and_verified(
    port: Port, keras_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = keras_files / "first.h5"
    done = port("--source", source, "--verify")
    assert done.returncode == 0, done.stderr
    assert "not the official file" in done.stderr
    assert "same first class on 100% of 5 photos" in done.stdout
    monkeypatch.setenv("JAXCOLOR_CACHE", str(tmp_path / "cache"))
    jax.tree.map(
        np.testing.assert_array_equal,
        weights.load_backbone("inception_resnet_v2"),
        inception_resnet_v2.port(source),
    )
    assert weights.backbone_sha256("inception_resnet_v2") in done.stdout


def test_what_does_not_fit_is_one_line_and_exit_code_two(port: Port, tmp_path: Path) -> None:
    (tmp_path / "notes.h5").write_text("no weights")
    for source, words in {
        "notes.h5": "not an HDF5 file",
        "missing.h5": "no such file",
    }.items():
        done = port("--source", tmp_path / source)
        assert done.returncode == 2
        assert f"{tmp_path / source}: {words}" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "cache").exists()


def test_a_mirror_with_another_file_is_refused(port: Port, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "weights.h5").write_bytes(b"something else")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "site")
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        wrong = port("--url", f"{address}/weights.h5")
        lost = port("--url", f"{address}/nothing.h5")
        server.shutdown()
    assert wrong.returncode == 2
    assert "wrong checksum" in wrong.stderr
    assert lost.returncode == 2
    assert "HTTP 404" in lost.stderr
    assert "--source FILE" in lost.stderr  # the way by hand
    left = [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert set(left) <= {".lock"}
