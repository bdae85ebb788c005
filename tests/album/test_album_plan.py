"""Which photo becomes which file: trees, names, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jaxcolor.album import PlanError, plan

TREE = (
    "a.jpg",
    "b.TIF",
    "c.gif",
    "notes.txt",
    ".hidden.jpg",
    "old.color.jpg",
    "sub/a.jpg",
    "sub/deep/d.png",
    ".thumbnails/a.jpg",
)


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in TREE:
        file = tmp_path / "album" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    return Path("album")


def planned(*photos: Path, output: str | None = None, **options: object) -> dict[str, str]:
    jobs = plan(list(photos), output, **options)
    return {str(job.photo): str(job.target) for job in jobs}


def test_a_folder_alone_and_with_its_folders(album: Path) -> None:
    flat = {"album/a.jpg": "out/a.jpg", "album/b.TIF": "out/b.TIF", "album/c.gif": "out/c.png"}
    deep = {"album/sub/a.jpg": "out/sub/a.jpg", "album/sub/deep/d.png": "out/sub/deep/d.png"}
    assert planned(album, output="out") == flat
    assert planned(album, output="out", recursive=True) == flat | deep
    assert list(planned(album, output="out", recursive=True)) == sorted(flat | deep)


def test_without_an_output_results_lie_beside_their_photos(album: Path) -> None:
    assert planned(album) == {
        "album/a.jpg": "album/a.color.jpg",
        "album/b.TIF": "album/b.color.TIF",
        "album/c.gif": "album/c.color.png",
    }


def test_the_output_folder_may_lie_in_the_album(album: Path) -> None:
    before = planned(album, output="album/sub/out", recursive=True)
    (album / "sub" / "out").mkdir()
    (album / "sub" / "out" / "a.jpg").touch()
    assert planned(album, output="album/sub/out", recursive=True) == before


def test_several_folders_stay_apart(album: Path) -> None:
    assert planned(album / "sub", album / "sub/deep", album / "c.gif", output="out") == {
        "album/sub/a.jpg": "out/sub/a.jpg",
        "album/sub/deep/d.png": "out/deep/d.png",
        "album/c.gif": "out/c.png",
    }


def test_one_format_for_all_and_names_that_would_meet(album: Path) -> None:
    (album / "a.png").touch()
    (album / "C.png").touch()
    assert planned(album, output="out", format="png") == {
        "album/C.png": "out/C.png.png",
        "album/a.jpg": "out/a.jpg.png",
        "album/a.png": "out/a.png.png",
        "album/b.TIF": "out/b.png",
        "album/c.gif": "out/c.gif.png",
    }


def test_links_to_folders_are_not_entered(album: Path) -> None:
    before = planned(album, output="out", recursive=True)
    (album / "round").symlink_to(album.resolve())
    assert planned(album, output="out", recursive=True) == before


def test_one_photo_to_a_file_or_into_a_folder(album: Path) -> None:
    photo = album / "a.jpg"
    assert planned(photo, output="new.tif") == {"album/a.jpg": "new.tif"}
    assert planned(photo, output="new/") == {"album/a.jpg": "new/a.jpg"}
    assert planned(photo, output="album/sub/deep") == {"album/a.jpg": "album/sub/deep/a.jpg"}
    (job,) = plan([photo], "colour", format="webp")
    assert (str(job.target), job.format, job.replaces) == ("colour", "webp", True)


def test_standard_input_and_output(album: Path) -> None:
    (job,) = plan([Path("-")], None)
    assert (job.photo, job.target) == (sys.stdin.buffer, sys.stdout.buffer)
    (job,) = plan([Path("-")], "x.png")
    assert (job.photo, job.target) == (sys.stdin.buffer, Path("x.png"))
    (job,) = plan([album / "a.jpg"], "-")
    assert (job.photo, job.target) == (album / "a.jpg", sys.stdout.buffer)


@pytest.mark.parametrize(
    ("photos", "output", "words"),
    [
        (["album/sub/deep"], "album/sub/deep", "album/sub/deep/d.png: is one of the photos"),
        (["album/a.jpg", "album/sub/a.jpg"], "out", "would both become out/a.jpg"),
        (["album/a.jpg"], "album/a.jpg", "is one of the photos"),
        (["album/a.jpg"], "album/sub/../a.jpg", "is one of the photos"),
        (["album/a.jpg", "album/c.gif"], "album/notes.txt", "names a folder, not a file"),
        (["album/a.jpg", "album/c.gif"], "new.png", "-o names a folder"),
        (["album"], "new.png", "-o names a folder"),
        (["album/a.jpg"], "new", "the suffix says the format"),
        (["album/.thumbnails/.."], None, None),
        (["album/empty"], None, "album/empty: no photo in it"),
        (["album/nested"], None, "album/nested: no photo in it; for those in its folders: --rec"),
        (["-", "album/a.jpg"], None, "standard input is one photo"),
        (["album"], "-", "standard output takes one photo"),
    ],
)
def test_refused(album: Path, photos: list[str], output: str | None, words: str | None) -> None:
    (album / "empty").mkdir()
    (album / "nested" / "x").mkdir(parents=True)
    if words is None:
        assert plan([Path(p) for p in photos], output)
        return
    with pytest.raises(PlanError) as error:
        plan([Path(p) for p in photos], output)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
