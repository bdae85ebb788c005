"""The fusion: a vector about the whole picture joins the features of every place in it.

Deep Koalarization (arXiv 1712.03400), section 2.4. The paper repeats the vector over the grid,
concatenates it depth-wise and convolves 1x1. A 1x1 convolution is linear in each of its inputs, so
the same numbers come from a 1x1 convolution of the features plus one dense product of the vector,
broadcast: the volume of 256 + 1000 channels never exists, and about 80 % of the work goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float

from jaxcolor.models.convolution import parameter
from jaxcolor.models.initializers import variance_scaling


class Fusion(nn.Module):
    """Features (B, h, w, C) and a vector (B, V) -> (B, h, w, `filters`).

    Attributes:
      filters: of the output.
      vector_variance: of the vector's initial weights, as a share of He's. Logits are some five
        times larger than features: under one scale they would drown the features, and an early
        network would learn one tint for the whole picture.
    """

    filters: int = 256
    vector_variance: float = 1 / 16

    @nn.compact
    def __call__(
        self, features: Float[Array, "b h w c"], vector: Float[Array, "b v"]
    ) -> Float[Array, "b h w f"]:
        """Fuses; the kernel is laid out as that of the plain form, features first."""
        return nn.relu(_TiledDense(self.filters, self.vector_variance, name="F1")(features, vector))


def _balanced(depth: int, vector_variance: float) -> Initializer:
    """He's initializer for the `depth` features; its variance times the share for the vector."""

    def init(
        key: Array, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None
    ) -> Array:
        del out_sharding  # part of the protocol; parameters are placed after they are made
        *window, inputs, filters = shape
        one, other = jax.random.split(key)
        local = variance_scaling(2, "normal")(one, (*window, depth, filters), dtype)
        vector = (*window, inputs - depth, filters)
        everywhere = variance_scaling(2 * vector_variance, "normal")(other, vector, dtype)
        return jnp.concatenate([local, everywhere], axis=-2)

    return init


class _TiledDense(nn.Module):
    """A 1x1 convolution of [features, tiled vector], without the tiling."""

    filters: int
    vector_variance: float

    @nn.compact
    def __call__(self, features: Array, vector: Array) -> Array:
        depth = features.shape[-1]
        shape = (1, 1, depth + vector.shape[-1], self.filters)
        kernel = parameter(self, "kernel", _balanced(depth, self.vector_variance), shape)
        bias = parameter(self, "bias", nn.initializers.zeros, (self.filters,))
        local = features @ kernel[0, 0, :depth]  # (B, h, w, F)
        everywhere = vector @ kernel[0, 0, depth:] + bias[None]  # (B, F)
        return local + jnp.expand_dims(everywhere, (1, 2))
