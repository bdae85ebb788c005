"""Reading legacy Keras HDF5 files: small ones, written by h5py as Keras writes them."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from jaxcolor.porting import keras_file
from jaxcolor.porting.keras_file import open_legacy

KERNEL = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
BIAS = np.arange(4, dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.h5"


def write(path: Path, layers: dict[str, dict[str, np.ndarray]], *, text: bool = False) -> None:
    """`text`: names as HDF5 strings instead of bytes, as other writers store them."""
    with h5py.File(path, "w") as file:
        names = list(layers)
        file.attrs["layer_names"] = names if text else [name.encode() for name in names]
        for layer in sorted(layers):  # Keras sorts the groups: only the attribute has the order
            group = file.create_group(layer)
            weights = list(layers[layer])
            group.attrs["weight_names"] = weights if text else [name.encode() for name in weights]
            for name, value in layers[layer].items():
                group[name] = value


@pytest.mark.parametrize("text", [False, True])
def test_groups_and_weights_in_the_order_of_the_attributes(path: Path, text: bool) -> None:
    layers: dict[str, dict[str, Any]] = {
        "zebra": {"zebra/kernel:0": KERNEL, "zebra/bias:0": BIAS},
        "pool": {},
        "ant": {"ant/gamma:0": BIAS, "ant/beta:0": BIAS + 1},
    }
    write(path, layers, text=text)
    with open_legacy(path) as groups:
        assert [group.name for group in groups] == ["zebra", "pool", "ant"]
        assert [weight.name for weight in groups[0].weights] == [
            "zebra/zebra/kernel:0",
            "zebra/zebra/bias:0",
        ]
        assert [weight.shape for weight in groups[0].weights] == [(1, 1, 3, 4), (4,)]
        assert groups[1].weights == []
        np.testing.assert_array_equal(groups[0].weights[0].dataset[...], KERNEL)
        np.testing.assert_array_equal(groups[2].weights[1].dataset[...], BIAS + 1)


def test_attributes_in_pieces(path: Path) -> None:
    names = [f"layer_{number}" for number in range(25)]
    write(path, {name: {"kernel:0": BIAS} for name in names})
    with h5py.File(path, "r+") as file:
        del file.attrs["layer_names"]
        for number, piece in enumerate(np.array_split(np.array(names, "S"), 12)):
            file.attrs[f"layer_names{number}"] = piece  # 12 pieces: 10 must not come before 2
    with open_legacy(path) as groups:
        assert [group.name for group in groups] == names


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(str(path))) as error, open_legacy(path):
        pass
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_files_are_refused_wherever_they_end(path: Path) -> None:
    write(path, {"layer": {"kernel:0": np.zeros(100_000, np.float32)}})
    content = path.read_bytes()
    for size in (9, 600, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        refused(path, "an HDF5 file, but", f"({size:,} bytes are here)", "fetch it again")
    path.write_bytes(content[:-1])
    refused(path, "cut short")


def test_damaged_file_is_refused(path: Path) -> None:
    path.write_bytes(keras_file.HDF5_SIGNATURE + b"\xff" * 5000)
    refused(path, "damaged")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><html>Please log in</html>", "a web page"),
        ((2).to_bytes(8, "little") + b'{"a":1}', "a safetensors file"),
        (b"\x80\x02}q\x00.", "not an HDF5 file"),
    ],
)
def test_other_formats_are_named(path: Path, content: bytes, what: str) -> None:
    path.write_bytes(content)
    refused(path, what, "legacy Keras HDF5")


def test_keras_archive_is_named(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    refused(path, "a Keras 3 model (.keras)")


@pytest.mark.parametrize(
    ("group", "what"),
    [
        ("_layer_checkpoint_dependencies", "a Keras 3 weights file"),
        ("layers/conv2d/vars", "a Keras 3 weights file"),
        ("model_weights", "a whole Keras model"),
        ("pictures", "an HDF5 file, but not of Keras weights"),
    ],
)
def test_other_layouts_are_named(path: Path, group: str, what: str) -> None:
    with h5py.File(path, "w") as file:
        file.create_group(group)
    refused(path, what, "legacy Keras HDF5")


def test_a_listed_layer_that_is_missing(path: Path) -> None:
    write(path, {"layer": {"kernel:0": BIAS}})
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = [b"layer", b"gone"]
    refused(path, "'gone'", "does not hold it")
    write(path, {"layer": {"kernel:0": BIAS}})
    with h5py.File(path, "r+") as file:
        del file["layer/kernel:0"]
    refused(path, "layer/kernel:0", "does not hold it")


def test_no_such_file(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"), open_legacy(path):
        pass
    with pytest.raises(FileNotFoundError, match="a folder"), open_legacy(path.parent):
        pass


def test_without_h5py_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, {})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"jaxcolor\[port\]"), open_legacy(path):
        pass


def test_md5(path: Path) -> None:
    path.write_bytes(b"abc")
    assert keras_file.md5(path) == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, A.5
