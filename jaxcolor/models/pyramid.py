"""The pyramid: the pretrained backbone is the encoder, and the decoder climbs its feature maps.

A U-Net (Ronneberger, Fischer, Brox 2015) whose contracting half was trained on ImageNet: the maps
at 1/32 .. 1/2 meet the decoder level by level, the backbone's pooled vector is fused at the
coarsest one as Deep Koalarization fuses logits. It learns far more colour from few photos than an
encoder that starts from nothing (`docs/experiments.md`).
"""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
from jax.nn.initializers import zeros
from jaxtyping import Array, Float, UInt32

from jaxcolor.models.backbones import BACKBONES, grey_view, resize
from jaxcolor.models.convolution import DoubledConvolution, convolution
from jaxcolor.models.dropout import drop_channels
from jaxcolor.models.fusion import Fusion
from jaxcolor.models.interfaces import Network

# Name of the level, the backbone's map there, filters of the level's convolution.
COARSEST = ("P32", "stride32", 256)
LEVELS = (
    ("P16", "stride16", 256),
    ("P8", "stride8", 160),
    ("P4", "stride4", 96),
    ("P2", "stride2", 48),
)
DROPPED_LEVELS = 3  # what P32, P16 and P8 gave; the last two are thin


class Pyramid(Network):
    """Lightness -> what a head reads chroma from, at half of its height and width.

    Dropout is of the pooled vector and of the levels down to 1/8.
    """

    MULTIPLE: ClassVar[int] = 32
    FOLLOWS_INPUT: ClassVar[bool] = True
    NEEDS_MAPS: ClassVar[bool] = True

    @staticmethod
    def enlarge(chroma: Float[Array, "b h w 2"]) -> Float[Array, "b 2*h 2*w 2"]:
        """Linear."""
        _, height, width, _ = chroma.shape
        return resize(chroma, (2 * height, 2 * width))

    @nn.compact
    def __call__(
        self, lightness: Float[Array, "b h w 1"], seeds: UInt32[Array, " b"] | None = None
    ) -> Float[Array, "b h//2 w//2 c"]:
        """L / 50 - 1, H and W multiples of 32 -> (B, H / 2, W / 2, channels); seeds: dropout."""
        self.check_sides(lightness)
        backbone = BACKBONES[self.backbone_name](include_top=False, name="backbone")
        scales = backbone.endpoint_scales
        maps = backbone(grey_view(type(backbone), lightness, self.dtype))
        maps = {name: map_ / scales.get(name, 1.0) for name, map_ in maps.items()}
        name, endpoint, filters = COARSEST
        fusion = Fusion(filters, vector_variance=1.0, name="fusion")
        vector = drop_channels(maps["pooled"], seeds, 0, self.dropout)
        x = fusion(maps[endpoint], vector)  # (B, H/32, W/32, 256)
        x = nn.relu(convolution(filters, name=name)(x))
        for level, (name, endpoint, filters) in enumerate(LEVELS, start=1):
            if level <= DROPPED_LEVELS:
                x = drop_channels(x, seeds, level, self.dropout)
            x = nn.relu(DoubledConvolution(filters, name=name)(x, maps[endpoint]))
        # Zeros: an untrained network gives back the grey picture, not saturated colours.
        return convolution(self.channels, name="chroma", kernel_init=zeros)(x)  # (B, H/2, W/2, C)
