"""PyTorch's files are read without PyTorch, and nothing in them is ever run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import golden_torch_files
import numpy as np
import pytest

from jaxcolor.porting import torch_file

# A state dict as PyTorch pickles it, put together from opcodes: PyTorch need not be installed.
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def const(value: Any) -> bytes:
    """The opcodes that push a plain value: its pickle without frame."""
    return pickle.dumps(value, 2)[2:-1]


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    fields = const("storage") + f"ctorch\n{kind}\n".encode() + const(key) + const("cpu")
    return b"(" + fields + const(count) + const(None) + b"tQ"


def tensor(
    storage: bytes, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
) -> bytes:
    fields = const(offset) + const(shape) + const(strides) + const(False) + ORDERED_DICT
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + fields + b"tR"


def program(entries: dict[str, bytes]) -> bytes:
    items = b"".join(const(name) + value for name, value in entries.items())
    return b"\x80\x02" + ORDERED_DICT + b"(" + items + b"u."


def legacy(pickled: bytes, storages: dict[str, np.ndarray]) -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    head = b"".join(pickle.dumps(part, 2) for part in (torch_file.MAGIC, 1001, system))
    raw = b"".join(s.size.to_bytes(8, "little") + s.tobytes() for s in storages.values())
    return head + pickled + pickle.dumps(list(storages), 2) + raw


def zipped(pickled: bytes, storages: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for key, numbers in storages.items():
            archive.writestr(f"archive/data/{key}", numbers.tobytes())
    return file.getvalue()


NUMBERS = np.arange(12, dtype=np.float32)
STORAGES = {"94": NUMBERS, "95": np.array([7])}
STATE = program(
    {
        "plain": tensor(storage("94", 12), (3, 4), (4, 1)),
        "transposed": tensor(storage("94", 12), (4, 3), (1, 4)),
        "tail": tensor(storage("94", 12), (2,), (1,), offset=10),
        "count": tensor(storage("95", 1, "LongStorage"), (), ()),
    }
)
FORMATS = pytest.mark.parametrize("layout", [legacy, zipped])


def read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return torch_file.parse_state_dict(path.read_bytes(), path.name)


def refusal(tmp_path: Path, data: bytes) -> str:
    """The message, which must be one line that names the file."""
    with pytest.raises(ValueError, match=r"weights\.pth: ") as caught:
        read(tmp_path, data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@FORMATS
def test_windows_on_shared_storages(tmp_path: Path, layout: Any) -> None:
    state = read(tmp_path, layout(STATE, STORAGES))
    assert list(state) == ["plain", "transposed", "tail", "count"]
    np.testing.assert_array_equal(state["plain"], NUMBERS.reshape(3, 4))
    np.testing.assert_array_equal(state["transposed"], NUMBERS.reshape(3, 4).T)
    np.testing.assert_array_equal(state["tail"], [10, 11])
    assert state["count"] == 7
    assert state["count"].dtype == np.int64
    assert state["plain"].flags.owndata


@pytest.mark.parametrize("layout", ["legacy", "zip"])
def test_files_that_pytorch_wrote(layout: str) -> None:
    path = golden_torch_files.GOLDEN / f"torch_{layout}.pth"
    found = torch_file.parse_state_dict(path.read_bytes(), path.name)
    expected = golden_torch_files.arrays()
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array)


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@FORMATS
@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: {"weight": bad}])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, layout: Any, wrap: Any) -> None:
    trace = tmp_path / "trace"
    bad = pickle.dumps(wrap(Malicious(trace)), 2)
    assert "refused: it asks for posix.system" in refusal(tmp_path, layout(bad, {}))
    assert not trace.exists()
    pickle.loads(bad)  # proves that the test would see it
    assert trace.exists()


def test_code_before_the_magic_number_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    refusal(tmp_path, pickle.dumps(Malicious(trace), 2))
    assert not trace.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins\neval", "torch._utils\n_rebuild_parameter", "torch\nload", "os\nStorage"],
)
def test_only_three_kinds_of_name_are_known(tmp_path: Path, name: str) -> None:
    pickled = b"\x80\x02c" + name.encode() + b"\n."
    assert "refused: it asks for " + name.replace("\n", ".") in refusal(
        tmp_path, legacy(pickled, {})
    )


@FORMATS
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, layout: Any) -> None:
    whole = layout(STATE, STORAGES)
    for length in range(len(whole)):
        refusal(tmp_path, whole[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PyTorch file"),
        (b"Once upon a time\n", "not a PyTorch file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a PyTorch file"),
        (pickle.dumps({"weight": 1}), "not a PyTorch file"),
        (zipped(STATE, STORAGES)[:200], "zip file"),
        (legacy(pickle.dumps([1, 2], 2), {}), "not a state dict"),
        (legacy(pickle.dumps({"epoch": 3}, 2), {}), "entry 'epoch' is not a tensor"),
    ],
)
def test_foreign_files_say_what_they_are(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in refusal(tmp_path, data)


def test_a_zip_that_is_not_pytorchs(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "a zip file, but not PyTorch's" in refusal(tmp_path, file.getvalue())


@FORMATS
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((13,), (1,), 0),
        ((2, 2), (1, 11), 0),
        ((1,), (1,), 12),
        ((4,), (-1,), 3),
        ((-1,), (1,), 0),
        ((2,), (1,), -1),
        ((10**9, 10**9), (0, 0), 0),  # a few bytes that would claim all memory
        ((2, 2), (1,), 0),
    ],
)
def test_a_window_beyond_its_storage_is_refused(
    tmp_path: Path,
    layout: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
) -> None:
    bad = program({"w": tensor(storage("94", 12), shape, strides, offset)})
    assert "tensor w" in refusal(tmp_path, layout(bad, {"94": NUMBERS}))


@FORMATS
def test_storages_that_do_not_fit_the_tensors(tmp_path: Path, layout: Any) -> None:
    state = program({"w": tensor(storage("94", 12), (12,), (1,))})
    refusal(tmp_path, layout(state, {"94": NUMBERS[:5]}))
    refusal(tmp_path, layout(state, {"93": NUMBERS}))
    twice = {"w": tensor(storage("94", 12), (12,), (1,)), "v": tensor(storage("94", 9), (1,), (1,))}
    assert "described twice" in refusal(tmp_path, layout(program(twice), {"94": NUMBERS}))
    kind = program({"w": tensor(storage("94", 12, "BFloat16Storage"), (12,), (1,))})
    assert "torch.BFloat16Storage are not supported" in refusal(tmp_path, layout(kind, {}))
