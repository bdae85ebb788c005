"""Which photo becomes which file."""

from __future__ import annotations

import collections
import dataclasses
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from jaxcolor.image_io import (
    PHOTO_SUFFIXES,
    SUFFIXES,
    UNREAD_SUFFIXES,
    PhotoError,
    Source,
    format_of,
    is_passed_over,
    name_of,
    result_suffix,
)

_Item = TypeVar("_Item")

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
      unread: whether the photo, found in a folder, is of a kind that is not read, by its name.
    """

    photo: Source
    target: Source
    format: str | None = None
    within: Path | None = None
    replaces: bool = False
    unread: bool = False


@dataclasses.dataclass(frozen=True)
class _Found:
    """A photo, and where it lies in the tree that is mirrored."""

    photo: Path
    place: Path
    in_folder: bool

    @property
    def unread(self) -> bool:
        """Whether it is of a kind that is not read. What the user names is tried all the same."""
        return self.in_folder and self.photo.suffix.lower() in UNREAD_SUFFIXES


def plan(
    photos: Sequence[Path],
    output: str | None,
    *,
    recursive: bool = False,
    format: str | None = None,
) -> list[Job]:
    """Decides where each photo's result goes; reads no photo and writes nothing.

    Args:
      photos: files and folders, or "-" alone. What is named twice, itself or by its folder, is one
        photo.
      output: a file for one photo, a folder for several, "-" for standard output. None: beside each
        photo, as NAME.color.SUFFIX.
      recursive: whether folders in folders are entered.
      format: of all results; None: the photo's own where it can be written.

    Returns:
      A job for each photo, those of a folder in the order of their names. Names of results may
      differ in case alone: whether they are two files, `sort_out` asks the file system.

    Raises:
      PlanError: a result would overwrite a photo or another result, or there is nothing to do.
    """
    if STANDARD in photos:
        return [_from_standard_input(photos, output, format)]
    photos = _once(photos, lambda photo: photo)
    if output == str(STANDARD):
        return [_to_standard_output(photos, format)]
    avoided = None if output is None else Path(output)
    found = _once(_find(photos, recursive=recursive, avoided=avoided), lambda f: f.photo)
    if all(f.unread for f in found):
        raise PlanError(_nothing(photos, found, recursive=recursive))
    jobs = _jobs(found, photos, output, format)
    _check(jobs)
    return jobs


def unread(photos: Iterable[Path]) -> str:
    """How many photos of which kinds are not read, in a few words: "" if there are none."""
    suffixes = [photo.suffix.lower() for photo in photos]
    if not suffixes:
        return ""
    kinds = sorted(set(suffixes), key=UNREAD_SUFFIXES.index)
    files = f"{len(suffixes)} files are" if len(suffixes) > 1 else "1 file is"
    of = "of kinds that are" if len(kinds) > 1 else "of a kind that is"
    return f"{files} {of} not read ({', '.join(kinds)})"


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


def _once(items: Iterable[_Item], path: Callable[[_Item], Path]) -> list[_Item]:
    """Without those whose path is that of an earlier one, however it is spelled."""
    first: dict[Path, _Item] = {}
    for item in items:
        first.setdefault(_place_of(path(item)), item)
    return list(first.values())


def _place_of(path: Path) -> Path:
    """Where a file or folder lies, whatever links lead there; a link to a file is a file itself."""
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


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
            if recursive and not is_passed_over(name) and (here / name).resolve() != avoided
        )
        for name in sorted(files):
            if _is_photo(name):
                yield here / name


def _is_photo(name: str) -> bool:
    path = Path(name)
    return (
        path.suffix.lower() in (*PHOTO_SUFFIXES, *UNREAD_SUFFIXES)
        and not is_passed_over(name)
        and not path.stem.endswith(_MARK)
    )


def _nothing(photos: Sequence[Path], found: Sequence[_Found], *, recursive: bool) -> str:
    folder = next(photo for photo in photos if photo.is_dir())
    inner = (path for path in folder.iterdir() if path.is_dir())
    deeper = not recursive and not all(is_passed_over(path.name) for path in inner)
    said = [f"{name_of(folder)}: no photo in it", unread(f.photo for f in found)]
    if deeper:
        said.append("for those in its folders: --recursive")
    return "; ".join(filter(None, said))


# -- where it goes ---------------------------------------------------------------------------------


class _Names(NamedTuple):
    """Two names for a result: without the photo's suffix, and with it."""

    short: Path
    whole: Path


def _jobs(
    found: Sequence[_Found], photos: Sequence[Path], output: str | None, format: str | None
) -> list[Job]:
    if output is None:
        beside = _apart(found, [_beside(f.photo, format) for f in found])
        return [
            Job(f.photo, target, format, unread=f.unread)
            for f, target in zip(found, beside, strict=True)
        ]
    folder = Path(output)
    one_file = len(photos) == 1 and not found[0].in_folder
    if one_file and not output.endswith(("/", os.sep)) and not folder.is_dir():
        return [Job(found[0].photo, _file(folder, format), format, replaces=True)]
    _check_folder(folder)
    places = _apart(found, [_mirrored(f.place, format) for f in found])
    return [
        Job(f.photo, folder / place, format, within=folder, unread=f.unread)
        for f, place in zip(found, places, strict=True)
    ]


def _beside(photo: Path, format: str | None) -> _Names:
    suffix = f"{_MARK}{result_suffix(photo, format)}"
    return _Names(photo.with_name(photo.stem + suffix), photo.with_name(photo.name + suffix))


def _mirrored(place: Path, format: str | None) -> _Names:
    suffix = result_suffix(place, format)
    return _Names(place.with_suffix(suffix), place.with_name(place.name + suffix))


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


def _apart(found: Sequence[_Found], names: Sequence[_Names]) -> list[Path]:
    """A name for each result: the short one, or where photos would become one file the whole one.

    So photos that differ in the suffix only keep it: a.gif.png, a.png.png. Those that differ in
    case only would win nothing by it. A photo that is not read takes no other's name.
    """
    chosen = [n.whole if f.unread else n.short for f, n in zip(found, names, strict=True)]
    done: set[int] = set()
    while meeting := _meeting(chosen, names) - done:  # a whole name may be another's short one
        for i in meeting:
            chosen[i] = names[i].whole
        done |= meeting
    return chosen


def _meeting(chosen: Sequence[Path], names: Sequence[_Names]) -> set[int]:
    """The photos that would become one file, and need not."""
    groups: dict[str, list[int]] = collections.defaultdict(list)
    for i, place in enumerate(chosen):
        groups[caseless(place)].append(i)
    meeting: set[int] = set()
    for group in groups.values():
        if len({caseless(names[i].whole) for i in group}) > 1:
            meeting.update(group)
        else:
            times = collections.Counter(chosen[i] for i in group)
            meeting.update(i for i in group if times[chosen[i]] > 1)
    return meeting


def caseless(path: Path) -> str:
    """What is the same for paths that some file systems do not tell apart: A from a."""
    return str(path).casefold()


def _check(jobs: Iterable[Job]) -> None:
    """Refuses what would overwrite a photo or another result."""
    pairs = [(Path(str(job.photo)), Path(str(job.target))) for job in jobs if not job.unread]
    sources = {photo.resolve() for photo, _ in pairs}
    taken: dict[Path, Path] = {}
    for photo, target in pairs:
        if target.resolve() in sources:
            raise PlanError(f"{name_of(target)}: is one of the photos; choose another -o")
        other = taken.setdefault(_place_of(target), photo)
        if other is not photo:
            raise PlanError(
                f"{name_of(other)} and {name_of(photo)} would both become {name_of(target)}"
            )
