"""The whole network: lightness in, chroma out.

Whatever stands inside, a colorizer takes L / 50 - 1 of (B, H, W, 1) and gives ab / 110 of
(B, size, size, 2). `colorize`, training, evaluation and weights know only that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcolor import color
from jaxcolor.models.decoder import Decoder
from jaxcolor.models.efficientnet_lite import EfficientNetLite0
from jaxcolor.models.encoder import STRIDE, Encoder
from jaxcolor.models.fusion import Fusion
from jaxcolor.models.inception_resnet_v2 import InceptionResNetV2

BACKBONES: Mapping[str, type[Any]] = {
    "efficientnet_lite0": EfficientNetLite0,
    "inception_resnet_v2": InceptionResNetV2,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What a network is, beside its weights. Hashable: it is static under `jit`.

    Attributes:
      backbone: whose 1000 logits are fused; a key of `BACKBONES`.
      size: the square that encoder and decoder work on, in pixels; a multiple of 8.
    """

    backbone: str = "efficientnet_lite0"
    size: int = 224

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            known = ", ".join(BACKBONES)
            raise ValueError(f"backbone: {self.backbone!r} is not known (known: {known})")
        if self.size < STRIDE or self.size % STRIDE:
            raise ValueError(f"size: {self.size} is not a positive multiple of {STRIDE}")

    @property
    def input_size(self) -> int:
        """The square that a photo's lightness is best brought to: neither part enlarges it."""
        return max(self.size, int(BACKBONES[self.backbone].input_size))

    def to_json(self) -> dict[str, Any]:
        """The config as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Config:
        """The config that `to_json` gave; an unknown key is a ValueError that names it."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(
                f"config: {', '.join(unknown)} not known: was it written by a newer jaxcolor?"
            )
        return cls(**values)


@flax.struct.dataclass
class Params:
    """A colorizer ready for use: one pytree of arrays that carries its static config.

    Attributes:
      config: what the network is (static: part of the tree's structure).
      variables: linen collections, `params` and the backbone's `batch_stats`.
    """

    config: Config = flax.struct.field(pytree_node=False)
    variables: Any


class Colorizer(nn.Module):
    """Encoder, backbone, fusion, decoder: Deep Koalarization (arXiv 1712.03400), figure 2.

    The backbone sees the grey picture (a = b = 0, back to sRGB), never the colours.
    """

    config: Config

    def setup(self) -> None:
        """Names the parts, as they stand in a weights file."""
        self.backbone = BACKBONES[self.config.backbone]()
        self.encoder = Encoder()
        self.fusion = Fusion()
        self.decoder = Decoder()

    def __call__(self, lightness: Float[Array, "b h w 1"]) -> Float[Array, "b s s 2"]:
        """L / 50 - 1 of any size -> ab / 110 in [-1, 1] at the config's size."""
        return self.chroma(resize(lightness, self.config.size), self.logits(lightness))

    def chroma(
        self, lightness: Float[Array, "b h w 1"], logits: Float[Array, "b 1000"]
    ) -> Float[Array, "b h w 2"]:
        """The part that is trained: encoder, fusion, decoder."""
        _, height, width, _ = lightness.shape
        if height % STRIDE or width % STRIDE:
            raise ValueError(f"lightness is {height}x{width}: both must be multiples of {STRIDE}")
        features = self.encoder(lightness)  # (B, H/8, W/8, 256)
        fused = self.fusion(features, logits)  # (B, H/8, W/8, 256)
        return self.decoder(fused)  # (B, H, W, 2)

    def logits(self, lightness: Float[Array, "b h w 1"]) -> Float[Array, "b 1000"]:
        """The backbone's answer, before the softmax, to the grey picture at its own size."""
        seen = resize(lightness, self.backbone.input_size)
        grey = color.lightness_to_grey(color.network_to_lightness(seen))  # sRGB in [0, 1]
        rgb = jnp.broadcast_to(grey, (*grey.shape[:-1], 3))
        return self.backbone(self.backbone.preprocess(rgb))


def resize(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b s s c"]:
    """Linear; averages when it makes smaller, and gives `x` itself at its own size."""
    if x.shape[1:3] == (size, size):
        return x
    return jax.image.resize(x, (x.shape[0], size, size, x.shape[-1]), "linear")


def forward(
    config: Config, variables: Any, lightness: Float[Array, "b h w 1"]
) -> Float[Array, "b s s 2"]:
    """The network that `config` means, with these variables: L / 50 - 1 -> ab / 110."""
    return cast(Array, Colorizer(config).apply(variables, lightness))


def split_backbone(variables: Mapping[str, Any]) -> tuple[Any, Any]:
    """A colorizer's variables -> (parameters of all but the backbone, the backbone's variables)."""
    rest = {name: part for name, part in variables["params"].items() if name != "backbone"}
    backbone = {
        collection: parts["backbone"]
        for collection, parts in variables.items()
        if "backbone" in parts
    }
    return rest, backbone


def join_backbone(rest: Mapping[str, Any], backbone: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `split_backbone`."""
    variables = {collection: {"backbone": values} for collection, values in backbone.items()}
    return {**variables, "params": {**variables.get("params", {}), **rest}}
