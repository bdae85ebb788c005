"""Albums of every kind of photo while things go wrong: results are whole or absent, reports true.

The long form: `JAXCOLOR_FAULTS=200 pytest -n 0 -q tests/album/test_faults.py -k plan`.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import every_kind
import fault_plan
import numpy as np
import pytest
from fault_plan import ENDED, PIECES, READING, WRITING, Plan
from patience import HANG

from jaxcolor import album as albums
from jaxcolor.album import Outcome
from jaxcolor.models.colorizer import Params
from jaxcolor.predict import strips

PLANS = int(os.environ.get("JAXCOLOR_FAULTS", "0"))
PHOTOS = 300 if PLANS else 64  # two of each kind
SUFFIXES = {"tiff": ".tif", "jpeg": ".jpg", "pgm": ".ppm"}
INTERRUPTED = "the run was interrupted"


@dataclasses.dataclass(frozen=True)
class Calm:
    """What becomes of a photo when nothing goes wrong.

    Attributes:
      result: where it goes, in the folder of results.
      status: as the report says it.
      reason: likewise, without the name of the album's folder.
      warnings: likewise.
      content: of the result.
    """

    result: str
    status: str
    reason: str
    warnings: list[str]
    content: bytes | None


@pytest.fixture(scope="module")
def params() -> Iterator[Params]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in PIECES.items():
            patch.setattr(strips, name, value)
        yield fault_plan.params()


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of every kind in nested folders; some damaged, cut short, or of kinds not read."""
    folder = tmp_path_factory.mktemp("faults") / "album"
    kinds = list(every_kind.photos())
    for i in range(PHOTOS):
        kind = kinds[i % len(kinds)]
        content = every_kind.photos(i // len(kinds))[kind]
        if i % 29 == 7:
            content = content[: len(content) * (i % 10) // 10]
        suffix = SUFFIXES.get(kind.split()[0], f".{kind.split()[0]}")
        if i % 50 == 40:
            suffix = ".jxl"
        path = folder / ("", "one", "one/two", "three")[i % 4] / f"{i:03}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def report_of(outcomes: Sequence[Outcome], path: Path) -> list[dict[str, Any]]:
    albums.save_report(path, outcomes)
    lines: list[dict[str, Any]] = json.loads(path.read_text())
    return lines


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def calm(album: Path, params: Params, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Calm]:
    """By the photos' paths in the album."""
    out = tmp_path_factory.mktemp("calm")
    jobs = albums.plan([album], str(out), recursive=True)
    outcomes, left = albums.sort_out(jobs, overwrite=None)
    outcomes += albums.colorize_files(lambda: params, left, albums.Settings())
    found, results = {}, contents(out)
    for line in report_of(outcomes, out.parent / "calm.json"):
        result = os.path.relpath(line["result"], out)
        found[os.path.relpath(line["photo"], album)] = Calm(
            result,
            line["status"],
            line["reason"].replace(str(album), "ALBUM"),
            line["warnings"],
            results.pop(result, None),
        )
    assert not results
    counts = collections.Counter(c.status for c in found.values())
    assert counts.total() == PHOTOS
    assert counts["skipped"] == PHOTOS // 50
    assert PHOTOS // 20 < counts["failed"] < PHOTOS // 8
    for one in found.values():
        assert (one.status == "done") == (one.content is not None)
    return found


@pytest.mark.parametrize("seed", range(PLANS or 4))
def test_a_plan_of_faults(
    seed: int, album: Path, calm: dict[str, Calm], params: Params, tmp_path: Path
) -> None:
    rng = np.random.default_rng([seed, 1])
    in_process = seed % 4 == 3
    photos, out = tmp_path / "album", tmp_path / "out"
    shutil.copytree(album, photos)
    results = {photo: one.result for photo, one in calm.items() if one.status != "skipped"}
    plan = fault_plan.made(seed, photos, out, results, in_process=in_process)
    overwrite = bool(rng.random() < 0.3)
    before: dict[str, bytes] = {}
    for one in calm.values():
        if one.content is not None and rng.random() < 0.1:
            before[one.result] = b"mine" if overwrite else one.content
            (out / one.result).parent.mkdir(parents=True, exist_ok=True)
            (out / one.result).write_bytes(before[one.result])
    report = tmp_path / "report.json"
    run = run_command if in_process else run_here
    lines, stopped = run(plan, params, report, overwrite=overwrite)
    if lines is None:  # the disk was full to the end
        whole = {one.result: one.content for one in calm.values()}
        for name, content in contents(out).items():
            left = is_lost(plan, name) and name.endswith(".tmp")
            assert left or content in (whole[name], before.get(name)), name
        return
    check(plan, calm, lines, before, overwrite=overwrite, stopped=stopped)


def run_here(
    plan: Plan, params: Params, report: Path, *, overwrite: bool
) -> tuple[list[dict[str, Any]] | None, bool]:
    """What the command does, in this process: the report's lines, and whether it was stopped."""
    jobs = albums.plan([Path(plan.album)], plan.out, recursive=True)
    stop, untold = threading.Event(), []
    with fault_plan.armed(plan, stop.set):
        outcomes, left = albums.sort_out(jobs, overwrite=overwrite or None)
        settings = albums.Settings(threads=plan.threads)
        run = albums.colorize_files(lambda: params, left, settings, left=untold)
        for outcome in run:
            outcomes.append(outcome)
            if stop.is_set():
                break
        run.close()
    told = {id(outcome.job) for outcome in outcomes}
    outcomes += [outcome for outcome in untold if id(outcome.job) not in told]
    return report_of(outcomes, report), stop.is_set()


def run_command(
    plan: Plan, params: Params, report: Path, *, overwrite: bool
) -> tuple[list[dict[str, Any]] | None, bool]:
    """The same as a process of its own, through the command; None: no report could be written."""
    saved = report.with_name("plan.json")
    plan.saved(saved)
    words = [sys.executable, fault_plan.__file__, saved, "colorize", plan.album, "-o", plan.out]
    words += ["-r", "--report", report, "--jobs", plan.threads, *["--overwrite"] * overwrite]
    path = [str(Path(every_kind.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        list(map(str, words)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    for folder in (Path(plan.out), *Path(plan.out).rglob("*")):
        if folder.is_dir():
            folder.chmod(0o700)
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    stopped = done.returncode == 130
    if not report.exists():
        assert plan.full is not None
        assert f"{report}: cannot be written (File too large)\n" in done.stderr
        assert stopped or done.returncode == 1, done.stderr
        return None, stopped
    lines = json.loads(report.read_text())
    counts = collections.Counter(line["status"] for line in lines)
    if not stopped:
        words = ", ".join(f"{counts[status]} {status}" for status in ("done", "skipped", "failed"))
        assert done.stdout.splitlines()[-1] == f"{len(lines)} photos: {words}"
        assert done.returncode == (1 if counts["failed"] else 0), done.stderr
    return lines, stopped


def check(
    plan: Plan,
    calm: dict[str, Calm],
    lines: list[dict[str, Any]],
    before: dict[str, bytes],
    *,
    overwrite: bool,
    stopped: bool,
) -> None:
    """Each photo has one line, and the line says what there is and why."""
    there = {
        name: content
        for name, content in contents(Path(plan.out)).items()
        if not (is_lost(plan, name) and name.endswith(".tmp"))
    }
    named = [os.path.relpath(line["photo"], plan.album) for line in lines]
    assert sorted(named) == sorted(calm)
    reasons: collections.Counter[str] = collections.Counter()
    for photo, line in zip(named, lines, strict=True):
        one = calm[photo]
        assert os.path.relpath(line["result"], plan.out) == one.result
        content = there.pop(one.result, None)
        reason = line["reason"]
        if line["status"] == "done":
            assert one.status == "done", line
            assert content == one.content, line
            assert (reason, line["warnings"]) == ("", one.warnings)
            assert all(say is None for say in said(plan, photo, one)), line
            continue
        assert content == before.get(one.result), line
        if line["status"] == "skipped":
            if reason == INTERRUPTED:
                assert stopped, line
            elif one.status == "skipped":
                assert reason == one.reason
            else:
                assert reason == "already there", line
                assert one.result in before, line
                assert not overwrite, line
            continue
        assert line["status"] == "failed"
        assert not reason.count("\n")
        file = {True: plan.album, False: plan.out}[reason.startswith(f"{plan.album}/")]
        assert reason.startswith(f"{file}"), line
        why = may_be_said(plan, photo, one)
        (found,) = {say for say in why if reason.endswith(say)} or {None}
        assert found is not None, (line, why)
        reasons[found] += 1
    assert not there, "no line tells of them"
    if not any(
        fault in (READING | WRITING) and (READING | WRITING)[fault] == ENDED
        for fault in plan.photos.values()
    ):
        assert reasons[ENDED] <= albums.Settings.batch


def is_lost(plan: Plan, result: str) -> bool:
    """Whether a result lies in the folder that nothing could be written to any more."""
    return plan.lost is not None and Path(result).is_relative_to(plan.lost[0])


def said(plan: Plan, photo: str, one: Calm) -> list[str | None]:
    """What its own faults make of a photo: how it fails, or None where it does not."""
    faults = [plan.photos.get(photo), plan.photos.get(f"-> {one.result}")]
    return [(READING | WRITING)[fault] for fault in faults if fault is not None]


def may_be_said(plan: Plan, photo: str, one: Calm) -> list[str]:
    """Ends of the reasons that a photo may fail for."""
    own = [say for say in said(plan, photo, one) if say is not None]
    if one.status == "failed":
        own.append(one.reason.removeprefix("ALBUM"))
    why = own  # unless what strikes many photos strikes it first
    if plan.ended_pass >= 0:
        why.append(ENDED)
    if plan.full is not None:
        why.append("cannot be written (File too large)")
    if is_lost(plan, one.result):
        why += ["cannot be written (Permission denied)", "cannot be made (Permission denied)"]
    return why
