"""Inception-ResNet-v2's weights: a file that Keras wrote, ported, gives what Keras makes of it.

Keras runs in a process of its own: its imports warn, and warnings are errors here. It fills its
network with random weights and random batch-norm statistics, saves them in the legacy format under
two sets of made-up layer names, and runs eight pictures. Only files come back.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jax
import loopback
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from patience import HANG
from xla import QUIET

from jaxcolor import weights
from jaxcolor.porting import inception_resnet_v2 as inception_port

Arrays = dict[str, np.ndarray]
Port = Callable[..., subprocess.CompletedProcess[str]]

# How far a map may be from Keras's, of its root mean square.
LIMITS = dict.fromkeys(("mixed_5b", "mixed_6a", "mixed_7a", "conv_7b"), 1e-4) | {"logits": 1e-3}

KERAS_RUN = """
import gc
import os
import sys
from pathlib import Path
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
gc.disable()  # of what Keras makes nearly all stays
import h5py
import keras
import numpy as np
from jaxcolor.porting import inception_resnet_v2 as inception_port
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

rng = np.random.default_rng(2016)

def random(weight):
    normal = rng.standard_normal(weight.shape, np.float32)
    if weight.name == "kernel":
        return normal * np.sqrt(2 / np.prod(weight.shape[:-1]))
    if weight.name == "moving_variance":
        return rng.uniform(0.5, 1.5, weight.shape).astype(np.float32)
    return 0.2 * normal  # beta, moving_mean, bias

folder = Path(sys.argv[1])
pictures = np.load(folder / "pictures.npy")
values = None
for name in ("first", "second"):
    model = keras.applications.InceptionResNetV2(weights=None, classifier_activation=None)
    values = values or [random(weight) for weight in model.weights]
    model.set_weights(values)
    with h5py.File(folder / f"{name}.h5", "w") as file:
        save_weights_to_hdf5_group(file, model)
# The reference is what Keras makes of the file itself.
np.savez(folder / "keras.npz", **inception_port.keras_maps(folder / "first.h5", pictures))
"""


def in_a_process(code: str, *arguments: object) -> str:
    """Runs code in a fresh Python, with TensorFlow under Keras, and gives what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def keras_files(pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "pictures.npy", pictures)
    in_a_process(KERAS_RUN, folder)
    return folder


@pytest.fixture(scope="module")
def keras_maps(keras_files: Path) -> Arrays:
    with np.load(keras_files / "keras.npz") as maps:
        return dict(maps)


@pytest.fixture(scope="module")
def run(pictures: np.ndarray) -> Callable[[Any], Arrays]:
    """Our maps of the eight pictures."""
    return functools.partial(inception_port.our_maps, x=pictures)


