"""Reads weights out of the legacy Keras HDF5 format, with h5py alone.

The format, as Keras's `legacy_h5_format` writes it: the root's attribute `layer_names` lists groups
in the order of `model.layers`, and each group's attribute `weight_names` lists its datasets. An
attribute too long for HDF5's 64 KiB header is cut into `layer_names0`, `layer_names1` and so on.
Names are made up by the process that wrote the file; only the order means something.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class Weight(NamedTuple):
    """One array of the file; `dataset[...]` reads it."""

    name: str
    shape: tuple[int, ...]
    dataset: Any  # h5py.Dataset


class Group(NamedTuple):
    """One layer of the file; without weights for pools, activations and the like."""

    name: str
    weights: list[Weight]


@contextlib.contextmanager
def open_legacy(path: str | os.PathLike[str]) -> Iterator[list[Group]]:
    """Opens a legacy Keras HDF5 weights file.

    Args:
      path: the file, typically `*.h5`.

    Yields:
      Its groups in order. Their datasets can be read until the context ends; nothing has been
      read before that.

    Raises:
      FileNotFoundError: there is no such file.
      ImportError: h5py is not installed.
      ValueError: it is not such a file, or cut short; says what it is instead.
    """
    path = Path(path)
    refuse_other_formats(path)
    try:
        import h5py
    except ImportError:
        raise ImportError(
            'h5py is needed to read Keras files: pip install "jaxcolor[port]"'
        ) from None
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = "cut short" if "truncated" in str(error) else "damaged"
        raise ValueError(
            f"{path}: an HDF5 file, but {reason} ({path.stat().st_size:,} bytes are here); "
            "delete it and fetch it again"
        ) from None
    with file:
        refuse_other_layouts(path, file)
        names = _names(file, "layer_names")
        yield [Group(name, _weights(path, file, name)) for name in names]


def refuse_other_formats(path: Path) -> None:
    """Raises if the first bytes are not those of HDF5."""
    if not path.is_file():
        what = "a folder, not a Keras weights file" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{path}: {what}")
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(HDF5_SIGNATURE):
        return
    if not start:
        what = "an empty file"
    elif start.startswith(b"PK"):
        what = "a zip archive: a Keras 3 model (.keras), or a download still packed"
    elif start.lstrip()[:1] == b"<":
        what = "a web page, perhaps a proxy's or a login's"
    elif start[8:10] == b'{"':
        what = "a safetensors file: already ported"
    else:
        what = "not an HDF5 file"
    raise ValueError(f"{path}: {what}. A legacy Keras HDF5 weights file (.h5) is needed")


def refuse_other_layouts(path: Path, file: Any) -> None:
    """Raises if an HDF5 file is laid out in another way than legacy weights are."""
    if "layer_names" in file.attrs or "layer_names0" in file.attrs:
        return
    if "model_weights" in file:
        what = "a whole Keras model (model.save), not its weights alone (model.save_weights)"
    elif "_layer_checkpoint_dependencies" in file or "layers" in file:
        what = "a Keras 3 weights file (.weights.h5)"
    else:
        what = "an HDF5 file, but not of Keras weights"
    raise ValueError(f"{path}: {what}. A legacy Keras HDF5 weights file (.h5) is needed")


def md5(path: str | os.PathLike[str]) -> str:
    """Computes the checksum that Keras publishes of its files."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _weights(path: Path, file: Any, group: str) -> list[Weight]:
    if group not in file:
        raise ValueError(f"{path}: lists the layer {group!r} but does not hold it")
    weights = []
    for name in _names(file[group], "weight_names"):
        if name not in file[group]:
            raise ValueError(f"{path}: lists {group}/{name} but does not hold it")
        dataset = file[group][name]
        weights.append(Weight(f"{group}/{name}", tuple(dataset.shape), dataset))
    return weights


def _names(group: Any, attribute: str) -> list[str]:
    """Reads an attribute that is a list of names, whole or in numbered pieces."""
    if attribute in group.attrs:
        pieces = [group.attrs[attribute]]
    else:
        pieces = []
        while (numbered := f"{attribute}{len(pieces)}") in group.attrs:
            pieces.append(group.attrs[numbered])
    return [
        name.decode("utf-8") if isinstance(name, bytes) else str(name)
        for piece in pieces
        for name in piece
    ]
