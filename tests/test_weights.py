"""Weights files: what goes in comes out, and nothing else is taken for one."""

from __future__ import annotations

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
from jaxcolor.models import Config, Params

SHIPPED = Path(jaxcolor.__file__).parent / "weights"


def variables() -> dict:
    rng = np.random.default_rng(0)
    leaf = rng.normal(size=(3, 3, 1, 4)).astype(np.float16).astype(np.float32)
    return {"params": {"encoder": {"E1": {"kernel": leaf, "bias": np.zeros(4, np.float32)}}}}


def test_round_trip(tmp_path: Path) -> None:
    params = Params(Config(size=64), variables())
    weights.save_params(tmp_path / "w.safetensors", params, step=7)
    loaded = jaxcolor.load(tmp_path / "w.safetensors")
    assert loaded.config == params.config
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, params.variables)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(loaded))
    with safetensors.safe_open(tmp_path / "w.safetensors", "np") as file:
        assert file.get_tensor("params/encoder/E1/kernel").dtype == np.float16
        assert json.loads(file.metadata()["jaxcolor"])["step"] == 7


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


def test_a_newer_config_is_named(tmp_path: Path) -> None:
    header = {"kind": "colorizer", "config": {**Config().to_json(), "hue": 1}}
    weights.save(tmp_path / "w", variables(), header)
    with pytest.raises(ValueError, match="hue"):
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


def test_params_are_one_pytree_with_a_static_config() -> None:
    params = Params(Config(size=64), variables())
    leaves, structure = jax.tree.flatten(params)
    assert len(leaves) == 2
    assert jax.tree.unflatten(structure, leaves).config.size == 64
    assert jax.tree.structure(Params(Config(size=72), variables())) != structure
