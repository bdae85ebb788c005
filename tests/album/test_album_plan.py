"""Which photo becomes which file: trees, names, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jaxcolor import atomic, image_io
from jaxcolor.album import PlanError, plan, sort_out, unread

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


def need_case(folder: Path) -> None:
    if not atomic.tells_case_apart(folder):
        pytest.skip("this file system cannot hold such photos")


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


def test_whole_names_that_meet_short_ones_grow_too(album: Path) -> None:
    for name in ("x.gif", "x.png", "x.gif.webp"):
        (album / "sub" / name).touch()
    assert planned(album / "sub", output="out", format="png") == {
        "album/sub/a.jpg": "out/a.png",
        "album/sub/x.gif": "out/x.gif.png",
        "album/sub/x.gif.webp": "out/x.gif.webp.png",
        "album/sub/x.png": "out/x.png.png",
    }
    beside = planned(album / "sub")
    assert beside["album/sub/x.gif"] == "album/sub/x.gif.color.png"
    assert beside["album/sub/x.png"] == "album/sub/x.png.color.png"
    assert beside["album/sub/x.gif.webp"] == "album/sub/x.gif.color.webp"


@pytest.mark.parametrize("format", [None, "jpg", "png"])
@pytest.mark.parametrize("output", [None, "out", "new/out"])
def test_names_that_differ_in_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str | None, format: str | None
) -> None:
    need_case(tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = Path("in")
    folder.mkdir()
    for name in ("IMG.jpg", "IMG.JPG", "other.jpg", "img.gif"):
        (folder / name).touch()
    jobs = plan([folder], output, format=format)
    assert len({job.target for job in jobs}) == len(jobs) == 4
    assert sort_out(jobs, overwrite=None) == ([], jobs)
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]

    monkeypatch.setattr(atomic, "tells_case_apart", lambda folder: False)
    failed, left = sort_out(jobs, overwrite=None)
    assert {job.photo.name for job in left} == {"other.jpg", "img.gif"}
    assert {outcome.status for outcome in failed} == {"failed"}
    reasons = sorted(outcome.reason for outcome in failed)
    where = output or "in"
    why = f"{where} does not tell capital letters from small ones, so that"
    assert reasons == [
        f"in/IMG.JPG: {why} in/IMG.jpg would become the same file: rename one of them",
        f"in/IMG.jpg: {why} in/IMG.JPG would become the same file: rename one of them",
    ]


def test_three_of_a_name_and_folders_that_differ_in_case(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_case(album)
    for name in ("x/A.png", "x/a.PNG", "x/a.png", "X/A.png"):
        (album / "odd" / name).parent.mkdir(parents=True, exist_ok=True)
        (album / "odd" / name).touch()
    jobs = plan([album / "odd"], "out", recursive=True)
    assert sorted(str(job.target) for job in jobs) == [
        "out/X/A.png",
        "out/x/A.png",
        "out/x/a.PNG",
        "out/x/a.png",
    ]
    assert sort_out(jobs, overwrite=None) == ([], jobs)
    monkeypatch.setattr(atomic, "tells_case_apart", lambda folder: False)
    failed, left = sort_out(jobs, overwrite=None)
    assert (len(failed), left) == (4, [])


def test_where_nothing_can_be_written_nothing_is_said_of_case(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(folder: Path) -> bool:
        raise PermissionError(folder)

    need_case(album)
    (album / "A.jpg").touch()
    jobs = plan([album], "out")
    monkeypatch.setattr(atomic, "tells_case_apart", locked)
    assert sort_out(jobs, overwrite=None) == ([], jobs)


def test_a_photo_named_twice_is_done_once(album: Path) -> None:
    twice = [album / "a.jpg", Path("./album/a.jpg"), (album / "a.jpg").absolute()]
    twice.append(album / "sub" / ".." / "a.jpg")
    assert planned(*twice, output="new.jpg") == {"album/a.jpg": "new.jpg"}
    assert planned(*twice) == {"album/a.jpg": "album/a.color.jpg"}
    (job,) = plan(twice, "-")
    assert job.photo == album / "a.jpg"
    whole = planned(album, output="out", recursive=True)
    assert planned(album, album.absolute(), output="out", recursive=True) == whole
    (album.parent / "link").symlink_to(album)
    again = planned(album, album / "sub", album / "a.jpg", Path("link"), recursive=True)
    assert list(again) == list(whole)
    # A link to a photo is a photo of another name.
    (album.parent / "b.jpg").symlink_to(album / "a.jpg")
    assert len(planned(album / "a.jpg", Path("b.jpg"), output="out")) == 2


def test_photos_of_kinds_that_are_not_read_are_told_of(album: Path) -> None:
    before = planned(album, output="out", format="png")
    for name in ("z.jxl", "a.dng", "sub/b.DNG", ".c.jxl", "scan.ptif"):
        (album / name).touch()
    jobs = plan([album], "out", format="png", recursive=True)
    assert len({job.target for job in jobs}) == len(jobs)
    left_out = [job for job in jobs if job.unread]
    assert [str(job.photo) for job in left_out] == ["album/a.dng", "album/z.jxl", "album/sub/b.DNG"]
    told = unread(job.photo for job in left_out)
    assert told == "3 files are of kinds that are not read (.jxl, .dng)"
    skipped, left = sort_out(jobs, overwrite=True)
    assert [(o.job, o.status) for o in skipped] == [(job, "skipped") for job in left_out]
    assert skipped[0].reason == "of a kind that is not read (.dng)"
    now = {str(job.photo): str(job.target) for job in left}
    assert now["album/scan.ptif"] == "out/scan.png"
    assert {photo: now[photo] for photo in before} == before  # .dng takes no name from .jpg

    # What is named is tried: the name may lie.
    (job,) = plan([album / "a.dng"], None)
    assert not job.unread


def test_kinds_in_a_few_words() -> None:
    assert unread([]) == ""
    assert unread([Path("a.JXL")]) == "1 file is of a kind that is not read (.jxl)"
    assert unread([Path("a.dng"), Path("b.DNG")]) == "2 files are of a kind that is not read (.dng)"
    for suffix in image_io.UNREAD_SUFFIXES:
        assert suffix in unread([Path(f"a{suffix}")])


def test_thumbnails_that_others_leave_are_passed_over(album: Path) -> None:
    before = planned(album, output="out", recursive=True)
    for name in ("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", ".picasaoriginals/a.jpg", "__MACOSX/a.jpg"):
        for folder in (album, album / "sub"):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).touch()
    assert planned(album, output="out", recursive=True) == before
    assert len(planned(album / "@eaDir", output="out", recursive=True)) == 1  # as it was named


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
        (
            ["album/raw"],
            None,
            "album/raw: no photo in it; 1 file is of a kind that is not read (.nef)",
        ),
        (["-", "album/a.jpg"], None, "standard input is one photo"),
        (["album"], "-", "standard output takes one photo"),
    ],
)
def test_refused(album: Path, photos: list[str], output: str | None, words: str | None) -> None:
    (album / "empty").mkdir()
    (album / "nested" / "x").mkdir(parents=True)
    (album / "raw" / "@eaDir").mkdir(parents=True)
    (album / "raw" / "a.NEF").touch()
    if words is None:
        assert plan([Path(p) for p in photos], output)
        return
    with pytest.raises(PlanError) as error:
        plan([Path(p) for p in photos], output)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
