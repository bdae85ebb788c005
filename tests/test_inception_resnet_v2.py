"""Inception-ResNet-v2 against Keras's, and against a plain second implementation.

Keras runs in a process of its own: its imports warn, and warnings are errors here. It fills its
network with random weights and random batch-norm statistics, saves them in the legacy format under
two sets of made-up layer names, and runs eight pictures. Only files come back.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax import numpy as jnp

from jaxcolor.models.inception_resnet_v2 import InceptionResNetV2, fold
from jaxcolor.porting import inception_resnet_v2 as inception_port

needs_keras = pytest.mark.skipif(
    importlib.util.find_spec("keras") is None, reason="Keras is not installed"
)
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def keras_maps(keras_files: Path) -> Arrays:
    with np.load(keras_files / "keras.npz") as maps:
        return dict(maps)


@pytest.fixture(scope="session")
def run(pictures: np.ndarray) -> Callable[[Any], Arrays]:
    """Our maps of the eight pictures, compiled once."""
    x = jnp.asarray(pictures)
    network = jax.jit(lambda variables: InceptionResNetV2().apply(variables, x, endpoints=True))

    def maps(variables: Any) -> Arrays:
        logits, ours = network(variables)
        return {name: np.asarray(value) for name, value in (ours | {"logits": logits}).items()}

    return maps


@pytest.fixture(scope="session")
def variables() -> Any:
    """Random weights and statistics under which activations neither die nor explode."""
    rng = np.random.default_rng(1)

    def random(path: Any, leaf: Any) -> np.ndarray:
        normal = rng.standard_normal(leaf.shape, np.float32)
        match path[-1].key:
            case "kernel":  # stacked on axis 0 or not
                return normal * np.float32(np.sqrt(2 / np.prod(leaf.shape[-4:-1])))
            case "var":
                return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        return 0.2 * normal

    return jax.tree_util.tree_map_with_path(random, inception_port.declared_variables())


def error(ours: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the picture's root mean square; worst of all pictures."""
    axes = tuple(range(1, expected.ndim))
    largest = np.abs(ours - expected).max(axis=axes)
    return float((largest / np.sqrt(np.square(expected).mean(axis=axes))).max())


def agree(ours: Arrays, theirs: Arrays) -> bool:
    limits = {name: 1e-3 if name == "logits" else 1e-4 for name in theirs}
    return all(error(ours[name], theirs[name]) < limit for name, limit in limits.items())


# Against Keras


@pytest.mark.slow
@needs_keras
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
@needs_keras
def test_equals_keras_whatever_its_layers_are_called(
    keras_files: Path, keras_maps: Arrays, run: Callable[[Any], Arrays]
) -> None:
    names = []
    for file in ("first.h5", "second.h5"):
        with h5py.File(keras_files / file) as opened:
            names.append(set(layer_names(opened)))
        ours = run(inception_port.port(keras_files / file))
        for name, expected in keras_maps.items():
            limit = 1e-3 if name == "logits" else 1e-4
            assert error(ours[name], expected) < limit, (file, name)
    assert len(names[0] & names[1]) < len(names[0]) / 2  # only layers that the code names stay


@pytest.mark.slow
@needs_keras
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
    run: Callable[[Any], Arrays],
    tmp_path: Path,
    one: str,
    other: str,
) -> None:
    path = tmp_path / "swapped.h5"
    shutil.copy(keras_files / "first.h5", path)
    with h5py.File(path, "r+") as file:
        names = [name for name in layer_names(file) if weights_of(file, name)]
        slots = [str(slot) for slot in inception_port.keras_order()]
        i, j = slots.index(one), slots.index(other)
        names[i], names[j] = names[j], names[i]
        file.attrs["layer_names"] = names
    ours = run(inception_port.port(path))
    path.unlink()
    assert not agree(ours, keras_maps)


def layer_names(file: h5py.File) -> list[str]:
    names = file.attrs["layer_names"]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def weights_of(file: h5py.File, layer: str) -> list[Any]:
    return [file[layer][name] for name in file[layer].attrs["weight_names"]]


@pytest.mark.slow
@needs_keras
def test_porting_is_small_and_needs_no_keras(
    keras_files: Path, fresh_python: Callable[..., str]
) -> None:
    code = """
    import json, re, sys
    from jaxcolor.porting import inception_resnet_v2 as inception_port
    inception_port.port(sys.argv[1])
    # Not getrusage: its peak counts what the test process held when it started this one.
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
    print(json.dumps([peak, [m for m in ("keras", "tensorflow") if m in sys.modules]]))
    """
    kilobytes, imported = json.loads(fresh_python(code, keras_files / "first.h5"))
    assert kilobytes < 1.5e6
    assert imported == []


