"""Photos in object storage: from a bucket to a bucket, by an S3 server on this machine (moto)."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import loopback
import numpy as np
import pytest
import tiny_network
from patience import HANG
from PIL import Image

from jaxcolor import album as albums
from jaxcolor import image_io, storage
from jaxcolor.album import PlanError, Shard
from jaxcolor.models.colorizer import Params
from jaxcolor.storage import Address, address

BUCKET = "s3://scans-of-a-museum"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with loopback.storage() as client:
        yield client
    storage._store.cache_clear()


@pytest.fixture
def put(client: Any) -> Iterator[Any]:
    """Puts objects into the bucket, which is empty at first."""
    name = BUCKET.removeprefix("s3://")
    client.create_bucket(Bucket=name)
    yield functools.partial(client.put_object, Bucket=name)
    for item in client.list_objects_v2(Bucket=name).get("Contents", ()):
        client.delete_object(Bucket=name, Key=item["Key"])
    client.delete_bucket(Bucket=name)


@pytest.fixture
def folder(tmp_path: Path, put: Any, photos: dict[str, np.ndarray]) -> Path:
    """A tree of photos and other things on the disk, and the same under scans/ in the bucket."""
    folder = tmp_path / "scans"
    for i, name in enumerate(("a.jpg", "b c.png", "deep/ä.tif", "deep/er/a.webp")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photos["coffee"][i : i + 40, 10 : 70 + i]).convert("L").save(path)
    (folder / "deep/cut.jpg").write_bytes((folder / "a.jpg").read_bytes()[:300])
    (folder / "deep/empty.png").write_bytes(b"")
    for name in ("notes.txt", "raw.dng", ".hidden.jpg", "a.color.jpg"):
        (folder / name).write_bytes(b"no photo")
    (folder / "@eaDir").mkdir()
    (folder / "@eaDir/a.jpg").write_bytes(b"no photo")
    for path in folder.rglob("*.*"):
        put(Key=path.relative_to(tmp_path).as_posix(), Body=path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def tiny() -> Params:
    return Params(*tiny_network.make(16))


def done(tiny: Params, photos: Any, output: str, **options: Any) -> list[albums.Outcome]:
    """What the command does."""
    overwrite = options.pop("overwrite", None)
    jobs = albums.plan([albums.somewhere(str(photo)) for photo in photos], output, **options)
    settled, left = albums.sort_out(jobs, overwrite=overwrite)
    return [*settled, *albums.colorize_files(lambda: tiny, left, albums.Settings(batch=2))]


def told(outcomes: list[albums.Outcome], *cut: object) -> list[tuple[str, ...]]:
    """What is said of each, without where it lies."""

    def short(text: str) -> str:
        return functools.reduce(lambda text, part: text.replace(str(part), "..."), cut, text)

    lines = []
    for o in outcomes:
        names = map(image_io.name_of, (o.job.photo, o.job.target))
        lines.append((*map(short, names), o.status, short(o.reason), *map(short, o.warnings)))
    return sorted(lines)


def contents(client: Any, prefix: str) -> dict[str, bytes]:
    name = BUCKET.removeprefix("s3://")
    found = client.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", ())
    keys = [item["Key"] for item in found]
    return {
        key.removeprefix(prefix): client.get_object(Bucket=name, Key=key)["Body"].read()
        for key in keys
    }


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*.*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_storage_gives_what_folders_give(
    client: Any, folder: Path, tmp_path: Path, tiny: Params
) -> None:
    at_home = done(tiny, [folder], str(tmp_path / "colour"), recursive=True)
    away = done(tiny, [f"{BUCKET}/scans/"], f"{BUCKET}/colour/", recursive=True)
    expected = files(tmp_path / "colour")
    assert sorted(expected) == ["a.jpg", "b c.png", "deep/er/a.webp", "deep/ä.tif"]
    assert contents(client, "colour/") == expected
    assert told(away, BUCKET) == told(at_home, tmp_path)
    # And the other two ways.
    done(tiny, [folder], f"{BUCKET}/up/", recursive=True)
    done(tiny, [f"{BUCKET}/scans/"], str(tmp_path / "down"), recursive=True)
    assert contents(client, "up/") == files(tmp_path / "down") == expected
    # Without --recursive; beside the photos; again; of the whole bucket, but what is made.
    flat = done(tiny, [f"{BUCKET}/scans/"], None)  # type: ignore[arg-type]
    names = [name_of for name_of, *_ in told(flat, f"{BUCKET}/scans/")]
    assert names == ["...a.jpg", "...b c.png", "...raw.dng"]
    assert contents(client, "scans/")["a.color.jpg"] == b"no photo"  # it was there
    assert contents(client, "scans/")["b c.color.png"] == expected["b c.png"]
    jobs = albums.plan([Address(BUCKET, "")], f"{BUCKET}/up/", recursive=True)
    assert {str(job.photo).split("/")[3] for job in jobs} == {"scans", "colour"}


def test_a_result_is_there_once(client: Any, put: Any, folder: Path, tiny: Params) -> None:
    source, target = f"{BUCKET}/scans/a.jpg", f"{BUCKET}/colour/"
    (first,) = done(tiny, [source], target)
    assert first.status == "done"
    made = contents(client, "colour/")["a.jpg"]
    (again,) = done(tiny, [source], target)
    assert (again.status, again.reason) == ("skipped", "already there")
    # Another machine was quicker: its result stays.
    jobs = albums.plan([Address(BUCKET, "scans/a.jpg")], target)
    put(Key="scans/late", Body=b"")
    _, left = albums.sort_out(jobs, overwrite=True)
    late = [albums.Job(job.photo, Address(BUCKET, "colour/a.jpg"), job.format) for job in left]
    put(Key="colour/a.jpg", Body=b"of another machine")
    (outcome,) = albums.colorize_files(lambda: tiny, late, albums.Settings(batch=1))
    assert (outcome.status, outcome.reason) == ("skipped", "already there")
    assert contents(client, "colour/")["a.jpg"] == b"of another machine"
    # Asked for, and named.
    (anew,) = done(tiny, [source], target, overwrite=True)
    assert anew.status == "done"
    assert contents(client, "colour/")["a.jpg"] == made
    (named,) = done(tiny, [source], f"{BUCKET}/colour/a.jpg")
    assert named.status == "done"


def test_what_goes_wrong_has_one_line(put: Any, folder: Path, tiny: Params) -> None:
    (missing,) = done(tiny, [f"{BUCKET}/scans/z.jpg"], f"{BUCKET}/colour/")
    assert missing.reason == f"{BUCKET}/scans/z.jpg: no such file"
    (nowhere,) = done(tiny, [f"{BUCKET}/scans/a.jpg"], "s3://there-is-none/a.jpg")
    assert nowhere.status == "failed"
    start = "s3://there-is-none/a.jpg: cannot be written ("
    assert nowhere.reason.startswith(start)
    assert "bucket does not exist" in nowhere.reason
    for photos, output, message in (
        (["s3://there-is-none/"], None, "s3://there-is-none/: cannot be read (The specified"),
        ([f"{BUCKET}/empty/"], None, f"{BUCKET}/empty/: no photo in it"),
        ([f"{BUCKET}/"], None, f"{BUCKET}/: no photo in it; for those in its folders: --recursive"),
        ([f"{BUCKET}/scans/"], f"{BUCKET}/out", "names a folder: end it with /"),
        ([f"{BUCKET}/scans/a.jpg"], f"{BUCKET}/scans/a.jpg", "is one of the photos"),
        (["http://host/a.jpg"], None, "http://host/a.jpg: an address is s3://BUCKET/..., gs://"),
        ([f"{BUCKET}/scans/a.jpg"], f"{BUCKET}/a.xyz", "end the name with / for a folder"),
    ):
        with pytest.raises(PlanError) as refused:
            done(tiny, photos, output)  # type: ignore[arg-type]
        assert message in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("of", [1, 2, 7])
def test_shards_share_the_photos_out(put: Any, folder: Path, of: int) -> None:
    """Whatever the others do, and wherever the photos lie."""
    by_place = []
    for source, out in (
        (folder, str(folder.parent / "out")),
        (Address(BUCKET, "scans/"), "s3://x/y/"),
    ):
        plan = functools.partial(albums.plan, [source], out, recursive=True)
        shares = [{str(job.target) for job in plan(shard=Shard(i, of))} for i in range(of)]
        whole = [str(job.target) for job in plan()]
        assert sorted(name for share in shares for name in share) == sorted(whole)
        top = len(out.rstrip("/")) + 1
        by_place.append([{PurePosixPath(name[top:]) for name in share} for share in shares])
    assert by_place[0] == by_place[1]


def test_addresses_are_taken_apart_as_paths_are() -> None:
    for text in ("s3://b/c/d.e.jpg", "gs://b/ä b", "az://b/c/"):
        found = address(text)
        assert found is not None
        path = PurePosixPath(text.split("://")[1])
        assert str(found) == text
        assert (found.name, found.stem, found.suffix) == (path.name, path.stem, path.suffix)
        assert str(found.with_name("n")).split("://")[1] == str(path.with_name("n"))
        assert str(found / "x/y").split("://")[1] == str(path / "x/y")
        assert str(found.parent).split("://")[1] == f"{path.parent}/"
    assert address("s3:/b") is address("photos/a.jpg") is address("C:\\photos") is None
    whole = address("s3://b")
    assert whole is not None
    assert (str(whole), whole.is_dir(), str(whole / "a.jpg")) == ("s3://b/", True, "s3://b/a.jpg")


def test_the_command_takes_addresses(
    client: Any, put: Any, folder: Path, tmp_path: Path, photos: dict[str, np.ndarray]
) -> None:
    """The real process, with the default weights; and the same bytes as from the disk."""

    def command(*words: object) -> subprocess.CompletedProcess[str]:
        words = (sys.executable, "-m", "jaxcolor", "colorize", *words)
        return subprocess.run(
            list(map(str, words)), capture_output=True, text=True, timeout=HANG, check=False
        )

    report = tmp_path / "report.json"
    out = f"{BUCKET}/colour/"
    run = command(f"{BUCKET}/scans/", "-o", out, "-r", "--report", report)
    assert run.returncode == 1, run.stderr
    assert f"{BUCKET}/scans/deep/ä.tif -> {BUCKET}/colour/deep/ä.tif" in run.stdout
    assert "jaxcolor: 1 file is of a kind that is not read (.dng)" in run.stderr
    assert f"{BUCKET}/scans/deep/empty.png: empty, not a picture" in run.stderr
    statuses = [line["status"] for line in json.loads(report.read_text())]
    assert sorted(statuses) == ["done"] * 4 + ["failed"] * 2 + ["skipped"]
    command(folder, "-o", tmp_path / "colour", "-r")
    assert contents(client, "colour/") == files(tmp_path / "colour")
    for words, said in (
        (("--shard", "2/2"), "2/2 is not I/N with I from 0 to N - 1"),
        (("-o", "ftp://a/b.jpg"), "ftp://a/b.jpg: an address is s3://BUCKET/..."),
    ):
        refused = command(f"{BUCKET}/scans/a.jpg", *words)
        assert refused.returncode == 2
        assert said in refused.stderr
