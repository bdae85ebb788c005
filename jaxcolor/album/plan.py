"""Which photo becomes which file."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

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
from jaxcolor.storage import Address, address

Somewhere: TypeAlias = Path | Address
_Item = TypeVar("_Item")

STANDARD = Path("-")  # standard input, or standard output
_MARK = ".color"  # in the name of a result that lies beside its photo


class PlanError(ValueError):
    """What is asked for makes no sense; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A photo, and the file that its colours go to.

    Attributes:
      photo: a path, an address, or standard input.
      target: a path, an address, or standard output.
      format: as `save_photo` takes it.
      within: the folder that the target must not leave, whatever links stand in it. None: any
        place, as the target was named by the user.
      replaces: whether what stands at the target may be replaced without asking.
      unread: whether the photo, found in a folder, is of a kind that is not read, by its name.
    """

    photo: Source
    target: Source
    format: str | None = None
    within: Somewhere | None = None
    replaces: bool = False
    unread: bool = False


class Shard(NamedTuple):
    """One of the parts that photos are divided into by their names, wherever they lie.

    Attributes:
      number: of this one, from 0.
      of: how many there are.
    """

    number: int
    of: int

    def __contains__(self, place: object) -> bool:
        assert isinstance(place, Path)
        digest = hashlib.blake2b(place.as_posix().encode("utf-8", "surrogateescape"))
        return int.from_bytes(digest.digest()[:8], "big") % self.of == self.number


@dataclasses.dataclass(frozen=True)
class _Found:
    """A photo, and where it lies in the tree that is mirrored."""

    photo: Somewhere
    place: Path
    in_folder: bool

    @property
    def unread(self) -> bool:
        """Whether it is of a kind that is not read. What the user names is tried all the same."""
        return self.in_folder and self.photo.suffix.lower() in UNREAD_SUFFIXES


def plan(
    photos: Sequence[Somewhere],
    output: str | None,
    *,
    recursive: bool = False,
    format: str | None = None,
    shard: Shard | None = None,
) -> list[Job]:
    """Decides where each photo's result goes; reads no photo and writes nothing.

    Args:
      photos: files and folders, by paths or addresses, or "-" alone. What is named twice, itself or
        by its folder, is one photo.
      output: a file for one photo, a folder for several, "-" for standard output. None: beside each
        photo, as NAME.color.SUFFIX.
      recursive: whether folders in folders are entered.
      format: of all results; None: the photo's own where it can be written.
      shard: whose photos are meant; None: all.

    Returns:
      A job for each photo, those of a folder in the order of their names. Names of results may
      differ in case alone: whether they are two files, `sort_out` asks the file system.

    Raises:
      PlanError: a result would overwrite a photo or another result, or there is no photo, in any
        shard.
    """
    if STANDARD in photos:
        return [_from_standard_input(photos, output, format)]
    photos = _once(photos, lambda photo: photo)
    if output == str(STANDARD):
        return [_to_standard_output(photos, format)]
    avoided = None if output is None else somewhere(output)
    found = _once(_find(photos, recursive=recursive, avoided=avoided), lambda f: f.photo)
    if all(f.unread for f in found):
        raise PlanError(_nothing(photos, found, recursive=recursive))
    jobs = _jobs(found, photos, output, format)
    _check(jobs)
    return [job for f, job in zip(found, jobs, strict=True) if shard is None or f.place in shard]


def somewhere(text: str) -> Somewhere:
    """The path or address that a text is.

    Raises:
      PlanError: an address of a kind that is not known.
    """
    try:
        return address(text) or Path(text)
    except ValueError as error:
        raise PlanError(str(error)) from None


def unread(photos: Iterable[Somewhere]) -> str:
    """How many photos of which kinds are not read, in a few words: "" if there are none."""
    suffixes = [photo.suffix.lower() for photo in photos]
    if not suffixes:
        return ""
    kinds = sorted(set(suffixes), key=UNREAD_SUFFIXES.index)
    files = f"{len(suffixes)} files are" if len(suffixes) > 1 else "1 file is"
    of = "of kinds that are" if len(kinds) > 1 else "of a kind that is"
    return f"{files} {of} not read ({', '.join(kinds)})"


def _from_standard_input(
    photos: Sequence[Somewhere], output: str | None, format: str | None
) -> Job:
    if len(photos) > 1:
        raise PlanError("-: standard input is one photo; name no others")
    if output in (None, str(STANDARD)):
        return Job(sys.stdin.buffer, sys.stdout.buffer, format)
    assert output is not None
    return Job(sys.stdin.buffer, _file(somewhere(output), format), format, replaces=True)


def _to_standard_output(photos: Sequence[Somewhere], format: str | None) -> Job:
    if len(photos) > 1 or photos[0].is_dir():
        raise PlanError("-o -: standard output takes one photo; name a folder for several")
    return Job(photos[0], sys.stdout.buffer, format)


# -- what there is ---------------------------------------------------------------------------------


def _once(items: Iterable[_Item], path: Callable[[_Item], Somewhere]) -> list[_Item]:
    """Without those whose path is that of an earlier one, however it is spelled."""
    first: dict[Somewhere, _Item] = {}
    for item in items:
        first.setdefault(_place_of(path(item)), item)
    return list(first.values())


def _place_of(path: Somewhere) -> Somewhere:
    """Where a file or folder lies, whatever links lead there; a link to a file is a file itself."""
    if isinstance(path, Address):
        return path
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def _find(
    photos: Sequence[Somewhere], *, recursive: bool, avoided: Somewhere | None
) -> Iterator[_Found]:
    for photo in photos:
        if not photo.is_dir():
            yield _Found(photo, Path(photo.name), in_folder=False)
            continue
        # Several folders stay apart in the output; one is mirrored into it.
        top = Path(_resolved(photo).name) if len(photos) > 1 else Path()
        for place in _walk(photo, recursive=recursive, avoided=avoided and _resolved(avoided)):
            yield _Found(photo / str(place), top / place, in_folder=True)


def _named(file: Source) -> Somewhere:
    assert isinstance(file, (Path, Address))
    return file


def _resolved(path: Somewhere) -> Somewhere:
    return path if isinstance(path, Address) else path.resolve()


def _walk(folder: Somewhere, *, recursive: bool, avoided: Somewhere | None) -> Iterator[Path]:
    """The photos in a folder, without hidden files, earlier results, and the output folder.

    Their names from that folder on.
    """
    if isinstance(folder, Address):
        return _walk_objects(folder, recursive=recursive, avoided=avoided)
    return walk_files(folder, recursive=recursive, avoided=avoided)


def _walk_objects(folder: Address, *, recursive: bool, avoided: Somewhere | None) -> Iterator[Path]:
    places = []
    try:
        for place in folder.walk(recursive=recursive):
            path = folder / place
            within = isinstance(avoided, Address) and avoided.is_dir() and path.is_in(avoided)
            if is_photo(place.name) and not within and not any(map(is_passed_over, place.parts)):
                places.append(place)
    except OSError as error:
        raise PlanError(f"{name_of(folder)}: cannot be read ({error.strerror})") from None
    yield from map(Path, sorted(places))


def walk_files(folder: Path, *, recursive: bool, avoided: Somewhere | None) -> Iterator[Path]:
    """The photos in a folder by their names from there on, in order; `avoided` is not entered.

    Raises:
      PlanError: it cannot be read.
    """

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
            if is_photo(name):
                yield (here / name).relative_to(folder)


def is_photo(name: str) -> bool:
    """Whether a file in a folder is one that is read, or of a kind that is told of."""
    path = Path(name)
    return (
        path.suffix.lower() in (*PHOTO_SUFFIXES, *UNREAD_SUFFIXES)
        and not is_passed_over(name)
        and not path.stem.endswith(_MARK)
    )


def _nothing(photos: Sequence[Somewhere], found: Sequence[_Found], *, recursive: bool) -> str:
    folder = next(photo for photo in photos if photo.is_dir())
    if isinstance(folder, Address):
        inner = {place.parts[0] for place in folder.walk(recursive=True) if place.parts[1:]}
    else:
        inner = {path.name for path in folder.iterdir() if path.is_dir()}
    deeper = not recursive and not all(map(is_passed_over, inner))
    said = [f"{name_of(folder)}: no photo in it", unread(f.photo for f in found)]
    if deeper:
        said.append("for those in its folders: --recursive")
    return "; ".join(filter(None, said))


# -- where it goes ---------------------------------------------------------------------------------


class Names(NamedTuple):
    """Two names for a result.

    Attributes:
      short: without the photo's suffix.
      whole: with it, for a photo whose short name another one has, too.
    """

    short: Somewhere
    whole: Somewhere


def _jobs(
    found: Sequence[_Found], photos: Sequence[Somewhere], output: str | None, format: str | None
) -> list[Job]:
    if output is None:
        beside = _apart(found, [_beside(f.photo, format) for f in found])
        return [
            Job(f.photo, target, format, unread=f.unread)
            for f, target in zip(found, beside, strict=True)
        ]
    folder = somewhere(output)
    one_file = len(photos) == 1 and not found[0].in_folder
    if one_file and not output.endswith(("/", os.sep)) and not folder.is_dir():
        return [Job(found[0].photo, _file(folder, format), format, replaces=True)]
    _check_folder(folder)
    places = _apart(found, [mirrored(f.place, format) for f in found])
    return [
        Job(f.photo, folder / str(place), format, within=folder, unread=f.unread)
        for f, place in zip(found, places, strict=True)
    ]


def _beside(photo: Somewhere, format: str | None) -> Names:
    suffix = f"{_MARK}{result_suffix(photo, format)}"
    return Names(photo.with_name(photo.stem + suffix), photo.with_name(photo.name + suffix))


def mirrored(place: Path, format: str | None) -> Names:
    """The names of a photo's result, in the folder of results, by the photo's own in its folder."""
    suffix = result_suffix(place, format)
    return Names(place.with_suffix(suffix), place.with_name(place.name + suffix))


def _file(file: Somewhere, format: str | None) -> Somewhere:
    if format is None:
        try:
            format_of(file)
        except PhotoError as error:
            raise PlanError(f"{error}, or end the name with / for a folder") from None
    return file


def _check_folder(folder: Somewhere) -> None:
    if isinstance(folder, Address):
        if not folder.is_dir():
            said = "for several photos, -o names a folder: end it with /"
            raise PlanError(f"{name_of(folder)}: {said}")
        return
    if folder.exists() and not folder.is_dir():
        raise PlanError(f"{name_of(folder)}: for several photos, -o names a folder, not a file")
    if folder.suffix.lower() in SUFFIXES and not folder.is_dir():
        raise PlanError(f"{name_of(folder)}: for several photos, -o names a folder")


def _apart(found: Sequence[_Found], names: Sequence[Names]) -> list[Somewhere]:
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


def _meeting(chosen: Sequence[Somewhere], names: Sequence[Names]) -> set[int]:
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


def caseless(path: Somewhere) -> str:
    """What is the same for paths that some file systems do not tell apart: A from a."""
    return str(path).casefold()


def _check(jobs: Iterable[Job]) -> None:
    """Refuses what would overwrite a photo or another result."""
    pairs = [(_named(job.photo), _named(job.target)) for job in jobs if not job.unread]
    sources = {_resolved(photo) for photo, _ in pairs}
    taken: dict[Somewhere, Somewhere] = {}
    for photo, target in pairs:
        if _resolved(target) in sources:
            raise PlanError(f"{name_of(target)}: is one of the photos; choose another -o")
        other = taken.setdefault(_place_of(target), photo)
        if other is not photo:
            raise PlanError(
                f"{name_of(other)} and {name_of(photo)} would both become {name_of(target)}"
            )