def error(ours: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the picture's root mean square; worst of all pictures."""
    axes = tuple(range(1, expected.ndim))
    largest = np.abs(ours - expected).max(axis=axes)
    return float((largest / np.sqrt(np.square(expected).mean(axis=axes))).max())


@pytest.mark.slow
def test_keras_network_is_alive(keras_maps: Arrays) -> None:
    """Otherwise the comparison below would compare noise, or one answer to all pictures."""
    assert keras_maps["logits"].shape == (8, 1000)
    for name, values in keras_maps.items():
        assert np.isfinite(values).all(), name
        assert 0.05 < np.sqrt(np.square(values).mean()) < 100, name
        assert values.std(axis=0).max() > 0.1, name
    logits = keras_maps["logits"]
    pairs = itertools.combinations(logits, 2)
    assert min(error(one[None], other[None]) for one, other in pairs) > 1e-2


@pytest.mark.slow
def test_equals_keras_whatever_its_layers_are_called(
    keras_files: Path, keras_maps: Arrays, run: Callable[[Any], Arrays]
) -> None:
    files = [keras_files / "first.h5", keras_files / "second.h5"]
    first, second = map(inception_port.port, files)
    ours = run(first)
    for name, expected in keras_maps.items():
        assert error(ours[name], expected) < LIMITS[name], name
    jax.tree.map(np.testing.assert_array_equal, first, second)
    names = []
    for path in files:
        with h5py.File(path) as file:
            names.append(set(layer_names(file)))
    assert len(names[0] & names[1]) < len(names[0]) / 2  # only layers that the code names stay


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("block35/branch_1_0/conv[0]", "block35/branch_2_0/conv[0]"),  # two branches of one block
        ("block35/branch_1_1/bn[9]", "block35/branch_1_0/bn[9]"),  # two steps of one branch
        ("block17/branch_1_1/conv[6]", "block17/branch_1_1/conv[7]"),  # neighbours in one stack
        ("block8/up[8]", "block8_10/up"),  # the last scanned block and the one after it
    ],
)
def test_two_layers_of_one_shape_swapped_are_noticed(
    keras_files: Path,
    keras_maps: Arrays,
    pictures: np.ndarray,
    tmp_path: Path,
    one: str,
    other: str,
) -> None:
    """Two pictures tell it already."""
    path = tmp_path / "swapped.h5"
    with linked(keras_files / "first.h5", path) as file:
        names = [name for name in layer_names(file) if weights_of(file, name)]
        slots = [str(slot) for slot in inception_port.keras_order()]
        i, j = slots.index(one), slots.index(other)
        names[i], names[j] = names[j], names[i]
        file.attrs["layer_names"] = names
    ours = inception_port.our_maps(inception_port.port(path), pictures[:2])
    assert any(error(ours[name], keras_maps[name][:2]) > limit for name, limit in LIMITS.items())


def linked(source: Path, path: Path) -> h5py.File:
    """A new file with all that another one holds: its layers by links, as they have 220 MB."""
    file = h5py.File(path, "w")
    with h5py.File(source) as original:
        file.attrs.update(original.attrs)
        for name in original:
            file[name] = h5py.ExternalLink(source, name)
    return file


def layer_names(file: h5py.File) -> list[str]:
    names = file.attrs["layer_names"]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def weights_of(file: h5py.File, layer: str) -> list[Any]:
    return [file[layer][name] for name in file[layer].attrs["weight_names"]]


@pytest.mark.slow
def test_porting_is_small_and_needs_no_keras(keras_files: Path) -> None:
    code = """
    import json, re, sys
    from jaxcolor.porting import inception_resnet_v2 as inception_port
    inception_port.port(sys.argv[1])
    # Not getrusage: its peak counts what the test process held when it started this one.
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
    print(json.dumps([peak, [m for m in ("keras", "tensorflow") if m in sys.modules]]))
    """
    kilobytes, imported = json.loads(in_a_process(code, keras_files / "first.h5"))
    assert kilobytes < 1.5e6
    assert imported == []


