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
from jaxtyping import Array, Float, UInt32

from jaxcolor.models.backbones import BACKBONES, grey_view
from jaxcolor.models.convolution import DoubledConvolution, convolution
from jaxcolor.models.dropout import drop_channels
from jaxcolor.models.fusion import Fusion

# Name of the level, the backbone's map there, filters of the level's convolution.
COARSEST = ("P32", "stride32", 256)
LEVELS = (
    ("P16", "stride16", 256),
    ("P8", "stride8", 160),
    ("P4", "stride4", 96),
    ("P2", "stride2", 48),
)
DROPPED_LEVELS = 3  # what P32, P16 and P8 gave; the last two are thin


class Pyramid(nn.Module):
    """Lightness -> what a head reads chroma from, at half of `size`.

    Attributes:
      backbone_name: a key of `BACKBONES`; one with endpoints "stride2" .. "stride32" and "pooled".
      size: the square that all of it works on, in pixels; a multiple of 32.
      channels: of the output.
      dtype: what is computed in.
      dropout: while training, the share of channels that the fused vector and the levels down to
        1/8 do without.
    """

    MULTIPLE: ClassVar[int] = 32  # of `size`

    backbone_name: str
    size: int
    channels: int
    dtype: Any = jnp.float32
    dropout: float = 0.0

    @classmethod
    def input_size(cls, backbone: str, size: int) -> int:
        """The square that a photo's lightness is best brought to."""
        return size

    @nn.compact
    def __call__(
        self, lightness: Float[Array, "b h w 1"], seeds: UInt32[Array, " b"] | None = None
    ) -> Float[Array, "b s/2 s/2 c"]:
        """L / 50 - 1 of any size -> (B, size / 2, size / 2, channels); with seeds, dropout."""
        view = grey_view(self.backbone_name, lightness, self.size, self.dtype)
        backbone = BACKBONES[self.backbone_name](include_top=False, name="backbone")
        scales = backbone.endpoint_scales
        maps = {name: map_ / scales.get(name, 1.0) for name, map_ in backbone(view).items()}
        name, endpoint, filters = COARSEST
        fusion = Fusion(filters, vector_variance=1.0, name="fusion")
        vector = drop_channels(maps["pooled"], seeds, 0, self.dropout)
        x = fusion(maps[endpoint], vector)  # (B, size / 32, size / 32, 256)
        x = nn.relu(convolution(filters, name=name)(x))
        for level, (name, endpoint, filters) in enumerate(LEVELS, start=1):
            if level <= DROPPED_LEVELS:
                x = drop_channels(x, seeds, level, self.dropout)
            x = nn.relu(DoubledConvolution(filters, name=name)(x, maps[endpoint]))
        # Zeros: an untrained network gives back the grey picture, not saturated colours.
        return convolution(self.channels, name="chroma", kernel_init=zeros)(x)
