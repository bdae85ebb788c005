"""Where results lie: what is there already, what can be there, and the folders that they need."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxcolor import atomic
from jaxcolor.album.plan import Job, PlanError, caseless
from jaxcolor.album.report import ALREADY_THERE, Outcome
from jaxcolor.image_io import Photo, PhotoError, name_of
from jaxcolor.storage import Address


def sort_out(jobs: Sequence[Job], *, overwrite: bool | None) -> tuple[list[Outcome], list[Job]]:
    """Which jobs have their end already, and which are to be done; clears what killed runs left.

    Args:
      jobs: of `plan`.
      overwrite: whether results that are there are made anew. None: only those that the user named.

    Returns:
      Jobs that are skipped, as their photo is of a kind that is not read or their result is there,
      or have failed, as the file system would take their results for one file; and the others.

    Raises:
      PlanError: a folder of results in object storage cannot be listed.
    """
    settled, left = [], []
    folders: set[Path] = set()
    confused = dict(_confused(jobs))
    there = _Listing()
    for job in jobs:
        target = job.target
        if job.unread:
            suffix = Path(str(job.photo)).suffix
            settled.append(Outcome(job, "skipped", f"of a kind that is not read ({suffix})"))
            continue
        if job in confused:
            settled.append(Outcome(job, "failed", confused[job]))
            continue
        replaces = job.replaces if overwrite is None else overwrite
        if isinstance(target, Path):
            folders.add(target.parent)
            is_there = not replaces and os.path.lexists(target)
        elif isinstance(target, Address):
            is_there = not replaces and there.holds(target, job.within)
            job = dataclasses.replace(job, target=dataclasses.replace(target, replaces=replaces))
        else:
            is_there = False
        if is_there:
            settled.append(Outcome(job, "skipped", ALREADY_THERE))
        else:
            left.append(job)
    for folder in folders:
        if folder.is_dir() and os.access(folder, os.R_OK):
            atomic.remove_leftovers(folder)
    return settled, left


class _Listing:
    """What is there of results in object storage: asked for by the folder, not one by one."""

    def __init__(self) -> None:
        self._found: dict[Address, set[Address]] = {}

    def holds(self, target: Address, within: Path | Address | None) -> bool:
        """Whether an object is there; `within` is the folder that it lies in, at any depth."""
        folder = within if isinstance(within, Address) else target.parent
        if folder not in self._found:
            try:
                places = folder.walk(recursive=within is not None)
                self._found[folder] = {folder / place for place in places}
            except OSError as error:
                message = f"{name_of(folder)}: cannot be read ({error.strerror})"
                raise PlanError(message) from None
        return target in self._found[folder]


def _confused(jobs: Sequence[Job]) -> Iterator[tuple[Job, str]]:
    """Jobs whose results differ in case only where that makes no two files, and what to do."""
    alike: dict[str, list[Job]] = collections.defaultdict(list)
    for job in jobs:
        if isinstance(job.target, Path) and not job.unread:
            alike[caseless(job.target.absolute())].append(job)
    tells_apart = functools.cache(tells_case_apart)
    for group in alike.values():
        for job, other in zip(group, group[1:] + group[:1], strict=True):
            assert isinstance(job.target, Path)
            folder = job.within if isinstance(job.within, Path) else job.target.parent
            if other is not job and not tells_apart(folder):
                yield job, _why_confused(job, other, folder)


def _why_confused(job: Job, other: Job, folder: Path) -> str:
    return (
        f"{name_of(job.photo)}: {name_of(folder)} does not tell capital letters from small ones,"
        f" so that {name_of(other.photo)} would become the same file: rename one of them"
    )


def tells_case_apart(folder: Path) -> bool:
    """Of a folder; or of that in which it will be made, which hands this on."""
    folder = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    try:
        return atomic.tells_case_apart(folder)
    except OSError:  # no result can be written there either, and each photo will say why
        return True


def make_folder(job: Job, photo: Photo) -> Photo:
    """Makes the target's folder for a photo that could be read, and gives the photo back.

    Raises:
      PhotoError: the folder is a link out of where results belong, or cannot be made.
    """
    if not (isinstance(job.within, Path) and isinstance(job.target, Path)):
        return photo
    folder = job.target.parent
    if not folder.resolve().is_relative_to(job.within.resolve()):
        raise PhotoError(f"{name_of(folder)}: a link out of the output folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"{name_of(folder)}: cannot be made ({error.strerror})") from None
    return photo
