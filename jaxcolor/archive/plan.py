"""What of an archive is left to do: worked out once, kept in a file, handed on in packets.

Two passes over the names, of which the first keeps them on the disk. What is held in memory is
hashes of 64 bits, some for each photo and one for each result that is there: among ten million
names two have the same one with a chance of 1 in 300,000.
"""

from __future__ import annotations

import array
import collections
import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from jaxcolor import atomic
from jaxcolor.album.places import tells_case_apart
from jaxcolor.album.plan import PlanError, Somewhere, caseless, mirrored
from jaxcolor.album.report import ALREADY_THERE
from jaxcolor.archive.names import Name
from jaxcolor.archive.report import Line, Report
from jaxcolor.controls import CONTROLS
from jaxcolor.image_io import name_of
from jaxcolor.storage import Address

PACKET = 32  # photos that a worker gets at once: whole batches of the network
_BLOCK = 4096  # names that are looked at together

_CONTROLS = tuple(control.name for control in CONTROLS)
# Names are bytes: not all that a file system holds is text.
_LEFT = pa.schema(
    [("photo", pa.binary()), ("target", pa.binary()), *((name, pa.float64()) for name in _CONTROLS)]
)
_FOUND = pa.schema([*_LEFT, ("whole", pa.binary()), ("unread", pa.bool_()), ("error", pa.string())])


class Task(NamedTuple):
    """A photo that is left to do.

    Attributes:
      photo: its path or address.
      target: the result's, from the folder of results on.
      controls: those that are not the command's, by their names.
    """

    photo: str
    target: str
    controls: Mapping[str, float]


class Counts(NamedTuple):
    """What a plan comes to.

    Attributes:
      left: photos that are left to do.
      unread: photos of kinds that are not read.
    """

    left: int
    unread: int


def plan(
    names: Iterable[Name], target: Somewhere, format: str | None, left: Path, report: Report
) -> Counts:
    """Decides where each photo's result goes, as `album.plan` does, and what is there already.

    Args:
      names: the photos.
      target: the folder of results.
      format: of all results; None: the photo's own.
      left: a file that is made, for `packets`.
      report: is told of the photos whose end is known.

    Raises:
      PlanError: names or results cannot be listed.
    """
    found = left.with_suffix(".found")
    apart = not isinstance(target, Path) or tells_case_apart(target)
    keys = _find(names, target, format, found)
    longer = keys.apart()
    chosen = keys.chosen(longer, exact=apart)
    fates = _Fates(chosen[~keys.unread], _there(target, exact=apart))
    counts = collections.Counter[str]()
    start = 0
    with _writing(left, _LEFT, PACKET) as write:
        for batch in _batches(found):
            here = slice(start, start := start + len(batch))
            for row, key, long in zip(batch.to_pylist(), chosen[here], longer[here], strict=True):
                whole = row.pop("whole")
                if long:
                    row["target"] = whole
                fate, reason = fates.of(row, key)
                counts[fate] += 1
                if fate == "left":
                    write({field.name: row[field.name] for field in _LEFT})
                else:
                    status = "skipped" if fate == "unread" else fate
                    result = str(target / os.fsdecode(row["target"]))
                    report.add(Line(os.fsdecode(row["photo"]), result, status, reason))
    found.unlink()
    return Counts(counts["left"], counts["unread"])


def packets(left: Path) -> Iterator[pa.Table]:
    """What `plan` has left, in tables of one row that is a list: Ray Data hands out whole rows."""
    for batch in _batches(left):
        structs = pa.StructArray.from_arrays(batch.columns, fields=list(_LEFT))
        yield pa.table({"packet": pa.ListArray.from_arrays(pa.array([0, len(batch)]), structs)})


def tasks(table: pa.Table) -> list[Task]:
    """The photos of a packet."""
    found = []
    for row in table["packet"][0].as_py():
        photo, target = os.fsdecode(row.pop("photo")), os.fsdecode(row.pop("target"))
        found.append(Task(photo, target, {n: v for n, v in row.items() if v is not None}))
    return found


class _Fates:
    """Says of photos, in their order, whether they are left to do."""

    def __init__(self, chosen: np.ndarray, there: np.ndarray):
        self._there = frozenset(there[np.isin(there, chosen)].tolist())
        names, times = np.unique(chosen, return_counts=True)
        self._wanted = frozenset(names[times > 1].tolist())  # by several photos
        self._firsts: dict[int, str] = {}

    def of(self, row: Mapping[str, Any], key: np.uint64) -> tuple[str, str]:
        """What becomes of a photo, and why: it is left, skipped, failed or unread."""
        photo = os.fsdecode(row["photo"])
        if row["unread"]:
            return "unread", f"of a kind that is not read ({Path(photo).suffix})"
        if row["error"]:
            return "failed", row["error"]
        if int(key) in self._wanted:
            first = self._firsts.setdefault(int(key), "")
            self._firsts[int(key)] = first or photo
            if first == photo:
                return "skipped", "named twice"
            if first:
                result = os.fsdecode(row["target"])
                return "failed", f"{name_of(photo)}: {name_of(first)} becomes {result}, too"
        if int(key) in self._there:
            return "skipped", ALREADY_THERE
        return "left", ""


