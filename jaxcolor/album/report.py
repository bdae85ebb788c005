"""What became of each photo; and the same, written down."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from jaxcolor import interrupts
from jaxcolor.album.plan import Job
from jaxcolor.atomic import open_whole
from jaxcolor.image_io import AlreadyThere, PhotoError, name_of
from jaxcolor.jobs import FileJob, GivenUp

ALREADY_THERE = "already there"  # why a photo is skipped
INTERRUPTED = "the run was interrupted"  # likewise


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
      job: the job.
      status: done, failed, or skipped: its result is there, its photo is of a kind that is not
        read, or the run was interrupted.
      reason: why it was skipped or failed, on one line; of a failure with the file's name.
      warnings: what of the photo could not be read, or not be kept in the result's format.
      hints: how many colours the user gave.
      hints_file: the file beside the photo that they are from.
    """

    job: Job
    status: Literal["done", "skipped", "failed"]
    reason: str = ""
    warnings: tuple[str, ...] = ()
    hints: int = 0
    hints_file: Path | None = None


@interrupts.held_back()
def outcome(job: Job, work: FileJob, hints_file: Path | None) -> Outcome:
    """What became of a photo; where it is still on its way, that the run was interrupted."""
    error = work.done.exception() if work.done.done() else GivenUp()
    if isinstance(error, GivenUp):
        return Outcome(job, "skipped", INTERRUPTED, work.warnings)
    if error is None:
        return Outcome(
            job, "done", warnings=work.warnings, hints=len(work.hints), hints_file=hints_file
        )
    if isinstance(error, AlreadyThere):
        return Outcome(job, "skipped", ALREADY_THERE, work.warnings)
    reason = str(error)
    if isinstance(error, MemoryError):
        reason = f"{name_of(job.photo)}: too large for this machine's memory"
    elif not isinstance(error, PhotoError):
        said = (reason.strip() or type(error).__name__).splitlines()[0]
        reason = f"{name_of(job.photo)}: {said}"
    return Outcome(job, "failed", reason, work.warnings)


def save_report(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Writes a JSON array with one line per photo: what, where to, how it went and why.

    Raises:
      OSError: it cannot be written.
    """
    lines = ",\n".join(json.dumps(_line(outcome)) for outcome in outcomes)
    with open_whole(path) as file:
        file.write(f"[\n{lines}\n]\n".encode())


def _line(outcome: Outcome) -> dict[str, object]:
    return {
        "photo": name_of(outcome.job.photo),
        "result": name_of(outcome.job.target),
        "status": outcome.status,
        "reason": outcome.reason,
        "warnings": outcome.warnings,
        "hints": outcome.hints,
        "hints_file": outcome.hints_file and name_of(outcome.hints_file),
    }
