"""Which photo of an archive becomes which result, and what is left to do: as albums have it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
import yaml

from jaxcolor import album as albums
from jaxcolor.album import PlanError
from jaxcolor.archive import names, plan, report
from jaxcolor.archive.plan import Task


def planned(
    sources: Sequence[Path], out: Path, tmp_path: Path, format: str | None = None
) -> tuple[list[Task], list[dict[str, object]]]:
    """What is left to do, and the report's lines about the rest."""
    told = report.Report(tmp_path / "report")
    found = names.names(sources, avoided=out)
    counts = plan.plan(found, out, format, tmp_path / "left", told)
    told.flush()
    left = [task for table in plan.packets(tmp_path / "left") for task in plan.tasks(table)]
    assert counts.left == len(left)
    lines = []
    if (tmp_path / "report").exists():
        lines = pa.dataset.dataset(tmp_path / "report").to_table().to_pylist()
        for part in (tmp_path / "report").rglob("*.parquet"):
            part.unlink()
    assert sum(told.counts.values()) == len(lines)
    return left, lines


@pytest.mark.parametrize("seed", range(20))
def test_an_archive_is_planned_as_an_album(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    top, out = tmp_path / "scans", tmp_path / "out"
    stems, folders = ("a", "A", "b.gif", "c d", "ä"), (".", "x", "x/y", "@eaDir")
    suffixes = (".jpg", ".JPG", ".gif", ".gif.png", ".png", ".dng", ".heic", ".txt", ".color.png")
    for _ in range(rng.integers(1, 40)):
        path = top / rng.choice(folders) / (rng.choice(stems) + rng.choice(suffixes))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (top / "z.jpg").touch()
    format = [None, "png"][seed % 2]
    jobs = albums.plan([top], str(out), recursive=True, format=format)
    for job in jobs:
        if rng.random() < 0.3 and not job.unread:
            Path(str(job.target)).parent.mkdir(parents=True, exist_ok=True)
            Path(str(job.target)).touch()
    settled, rest = albums.sort_out(jobs, overwrite=None)
    left, lines = planned([top], out, tmp_path, format)
    assert {(t.photo, str(out / t.target)) for t in left} == {
        (str(job.photo), str(job.target)) for job in rest
    }
    assert {(ln["address"], ln["status"], ln["reason"]) for ln in lines} == {
        (str(o.job.photo), o.status, o.reason) for o in settled
    }


def test_manifests(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows = [
        {"address": "one/a.tif", "target": "", "saturation": ""},
        {"address": "/srv/b.jpg", "target": "c/d.png", "saturation": "0.5"},
        {"address": "s3://bucket/scans/e.jpg", "target": str(tmp_path / "out/f.jpg")},
        {"address": "../g.png", "target": "../h.png"},
        {"address": "one/a.tif"},
        {"address": "two/i.jpg", "target": "c/d.png"},
        {"address": "j.jpg", "target": "k.jpg"},
    ]
    with (tmp_path / "in/m.csv").open("w") as file:
        writer = csv.DictWriter(file, ["note", "address", "target", "saturation"], restval="")
        writer.writeheader()
        writer.writerows(rows)
    table = pa.Table.from_pylist([{k: v or None for k, v in row.items()} for row in rows])
    numbers = table["saturation"].cast("float64")
    pa.parquet.write_table(table.set_column(2, "saturation", numbers), tmp_path / "in/m.parquet")
    out = tmp_path / "out"
    out.mkdir()
    (out / "k.jpg").touch()
    found = [planned([tmp_path / "in" / name], out, tmp_path) for name in ("m.csv", "m.parquet")]
    assert found[0] == found[1]
    left, lines = found[0]
    assert left == [
        Task(str(tmp_path / "in/one/a.tif"), "one/a.tif", {}),
        Task("/srv/b.jpg", "c/d.png", {"saturation": 0.5}),
        Task("s3://bucket/scans/e.jpg", "f.jpg", {}),
    ]
    told = {str(line["address"]): (line["status"], line["reason"]) for line in lines}
    assert len(lines) == len(told) == 4
    assert told[str(tmp_path / "in/one/a.tif")] == ("skipped", "named twice")
    assert told[str(tmp_path / "in/j.jpg")] == ("skipped", "already there")
    status, reason = told[str(tmp_path / "in/two/i.jpg")]
    assert status == "failed"
    assert reason.endswith("/srv/b.jpg becomes c/d.png, too")
    status, reason = told[str(tmp_path / "in/../g.png")]
    assert status == "failed"
    assert reason.endswith(f"../h.png is not in {out}")


def test_what_cannot_be_planned(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.csv").write_text("photo,target\na.jpg,b.jpg\n")
    (tmp_path / "b.parquet").write_bytes(b"no such thing")
    (tmp_path / "c.csv").write_text("address,saturation\na.jpg,much\n")
    for name, said in (
        ("empty", "no photo"),
        ("a.csv", "it has no column 'address'"),
        ("b.parquet", "no manifest that can be read"),
        ("c.csv", "no manifest that can be read"),
        ("d.csv", "no such file"),
    ):
        with pytest.raises(PlanError) as refused:
            planned([tmp_path / name], tmp_path / "out", tmp_path)
        assert said in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1


def test_the_cluster_of_the_documentation() -> None:
    """It is YAML, and has what KubeRay's RayCluster must have."""
    text = (Path(__file__).parents[2] / "docs/archive.md").read_text()
    cluster = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec = cluster["spec"]
    assert set(spec) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        for container in group["template"]["spec"]["containers"]:
            assert set(container) <= {"name", "image", "envFrom", "resources"}
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert {"groupName", "replicas"} <= set(spec["workerGroupSpecs"][0])
