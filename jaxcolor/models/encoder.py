"""The encoder: eight 3x3 convolutions, from lightness to features at an eighth of its size.

Deep Koalarization (Baldassarre, Gonzalez Morin, Rodes-Guirao 2017, arXiv 1712.03400), table 1.
"""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from jaxcolor.models.convolution import convolution

# name, filters, stride
LAYERS = (
    ("E1", 64, 2),
    ("E2", 128, 1),
    ("E3", 128, 2),
    ("E4", 256, 1),
    ("E5", 256, 2),
    ("E6", 512, 1),
    ("E7", 512, 1),
    ("E8", 256, 1),
)
STRIDE = 8  # of the whole encoder: height and width are multiples of it


class Encoder(nn.Module):
    """L / 50 - 1 of (B, H, W, 1) -> features of (B, H/8, W/8, 256)."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 1"]) -> Float[Array, "b h/8 w/8 256"]:
        """Encodes; H and W must be multiples of 8."""
        for name, filters, stride in LAYERS:
            x = nn.relu(convolution(filters, stride, name=name)(x))
        return x  # (B, H/8, W/8, 256)
