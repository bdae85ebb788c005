"""Deep Koalarization: encoder, backbone's logits, fusion, decoder.

Baldassarre, Gonzalez Morin, Rodes-Guirao 2017, arXiv 1712.03400, figure 2.
"""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Array, Float, UInt32

from jaxcolor.models.backbones import BACKBONES, grey_view, resize
from jaxcolor.models.cpu import plain
from jaxcolor.models.decoder import Decoder
from jaxcolor.models.dropout import drop_channels
from jaxcolor.models.encoder import STRIDE, Encoder
from jaxcolor.models.fusion import Fusion
from jaxcolor.models.interfaces import Backbone, Network


class Koalarization(Network):
    """Lightness -> what a head reads chroma from, at half of `size`.

    The backbone, whose 1000 logits are fused, sees the grey picture at its own size. Dropout is of
    the fused channels.

    Attributes:
      size: the square that encoder and decoder work on, in pixels; a multiple of 8.
    """

    MULTIPLE: ClassVar[int] = STRIDE
    FOLLOWS_INPUT: ClassVar[bool] = False

    size: int

    def setup(self) -> None:
        """Names the parts, as they stand in a weights file."""
        self.backbone = BACKBONES[self.backbone_name]()
        self.encoder = Encoder()
        self.fusion = Fusion()
        self.decoder = Decoder(self.channels)

    @classmethod
    def input_size(cls, backbone: type[Backbone], size: int) -> int:
        """The larger of the encoder's square and the backbone's: neither enlarges it."""
        return max(size, backbone.input_size)

    @staticmethod
    def enlarge(chroma: Float[Array, "b h w 2"]) -> Float[Array, "b 2*h 2*w 2"]:
        """Nearest neighbour, as all doublings of the table."""
        return plain.double(chroma)

    def __call__(
        self, lightness: Float[Array, "b h w 1"], seeds: UInt32[Array, " b"] | None = None
    ) -> Float[Array, "b s s c"]:
        """L / 50 - 1 of any size -> (B, size / 2, size / 2, channels); with seeds, dropout."""
        return self.chroma(resize(lightness, self.size), self.logits(lightness), seeds)

    def chroma(
        self,
        lightness: Float[Array, "b h w 1"],
        logits: Float[Array, "b 1000"],
        seeds: UInt32[Array, " b"] | None = None,
    ) -> Float[Array, "b h//2 w//2 c"]:
        """The part that is trained: encoder, fusion, decoder."""
        self.check_sides(lightness)
        features = self.encoder(lightness.astype(self.dtype))  # (B, H/8, W/8, 256)
        fused = self.fusion(features, logits)  # (B, H/8, W/8, 256)
        fused = drop_channels(fused, seeds, 0, self.dropout)
        return self.decoder(fused)  # (B, H/2, W/2, channels)

    def logits(self, lightness: Float[Array, "b h w 1"]) -> Float[Array, "b 1000"]:
        """The backbone's answer, before the softmax, to the grey picture at its own size."""
        seen = resize(lightness, self.backbone.input_size)
        return self.backbone(grey_view(type(self.backbone), seen, self.dtype))
