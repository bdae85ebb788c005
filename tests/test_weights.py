"""Weights files: what goes in comes out, and nothing else is taken for one."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import jaxcolor
from jaxcolor import weights
from jaxcolor.models import Config, Params, Prediction, colorizer
from jaxcolor.models.colorizer import join_trained

SHIPPED = Path(jaxcolor.__file__).parent / "weights"
ROOT = Path(__file__).parents[1]


def variables() -> dict:
    rng = np.random.default_rng(0)
    leaf = rng.normal(size=(3, 3, 1, 4)).astype(np.float16).astype(np.float32)
    return {"params": {"encoder": {"E1": {"kernel": leaf, "bias": np.zeros(4, np.float32)}}}}


def test_round_trip(tmp_path: Path) -> None:
    params = Params(Config().predicting(size=64), variables())
    weights.save_params(tmp_path / "w.safetensors", params, step=7)
    loaded = jaxcolor.load(tmp_path / "w.safetensors")
    assert loaded.config == params.config == weights.describe(tmp_path / "w.safetensors")
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, params.variables)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(loaded))
    with safetensors.safe_open(tmp_path / "w.safetensors", "np") as file:
        assert file.get_tensor("params/encoder/E1/kernel").dtype == np.float16
        assert json.loads(file.metadata()["jaxcolor"])["step"] == 7


def test_a_cpu_takes_weights_as_they_lie() -> None:
    read, _ = weights.read(weights.locate())
    for here, there in zip(
        jax.tree.leaves(read), jax.tree.leaves(jax.device_put(read)), strict=True
    ):
        assert there.unsafe_buffer_pointer() == here.__array_interface__["data"][0]


def test_same_weights_same_bytes(tmp_path: Path) -> None:
    mixed = variables()
    mixed["params"]["encoder"]["E1"] = dict(reversed(mixed["params"]["encoder"]["E1"].items()))
    for name, tree in (("a", variables()), ("b", mixed)):
        weights.save(tmp_path / name, tree, {"kind": "test", "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights.save(path, variables(), {"kind": "test"})
    before = path.read_bytes()
    broken = variables()
    broken["params"]["encoder"]["E1"]["bias"][2] = 1e6  # more than float16 holds
    with pytest.raises(ValueError, match=r"w\.safetensors: params/encoder/E1/bias is not finite"):
        weights.save(path, broken, {"kind": "test"})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_what_is_no_weights_file_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    weights.save_params(whole, Params(Config(), variables()))
    (tmp_path / "text").write_text("these are not weights")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "cut").write_bytes(whole.read_bytes()[:-10])
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "foreign")
    for name, reason in {
        "text": "not a safetensors file",
        "empty": "not a safetensors file",
        "cut": "cut short",
        "foreign": "not one that jaxcolor wrote",
    }.items():
        with pytest.raises(ValueError, match=f"{name}: .*{reason}"):
            jaxcolor.load(tmp_path / name)
    with pytest.raises(ValueError, match="holds a backbone"):
        jaxcolor.load(SHIPPED / "efficientnet_lite0.safetensors")
    with pytest.raises(ValueError, match="holds a colorizer"):
        weights.load_backbone(whole)
    with pytest.raises(FileNotFoundError, match=r"nothing: .*names: .*lite"):
        jaxcolor.load("nothing")


def test_headers_of_before_are_read_and_those_of_now_come_back_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = {"network": "pyramid", "backbone": "efficientnet_lite0", "head": "regression"}
    prediction = {"size": 96, "saturation": 1.2, "mirrored": True, "border": 3}
    header = {"kind": "colorizer", "config": network | prediction}
    weights.save(tmp_path / "before", variables(), header)
    config = weights.describe(tmp_path / "before")
    assert config == Config(**network, prediction=Prediction(**prediction))
    weights.save_params(tmp_path / "now", Params(config, variables()))
    assert weights.describe(tmp_path / "now") == config
    now = weights.read_header(tmp_path / "now")["config"]
    assert now.items() >= header["config"].items()

    @dataclasses.dataclass(frozen=True)
    class Wider(Prediction):  # a field with a default is all that a new wish needs
        shapes: tuple[tuple[int, int], ...] = ()

    monkeypatch.setattr(colorizer, "Prediction", Wider)
    assert weights.describe(tmp_path / "before").prediction == Wider(**prediction)
    config = Config(**network, prediction=Wider(shapes=((224, 288), (288, 224))))
    weights.save_params(tmp_path / "wider", Params(config, variables()))
    assert weights.describe(tmp_path / "wider") == config
    assert hash(weights.describe(tmp_path / "wider")) == hash(config)


def test_a_newer_config_is_named(tmp_path: Path) -> None:
    header = {"kind": "colorizer", "config": {**Config().to_json(), "hue": 1}}
    weights.save(tmp_path / "w", variables(), header)
    with pytest.raises(ValueError, match="w: config: hue"):
        jaxcolor.load(tmp_path / "w")


def test_what_ships() -> None:
    names = jaxcolor.available_models()
    assert "lite" in names
    assert "efficientnet_lite0" not in names  # a backbone is no colorizer
    for name in names:
        assert (SHIPPED / f"{name}.safetensors").stat().st_size <= 25e6
    default, first = jaxcolor.load(), jaxcolor.load(names[0])
    jax.tree.map(np.testing.assert_array_equal, default, first)


def test_lite_carries_the_shipped_backbone() -> None:
    lite = jaxcolor.load("lite").variables
    for collection, values in weights.load_backbone("efficientnet_lite0").items():
        jax.tree.map(np.testing.assert_array_equal, lite[collection]["backbone"], values)


@pytest.fixture
def ported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with a backbone in it (of one small array: the format is what counts)."""
    monkeypatch.setenv("JAXCOLOR_CACHE", str(tmp_path / "cache"))
    path = weights.backbone_file("inception_resnet_v2")
    path.parent.mkdir(parents=True)
    kernel = np.float32([1 / 3])  # no float16 holds it
    header = {"kind": "backbone", "backbone": "inception_resnet_v2"}
    weights.save(path, {"params": {"conv": {"kernel": kernel}}}, header, dtype=np.float32)
    return path