# -- where results go ------------------------------------------------------------------------------


class _Keys:
    """Hashes of the names that each photo's result can have: short, and with the photo's suffix."""

    def __init__(self) -> None:
        # Capital letters tell names apart, or do not.
        self._exact, self._alike = (
            {"short": array.array("Q"), "long": array.array("Q")} for _ in range(2)
        )
        self._unread = array.array("b")

    def add(self, short: str, long: str, *, unread: bool) -> None:
        for key, name in (("short", short), ("long", long)):
            self._exact[key].append(_hash(name))
            self._alike[key].append(_hash(caseless(Path(name))))
        self._unread.append(unread)

    @property
    def unread(self) -> np.ndarray:
        """For each photo, whether it is of a kind that is not read."""
        return np.frombuffer(self._unread, np.int8).astype(bool)

    def apart(self) -> np.ndarray:
        """For each photo, whether its result keeps the photo's suffix, as `album.plan` decides."""
        longer = self.unread
        while True:
            meeting = ~longer & np.logical_or(
                *(
                    _differing(_picked(names, longer), _array(names["long"]))
                    for names in (self._alike, self._exact)
                )
            )
            if not meeting.any():
                return longer
            longer |= meeting

    def chosen(self, longer: np.ndarray, *, exact: bool) -> np.ndarray:
        """Of the results' names; those that differ in case only are one, unless `exact`."""
        return _picked(self._exact if exact else self._alike, longer)


def _picked(names: Mapping[str, array.array[int]], longer: np.ndarray) -> np.ndarray:
    return np.where(longer, _array(names["long"]), _array(names["short"]))


def _array(hashes: array.array[int]) -> np.ndarray:
    return np.frombuffer(hashes, np.uint64)


def _differing(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each key, whether it has several values."""
    order = np.lexsort((values, keys))
    keys, values = keys[order], values[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    last = np.r_[first[1:], len(keys)] - 1
    differing = np.empty(len(keys), bool)
    differing[order] = np.repeat(values[first] != values[last], last - first + 1)
    return differing


def _find(names: Iterable[Name], target: Somewhere, format: str | None, found: Path) -> _Keys:
    """The first pass: writes down all names, and gives the results' hashes.

    Raises:
      PlanError: there is no photo.
    """
    keys = _Keys()
    some = False
    with _writing(found, _FOUND, _BLOCK) as write:
        for name in names:
            short, long, error = _results(name, target, format)
            keys.add(short, long, unread=name.unread)
            some = some or not name.unread
            photo, short_bytes, long_bytes = map(os.fsencode, (name.photo, short, long))
            row = dict.fromkeys(_CONTROLS) | name.controls
            row |= {"photo": photo, "target": short_bytes, "whole": long_bytes}
            write(row | {"unread": name.unread, "error": error})
    if not some:
        raise PlanError("no photo is there")
    return keys


def _results(name: Name, target: Somewhere, format: str | None) -> tuple[str, str, str]:
    """The two names that a result can have, and why there can be none."""
    if not name.target:
        short, long = mirrored(name.place, format)
        return str(short), str(long), ""
    folder = str(target if isinstance(target, Address) else target.absolute()).rstrip("/")
    within = name.target.removeprefix(f"{folder}/")
    path = Path(within)
    if path.is_absolute() or ".." in path.parts or "://" in within:
        return within, within, f"{name_of(name.photo)}: {name_of(name.target)} is not in {folder}"
    return str(path), str(path), ""


# -- what is there, and files of names -------------------------------------------------------------


def _there(folder: Somewhere, *, exact: bool) -> np.ndarray:
    """The hashes of the names of all that is in a folder; clears what killed runs have left."""
    found = array.array("Q")
    for name in _objects(folder) if isinstance(folder, Address) else _files(folder):
        found.append(_hash(name if exact else caseless(Path(name))))
    return _array(found)


def _objects(folder: Address) -> Iterator[str]:
    try:
        yield from map(str, folder.walk(recursive=True))
    except OSError as error:
        raise PlanError(f"{name_of(folder)}: cannot be read ({error.strerror})") from None


def _files(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        within = os.path.relpath(parent, folder)
        start = "" if within == "." else f"{within}/"
        for name in (*files, *folders):
            yield start + name


def remove_leftovers(folder: Somewhere) -> None:
    """Clears a folder of results of what killed workers have left half-written."""
    if isinstance(folder, Address):
        return
    for parent, _, files in os.walk(folder):
        if any(name.startswith(".") and name.endswith(".tmp") for name in files):
            with contextlib.suppress(OSError):
                atomic.remove_leftovers(parent)


def _hash(name: str) -> int:
    digest = hashlib.blake2b(os.fsencode(name), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@contextlib.contextmanager
def _writing(
    path: Path, schema: pa.Schema, length: int
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Writes rows to a file, in batches."""
    rows: list[dict[str, Any]] = []
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:

        def flush() -> None:
            if rows:
                stream.write_batch(pa.RecordBatch.from_pylist(rows, schema))
                rows.clear()

        def write(row: dict[str, Any]) -> None:
            rows.append(row)
            if len(rows) == length:
                flush()

        yield write
        flush()


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
        yield from stream
