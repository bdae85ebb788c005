"""The decoder: five 3x3 convolutions and three doublings, from fused features to ab.

Deep Koalarization (arXiv 1712.03400), table 1.
"""

from __future__ import annotations

import flax.linen as nn
from jax.nn.initializers import zeros
from jaxtyping import Array, Float

from jaxcolor.models.convolution import convolution

# name, filters
LAYERS = (("D1", 128), ("D2", 64), ("D3", 64), ("D4", 32), ("D5", 2))
DOUBLED_AFTER = ("D1", "D3")  # and after the last


class Decoder(nn.Module):
    """Fused features of (B, h, w, 256) -> ab / 110 in [-1, 1] of (B, 8h, 8w, 2)."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 256"]) -> Float[Array, "b 8*h 8*w 2"]:
        """Decodes."""
        *hidden, (last, channels) = LAYERS
        for name, filters in hidden:
            x = nn.relu(convolution(filters, name=name)(x))
            x = _double(x) if name in DOUBLED_AFTER else x
        # Zeros: an untrained network gives back the grey picture, not saturated colours.
        x = nn.tanh(convolution(channels, name=last, kernel_init=zeros)(x))
        return _double(x)  # (B, 8h, 8w, 2)


def _double(x: Array) -> Array:
    """Nearest neighbour, (B, h, w, C) -> (B, 2h, 2w, C)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)
