"""Checksums of a folder's files: damage is found without reading what the files mean."""

from __future__ import annotations

import json
from pathlib import Path

from jaxcolor.weights import sha256

_NAME = "sha256.json"


def write(folder: Path) -> None:
    """Writes down the checksum of every file in `folder`, in a file of its own."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sums = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    (folder / _NAME).write_text(json.dumps(sums, indent=1))


def damage(folder: Path) -> str | None:
    """What is wrong with `folder`, in a few words; None if every file is as it was written."""
    try:
        sums = json.loads((folder / _NAME).read_text())
        name = next((name for name in sums if sha256(folder / name) != sums[name]), None)
    except FileNotFoundError as error:
        return f"{Path(error.filename).relative_to(folder)} is missing"
    except (OSError, ValueError, TypeError) as error:  # TypeError: JSON, but no dictionary
        return f"{_NAME} or a file in it cannot be read: {error}"
    return name and f"{name} has changed since it was written"
