"""Which photo becomes which file."""

from __future__ import annotations

import collections
import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jaxcolor.image_io import (
    PHOTO_SUFFIXES,
    SUFFIXES,
    PhotoError,
    Source,
    format_of,
    name_of,
    result_suffix,
)

STANDARD = Path("-")  # standard input, or standard output
_MARK = ".color"  # in the name of a result that lies beside its photo


class PlanError(ValueError):
    """What is asked for makes no sense; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A photo, and the file that its colours go to.

    Attributes:
      photo: a path, or standard input.
      target: a path, or standard output.
      format: as `save_photo` takes it.
      within: the folder that the target must not leave, whatever links stand in it. None: any
        place, as the target was named by the user.
      replaces: whether what stands at the target may be replaced without asking.
    """

    photo: Source
    target: Source
    format: str | None = None
    within: Path | None = None
    replaces: bool = False


@dataclasses.dataclass(frozen=True)
class _Found:
    """A photo, and where it lies in the tree that is mirrored."""

    photo: Path
    place: Path
    in_folder: bool


def plan(
    photos: Sequence[Path],
    output: str | None,
    *,
    recursive: bool = False,
    format: str | None = None,
) -> list[Job]:
    """Decides where each photo's result goes; reads no photo and writes nothing.

    Args:
      photos: files and folders, or "-" alone.
      output: a file for one photo, a folder for several, "-" for standard output. None: beside each
        photo, as NAME.color.SUFFIX.
      recursive: whether folders in folders are entered.
      format: of all results; None: the photo's own where it can be written.

    Returns:
      A job for each photo, those of a folder in the order of their names.

    Raises:
      PlanError: a result would overwrite a photo or another result, or there is nothing to do.
    """
    if STANDARD in photos:
        return [_from_standard_input(photos, output, format)]
    if output == str(STANDARD):
        return [_to_standard_output(photos, format)]
    avoided = None if output is None else Path(output)
    found = list(_find(photos, recursive=recursive, avoided=avoided))
    if not found:
        raise PlanError(_nothing(photos, recursive=recursive))
    jobs = _jobs(found, photos, output, format)
    _check(jobs)
    return jobs


def _from_standard_input(photos: Sequence[Path], output: str | None, format: str | None) -> Job:
    if len(photos) > 1:
        raise PlanError("-: standard input is one photo; name no others")
    if output in (None, str(STANDARD)):
        return Job(sys.stdin.buffer, sys.stdout.buffer, format)
    assert output is not None
    return Job(sys.stdin.buffer, _file(Path(output), format), format, replaces=True)


def _to_standard_output(photos: Sequence[Path], format: str | None) -> Job:
    if len(photos) > 1 or photos[0].is_dir():
        raise PlanError("-o -: standard output takes one photo; name a folder for several")
    return Job(photos[0], sys.stdout.buffer, format)


# -- what there is ---------------------------------------------------------------------------------


def _find(photos: Sequence[Path], *, recursive: bool, avoided: Path | None) -> Iterator[_Found]:
    for photo in photos:
        if not photo.is_dir():
            yield _Found(photo, Path(photo.name), in_folder=False)
            continue
        # Several folders stay apart in the output; one is mirrored into it.
        top = Path(photo.resolve().name) if len(photos) > 1 else Path()
        for path in _walk(photo, recursive=recursive, avoided=avoided and avoided.resolve()):
            yield _Found(path, top / path.relative_to(photo), in_folder=True)


def _walk(folder: Path, *, recursive: bool, avoided: Path | None) -> Iterator[Path]:
    """The photos in a folder, without hidden files, earlier results, and the output folder."""

    def refuse(error: OSError) -> None:
        raise PlanError(f"{name_of(str(error.filename))}: cannot be read ({error.strerror})")

    # Folders that are links are not entered: they may lead round in circles.
    for parent, folders, files in os.walk(folder, onerror=refuse):
        here = Path(parent)
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and (here / name).resolve() != avoided
        )
        for name in sorted(files):
            if _is_photo(name):
                yield here / name


def _is_photo(name: str) -> bool:
    path = Path(name)
    return (
        path.suffix.lower() in PHOTO_SUFFIXES
        and not name.startswith(".")
        and not path.stem.endswith(_MARK)
    )


def _nothing(photos: Sequence[Path], *, recursive: bool) -> str:
    folder = next(photo for photo in photos if photo.is_dir())
    deeper = not recursive and any(path.is_dir() for path in folder.iterdir())
    return f"{name_of(folder)}: no photo in it" + (
        "; for those in its folders: --recursive" if deeper else ""
    )


# -- where it goes ---------------------------------------------------------------------------------


def _jobs(
    found: Sequence[_Found], photos: Sequence[Path], output: str | None, format: str | None
) -> list[Job]:
    if output is None:
        return [Job(f.photo, _beside(f.photo, format), format) for f in found]
    folder = Path(output)
    one_file = len(photos) == 1 and not found[0].in_folder
    if one_file and not output.endswith(("/", os.sep)) and not folder.is_dir():
        return [Job(found[0].photo, _file(folder, format), format, replaces=True)]
    _check_folder(folder)
    return [
        Job(f.photo, folder / place, format, within=folder)
        for f, place in zip(found, _places(found, format), strict=True)
    ]


def _beside(photo: Path, format: str | None) -> Path:
    return photo.with_name(f"{photo.stem}{_MARK}{result_suffix(photo, format)}")


def _file(file: Path, format: str | None) -> Path:
    if format is None:
        try:
            format_of(file)
        except PhotoError as error:
            raise PlanError(f"{error}, or end the name with / for a folder") from None
    return file


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise PlanError(f"{name_of(folder)}: for several photos, -o names a folder, not a file")
    if folder.suffix.lower() in SUFFIXES and not folder.is_dir():
        raise PlanError(f"{name_of(folder)}: for several photos, -o names a folder")


def _places(found: Sequence[_Found], format: str | None) -> Iterator[Path]:
    """Where each result lies in the output folder: the photo's place, with the result's suffix.

    Photos that differ in the suffix only, and would become one file, keep it: a.gif.png, a.png.png.
    """
    short = [f.place.with_suffix(result_suffix(f.place, format)) for f in found]
    taken = collections.Counter(map(_key, short))
    for f, place in zip(found, short, strict=True):
        alone = taken[_key(place)] == 1
        yield place if alone else f.place.with_name(f.place.name + place.suffix)


def _key(path: Path) -> str:
    return str(path).casefold()  # for file systems that do not tell A from a


def _check(jobs: Iterable[Job]) -> None:
    """Refuses what would overwrite a photo or another result."""
    pairs = [(Path(str(job.photo)), Path(str(job.target))) for job in jobs]
    sources = {photo.resolve() for photo, _ in pairs}
    taken: dict[str, Path] = {}
    for photo, target in pairs:
        if target.resolve() in sources:
            raise PlanError(f"{name_of(target)}: is one of the photos; choose another -o")
        other = taken.setdefault(_key(target.absolute()), photo)
        if other is not photo:
            raise PlanError(
                f"{name_of(other)} and {name_of(photo)} would both become {name_of(target)}"
            )
