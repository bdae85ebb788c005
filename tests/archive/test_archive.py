"""`jaxcolor archive` on a cluster of Ray: deadly photos, lost workers, and each photo's one line.

One cluster for all tests: one node of two cores, or in the long form (`JAXCOLOR_ARCHIVE=long`) a
head without cores and two nodes of one.
"""

from __future__ import annotations

import collections
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import every_kind
import pandas
import pytest
import tiny_network
from patience import HANG, until

import jaxcolor
from jaxcolor import album as albums
from jaxcolor import weights
from jaxcolor.models.colorizer import Params

pytestmark = [pytest.mark.ray, pytest.mark.slow]

HERE = Path(__file__).parent
STORE = 80 << 20  # bytes
LONG = os.environ.get("JAXCOLOR_ARCHIVE") == "long"
SECONDS = 15  # of standing still

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Of this process and of all that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        sources = Path(jaxcolor.__file__).parents[1]
        paths = (HERE / "plug", HERE.parent, sources, os.environ.get("PYTHONPATH", ""))
        for name, value in {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback only
            "RAY_BACKEND_LOG_LEVEL": "fatal",
            "RAY_raylet_start_wait_time_s": str(int(HANG)),
        }.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def address(environment: None) -> Iterator[str]:
    nodes = (0, 1, 1) if LONG else (2,)
    words = [sys.executable, HERE / "cluster.py", STORE, *nodes]
    with subprocess.Popen(
        list(map(str, words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        while not (line := cluster.stdout.readline()).startswith("127.0.0.1:"):
            assert line, "the cluster did not start"
        yield line.strip()
        cluster.stdin.close()
        cluster.wait(HANG)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    weights.save_params(file, Params(*tiny_network.make(16)))
    return file


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """41 photos of all kinds, of which four are bad, one kills its worker, and one never ends."""
    folder = tmp_path_factory.mktemp("archive") / "scans"
    suffixes = {"tiff": "tif", "jpeg": "jpg", "pgm": "ppm"}
    kinds = [k for k in every_kind.photos() if "animated" not in k]
    for i in range(41):
        kind = kinds[i % len(kinds)]
        path = folder / f"{'abc'[i % 3]}/{i:02}.{suffixes.get(kind.split()[0], kind.split()[0])}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = every_kind.photos(i // len(kinds))[kind]
        path.write_bytes(content[:50] if i % 10 == 4 else content)
    for name in ("poison", "endless"):
        (folder / f"a/{name}.png").write_bytes(every_kind.photos()["png"])
    (folder / "raw.dng").touch()
    return folder


@pytest.fixture(scope="module")
def expected(scans: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an album makes of them, the deadly ones not being deadly: by the results' names."""
    out = tmp_path_factory.mktemp("expected")
    _, left = albums.sort_out(albums.plan([scans], str(out), recursive=True), overwrite=None)
    done = list(albums.colorize_files(lambda: weights.load(tiny), left, albums.Settings()))
    return {str(Path(str(o.job.target)).relative_to(out)): o for o in done}


def words(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "jaxcolor", "archive", *map(str, arguments)]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(*arguments), capture_output=True, text=True, timeout=2 * HANG, check=False
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_photo_has_its_end(
    address: str, scans: Path, tiny: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    out, report = tmp_path / "out", tmp_path / "report"
    options = ("--address", address, "--weights", tiny, "--seconds", SECONDS)
    run = command(scans, "-o", out, "--report", report, *options)
    assert run.returncode == 1, run.stderr
    good = {name for name, o in expected.items() if o.status == "done"}
    good -= {"a/poison.png", "a/endless.png"}
    assert files(out) == good
    for name in good:
        job = expected[name].job
        assert (out / name).read_bytes() == Path(str(job.target)).read_bytes(), name
    lines = pandas.read_parquet(report)
    assert len(lines) == len(expected) + 1
    assert set(lines["address"]) == {str(o.job.photo) for o in expected.values()} | {
        str(scans / "raw.dng")
    }
    reasons = {
        str(Path(line.target).relative_to(out)): line.reason
        for line in lines.itertuples()
        if line.status == "failed"
    }
    assert reasons.pop("a/poison.png") == f"{scans}/a/poison.png: its worker died of it, twice"
    slow = f"{scans}/a/endless.png: took longer than {SECONDS} seconds"
    assert reasons.pop("a/endless.png") == slow
    assert reasons == {name: o.reason for name, o in expected.items() if o.status == "failed"}
    for reason in (*reasons.values(), slow):
        assert f"jaxcolor: {reason}" in run.stderr
    assert f"{len(good)} done, 1 skipped, {len(lines) - len(good) - 1} failed" in run.stdout
    assert "Traceback" not in run.stderr
    # Again: of those that are there nothing is done, and the same command says so. And in SQL.
    for name in ("poison", "endless"):
        (out / f"a/{name}.png").touch()
    for name in reasons:
        (out / name).touch()
    again = command(scans, "-o", out, "--report", report)
    assert again.returncode == 0, again.stderr
    assert f"{len(expected)} results are already there" in again.stdout
    runs = duckdb.sql(
        f"select count(*), count(distinct address) from '{report}/*/*.parquet' group by run"
    ).fetchall()
    assert runs == [(len(lines), len(lines))] * 2


def test_a_manifest_an_interrupted_run_and_a_killed_worker(
    address: str, scans: Path, tiny: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    out, report = tmp_path / "out", tmp_path / "report"
    rows = [(o.job.photo, name) for name, o in expected.items() if o.status == "done"]
    rows = [(photo, name) for photo, name in rows if "poison" not in name and "endless" not in name]
    copies = [(photo, f"{i}/{name}") for i in range(30) for photo, name in rows]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("address,target\n" + "".join(f"{p},{name}\n" for p, name in copies))
    arguments = (manifest, "-o", out, "--report", report, "--address", address, "--weights", tiny)
    with subprocess.Popen(
        words(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        until(lambda: len(files(out)) > 40)
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=HANG)
    assert run.returncode == 130, said
    assert "the same command goes on" in said
    before = {name: (out / name).stat().st_mtime_ns for name in files(out) if name[0] != "."}
    assert len(before) < len(copies)
    with subprocess.Popen(
        words(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        until(lambda: len(files(out)) > len(before) + 40)
        kill_a_worker()
        told, said = run.communicate(timeout=HANG)
    assert run.returncode == 0, said
    assert files(out) == {name for _, name in copies}
    for name, when in before.items():
        assert (out / name).stat().st_mtime_ns == when
    for name in files(out):
        same = Path(str(expected[name.partition("/")[2]].job.target))
        assert (out / name).read_bytes() == same.read_bytes()
    lines = pandas.read_parquet(report)
    last = lines[lines["run"] == max(lines["run"])]
    assert len(last) == len(set(last["target"])) == len(copies)
    counts = collections.Counter(last["status"])
    assert f"{counts['done']} done, {counts['skipped']} skipped, 0 failed" in told
    assert counts["skipped"] >= len(before)


def kill_a_worker() -> None:
    """The oldest process that Ray calls a worker for packets."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if b"MapBatches(_RayWorker)" in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
                return
    raise AssertionError("there is no worker")


def test_who_cannot_begin_says_why(address: str, scans: Path, tmp_path: Path) -> None:
    none = tmp_path / "none.safetensors"
    run = command(scans, "-o", tmp_path / "out", "--address", address, "--weights", none)
    assert run.returncode == 2
    assert str(none) in run.stderr
    assert "Traceback" not in run.stderr