@pytest.mark.slow
@needs_keras
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
        return {name: values[:2] for name, values in keras_maps.items()}

    monkeypatch.setattr(inception_port, "keras_maps", from_the_other_process)
    variables = inception_port.port(path)
    right = inception_port.verify(path, variables, jnp.asarray(pictures[:2]))
    assert given[0][0] == path
    np.testing.assert_array_equal(given[0][1], pictures[:2])
    assert right.passed, right
    assert set(right.errors) == {"mixed_5b", "mixed_6a", "mixed_7a", "conv_7b", "logits"}
    variables["params"]["block8"]["up"]["bias"][3] += 1
    wrong = inception_port.verify(path, variables, jnp.asarray(pictures[:2]))
    assert not wrong.passed
    assert wrong.errors["mixed_7a"] == right.errors["mixed_7a"]
    assert wrong.errors["logits"] > 1e-3


@pytest.mark.slow
@needs_keras
def test_notop_is_named(keras_files: Path, tmp_path: Path) -> None:
    path = tmp_path / "notop.h5"
    shutil.copy(keras_files / "first.h5", path)
    with h5py.File(path, "r+") as file:
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
@needs_keras
def test_weights_that_are_not_finite_are_refused(keras_files: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.h5"
    shutil.copy(keras_files / "first.h5", path)
    with h5py.File(path, "r+") as file:
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


# The network by itself


def count(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameters() -> None:
    declared = inception_port.declared_variables()
    assert count(declared) == inception_port.PARAMETERS == 55_873_736
    assert count(declared["params"]) == 55_813_192
    assert count(declared["batch_stats"]) == 60_544
    kernels = [path for path in flatten_dict(declared["params"]) if path[-1] == "kernel"]
    stacks = {"block35": 10, "block17": 20, "block8": 9}
    assert sum(stacks.get(path[0], 1) for path in kernels) == 244 + 1  # and the dense layer


@pytest.mark.parametrize(
    ("height", "width", "grids"),
    [
        (299, 299, [(35, 35), (17, 17), (8, 8)]),
        (75, 75, [(7, 7), (3, 3), (1, 1)]),
        (100, 203, [(10, 23), (4, 11), (1, 5)]),
    ],
)
def test_maps_have_the_figures_shapes(
    height: int, width: int, grids: list[tuple[int, int]]
) -> None:
    picture = jax.ShapeDtypeStruct((2, height, width, 3), jnp.float32)
    logits, maps = jax.eval_shape(
        lambda x: InceptionResNetV2().init_with_output(jax.random.key(0), x, endpoints=True)[0],
        picture,
    )
    channels = {
        "stem": (0, 192),
        "mixed_5b": (0, 320),
        "block35": (0, 320),
        "mixed_6a": (1, 1088),
        "block17": (1, 1088),
        "mixed_7a": (2, 2080),
        "block8": (2, 2080),
        "conv_7b": (2, 1536),
    }
    expected = {name: (2, *grids[grid], wide) for name, (grid, wide) in channels.items()}
    assert {name: value.shape for name, value in maps.items()} == expected | {"pooled": (2, 1536)}
    assert logits.shape == (2, 1000)


@pytest.mark.parametrize("shape", [(1, 74, 299, 3), (1, 299, 74, 3), (1, 299, 299, 1), (75, 75, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="75 pixels or more"):
        jax.eval_shape(InceptionResNetV2().init, jax.random.key(0), np.zeros(shape, np.float32))


def test_preprocess_is_kerass() -> None:
    rgb = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1)
    np.testing.assert_allclose(InceptionResNetV2.preprocess(rgb / 255), rgb / 127.5 - 1, atol=1e-6)
    assert InceptionResNetV2.input_size == 299


def plain(variables: Any, x: jax.Array) -> jax.Array:
    """The network written out: no scan, no module, batch norm as its formula."""
    params, stats = variables["params"], variables["batch_stats"]

    def conv(x: Any, kernel: Any, stride: int = 1, padding: str = "SAME") -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        strides = (stride, stride)
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=numbers)

    def unit(x: Any, p: Any, s: Any, *how: Any) -> Any:
        x = conv(x, p["conv"]["kernel"], *how)
        x = (x - s["bn"]["mean"]) / jnp.sqrt(s["bn"]["var"] + 1e-3) + p["bn"]["bias"]
        return jnp.maximum(x, 0)

    def chain(x: Any, p: Any, s: Any, branch: int, last: tuple[Any, ...] = ()) -> Any:
        names = sorted(name for name in p if name.startswith(f"branch_{branch}_"))
        for name in names:
            x = unit(x, p[name], s[name], *(last if name == names[-1] else ()))
        return x

    def pool(x: Any) -> Any:
        window = (1, 3, 3, 1), (1, 2, 2, 1), "VALID"
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *window)

    def mean(x: Any) -> Any:
        window = (1, 3, 3, 1), (1, 1, 1, 1), "SAME"
        total = jax.lax.reduce_window(x, 0.0, jax.lax.add, *window)
        return total / jax.lax.reduce_window(jnp.ones_like(x), 0.0, jax.lax.add, *window)

    def block(x: Any, p: Any, s: Any, branches: int, scale: float) -> Any:
        mixed = jnp.concatenate([chain(x, p, s, branch) for branch in range(branches)], -1)
        return x + scale * (conv(mixed, p["up"]["kernel"]) + p["up"]["bias"])

    def blocks(x: Any, name: str, times: int, branches: int, scale: float) -> Any:
        for i in range(times):
            p, s = jax.tree.map(lambda leaf, i=i: leaf[i], (params[name], stats[name]))
            x = jnp.maximum(block(x, p, s, branches, scale), 0)
        return x

    half = (2, "VALID")
    p, s = params["stem"], stats["stem"]
    hows = [half, (1, "VALID"), (), (1, "VALID"), (1, "VALID")]
    for i, how in enumerate(hows):
        x = unit(x, p[f"conv_{i}"], s[f"conv_{i}"], *how)
        x = pool(x) if i in (2, 4) else x
    p, s = params["mixed_5b"], stats["mixed_5b"]
    x = jnp.concatenate([chain(y, p, s, i) for i, y in enumerate((x, x, x, mean(x)))], -1)
    x = blocks(x, "block35", 10, 3, 0.17)
    p, s = params["mixed_6a"], stats["mixed_6a"]
    x = jnp.concatenate([*(chain(x, p, s, i, half) for i in range(2)), pool(x)], -1)
    x = blocks(x, "block17", 20, 2, 0.1)
    p, s = params["mixed_7a"], stats["mixed_7a"]
    x = jnp.concatenate([*(chain(x, p, s, i, half) for i in range(3)), pool(x)], -1)
    x = blocks(x, "block8", 9, 2, 0.2)
    x = block(x, params["block8_10"], stats["block8_10"], 2, 1.0)
    x = unit(x, params["conv_7b"], stats["conv_7b"]).mean((1, 2))
    return x @ params["classifier"]["kernel"] + params["classifier"]["bias"]


@pytest.mark.slow
def test_scanned_and_folded_forms_equal_the_plain_one(variables: Any, pictures: np.ndarray) -> None:
    x = jnp.asarray(pictures[:2, 40:139, 40:171])
    expected = np.asarray(plain(variables, x))
    scanned = jax.jit(InceptionResNetV2().apply)(variables, x)
    folded = jax.jit(InceptionResNetV2(folded=True).apply)(fold(variables), x)
    assert error(np.asarray(scanned), expected) < 1e-4
    assert error(np.asarray(folded), expected) < 1e-4


@pytest.mark.slow
def test_fold_is_the_same_under_jit_and_leaves_its_input_alone(variables: Any) -> None:
    before = count(variables)
    folded = fold(variables)
    assert count(variables) == before
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(folded))
    jitted = jax.jit(fold)(variables)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), folded, jitted
    )
    picture = jnp.zeros((1, 75, 75, 3))
    declared = jax.eval_shape(InceptionResNetV2(folded=True).init, jax.random.key(0), picture)
    assert jax.tree.map(np.shape, folded) == jax.tree.map(lambda leaf: leaf.shape, declared)


