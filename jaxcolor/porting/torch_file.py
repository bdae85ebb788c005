"""Reads the tensors of a PyTorch state-dict file, without PyTorch and without running its pickle.

Both of PyTorch's formats are pickles: the legacy one is five pickles in a row and then the raw
storages (`torch.serialization._legacy_load`), the newer one a zip with `data.pkl` and a file for
each storage. The unpickler here knows three kinds of name and refuses every other: OrderedDict, the
function that rebuilds a tensor, and the storage types. None of them is looked up by import.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


@dataclass(frozen=True)
class Storage:
    """What the pickle says of a storage, whose numbers stand elsewhere in the file."""

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class Tensor:
    """A strided window on a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def parse_state_dict(data: bytes, name: str) -> dict[str, np.ndarray]:
    """Reads what `torch.save(model.state_dict(), path)` wrote: tensors by name.

    Args:
      data: the file's content.
      name: the file's, for messages.

    Raises:
      ValueError: it is not such a file, is damaged, or asks for anything but tensors.
    """
    try:
        tensors, storages = _parse_zip(data) if data[:2] == b"PK" else _parse_legacy(data)
        return {key: _array(key, tensor, storages) for key, tensor in tensors.items()}
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _parse_legacy(data: bytes) -> tuple[dict[str, Tensor], dict[str, np.ndarray]]:
    file = io.BytesIO(data)
    foreign = "not a PyTorch file: it does not begin with PyTorch's magic number"
    if _unpickle(file, foreign) != MAGIC:
        raise ValueError(foreign)
    if (protocol := _unpickle(file)) != PROTOCOL:
        raise ValueError(f"PyTorch file of unknown protocol {protocol!r}, expected {PROTOCOL}")
    system = _unpickle(file)
    if not (isinstance(system, dict) and system.get("little_endian") is True):
        raise ValueError("written on a big-endian machine, which is not supported")
    wanted: dict[str, Storage] = {}
    tensors = _state_dict(_unpickle(file, wanted=wanted))
    keys = _unpickle(file)
    if not isinstance(keys, list) or set(map(str, keys)) != set(wanted):
        raise ValueError("damaged PyTorch file: its list of storages does not fit its tensors")

    storages = {}
    for key in map(str, keys):  # each is its number of elements (int64), then the elements
        storage = wanted[key]
        count = int.from_bytes(file.read(8), "little", signed=True)
        raw = file.read(storage.count * storage.dtype.itemsize)
        if count != storage.count or len(raw) != storage.count * storage.dtype.itemsize:
            raise ValueError(f"truncated or damaged PyTorch file: storage {key} is not complete")
        storages[key] = np.frombuffer(raw, storage.dtype)
    return tensors, storages


def _parse_zip(data: bytes) -> tuple[dict[str, Tensor], dict[str, np.ndarray]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = [member for member in archive.namelist() if member.endswith("/data.pkl")]
        if len(members) != 1:
            raise ValueError("a zip file, but not PyTorch's: it has no data.pkl")
        root = members[0].removesuffix("data.pkl")
        order = root + "byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("written on a big-endian machine, which is not supported")
        wanted: dict[str, Storage] = {}
        tensors = _state_dict(_unpickle(io.BytesIO(archive.read(members[0])), wanted=wanted))
        storages = {}
        for key, storage in wanted.items():
            raw = archive.read(f"{root}data/{key}")
            if len(raw) != storage.count * storage.dtype.itemsize:
                raise ValueError(f"damaged PyTorch file: storage {key} has the wrong length")
            storages[key] = np.frombuffer(raw, storage.dtype)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"truncated or damaged zip file ({error})") from None
    return tensors, storages


def _unpickle(
    file: io.BytesIO,
    message: str = "truncated or damaged PyTorch file",
    wanted: dict[str, Storage] | None = None,
) -> Any:
    """Reads the next pickle of the file; the storages it mentions are noted in `wanted`."""
    try:
        return _Unpickler(file, {} if wanted is None else wanted).load()
    except _RefusedError as error:
        raise ValueError(str(error)) from None
    except Exception:  # a damaged pickle can raise nearly anything
        raise ValueError(message) from None


class _RefusedError(Exception):
    """The pickle asks for what a state dict never needs."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, wanted: dict[str, Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self.wanted = wanted

    def find_class(self, module: str, name: str) -> Callable[..., Any] | np.dtype:
        """Answers from this short list; nothing is imported."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *args: Tensor(*args[:4])
        if module == "torch" and name in DTYPES:
            return np.dtype(DTYPES[name])
        if module == "torch" and name.endswith("Storage"):
            raise _RefusedError(f"tensors of type torch.{name} are not supported")
        raise _RefusedError(f"refused: it asks for {module}.{name}, which no state dict needs")

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _location, count, *view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or any(view):
            raise _RefusedError("refused: it refers to something that is not a plain storage")
        storage = Storage(str(key), dtype, int(count))
        if storage.count < 0 or self.wanted.setdefault(storage.key, storage) != storage:
            raise _RefusedError(f"damaged PyTorch file: storage {storage.key} is described twice")
        return storage


def _state_dict(value: Any) -> dict[str, Tensor]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError("not a state dict: its content is not a mapping of names to tensors")
    for key, tensor in value.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise ValueError(f"not a state dict: entry {key!r} is not a tensor with a name")
    return dict(value)


def _array(key: str, tensor: Tensor, storages: Mapping[str, np.ndarray]) -> np.ndarray:
    """Copies the window's numbers, every bound checked before any memory is touched."""
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    fits = all(isinstance(number, int) and number >= 0 for number in numbers)
    if not (fits and len(tensor.shape) == len(tensor.strides)):
        raise ValueError(f"damaged PyTorch file: tensor {key} has an impossible shape")
    size = math.prod(tensor.shape)
    flat = storages[tensor.storage.key]
    last = tensor.offset + sum(
        (length - 1) * stride for length, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    if size and (last >= flat.size or size > flat.size):
        raise ValueError(f"damaged PyTorch file: tensor {key} reaches beyond its storage")
    steps = [stride * flat.itemsize for stride in tensor.strides]
    window = flat[tensor.offset :] if size else flat[:0]
    return np.lib.stride_tricks.as_strided(window, tensor.shape, steps).copy()
