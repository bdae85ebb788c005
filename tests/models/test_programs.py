"""Networks inside of other people's programs: cut over devices, exported, in other types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_network
from xla import with_devices

import jaxcolor
from jaxcolor.models import Config, Params, forward, make_network

pytestmark = pytest.mark.unoptimized


def test_results_and_gradients_are_the_same_however_a_batch_is_cut() -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("layers_on_devices.py")],
        env={**os.environ, **with_devices(2)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {"explicit mesh", "shard_map"}
    for way, (result, gradient) in told.items():
        assert result < 1e-5, way
        assert gradient < 1e-4, way


@pytest.fixture
def tiny() -> Params:
    return Params(*tiny_network.make(32))


def lightness(count: int = 2, side: int = 32) -> jax.Array:
    return jax.random.uniform(jax.random.key(2), (count, side, side, 1), minval=-1)


def apply(params: Params, scaled: jax.Array) -> jax.Array:
    return forward(params.config, params.variables, scaled)


def test_a_program_that_takes_params_is_exported_and_read_back(tiny: Params) -> None:
    data = jax.export.export(jax.jit(apply))(tiny, lightness()).serialize()
    read = jax.export.deserialize(data)
    np.testing.assert_array_equal(read.call(tiny, lightness()), jax.jit(apply)(tiny, lightness()))
    wrong = Params(tiny.config.predicting(border=1), tiny.variables)
    with pytest.raises(ValueError, match="pytree"):
        read.call(wrong, lightness())


def in_type(params: Params, dtype: Any) -> Params:
    return jax.tree.map(lambda leaf: leaf.astype(dtype), params)


@pytest.mark.parametrize(("dtype", "error"), [("bfloat16", 0.02), ("float16", 0.003)])
def test_params_may_be_cast_to_smaller_floats(tiny: Params, dtype: str, error: float) -> None:
    expected = apply(tiny, lightness())
    got = apply(in_type(tiny, dtype), lightness())
    assert got.dtype == jnp.float32
    assert 0 < np.abs(got - expected).max() < error
    photo = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    assert jaxcolor.colorize(in_type(tiny, dtype), photo).shape == (40, 50, 3)


def test_params_of_other_types_are_refused_in_words(tiny: Params) -> None:
    for dtype in ("int8", "uint8"):
        with pytest.raises(TypeError, match=f"the variables are {dtype}: .* floating-point"):
            apply(in_type(tiny, dtype), lightness())
    halves = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), tiny.variables["params"])
    mixed = Params(tiny.config, {**tiny.variables, "params": halves})
    with pytest.raises(TypeError, match="the variables are bfloat16, float32: all must be of one"):
        apply(mixed, lightness())


@pytest.mark.parametrize(
    "config",
    [
        Config(network="pyramid").predicting(size=32),
        Config(network="fusion", backbone="inception_resnet_v2", head="classification"),
    ],
    ids=lambda config: config.network,
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_networks_promote_neither_types_nor_ranks_unasked(config: Config, dtype: Any) -> None:
    """Traced, forwards and backwards: that is when JAX complains, as `conftest` tells it to."""
    scaled = jax.ShapeDtypeStruct((1, config.size, config.size, 1), jnp.float32)

    def loss(variables: Any, scaled: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(forward(config, variables, scaled)))

    variables = jax.eval_shape(make_network(config).init, jax.random.key(0), scaled)
    cast = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), variables)
    gradient = jax.eval_shape(jax.grad(loss), cast, scaled)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype(dtype)}
