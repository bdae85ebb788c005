"""The seed's network: encoder, backbone's logits, fusion, decoder.

Deep Koalarization (Baldassarre, Gonzalez Morin, Rodes-Guirao 2017, arXiv 1712.03400), figure 2.
"""

from __future__ import annotations

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from jaxcolor.models.backbones import BACKBONES, grey_view, resize
from jaxcolor.models.decoder import Decoder
from jaxcolor.models.dropout import drop_channels
from jaxcolor.models.encoder import STRIDE, Encoder
from jaxcolor.models.fusion import Fusion


class Koalarization(nn.Module):
    """Lightness -> what a head reads chroma from, at half of `size`.

    Attributes:
      backbone_name: whose 1000 logits are fused; a key of `BACKBONES`. It sees the grey picture at
        its own size.
      size: the square that encoder and decoder work on, in pixels; a multiple of 8.
      channels: of the output.
      dtype: what is computed in.
      dropout: while training, the share of the fused channels that the decoder does without.
    """

    MULTIPLE: ClassVar[int] = STRIDE  # of `size`

    backbone_name: str
    size: int
    channels: int
    dtype: Any = jnp.float32
    dropout: float = 0.0

    def setup(self) -> None:
        """Names the parts, as they stand in a weights file."""
        self.backbone = BACKBONES[self.backbone_name]()
        self.encoder = Encoder()
        self.fusion = Fusion()
        self.decoder = Decoder(self.channels)

    @classmethod
    def input_size(cls, backbone: str, size: int) -> int:
        """The square that a photo's lightness is best brought to: neither part enlarges it."""
        return max(size, int(BACKBONES[backbone].input_size))

    def __call__(
        self, lightness: Float[Array, "b h w 1"], seeds: UInt32[Array, " b"] | None = None
    ) -> Float[Array, "b s/2 s/2 c"]:
        """L / 50 - 1 of any size -> (B, size / 2, size / 2, channels); with seeds, dropout."""
        return self.chroma(resize(lightness, self.size), self.logits(lightness), seeds)

    def chroma(
        self,
        lightness: Float[Array, "b h w 1"],
        logits: Float[Array, "b 1000"],
        seeds: UInt32[Array, " b"] | None = None,
    ) -> Float[Array, "b h/2 w/2 c"]:
        """The part that is trained: encoder, fusion, decoder."""
        _, height, width, _ = lightness.shape
        if height % STRIDE or width % STRIDE:
            raise ValueError(f"lightness is {height}x{width}: both must be multiples of {STRIDE}")
        features = self.encoder(lightness.astype(self.dtype))  # (B, H/8, W/8, 256)
        fused = self.fusion(features, logits)  # (B, H/8, W/8, 256)
        fused = drop_channels(fused, seeds, 0, self.dropout)
        return self.decoder(fused)  # (B, H/2, W/2, channels)

    def logits(self, lightness: Float[Array, "b h w 1"]) -> Float[Array, "b 1000"]:
        """The backbone's answer, before the softmax, to the grey picture at its own size."""
        size = self.backbone.input_size
        return self.backbone(grey_view(self.backbone_name, lightness, size, self.dtype))
