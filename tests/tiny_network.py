"""A network of three layers behind the one interface: what is proved of steps needs no larger one.

Whoever imports this module makes it known as "tiny".
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcolor.models import Config, Pyramid, colorizer, make_network
from jaxcolor.models.dropout import drop_channels
from jaxcolor.models.interfaces import Network

COMMAND = Path(__file__).with_name("with_tiny.py")  # is `jaxcolor`, and knows it


class TinyBackbone(nn.Module):
    """Two parts, as a pretrained network has many."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Conv(8, (3, 3), 2, name="stem")(x))
        x = nn.BatchNorm(use_running_average=True, name="bn")(x)
        return nn.relu(nn.Conv(8, (3, 3), name="head")(x))


class TinyNetwork(Network):
    """Lightness -> channels at half of the size."""

    MULTIPLE: ClassVar[int] = 2
    FOLLOWS_INPUT: ClassVar[bool] = True

    enlarge = staticmethod(Pyramid.enlarge)

    @nn.compact
    def __call__(self, lightness: jax.Array, seeds: jax.Array | None = None) -> jax.Array:
        x = TinyBackbone(name="backbone")(lightness.astype(self.dtype))
        x = drop_channels(x, seeds, 0, self.dropout)
        return nn.Conv(self.channels, (3, 3), name="chroma")(x)


colorizer.NETWORKS["tiny"] = TinyNetwork  # type: ignore[index]


@functools.cache
def make(size: int) -> tuple[Config, Any]:
    """A tiny network's config, and random variables."""
    config = Config(network="tiny").predicting(size=size)
    lightness = jnp.zeros((1, size, size, 1))
    return config, jax.jit(make_network(config).init)(jax.random.key(0), lightness)
