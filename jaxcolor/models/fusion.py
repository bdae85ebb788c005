"""The fusion: a vector about the whole picture joins the features of every place in it.

Deep Koalarization (arXiv 1712.03400), section 2.4. The paper repeats the vector over the grid,
concatenates it depth-wise and convolves 1x1. A 1x1 convolution is linear in each of its inputs, so
the same numbers come from a 1x1 convolution of the features plus one dense product of the vector,
broadcast: the volume of 256 + 1000 channels never exists, and about 80 % of the work goes.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Fusion(nn.Module):
    """Features (B, h, w, C) and a vector (B, V) -> (B, h, w, `filters`)."""

    filters: int = 256

    @nn.compact
    def __call__(
        self, features: Float[Array, "b h w c"], vector: Float[Array, "b v"]
    ) -> Float[Array, "b h w f"]:
        """Fuses; the kernel is laid out as that of the plain form, features first."""
        return nn.relu(_TiledDense(self.filters, name="F1")(features, vector))


class _TiledDense(nn.Module):
    """A 1x1 convolution of [features, tiled vector], without the tiling."""

    filters: int

    @nn.compact
    def __call__(self, features: Array, vector: Array) -> Array:
        depth = features.shape[-1]
        inputs = depth + vector.shape[-1]
        kernel = self.param("kernel", nn.initializers.he_normal(), (1, 1, inputs, self.filters))
        bias = self.param("bias", nn.initializers.zeros, (self.filters,))
        local = features @ kernel[0, 0, :depth]  # (B, h, w, F)
        everywhere = vector @ kernel[0, 0, depth:] + bias  # (B, F)
        return local + jnp.expand_dims(everywhere, (1, 2))
