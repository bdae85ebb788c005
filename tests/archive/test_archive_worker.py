"""One worker, without Ray: what it says of its photos, and what it makes of the ledger."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import every_kind
import pyarrow as pa
import pytest
import tiny_network

from jaxcolor import album as albums
from jaxcolor import weights
from jaxcolor.archive import names, plan, report
from jaxcolor.archive.ledger import Ledger, Past
from jaxcolor.archive.report import Line
from jaxcolor.archive.worker import NotStarted, Order, Worker, _Watch
from jaxcolor.models.colorizer import Params


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPROC", "2")  # which workers set for themselves


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    weights.save_params(file, Params(*tiny_network.make(16)))
    return file


def packets(source: Path, out: Path, tmp_path: Path) -> list[pa.Table]:
    told = report.Report(None)
    plan.plan(names.names([source], avoided=out), out, None, tmp_path / "left", told)
    return list(plan.packets(tmp_path / "left"))


def lines(worker: Worker, tables: Sequence[pa.Table]) -> list[Line]:
    found = [row for table in tables for row in worker(table)["lines"][0].as_py()]
    return [Line(**row | {"warnings": tuple(row["warnings"])}) for row in found]


def test_a_worker_does_what_an_album_does(tiny: Path, tmp_path: Path) -> None:
    scans, out, expected = tmp_path / "scans", tmp_path / "out", tmp_path / "expected"
    for kind, content in every_kind.photos().items():
        suffix = {"tiff": "tif", "jpeg": "jpg", "pgm": "ppm"}.get(kind.split()[0], kind.split()[0])
        path = scans / f"{kind[:1]}/{kind}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (scans / "empty.png").touch()
    (scans / "cut.jpg").write_bytes(every_kind.photos()["jpeg"][:200])
    settled, left = albums.sort_out(
        albums.plan([scans], str(expected), recursive=True), overwrite=None
    )
    outcomes = list(albums.colorize_files(lambda: weights.load(tiny), left, albums.Settings()))
    ledger = Ledger()
    worker = Worker(Order(out, str(tiny), cores=2), ledger, "here")
    told = lines(worker, packets(scans, out, tmp_path))
    assert not settled
    assert {(ln.address, ln.status, ln.reason, ln.warnings) for ln in told} == {
        (str(o.job.photo), o.status, o.reason, o.warnings) for o in outcomes
    }
    done = {Path(ln.target).relative_to(out): ln for ln in told if ln.status == "done"}
    for place, line in done.items():
        assert (out / place).read_bytes() == (expected / place).read_bytes()
        assert line.bytes == (out / place).stat().st_size
        assert (line.worker, line.seconds > 0) == ("here", True)
    assert len(done) == sum(path.is_file() for path in out.rglob("*")) > 20
    assert ledger.deaths() == 0
    assert ledger._begun == {}


def test_who_has_killed_workers_is_named_and_its_neighbours_are_done(
    tiny: Path, tmp_path: Path
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for name in ("a.png", "deadly.png", "done.png", "endless.png", "once.png"):
        (scans / name).write_bytes(every_kind.photos()["png"])
    ledger = Ledger()
    worker = Worker(Order(out, str(tiny), seconds=300.0), ledger, "here")
    (packet,) = packets(scans, out, tmp_path)
    ledger.begin("packet a.png")
    for _ in range(2):
        ledger.begin("deadly.png")
    ledger.begin("once.png")
    ledger.begin("endless.png")
    ledger.overdue("endless.png")
    out.mkdir()
    (out / "done.png").write_bytes(b"by the worker that died")
    told = {Path(line.address).name: line for line in lines(worker, [packet])}
    assert {name: line.status for name, line in told.items()} == {
        "a.png": "done",
        "deadly.png": "failed",
        "done.png": "done",
        "endless.png": "failed",
        "once.png": "done",
    }
    assert told["deadly.png"].reason == f"{scans}/deadly.png: its worker died of it, twice"
    assert told["endless.png"].reason == f"{scans}/endless.png: took longer than 300 seconds"
    assert told["done.png"].bytes == 23
    assert (out / "done.png").read_bytes() == b"by the worker that died"
    assert (out / "once.png").read_bytes() == (out / "a.png").read_bytes()
    programs = worker._engine._programs
    assert programs is not None
    assert len(programs._begun) == 2  # the network's and painting's: they are all alike
    assert ledger._begun == {}
    assert ledger.deaths() == 5  # the packet, and each that was begun again
    assert ledger.begin("a.png") == Past()


def test_controls_of_a_manifest(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(every_kind.photos()["png"])
    manifest = tmp_path / "m.csv"
    manifest.write_text("address,target,saturation\na.png,0.png,0\na.png,1.png,\na.png,2.png,-1\n")
    out = tmp_path / "out"
    worker = Worker(Order(out, str(tiny)), Ledger(), "here")
    told = lines(worker, packets(manifest, out, tmp_path))
    assert [line.status for line in told] == ["done", "done", "failed"]
    assert told[2].reason == f"{tmp_path}/a.png: saturation: -1.0 is not between 0 and 100"
    assert (out / "0.png").read_bytes() != (out / "1.png").read_bytes()


def test_a_worker_without_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match=r"none\.safetensors"):
        Worker(Order(tmp_path, str(tmp_path / "none.safetensors")), Ledger(), "here")


def test_what_is_compiled_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def end(code: int) -> None:
        ended.set()
        sys.exit(code)  # of the thread alone

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ledger, compiling = Ledger(), iter([True] * 3)
    with _Watch(0.01, ledger, lambda: next(compiling, False)).over("endless.png"):
        ended.wait()
    assert list(compiling) == []
    assert ledger.begin("endless.png").overdue
