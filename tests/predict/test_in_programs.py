"""`colorize` in the programs of others: under settings of JAX, cut over devices, exported."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_network
from xla import with_devices

import jaxcolor
from jaxcolor.models import Params

pytestmark = pytest.mark.unoptimized

TESTS = Path(__file__).parents[1]
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
# Those of a group can hold at once.
SETTINGS: dict[str, dict[str, Any]] = {
    "strict": {
        "jax_transfer_guard": "disallow",
        "jax_numpy_rank_promotion": "raise",
        "jax_numpy_dtype_promotion": "strict",
        "jax_check_tracer_leaks": True,
    },
    "64 bits": {
        "jax_enable_x64": True,
        "jax_transfer_guard": "disallow",
        "jax_numpy_rank_promotion": "raise",
        "jax_numpy_dtype_promotion": "strict",
    },
    "nothing infinite": {"jax_debug_nans": True, "jax_debug_infs": True},
    "bfloat16": {"jax_default_matmul_precision": "bfloat16"},
}


@contextlib.contextmanager
def set_to(settings: dict[str, Any]) -> Iterator[None]:
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


@pytest.fixture(scope="module")
def tiny() -> Params:
    """With all that a config can wish of prediction."""
    config, variables = tiny_network.make(32)
    config = dataclasses.replace(config, stretched=True)
    wishes: dict[str, Any] = {"fitted": True, "mended": True, "mirrored": True}
    return Params(config.predicting(border=1, saturation=1.5, **wishes), variables)


@pytest.fixture(scope="module")
def expected(tiny: Params) -> np.ndarray:
    colours = jaxcolor.colorize(tiny, PICTURE, saturation=2.0)
    assert np.ptp(colours.astype(int), axis=-1).mean() > 3
    return colours.astype(int)


@pytest.mark.parametrize("group", SETTINGS)
def test_under_the_settings_of_careful_programs(
    tiny: Params, expected: np.ndarray, group: str
) -> None:
    on_device, saturation = jnp.asarray(PICTURE), jnp.float32(2)
    with set_to(SETTINGS[group]):
        one = jaxcolor.colorize(tiny, PICTURE, saturation=2.0)
        (other,) = jaxcolor.colorize_batch(tiny, [on_device], batch_size=1, saturation=saturation)
        pure = [jaxcolor.colorize(tiny, on_device, saturation=s) for s in (2, saturation)]
    for colours in (one, other, *pure):
        assert colours.dtype == np.uint8
        assert np.abs(np.asarray(colours).astype(int) - expected).max() <= 1
    assert isinstance(other, jax.Array)


def test_under_vmap(tiny: Params) -> None:
    pictures = np.stack([PICTURE, PICTURE[::-1], 255 - PICTURE])
    many = jax.vmap(jaxcolor.colorize, in_axes=(None, 0))(tiny, jnp.asarray(pictures))
    for picture, colours in zip(pictures, np.asarray(many).astype(int), strict=True):
        assert np.abs(colours - jaxcolor.colorize(tiny, picture)).max() <= 1


def test_exported_with_params_and_read_back(tiny: Params) -> None:
    picture = jnp.asarray(PICTURE)
    data = jax.export.export(jax.jit(jaxcolor.colorize))(tiny, picture).serialize()
    program = jax.export.deserialize(data)
    np.testing.assert_array_equal(program.call(tiny, picture), jaxcolor.colorize(tiny, picture))
    assert program.in_tree.unflatten(program.in_avals)[0][0].config == tiny.config


def test_a_batch_that_is_cut_over_eight_devices() -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("colorize_on_devices.py")],
        env={
            **os.environ,
            **with_devices(8),
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    farthest = dict(line.split(": ") for line in done.stdout.splitlines())
    assert set(farthest) == {"auto", "explicit", "shard_map"}
    assert all(int(levels) <= 1 for levels in farthest.values()), farthest


def test_derivatives(tiny: Params) -> None:
    """Backwards along everything, forwards along the controls."""
    picture = jnp.asarray(PICTURE[:20, :30, 0], jnp.float32) / 255

    def brightness(params: Params, picture: jax.Array, saturation: Any) -> jax.Array:
        return jnp.mean(jaxcolor.colorize(params, picture, saturation=saturation) ** 2)

    along = jax.jit(jax.grad(brightness, argnums=(0, 1, 2)))(tiny, picture, 0.0)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(along))
    along_picture = along[1]
    assert (along_picture != 0).any()

    # Half of the colours: how chroma is taken back into the gamut has no derivative.
    value, slope = jax.jvp(lambda s: brightness(tiny, picture, s), (0.5,), (1.0,))
    step = 0.05
    more, less = (brightness(tiny, picture, jnp.float32(0.5 + d)) for d in (step, -step))
    np.testing.assert_allclose(slope, (more - less) / (2 * step), rtol=0.05)
    assert 0 < value < 1
