"""What became of each photo, in Parquet: part after part, while the run goes on."""

from __future__ import annotations

import collections
import datetime
import time
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet

from jaxcolor.album.plan import Somewhere
from jaxcolor.atomic import open_whole
from jaxcolor.image_io import name_of
from jaxcolor.storage import Address

_ROWS, _SECONDS = 20_000, 60.0  # a part has so many lines, or is of so long a time


class Line(NamedTuple):
    """What became of a photo.

    Attributes:
      address: the photo's path or address.
      target: the result's.
      status: done, skipped or failed.
      reason: why it was skipped or failed, on one line.
      seconds: from its fetch to its result, its neighbours' work included.
      worker: which one did it.
      warnings: what of it could not be read, or not be kept in the result's format.
      bytes: of the result.
    """

    address: str
    target: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    worker: str = ""
    warnings: tuple[str, ...] = ()
    bytes: int = 0


SCHEMA = pa.schema(
    [
        ("address", pa.string()),
        ("target", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("seconds", pa.float32()),
        ("worker", pa.string()),
        ("warnings", pa.list_(pa.string())),
        ("bytes", pa.int64()),
    ]
)


class Report:
    """Counts the lines, and writes them where there is a folder for them.

    Attributes:
      counts: of lines by their status.
    """

    def __init__(self, folder: Somewhere | None):
        """Makes a report of one run.

        Args:
          folder: gets a folder run=TIME, as Spark and others call the parts of a table. None: the
            lines are counted only.
        """
        self.counts: collections.Counter[str] = collections.Counter()
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
        self._folder = None if folder is None else folder / f"run={now}"
        self._lines: list[dict[str, Any]] = []
        self._parts, self._begun = 0, time.monotonic()

    def add(self, line: Line) -> None:
        """Takes a line.

        Raises:
          OSError: a part cannot be written.
        """
        self.counts[line.status] += 1
        if self._folder is None:
            return
        names = {"address": name_of(line.address), "target": name_of(line.target)}
        self._lines.append(line._asdict() | names)
        if len(self._lines) >= _ROWS or time.monotonic() > self._begun + _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what there is.

        Raises:
          OSError: it cannot be written.
        """
        if self._folder is None or not self._lines:
            return
        part = self._folder / f"part-{self._parts:05}.parquet"
        if isinstance(part, Path):
            part.parent.mkdir(parents=True, exist_ok=True)
        with part.open_whole() if isinstance(part, Address) else open_whole(part) as file:
            pa.parquet.write_table(pa.Table.from_pylist(self._lines, SCHEMA), file)
        self._lines.clear()
        self._parts, self._begun = self._parts + 1, time.monotonic()
