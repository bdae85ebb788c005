"""`jaxcolor archive` on a cluster of Ray: deadly photos, lost workers, and each photo's one line.

One cluster for all tests: one node of two cores, and photos in a folder. The long form, of several
minutes: `JAXCOLOR_ARCHIVE=long pytest -m ray -n 0 tests/archive`, with 400 photos in object storage
(moto's server on this machine), a head without cores and two nodes of one, of which one is lost.
"""

from __future__ import annotations

import collections
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import every_kind
import loopback
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
# How many photos, which of them is the first that is bad and the steps between those, and the
# deadly ones.
COUNT, BAD, DEADLY = (
    (397, (4, 40), ("a/poison", "b/poison", "a/endless"))
    if LONG
    else (41, (4, 10), ("a/poison", "a/endless"))
)
SECONDS = 15  # of standing still
BUCKET = "museum"


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
            "RAY_worker_niceness": "0",  # of 15, on a busy machine they would hardly ever run
        }.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def storage(environment: None) -> Iterator[Any]:
    """A client of an S3 server, to which the environment leads, too; its bucket keeps versions."""
    with loopback.storage() as client:
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


class Cluster:
    """The process of `cluster.py`.

    Attributes:
      address: as `ray.init` takes it.
    """

    def __init__(self, process: subprocess.Popen[str]):
        self._process = process
        self.address = self._said("127.0.0.1:")

    def tell(self, what: str) -> None:
        """Has a node lost, or one more join."""
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)
        self._said("done")

    def _said(self, start: str) -> str:
        assert self._process.stdout is not None
        while not (line := self._process.stdout.readline()).startswith(start):
            assert line, "the cluster has ended"
        return line.strip()


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, environment: None) -> Iterator[Cluster]:
    if LONG:
        request.getfixturevalue("storage")  # whose environment the nodes need
    nodes = (0, 1, 1) if LONG else (2,)
    words = [sys.executable, HERE / "cluster.py", STORE, *nodes]
    with subprocess.Popen(
        list(map(str, words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Cluster(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(HANG)


@pytest.fixture
def address(cluster: Cluster) -> str:
    return cluster.address


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    weights.save_params(file, Params(*tiny_network.make(16)))
    return file


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of all kinds, of which some are bad, some kill their worker, and one never ends."""
    folder = tmp_path_factory.mktemp("archive") / "scans"
    suffixes = {"tiff": "tif", "jpeg": "jpg", "pgm": "ppm"}
    kinds = [k for k in every_kind.photos() if "animated" not in k]
    for i in range(COUNT):
        kind = kinds[i % len(kinds)]
        path = folder / f"{'abc'[i % 3]}/{i:03}.{suffixes.get(kind.split()[0], kind.split()[0])}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = every_kind.photos(i // len(kinds))[kind]
        path.write_bytes(content[:50] if i % BAD[1] == BAD[0] else content)
    for name in DEADLY:
        (folder / f"{name}.png").write_bytes(every_kind.photos()["png"])
    (folder / "raw.dng").touch()
    return folder


@pytest.fixture(scope="module")
def expected(scans: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an album makes of them, the deadly ones not being deadly: by the results' names."""
    out = tmp_path_factory.mktemp("expected")
    _, left = albums.sort_out(albums.plan([scans], str(out), recursive=True), overwrite=None)
    done = list(albums.colorize_files(lambda: weights.load(tiny), left, albums.Settings()))
    return {str(Path(str(o.job.target)).relative_to(out)): o for o in done}


@pytest.fixture(scope="module")
def source(request: pytest.FixtureRequest, scans: Path) -> str:
    """What the command is told: the folder of photos, or an address."""
    if not LONG:
        return str(scans)
    client = request.getfixturevalue("storage")
    for name, content in contents(str(scans)).items():
        client.put_object(Bucket=BUCKET, Key=f"scans/{name}", Body=content)
    return f"s3://{BUCKET}/scans"


@pytest.fixture
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"s3://{BUCKET}/{request.node.name}" if LONG else str(tmp_path / "out")


def words(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "jaxcolor", "archive", *map(str, arguments)]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(*arguments), capture_output=True, text=True, timeout=4 * HANG, check=False
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def contents(place: str) -> dict[str, bytes]:
    """All files of a folder, or all objects, of which none was ever written twice."""
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    if bucket != BUCKET:
        return {name: (Path(place) / name).read_bytes() for name in files(Path(place))}
    client, found = boto3.client("s3"), {}
    pages = client.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Prefix=f"{prefix}/"
    )
    for page in pages:
        for item in page.get("Versions", ()):
            name = item["Key"].removeprefix(f"{prefix}/")
            assert name not in found, f"{name} was written twice"
            found[name] = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    return found


def count(place: str) -> int:
    """How many objects are there."""
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    return boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["KeyCount"]


def touch(place: str, name: str) -> None:
    """Makes an empty result."""
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    if bucket == BUCKET:
        boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{name}")
    else:
        (Path(place) / name).touch()


def check(
    lines: pandas.DataFrame, scans: Path, source: str, out: str, expected: dict[str, Any]
) -> dict[str, str]:
    """What must hold of results and report, however the run went; gives why photos have failed."""
    deadly = {f"{name}.png" for name in DEADLY}
    good = {name for name, o in expected.items() if o.status == "done"} - deadly
    found = contents(out)
    assert set(found) == good
    for name in good:
        assert found[name] == Path(str(expected[name].job.target)).read_bytes(), name
    assert len(lines) == len(expected) + 1
    photos = {str(o.job.photo).replace(str(scans), source) for o in expected.values()}
    assert set(lines["address"]) == photos | {f"{source}/raw.dng"}
    reasons = {
        line.target.removeprefix(f"{out}/"): line.reason
        for line in lines.itertuples()
        if line.status == "failed"
    }
    told = dict(reasons)
    for name in sorted(deadly):
        said = "its worker died of it, twice"
        if "endless" in name:
            said = f"took longer than {SECONDS} seconds"
        assert told.pop(name) == f"{source}/{name}: {said}"
    bad = {name: o.reason for name, o in expected.items() if o.status == "failed"}
    assert told == {name: reason.replace(str(scans), source) for name, reason in bad.items()}
    assert len(bad) == len(range(BAD[0], COUNT, BAD[1]))
    return reasons


def test_every_photo_has_its_end(
    address: str,
    scans: Path,
    source: str,
    out: str,
    tiny: Path,
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    report = tmp_path / "report"
    options = ("--address", address, "--weights", tiny, "--seconds", SECONDS)
    workers = () if LONG else ("--workers", 1)
    run = command(f"{source}/", "-o", out, "--report", report, *options, *workers)
    assert run.returncode == 1, run.stderr
    lines = pandas.read_parquet(report)
    reasons = check(lines, scans, source, out, expected)
    for reason in reasons.values():
        assert f"jaxcolor: {reason}" in run.stderr
    done = len(expected) - len(reasons)
    assert f"{done} done, 1 skipped, {len(reasons)} failed" in run.stdout
    assert "Traceback" not in run.stderr
    # Again: of those that are there nothing is done, and the same command says so. And in SQL.
    for name in reasons:
        touch(out, name)
    again = command(f"{source}/", "-o", out, "--report", report)
    assert again.returncode == 0, again.stderr
    assert f"{len(expected)} results are already there" in again.stdout
    runs = duckdb.sql(
        f"select count(*), count(distinct address) from '{report}/*/*.parquet' group by run"
    ).fetchall()
    assert runs == [(len(lines), len(lines))] * 2


@pytest.mark.skipif(not LONG, reason="of several minutes: JAXCOLOR_ARCHIVE=long")
def test_a_worker_a_node_and_the_driver_are_killed(
    cluster: Cluster,
    scans: Path,
    source: str,
    out: str,
    tiny: Path,
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    report = tmp_path / "report"
    options = ("--address", cluster.address, "--weights", tiny, "--seconds", SECONDS)
    arguments = (f"{source}/", "-o", out, "--report", report, *options)
    with subprocess.Popen(
        words(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        until(lambda: count(out) > 20)
        kill_a_worker(cluster.address)
        until(lambda: count(out) > 80)
        cluster.tell("lose")
        until(lambda: count(out) > 140)
        run.kill()
        _, said = run.communicate()
    assert "Traceback" not in said
    assert 140 < count(out) < len(expected) - len(DEADLY)
    cluster.tell("join")
    again = command(*arguments)
    assert again.returncode == 1, again.stderr
    assert "Traceback" not in again.stderr
    lines = pandas.read_parquet(report)
    check(lines[lines["run"] == max(lines["run"])], scans, source, out, expected)


def test_a_manifest_an_interrupted_run_and_a_killed_worker(
    address: str, scans: Path, tiny: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    out, report = tmp_path / "out", tmp_path / "report"
    rows = [(o.job.photo, name) for name, o in expected.items() if o.status == "done"]
    rows = [(photo, name) for photo, name in rows if name.removesuffix(".png") not in DEADLY]
    copies = [(photo, f"{i}/{name}") for i in range(1 + 600 // len(rows)) for photo, name in rows]
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
        kill_a_worker(address)
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


def kill_a_worker(address: str) -> None:
    """One of the processes that a cluster calls workers for packets."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if b"MapBatches(_RayWorker)" in (entry / "cmdline").read_bytes():
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if address.encode() in Path(f"/proc/{parent}/cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
                    return
    raise AssertionError("there is no worker")


def test_who_cannot_begin_says_why(address: str, scans: Path, tmp_path: Path) -> None:
    none = tmp_path / "none.safetensors"
    run = command(
        scans, "-o", tmp_path / "out", "--address", address, "--weights", none, "--workers", 1
    )
    assert run.returncode == 2
    assert str(none) in run.stderr
    assert "Traceback" not in run.stderr


def test_an_address_where_no_cluster_is(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_py_gcs_connect_timeout_s", "1")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        run = command(scans, "-o", tmp_path / "out", "--address", address)
    assert run.returncode == 2
    assert f"Ray cannot be reached (Failed to connect to Ray cluster at {address})" in run.stderr
    assert "Traceback" not in run.stderr


def test_nothing_but_loopback_is_needed(
    environment: None, tiny: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    """A Ray of this machine, in a network namespace of its own that nothing leaves."""
    alone = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', b'') or error!r}")
    out = tmp_path / "out"
    good = [o for o in expected.values() if o.status == "done"][:4]
    photos = [o.job.photo for o in good]
    run = subprocess.run(
        [*alone, *words(*photos, "-o", out, "--weights", tiny)],
        env={name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "4 photos: 4 done" in run.stdout
    for o in good:
        result = Path(str(o.job.target))
        assert (out / result.name).read_bytes() == result.read_bytes()