def test_a_backbone_may_be_left_out_and_named(tmp_path: Path, ported: Path) -> None:
    backbone = weights.load_backbone("inception_resnet_v2")
    assert backbone["params"]["conv"]["kernel"] == np.float32(1 / 3)
    config = Config(backbone="inception_resnet_v2")
    whole = Params(config, join_trained(variables()["params"], weights.with_backbone(backbone)))
    file = tmp_path / "base.safetensors"
    checksum = weights.backbone_sha256("inception_resnet_v2")
    weights.save_params(file, whole, backbone_sha256=checksum)
    with safetensors.safe_open(file, "np") as content:
        assert not [name for name in content.keys() if "backbone" in name]  # noqa: SIM118
    jax.tree.map(np.testing.assert_array_equal, jaxcolor.load(file).variables, whole.variables)

    weights.save(ported, {"params": {"other": np.zeros(3)}}, {"kind": "backbone"})
    with pytest.raises(ValueError, match=rf"base\.safetensors: was trained on .*{checksum[:12]}"):
        jaxcolor.load(file)
    ported.unlink()
    command = "jaxcolor port inception_resnet_v2"
    missing = rf"base\.safetensors: leaves out .*{checksum[:12]}.*{command}"
    with pytest.raises(FileNotFoundError, match=missing):
        jaxcolor.load(file)
    with pytest.raises(FileNotFoundError, match=command):
        weights.load_backbone("inception_resnet_v2")


def test_params_are_one_pytree_with_a_static_config() -> None:
    params = Params(Config().predicting(size=64), variables())
    leaves, structure = jax.tree.flatten(params)
    assert len(leaves) == 2
    assert jax.tree.unflatten(structure, leaves).config.size == 64
    assert jax.tree.structure(Params(Config().predicting(size=72), variables())) != structure


def test_released_weights_keep_the_network_and_gain_what_prediction_needs(
    tmp_path: Path, run
) -> None:
    params = Params(Config().predicting(size=64), variables())
    weights.save_params(tmp_path / "run.safetensors", params, step=7, note="left behind")
    script = ROOT / "scripts" / "release_weights.py"
    words = (tmp_path / "run.safetensors", "new", "--folder", tmp_path)
    prediction = ("--saturation", 1.2, "--size", 96, "--mirrored", "--mended", "--border", 3)
    result = run(script, *words, *prediction, "--told", "corpus=made up")
    assert result.returncode == 0, result.stderr
    new = tmp_path / "new.safetensors"
    assert weights.load(new).config == Config().predicting(
        size=96, saturation=1.2, mirrored=True, mended=True, border=3
    )
    header = weights.read_header(new)
    assert (header["step"], header["corpus"], "note" in header) == (7, "made up", False)
    old = weights.read(tmp_path / "run.safetensors")[0]
    jax.tree.map(np.testing.assert_array_equal, weights.read(new)[0], old)
    result = run(script, *words, "--saturation", "nan")
    assert result.returncode == 2
    assert "saturation: nan is not a positive number" in result.stderr


def test_weights_of_several_runs_are_averaged(tmp_path: Path, run) -> None:
    script = ROOT / "scripts" / "release_weights.py"
    runs = [tmp_path / name for name in ("one.safetensors", "other.safetensors")]
    for factor, file in enumerate(runs, start=1):
        scaled = jax.tree.map(lambda leaf, factor=factor: factor * leaf, variables())
        weights.save_params(file, Params(Config().predicting(size=64), scaled), step=7)
    result = run(script, *runs, "new", "--folder", tmp_path)
    assert result.returncode == 0, result.stderr
    new, header = weights.read(tmp_path / "new.safetensors")
    jax.tree.map(
        lambda got, leaf: np.testing.assert_allclose(got, 1.5 * leaf, rtol=1e-3), new, variables()
    )
    assert "step" not in header  # of neither run
    weights.save_params(
        runs[1], Params(Config().predicting(size=64), {"params": {"a": np.ones(3)}})
    )
    result = run(script, *runs, "new", "--folder", tmp_path)
    assert result.returncode == 2
    assert f"{runs[1]}: is of another network than {runs[0]}" in result.stderr


def test_weights_too_large_to_ship_leave_what_was_there(tmp_path: Path, run) -> None:
    weights.save_params(
        tmp_path / "run.safetensors", Params(Config().predicting(size=64), variables())
    )
    (tmp_path / "new.safetensors").write_bytes(b"what ships now")
    script = (ROOT / "scripts" / "release_weights.py").read_text()
    small = tmp_path / "release.py"
    small.write_text(script.replace("MOST_BYTES = 25_000_000", "MOST_BYTES = 10"))
    result = run(small, tmp_path / "run.safetensors", "new", "--folder", tmp_path)
    assert result.returncode == 2
    assert "at most 10 are shipped" in result.stderr
    assert (tmp_path / "new.safetensors").read_bytes() == b"what ships now"
