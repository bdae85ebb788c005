"""What became of each photo, written down."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from jaxcolor.album.run import Outcome
from jaxcolor.atomic import open_whole
from jaxcolor.image_io import name_of


def save_report(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Writes a JSON array with a line a photo: what, where to, how it went and why.

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
    }
