"""The photos of an archive, one after the other: of folders, addresses and manifests.

However many there are, never more than one folder's names are held at once.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from jaxcolor.album.plan import PlanError, Somewhere, is_photo, walk_files
from jaxcolor.controls import CONTROLS
from jaxcolor.image_io import UNREAD_SUFFIXES, is_passed_over, name_of
from jaxcolor.storage import Address, address

ADDRESS, TARGET = "address", "target"  # columns, of a manifest as of a report
MANIFESTS = (".csv", ".parquet")
_COLUMNS = {ADDRESS: pa.string(), TARGET: pa.string()} | {c.name: pa.float64() for c in CONTROLS}


@dataclasses.dataclass(frozen=True)
class Name:
    """A photo of an archive.

    Attributes:
      photo: its path, from the root on, or its address.
      place: where it lies in the tree that is mirrored.
      target: where the result goes, in the folder of results or by its whole name; "": as `place`
        says.
      controls: those of the manifest that are not the command's, by their names.
      unread: whether the photo, found in a folder, is of a kind that is not read.
    """

    photo: str
    place: Path
    target: str = ""
    controls: dict[str, float] = dataclasses.field(default_factory=dict)
    unread: bool = False


def names(sources: Sequence[Somewhere], *, avoided: Somewhere) -> Iterator[Name]:
    """The photos of all sources, in their order.

    Args:
      sources: files, folders with all that is in them, and manifests.
      avoided: the folder of results, which is passed over.

    Raises:
      PlanError: a source is missing, or cannot be read.
    """
    for source in sources:
        if source.is_dir():
            top = Path(_resolved(source).name) if len(sources) > 1 else Path()
            yield from _of_folder(source, top, _resolved(avoided))
        elif source.suffix.lower() in MANIFESTS:
            yield from _of_manifest(source)
        else:
            yield Name(str(_whole(source)), Path(source.name))


def _resolved(place: Somewhere) -> Somewhere:
    return place if isinstance(place, Address) else place.resolve()


def _whole(place: Somewhere) -> Somewhere:
    """A path as workers, whose folder is another one, can take it."""
    return place if isinstance(place, Address) else place.absolute()


def _of_folder(folder: Somewhere, top: Path, avoided: Somewhere) -> Iterator[Name]:
    folder = _whole(folder)
    places = (
        _objects(folder, avoided)
        if isinstance(folder, Address)
        else walk_files(folder, recursive=True, avoided=avoided)
    )
    for place in places:
        unread = place.suffix.lower() in UNREAD_SUFFIXES
        yield Name(str(folder / str(place)), top / place, unread=unread)


def _objects(folder: Address, avoided: Somewhere) -> Iterator[Path]:
    try:
        for place in folder.walk(recursive=True):
            within = isinstance(avoided, Address) and (folder / place).is_in(avoided)
            if is_photo(place.name) and not within and not any(map(is_passed_over, place.parts)):
                yield Path(place)
    except OSError as error:
        raise PlanError(f"{name_of(folder)}: cannot be read ({error.strerror})") from None


# -- manifests -------------------------------------------------------------------------------------


def _of_manifest(file: Somewhere) -> Iterator[Name]:
    """The rows of a CSV or Parquet file.

    Addresses are whole, or paths from the manifest's folder on.
    """
    folder = _whole(file).parent
    try:
        with file.fetch() if isinstance(file, Address) else file.open("rb") as opened:
            read = _csv if file.suffix.lower() == ".csv" else _parquet
            for batch in read(name_of(file), opened):
                columns = batch.to_pydict()
                for i, photo in enumerate(columns.pop(ADDRESS)):
                    row = {name: values[i] for name, values in columns.items()}
                    yield _row(folder, photo, row.pop(TARGET, None), row)
    except PlanError:
        raise
    except FileNotFoundError:
        raise PlanError(f"{name_of(file)}: no such file") from None
    except OSError as error:
        said = error.strerror or str(error).splitlines()[0]
        raise PlanError(f"{name_of(file)}: cannot be read ({said})") from None
    except (pa.ArrowException, UnicodeDecodeError) as error:
        said = str(error).splitlines()[0]
        raise PlanError(f"{name_of(file)}: no manifest that can be read ({said})") from None


def _row(
    folder: Somewhere, photo: str | None, target: str | None, controls: dict[str, Any]
) -> Name:
    text = photo or ""
    try:
        whole = address(text) or folder / text
    except ValueError:  # the worker will say what is wrong with it
        return Name(text, Path("-"), target or "")
    path = PurePosixPath(whole.key) if isinstance(whole, Address) else Path(text)
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    given = {name: value for name, value in controls.items() if value is not None}
    return Name(str(whole), Path(*parts), target or "", given)


def _csv(name: str, file: BinaryIO) -> Iterator[pa.RecordBatch]:
    header = next(csv.reader(io.StringIO(file.readline().decode("utf-8-sig"))), [])
    found = _known(name, header)
    file.seek(0)
    convert = pa.csv.ConvertOptions(include_columns=list(found), column_types=found)
    yield from pa.csv.open_csv(file, convert_options=convert)


def _parquet(name: str, file: BinaryIO) -> Iterator[pa.RecordBatch]:
    parquet = pa.parquet.ParquetFile(file)
    found = _known(name, parquet.schema_arrow.names)
    for batch in parquet.iter_batches(batch_size=4096, columns=list(found)):
        yield batch.cast(pa.schema([(n, found[n]) for n in batch.schema.names]))


def _known(name: str, columns: Sequence[str]) -> dict[str, pa.DataType]:
    found = {column: type for column, type in _COLUMNS.items() if column in columns}
    if ADDRESS not in found:
        raise PlanError(f"{name}: no manifest: it has no column {ADDRESS!r}")
    return found
