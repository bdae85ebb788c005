"""Albums through the real command: mirrored, killed, continued, and nothing but results left.

The long form: `JAXCOLOR_ALBUM=280 pytest -q tests/album/test_album.py -k killed`.
"""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_network
from patience import HANG, until
from PIL import Image

import jaxcolor
from jaxcolor import album as albums
from jaxcolor import atomic
from jaxcolor.models.colorizer import Params

GOOD = int(os.environ.get("JAXCOLOR_ALBUM", "56"))
BAD = GOOD // 14 + 1
# Python runs it at its start. A slow disk: no run is over before it is stopped, on however busy a
# machine. And Ctrl-C is heard though a shell's background jobs, as these tests may be, ignore it.
SITE = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
replace = os.replace
def slow(*names, **options):
    time.sleep(0.1)
    replace(*names, **options)
os.replace = slow
"""
KINDS = ("jpg", "png", "webp", "tif", "bmp", "gif")


@pytest.fixture(scope="module")
def params(tiny_file: Path) -> Params:
    """A network of three layers: to an album all are the same."""
    return jaxcolor.load(str(tiny_file))


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, np.ndarray]) -> Path:
    """Small grey photos of several formats and sizes in nested folders, some of them damaged."""
    folder = tmp_path_factory.mktemp("night") / "album"
    source = photos["astronaut"]
    for i in range(GOOD):
        place = folder / ("", "one", "one/two", "three")[i % 4]
        place.mkdir(parents=True, exist_ok=True)
        height, width = 20 + 3 * (i % 7), 30 + 5 * (i % 5)
        grey = Image.fromarray(source[i : i + height, i : i + width]).convert("L")
        if i % 12 == 3:  # a scan of 16 bits
            grey = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
        grey.save(place / f"{i:03}.{KINDS[i % len(KINDS)]}")
    whole = (folder / "000.jpg").read_bytes()
    for i in range(BAD):
        (folder / "one" / f"bad{i}.jpg").write_bytes(whole[: 40 + 50 * (i % 6)])
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture
def command(tiny_file: Path) -> Callable[..., list[str]]:
    """(album, out, options...) -> the command that colours an album, by the tiny network."""

    def words(album: Path, out: Path, *options: object) -> list[str]:
        program = (sys.executable, tiny_network.COMMAND, "colorize", album, "-o", out)
        return [*map(str, (*program, "--weights", tiny_file, "--recursive", *options))]

    return words


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def results(folder: Path) -> list[str]:
    """What there is already, while a run goes on and its temporary files come and go."""
    return [path.name for path in folder.rglob("*.*") if path.name[0] != "."]


def statuses(report: Path) -> dict[str, int]:
    lines = json.loads(report.read_text())
    assert len(report.read_text().splitlines()) == len(lines) + 2
    found = [line["status"] for line in lines]
    return {status: found.count(status) for status in set(found)}


def test_killed_twice_and_continued_to_the_same_bytes(
    run, command: Callable[..., list[str]], album: Path, tmp_path: Path
) -> None:
    calm, report = tmp_path / "calm", tmp_path / "calm.json"
    result = run(*command(album, calm, "--report", report, "--jobs", 1)[1:])
    assert result.returncode == 1, result.stderr
    assert f"{GOOD + BAD} photos: {GOOD} done, 0 skipped, {BAD} failed" in result.stdout
    assert statuses(report) == {"done": GOOD, "failed": BAD}
    expected = files(calm)
    assert len(expected) == GOOD
    assert [line for line in result.stderr.splitlines() if "bad" not in line] == []

    out = tmp_path / "out"
    (out / "one").mkdir(parents=True)
    (out / "one" / ".x.jpg.0123abcd.tmp").write_bytes(b"left by a run that was killed")
    before = files(album)
    (tmp_path / "sitecustomize.py").write_text(SITE)
    slow = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for end, done in ((signal.SIGKILL, GOOD // 7), (signal.SIGINT, GOOD // 4)):
        with subprocess.Popen(
            command(album, out), env=slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            until(lambda: len(results(out)) >= done or process.poll() is not None)  # noqa: B023
            process.send_signal(end)
            stdout, stderr = process.communicate(timeout=HANG)
        assert len(files(out)) < GOOD, "it was over before it was stopped"
        if end == signal.SIGINT:
            assert process.returncode == 130, stderr
            assert stderr.splitlines()[-1].startswith("interrupted: the same command goes on")
            assert not [name for name in files(out) if name.endswith(".tmp")]
            assert "results are already there" in stdout

    result = run(*command(album, out, "--report", tmp_path / "last.json")[1:])
    assert result.returncode == 1
    last = statuses(tmp_path / "last.json")
    assert last["failed"] == BAD
    assert last["done"] + last["skipped"] == GOOD
    assert last["skipped"] >= GOOD // 4
    assert files(out) == expected
    assert files(album) == before


def test_results_keep_their_photos_kind(album: Path, tmp_path: Path, params: Params) -> None:
    (tmp_path / "in").mkdir()
    names = (
        "three/003.tif",
        "one/001.png",
        "one/two/002.webp",
        "one/005.gif",
        "000.jpg",
        "004.bmp",
    )
    for name in names:
        (tmp_path / "in" / Path(name).name).write_bytes((album / name).read_bytes())
    jobs = albums.plan([tmp_path / "in"], str(tmp_path / "out"))
    outcomes = albums.colorize_files(lambda: params, jobs, albums.Settings())
    assert [outcome.status for outcome in outcomes] == ["done"] * len(names)
    kinds = {}
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as image:
            kinds[path.name] = image.format
    assert kinds == {
        "003.tif": "TIFF",
        "001.png": "PNG",
        "002.webp": "WEBP",
        "005.png": "PNG",
        "000.jpg": "JPEG",
        "004.bmp": "BMP",
    }
    assert jaxcolor.image_io.open_photo(tmp_path / "out" / "003.tif").pixels.dtype == np.uint16


def test_what_is_there_is_left_or_made_anew(colorize, album: Path, tmp_path: Path) -> None:
    photo, named = album / "000.jpg", tmp_path / "named.jpg"
    out = tmp_path / "out"
    out.mkdir()
    for file in (out / "000.jpg", named):
        file.write_bytes(b"mine")

    def work(*options: object) -> None:
        result = colorize(photo, *options)
        assert result.exit_code == 0, result.output

    work("-o", out)
    assert (out / "000.jpg").read_bytes() == b"mine"
    work("-o", named, "--skip-existing")
    assert named.read_bytes() == b"mine"
    work("-o", out, "--overwrite")
    assert (out / "000.jpg").read_bytes() != b"mine"
    work("-o", named)
    assert named.read_bytes() == (out / "000.jpg").read_bytes()


def test_names_that_differ_in_case_and_kinds_that_are_not_read(
    colorize, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not atomic.tells_case_apart(tmp_path):
        pytest.skip("this file system cannot hold such photos")
    folder, report = tmp_path / "in", tmp_path / "report.json"
    for name in ("IMG.jpg", "IMG.JPG", "other.jpg", "@eaDir/IMG.jpg/THUMB.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((album / "000.jpg").read_bytes())
    for name in ("IMG.dng", "a.jxl"):
        (folder / name).write_bytes(b"not looked at")

    def work(out: str) -> tuple[int, list[str]]:
        result = colorize(folder, "-r", "-o", tmp_path / out, "--report", report)
        told = result.stderr.splitlines()
        assert told[0] == "jaxcolor: 2 files are of kinds that are not read (.jxl, .dng)"
        lines = {Path(line["photo"]).name: line for line in json.loads(report.read_text())}
        for name in ("IMG.dng", "a.jxl"):
            assert lines[name]["status"] == "skipped"
            assert lines[name]["reason"] == f"of a kind that is not read ({name[-4:]})"
        counts = statuses(report)
        words = ", ".join(f"{counts.get(s, 0)} {s}" for s in ("done", "skipped", "failed"))
        assert result.stdout.splitlines()[-1] == f"5 photos: {words}"
        return result.exit_code, told[1:]

    assert work("out") == (0, [])
    assert sorted(files(tmp_path / "out")) == ["IMG.JPG", "IMG.jpg", "other.jpg"]
    assert statuses(report) == {"done": 3, "skipped": 2}
    assert work("out") == (0, [])
    assert statuses(report) == {"skipped": 5}

    monkeypatch.setattr(atomic, "tells_case_apart", lambda folder: False)
    code, told = work("other")
    assert (code, len(told)) == (1, 2)
    assert f"{folder / 'IMG.JPG'} would become the same file" in told[1]
    assert list(files(tmp_path / "other")) == ["other.jpg"]
    assert statuses(report) == {"done": 1, "failed": 2, "skipped": 2}
    (folder / "other.jpg").unlink()
    result = colorize(folder, "-o", tmp_path / "none")
    assert result.exit_code == 2
    assert not files(tmp_path / "none")


def test_nothing_is_written_through_a_link(album: Path, tmp_path: Path, params: Params) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    out.mkdir()
    (out / "one").symlink_to(outside)
    (out / "000.jpg").symlink_to(outside / "new.jpg")
    jobs = albums.plan([album], str(out), recursive=True)
    jobs = [job for job in jobs if job.photo.name in ("000.jpg", "001.png", "002.webp")]
    skipped, left = albums.sort_out(jobs, overwrite=True)
    assert not skipped
    outcomes = list(albums.colorize_files(lambda: params, left, albums.Settings()))
    told = {outcome.job.photo.name: (outcome.status, outcome.reason) for outcome in outcomes}
    assert told["000.jpg"] == ("done", "")  # the link itself was replaced
    for name, folder in (("001.png", "one"), ("002.webp", "one/two")):
        assert told[name] == ("failed", f"{out / folder}: a link out of the output folder")
    assert not list(outside.iterdir())
    assert not (out / "000.jpg").is_symlink()


def test_a_photo_through_a_pipe(colorize, tiny_file: Path, album: Path, tmp_path: Path) -> None:
    photo, file = album / "one" / "001.png", tmp_path / "file.png"
    words = [sys.executable, tiny_network.COMMAND, "colorize", "--weights", tiny_file, "-"]
    done = subprocess.run(words, input=photo.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr

    result = colorize(photo, "-o", file)
    assert result.exit_code == 0, result.output
    assert done.stdout == file.read_bytes()
    result = colorize(photo, "-o", "-")
    assert result.stdout_bytes == file.read_bytes()
    result = colorize("-", input=b"no picture")
    assert (result.exit_code, result.stdout_bytes) == (2, b"")
    assert result.stderr.endswith(": not a picture of any format known here\n")
    assert result.stderr.count("\n") == 1


def test_an_error_of_any_kind_does_not_end_the_night(
    album: Path, tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = jaxcolor.image_io.save_photo

    def moody(target: Path, *arguments: object, **options: object) -> object:
        if target.name == "000.jpg":
            raise RuntimeError("the disk\nis on fire")
        if target.name == "004.bmp":
            raise MemoryError
        return real(target, *arguments, **options)

    monkeypatch.setattr("jaxcolor.image_io.save_photo", moody)
    jobs = albums.plan([album], str(tmp_path / "out"))
    outcomes = list(albums.colorize_files(lambda: params, jobs, albums.Settings(threads=3)))
    assert [outcome.job for outcome in outcomes] == jobs
    told = {outcome.job.photo.name: outcome for outcome in outcomes}
    assert told["000.jpg"].reason == f"{album / '000.jpg'}: the disk"
    assert told["004.bmp"].reason.endswith("004.bmp: too large for this machine's memory")
    others = [o.status for name, o in told.items() if name not in ("000.jpg", "004.bmp")]
    assert set(others) == {"done"}
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.endswith(".tmp")]


def test_a_run_that_is_closed_leaves_whole_files(
    album: Path, tmp_path: Path, params: Params
) -> None:
    jobs = albums.plan([album], str(tmp_path / "out"), recursive=True)
    run = albums.colorize_files(lambda: params, jobs, albums.Settings(threads=2))
    next(run)
    run.close()
    found = list((tmp_path / "out").rglob("*.*"))
    assert 0 < len(found) < GOOD
    for path in found:
        jaxcolor.image_io.open_photo(path)


def test_every_program_is_compiled_once(
    album: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of the first photo ahead of it: had they another form then, it would be twice."""
    config, variables = tiny_network.make(26)
    jobs = albums.plan([album], str(tmp_path / "out"))
    with jax_logging_compilations(caplog):
        outcomes = albums.colorize_files(lambda: Params(config, variables), jobs, albums.Settings())
        assert {outcome.status for outcome in outcomes} == {"done"}
    compiled = [record.getMessage().split(" in ")[0] for record in caplog.records]
    finished = collections.Counter(line for line in compiled if line.startswith("Finished XLA"))
    for name in ("predict", "prepare", "paint_piece"):
        assert finished[f"Finished XLA compilation of jit({name})"] == 1, finished


@contextlib.contextmanager
def jax_logging_compilations(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """In all threads, unlike `jax.log_compiles`."""
    jax.config.update("jax_log_compiles", True)
    try:
        with caplog.at_level(logging.WARNING, logger="jax"):
            yield
    finally:
        jax.config.update("jax_log_compiles", False)


def test_the_environments_encoding_does_not_matter(
    tiny_file: Path, album: Path, tmp_path: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"gr\xfc\xdfe \n \xe2\x98\x83.jpg")
    odd.write_bytes((album / "000.jpg").read_bytes())
    words = ("colorize", "--weights", tiny_file, tmp_path, "-o", tmp_path / "out")
    done = subprocess.run(
        [sys.executable, tiny_network.COMMAND, *words],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert (tmp_path / "out" / odd.name).is_file()