def test_folding_joins_the_1x1_convolutions_of_one_input(variables: Any) -> None:
    params = fold(variables)["params"]
    widths = {
        name: module["joined"]["conv"]["kernel"].shape[-1]
        for name, module in params.items()
        if "joined" in module
    }
    assert widths == {
        "mixed_5b": 96 + 48 + 64,
        "block35": 32 * 3,
        "block17": 192 + 128,
        "mixed_7a": 256 * 3,
        "block8": 192 * 2,
        "block8_10": 192 * 2,
    }


def test_folding_twice_and_training_folded_are_refused(variables: Any) -> None:
    folded = fold(variables)
    with pytest.raises(ValueError, match="folded already"):
        fold(folded)
    with pytest.raises(ValueError, match="no batch norm to train"):
        InceptionResNetV2(folded=True).apply(folded, jnp.zeros((1, 75, 75, 3)), train=True)


@pytest.mark.slow
def test_can_be_fine_tuned(variables: Any, pictures: np.ndarray) -> None:
    x = jnp.asarray(pictures[:4, 100:179, 100:179])
    params, stats = variables["params"], variables["batch_stats"]

    @jax.jit
    def step(params: Any, stats: Any) -> Any:
        def loss(params: Any) -> Any:
            logits, state = InceptionResNetV2().apply(
                {"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"]
            )
            return jnp.square(logits).mean(), state["batch_stats"]

        return jax.value_and_grad(loss, has_aux=True)(params)

    (loss, updated), gradients = step(params, stats)
    for path, gradient in flatten_dict(gradients).items():
        assert np.isfinite(gradient).all(), path
        stacked = path[0] in ("block35", "block17", "block8")
        for part in gradient if stacked else [gradient]:
            assert np.abs(part).max() > 0, path
    # The batch's own statistics count, not the stored ones; those move by a hundredth.
    (same, _), _ = step(params, jax.tree.map(lambda leaf: leaf + 1, stats))
    assert same == loss
    kernel = params["stem"]["conv_0"]["conv"]["kernel"]
    first = jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    expected = 0.99 * stats["stem"]["conv_0"]["bn"]["mean"] + 0.01 * first.mean((0, 1, 2))
    np.testing.assert_allclose(updated["stem"]["conv_0"]["bn"]["mean"], expected, atol=1e-6)
