"""The pyramid: the pretrained backbone is the encoder, and the decoder climbs its feature maps.

A U-Net (Ronneberger, Fischer, Brox 2015) whose contracting half was trained on ImageNet: the maps
at 1/32 .. 1/2 meet the decoder level by level, the backbone's pooled vector is fused at the
coarsest one as Deep Koalarization fuses logits. It learns far more colour from few photos than an
encoder that starts from nothing (`docs/experiments.md`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import zeros
from jaxtyping import Array, Float

from jaxcolor.models.backbones import BACKBONES, grey_view
from jaxcolor.models.convolution import convolution, double
from jaxcolor.models.fusion import Fusion

# Name of the level, the backbone's map there, the map's root mean square (on grey photos at
# 128x128: maps are linear outputs of very unlike scale), filters of the level's convolution.
COARSEST = ("P32", "stride32", 3.0, 256)
LEVELS = (
    ("P16", "stride16", 6.4, 256),
    ("P8", "stride8", 7.3, 160),
    ("P4", "stride4", 8.1, 96),
    ("P2", "stride2", 5.4, 48),
)


class Pyramid(nn.Module):
    """Lightness -> what a head reads chroma from, at half of `size`.

    Attributes:
      backbone_name: a key of `BACKBONES`; one with endpoints "stride2" .. "stride32" and "pooled".
      size: the square that all of it works on, in pixels; a multiple of 32.
      channels: of the output.
      dtype: what is computed in.
    """

    MULTIPLE: ClassVar[int] = 32  # of `size`

    backbone_name: str
    size: int
    channels: int
    dtype: Any = jnp.float32

    @classmethod
    def input_size(cls, backbone: str, size: int) -> int:
        """The square that a photo's lightness is best brought to."""
        return size

    @nn.compact
    def __call__(self, lightness: Float[Array, "b h w 1"]) -> Float[Array, "b s/2 s/2 c"]:
        """L / 50 - 1 of any size -> (B, size / 2, size / 2, channels)."""
        view = grey_view(self.backbone_name, lightness, self.size, self.dtype)
        backbone = BACKBONES[self.backbone_name](include_top=False, name="backbone")
        maps = backbone(view)
        name, endpoint, scale, filters = COARSEST
        fusion = Fusion(filters, vector_variance=1.0, name="fusion")
        x = fusion(maps[endpoint] / scale, maps["pooled"])  # (B, size / 32, size / 32, 256)
        x = nn.relu(convolution(filters, name=name)(x))
        for name, endpoint, scale, filters in LEVELS:
            x = jnp.concatenate([double(x), maps[endpoint] / scale], axis=-1)
            x = nn.relu(convolution(filters, name=name)(x))
        # Zeros: an untrained network gives back the grey picture, not saturated colours.
        return convolution(self.channels, name="chroma", kernel_init=zeros)(x)
