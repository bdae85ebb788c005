"""Dropout: whole channels, nothing lost on average, the same on whatever device a photo lies."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.models import Config, make_network
from jaxcolor.models.dropout import drop_channels

pytestmark = pytest.mark.unoptimized

COUNT = 400  # pictures: the share that is dropped lies within 0.03 of the rate


def seeds(count: int) -> Any:
    return jax.random.bits(jax.random.key(0), (count,), "uint32")


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_whole_channels_go_and_the_others_make_up_for_it(rate: float) -> None:
    x = 1 + jax.random.uniform(jax.random.key(1), (COUNT, 3, 5, 16))
    dropped = np.asarray(drop_channels(x, seeds(COUNT), 2, rate))
    gone = dropped == 0
    np.testing.assert_array_equal(gone, np.broadcast_to(gone[:, :1, :1], gone.shape))
    np.testing.assert_allclose(dropped, np.where(gone, 0, x / (1 - rate)), rtol=1e-6)
    assert gone[:, 0, 0].mean() == pytest.approx(rate, abs=0.03)
    assert gone[:, 0, 0].mean(axis=0) == pytest.approx(np.full(16, rate), abs=0.12)


def test_vectors_are_dropped_element_by_element() -> None:
    dropped = np.asarray(drop_channels(jnp.ones((COUNT, 50)), seeds(COUNT), 0, 0.25))
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert dropped.mean() == pytest.approx(1, abs=0.03)


def test_a_pictures_mask_is_its_seeds_and_its_layers_alone() -> None:
    x = jnp.ones((8, 2, 2, 64))
    numbers = seeds(8)
    whole = np.asarray(drop_channels(x, numbers, 0, 0.5))
    np.testing.assert_array_equal(drop_channels(x[3:5], numbers[3:5], 0, 0.5), whole[3:5])
    assert (drop_channels(x, numbers, 1, 0.5) != whole).any()
    assert (whole[0] != whole[1]).any()


def test_without_seeds_or_rate_nothing_changes() -> None:
    x = jnp.ones((2, 4))
    assert drop_channels(x, None, 0, 0.5) is x
    assert drop_channels(x, seeds(2), 0, 0.0) is x


def random_like(shapes: Any) -> Any:
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.normal(0, 0.05, leaf.shape).astype(np.float32) ** 2, shapes
    )


def test_networks_drop_what_the_seeds_say() -> None:
    lightness = jax.random.uniform(jax.random.key(1), (2, 32, 32, 1), minval=-1)
    pyramid = make_network(Config(network="pyramid").predicting(size=32), dropout=0.5)
    variables = random_like(jax.eval_shape(pyramid.init, jax.random.key(0), lightness))
    run = jax.jit(pyramid.apply)
    assert (run(variables, lightness, seeds(2)) != run(variables, lightness, seeds(2) + 1)).any()

    fusion = make_network(Config(network="fusion").predicting(size=32), dropout=0.5)
    logits = jnp.ones((2, 1000))
    init = functools.partial(fusion.init, method=fusion.chroma)
    variables = random_like(jax.eval_shape(init, jax.random.key(0), lightness, logits))
    run = jax.jit(functools.partial(fusion.apply, method=fusion.chroma))
    outputs = [run(variables, lightness, logits, seeds(2) + i) for i in range(2)]
    assert (outputs[0] != outputs[1]).any()
