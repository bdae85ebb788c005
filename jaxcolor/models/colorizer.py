"""The one interface of all networks: lightness in, chroma out.

Whatever stands inside, a colorizer takes L / 50 - 1 of (B, H, W, 1) and gives ab / 110 of
(B, size, size, 2). `colorize`, training, evaluation and weights know only that.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Collection, Mapping
from typing import Any, cast

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from flax import traverse_util
from jaxtyping import Array, Float

from jaxcolor.models.backbones import BACKBONES, resize
from jaxcolor.models.convolution import double
from jaxcolor.models.heads import HEADS
from jaxcolor.models.koalarization import Koalarization
from jaxcolor.models.pyramid import Pyramid

NETWORKS: Mapping[str, type[Any]] = {"fusion": Koalarization, "pyramid": Pyramid}


@dataclasses.dataclass(frozen=True)
class Config:
    """What a network is, beside its weights. Hashable: it is static under `jit`.

    Attributes:
      network: a key of `NETWORKS`.
      backbone: the pretrained part; a key of `BACKBONES`.
      head: how chroma is read from the last layer; a key of `HEADS`.
      size: the square that the network works on, in pixels; a multiple of 8, of 32 for a pyramid.
      saturation: what prediction multiplies the chroma by, beside the user's own wish. A network
        trained on squared errors hedges between colours, and is paler than the world; this is
        chosen on validation photos when weights are released. Training never sees it.
      mirrored: whether prediction is the mean over the photo and its mirror image: twice the
        network's work for calmer, truer colours. Training never sees it either.
      border: how many samples at the rim of the network's answer take their chroma from the first
        one further inside: zeros beyond the photo can lead the network astray there.
    """

    network: str = "fusion"
    backbone: str = "efficientnet_lite0"
    head: str = "regression"
    size: int = 224
    saturation: float = 1.0
    mirrored: bool = False
    border: int = 0

    def __post_init__(self) -> None:
        choices = {"network": NETWORKS, "backbone": BACKBONES, "head": HEADS}
        for field, known in choices.items():
            if (value := getattr(self, field)) not in known:
                raise ValueError(f"{field}: {value!r} is not known (known: {', '.join(known)})")
        multiple = NETWORKS[self.network].MULTIPLE
        if self.size < multiple or self.size % multiple:
            raise ValueError(f"size: {self.size} is not a positive multiple of {multiple}")
        if not 0 < self.saturation < float("inf"):
            raise ValueError(f"saturation: {self.saturation} is not a positive number")
        if not 0 <= self.border < self.size / 2:
            raise ValueError(f"border: {self.border} is not in [0, size / 2 = {self.size / 2:g})")
        if self.network == "pyramid" and not hasattr(BACKBONES[self.backbone], "endpoint_scales"):
            raise ValueError(f"backbone: {self.backbone} has no maps for a pyramid to stand on")

    @property
    def input_size(self) -> int:
        """The square that a photo's lightness is best brought to: no part enlarges it."""
        return int(NETWORKS[self.network].input_size(self.backbone, self.size))

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

    def with_size(self, size: int | None) -> Params:
        """The same colorizer, working on another square; None leaves it as it is.

        Raises:
          ValueError: the network cannot work on that size.
          TypeError: it is no whole number.
        """
        if size is None:
            return self
        config = dataclasses.replace(self.config, size=operator.index(size))
        return Params(config, self.variables)


def make_network(config: Config, dtype: Any = jnp.float32, dropout: float = 0.0) -> nn.Module:
    """The module that `config` means; L / 50 - 1 -> the head's channels at half of `size`.

    Applied to (lightness, seeds), a number for each picture, it trains with `dropout`.
    """
    network = NETWORKS[config.network]
    channels = HEADS[config.head].channels
    return cast(
        nn.Module, network(config.backbone, config.size, channels, dtype=dtype, dropout=dropout)
    )


def forward(
    config: Config, variables: Any, lightness: Float[Array, "b h w 1"]
) -> Float[Array, "b s s 2"]:
    """The network that `config` means, with these variables: L / 50 - 1 -> ab / 110."""
    output = cast(Array, make_network(config).apply(variables, lightness))
    return read_chroma(config, output)


def read_chroma(config: Config, output: Float[Array, "b s/2 s/2 c"]) -> Float[Array, "b s s 2"]:
    """What the network gave, through its head, at the config's size: ab / 110.

    The seed's last doubling is nearest neighbour, the pyramid's is linear.
    """
    chroma = HEADS[config.head].decode(output)
    return double(chroma) if config.network == "fusion" else resize(chroma, config.size)


def split_trained(variables: Mapping[str, Any], tuned: Collection[str] = ()) -> tuple[Any, Any]:
    """A colorizer's variables -> (parameters that training moves, all that stays as it is).

    Args:
      variables: linen collections.
      tuned: parts of the backbone that are moved too; its batch statistics never are.
    """
    moved: dict[Any, Any] = {}
    kept: dict[Any, Any] = {}
    for path, leaf in traverse_util.flatten_dict(variables).items():
        collection, part, *rest = path
        if collection == "params" and (part != "backbone" or rest[0] in tuned):
            moved[path[1:]] = leaf
        else:
            kept[path] = leaf
    return traverse_util.unflatten_dict(moved), traverse_util.unflatten_dict(kept)


def join_trained(trained: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `split_trained`."""
    moved = traverse_util.flatten_dict({"params": trained})
    return dict(traverse_util.unflatten_dict({**traverse_util.flatten_dict(kept), **moved}))