@pytest.mark.slow
def test_verify_passes_on_what_was_ported_and_fails_on_what_was_not(
    keras_files: Path,
    keras_maps: Arrays,
    pictures: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = keras_files / "first.h5"
    given = []

    def from_the_other_process(*arguments: Any) -> Arrays:
        given.append(arguments)
        return keras_maps

    monkeypatch.setattr(inception_port, "keras_maps", from_the_other_process)
    variables = inception_port.port(path)
    right = inception_port.verify(path, variables, pictures)
    assert given[0][0] == path
    np.testing.assert_array_equal(given[0][1], pictures)
    assert right.passed, right
    assert right.errors.keys() == LIMITS.keys()
    variables["params"]["block8"]["up"]["bias"][3] += 1
    wrong = inception_port.verify(path, variables, pictures)
    assert not wrong.passed
    assert wrong.errors["mixed_7a"] == right.errors["mixed_7a"]
    assert wrong.errors["logits"] > 1e-3


@pytest.mark.slow
def test_notop_is_named(keras_files: Path, tmp_path: Path) -> None:
    path = tmp_path / "notop.h5"
    with linked(keras_files / "first.h5", path) as file:
        names = [name for name in layer_names(file) if name != "predictions"]
        file.attrs["layer_names"] = names
    with pytest.raises(ValueError, match=r"_notop.*1000 classes are missing.*https://"):
        inception_port.port(path)
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = names[
            :-4
        ]  # with conv_7b, its batch norm, and two without weights
    with pytest.raises(ValueError, match="446 layers hold weights where the network has 449"):
        inception_port.port(path)


@pytest.mark.slow
def test_weights_that_are_not_finite_are_refused(keras_files: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.h5"
    with linked(keras_files / "first.h5", path) as file, h5py.File(keras_files / "first.h5") as own:
        del file["conv_7b"]
        own.copy("conv_7b", file)
        weights_of(file, "conv_7b")[0][0, 0, 5, 5] = np.nan
    with pytest.raises(ValueError, match="damaged, params/conv_7b/conv/kernel is not finite"):
        inception_port.port(path)


def test_another_network_is_refused_with_both_sides_named(tmp_path: Path) -> None:
    path = tmp_path / "resnet50.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", b"conv1"]
        file.create_group("input_1").attrs["weight_names"] = []
        group = file.create_group("conv1")
        group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
        group["kernel:0"], group["bias:0"] = np.zeros((7, 7, 3, 64)), np.zeros(64)
    with pytest.raises(ValueError, match="not Inception-ResNet-v2's weights") as raised:
        inception_port.port(path)
    assert str(path) in str(raised.value)
    assert "layer 1 of the file, 'conv1', has shapes [(7, 7, 3, 64), (64,)]" in str(raised.value)
    assert "stem/conv_0/conv needs [(3, 3, 3, 32)]" in str(raised.value)


def test_every_variable_is_ported_once() -> None:
    slots = list(inception_port.keras_order())
    assert len(slots) == 449
    filled: dict[tuple[str, ...], list[int | None]] = {}
    for slot in slots:
        for collection, leaf in slot.leaves:
            filled.setdefault((collection, *slot.module, leaf), []).append(slot.block)
    declared = flatten_dict(inception_port.declared_variables())
    assert filled.keys() == declared.keys()
    for path, blocks in filled.items():
        stacked = path[1] in ("block35", "block17", "block8")
        assert blocks == (list(range(declared[path].shape[0])) if stacked else [None])


# -- The command -----------------------------------------------------------------------------------


@pytest.fixture
def port(tmp_path: Path) -> Port:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jaxcolor", "port", "inception_resnet_v2", *map(str, arguments)],
            env={**os.environ, **QUIET, "JAXCOLOR_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )

    return run


@pytest.mark.slow
def test_a_ported_file_is_found_by_name_and_verified(
    port: Port, keras_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = keras_files / "first.h5"
    photos = Path(__file__).parents[2] / "examples"
    done = port("--source", source, "--verify", "--photos", photos)
    assert done.returncode == 0, done.stderr
    assert "not the official file" in done.stderr
    assert "same first class on 100% of the pictures" in done.stdout
    monkeypatch.setenv("JAXCOLOR_CACHE", str(tmp_path / "cache"))
    jax.tree.map(
        np.testing.assert_array_equal,
        weights.load_backbone("inception_resnet_v2"),
        inception_port.port(source),
    )
    assert weights.backbone_sha256("inception_resnet_v2") in done.stdout


def test_what_does_not_fit_is_one_line_and_exit_code_two(port: Port, tmp_path: Path) -> None:
    (tmp_path / "notes.h5").write_text("no weights")
    for source, words in {
        "notes.h5": "not an HDF5 file",
        "missing.h5": "no such file",
    }.items():
        done = port("--source", tmp_path / source)
        assert done.returncode == 2
        assert f"{tmp_path / source}: {words}" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "cache").exists()


def test_a_mirror_with_another_file_is_refused(port: Port, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "weights.h5").write_bytes(b"something else")
    with loopback.folder(tmp_path / "site") as address:
        wrong = port("--url", f"{address}/weights.h5")
        lost = port("--url", f"{address}/nothing.h5")
    assert wrong.returncode == 2
    assert "wrong checksum" in wrong.stderr
    assert lost.returncode == 2
    assert "HTTP 404" in lost.stderr
    assert "--source FILE" in lost.stderr  # the way by hand
    left = [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert set(left) <= {".lock"}
