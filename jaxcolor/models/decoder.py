"""The decoder: five 3x3 convolutions between doublings, from fused features to chroma.

Deep Koalarization (arXiv 1712.03400), table 1. The table's tanh and its last doubling are the
head's (`heads.py`).
"""

from __future__ import annotations

import flax.linen as nn
from jax.nn.initializers import zeros
from jaxtyping import Array, Float

from jaxcolor.models.convolution import DoubledConvolution, convolution

# name, filters; and D5, whose filters are the head's: 2 in the table
HIDDEN = (("D1", 128), ("D2", 64), ("D3", 64), ("D4", 32))
DOUBLED_BEFORE = ("D2", "D4")


class Decoder(nn.Module):
    """Fused features of (B, h, w, 256) -> (B, 4h, 4w, channels)."""

    channels: int = 2

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 256"]) -> Float[Array, "b 4*h 4*w c"]:
        """Decodes."""
        for name, filters in HIDDEN:
            layer = DoubledConvolution if name in DOUBLED_BEFORE else convolution
            x = nn.relu(layer(filters, name=name)(x))
        # Zeros: an untrained network gives back the grey picture, not saturated colours.
        return convolution(self.channels, name="D5", kernel_init=zeros)(x)
