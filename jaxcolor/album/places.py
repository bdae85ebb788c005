"""Where results lie: what is there already, and the folders that they need."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from jaxcolor import atomic
from jaxcolor.album.plan import Job
from jaxcolor.album.report import Outcome
from jaxcolor.image_io import Photo, PhotoError, name_of


def sort_out(jobs: Iterable[Job], *, overwrite: bool | None) -> tuple[list[Outcome], list[Job]]:
    """Which results are there already, and which are to be made; clears what killed runs left.

    Args:
      jobs: of `plan`.
      overwrite: whether results that are there are made anew. None: only those that the user named.
    """
    skipped, left = [], []
    folders: set[Path] = set()
    for job in jobs:
        target = job.target
        if not isinstance(target, Path):
            left.append(job)
            continue
        folders.add(target.parent)
        replaces = job.replaces if overwrite is None else overwrite
        if os.path.lexists(target) and not replaces:
            skipped.append(Outcome(job, "skipped", "already there"))
        else:
            left.append(job)
    for folder in folders:
        if folder.is_dir() and os.access(folder, os.R_OK):
            atomic.remove_leftovers(folder)
    return skipped, left


def make_folder(job: Job, photo: Photo) -> Photo:
    """Makes the target's folder for a photo that could be read, and gives the photo back.

    Raises:
      PhotoError: the folder is a link out of where results belong, or cannot be made.
    """
    if job.within is None or not isinstance(job.target, Path):
        return photo
    folder = job.target.parent
    if not folder.resolve().is_relative_to(job.within.resolve()):
        raise PhotoError(f"{name_of(folder)}: a link out of the output folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"{name_of(folder)}: cannot be made ({error.strerror})") from None
    return photo
