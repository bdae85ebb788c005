"""The one interface of all networks: lightness in, chroma out.

Whatever stands inside, a colorizer takes L / 50 - 1 of (B, H, W, 1) and gives ab / 110. Prediction,
training, evaluation and weights know only that.
"""

from __future__ import annotations

import dataclasses
import json
import operator
from collections.abc import Collection, Mapping
from typing import Any, cast

import flax.struct
import jax
import jax.numpy as jnp
from flax import traverse_util
from jaxtyping import Array, Float

from jaxcolor import color
from jaxcolor.models import tone
from jaxcolor.models.backbones import BACKBONES, resize
from jaxcolor.models.heads import HEADS
from jaxcolor.models.interfaces import Network
from jaxcolor.models.koalarization import Koalarization
from jaxcolor.models.mending import mended
from jaxcolor.models.pyramid import Pyramid

NETWORKS: Mapping[str, type[Network]] = {"fusion": Koalarization, "pyramid": Pyramid}


@dataclasses.dataclass(frozen=True)
class Prediction:
    """How to predict by a network; of these, training knows `size` and `mended`.

    Attributes:
      size: the square that a photo is brought to: see `controls.SIZE`.
      saturation: what prediction multiplies the chroma by, beside the user's own wish. A network
        trained on squared errors hedges between colours, and is paler than the world; this is
        chosen on validation photos when weights are released.
      mirrored: whether prediction is the mean over the photo and its mirror image: twice the
        network's work for calmer, truer colours.
      border: how many samples at the rim of the network's answer take their chroma from the first
        one further inside: zeros beyond the photo can lead the network astray there.
      fitted: whether it sees a photo in the nearest of a few shapes of about the square's area, and
        without a margin round it (`predict/framing.py`), or squashed to the square.
      mended: whether it sees a photo without its vignette, scratches and specks
        (`mending.py`).
    """

    size: int = 224
    saturation: float = 1.0
    mirrored: bool = False
    border: int = 0
    fitted: bool = False
    mended: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.saturation < float("inf"):
            raise ValueError(f"saturation: {self.saturation} is not a positive number")


@dataclasses.dataclass(frozen=True)
class Config:
    """What a colorizer is, beside its weights. Hashable: it is static under `jit`.

    Attributes:
      network: a key of `NETWORKS`.
      backbone: the pretrained part; a key of `BACKBONES`.
      head: how chroma is read from the last layer; a key of `HEADS`.
      stretched: whether the network sees every photo's black and white point moved towards one pair
        (`tone.py`).
      prediction: how to predict by it.
    """

    network: str = "fusion"
    backbone: str = "efficientnet_lite0"
    head: str = "regression"
    stretched: bool = False
    prediction: Prediction = Prediction()

    def __post_init__(self) -> None:
        choices = {"network": NETWORKS, "backbone": BACKBONES, "head": HEADS}
        for field, known in choices.items():
            if (value := getattr(self, field)) not in known:
                raise ValueError(f"{field}: {value!r} is not known (known: {', '.join(known)})")
        network = NETWORKS[self.network]
        _check_size(self.size, network.MULTIPLE)
        if not 0 <= self.prediction.border < self.size / 2:
            raise ValueError(
                f"border: {self.prediction.border} is not in [0, size / 2 = {self.size / 2:g})"
            )
        if self.prediction.fitted and not network.FOLLOWS_INPUT:
            raise ValueError(f"fitted: a {self.network} works on its square alone")
        if network.NEEDS_MAPS and not BACKBONES[self.backbone].endpoint_scales:
            raise ValueError(f"backbone: {self.backbone} has no maps for a {self.network}")

    @property
    def size(self) -> int:
        """The square that photos are coloured on, in training as in prediction; in pixels."""
        return self.prediction.size

    @property
    def input_size(self) -> int:
        """The square that a photo's lightness is best brought to, as no part enlarges it."""
        return NETWORKS[self.network].input_size(BACKBONES[self.backbone], self.size)

    def predicting(self, **changes: Any) -> Config:
        """The same network, predicted by in another way: fields of `Prediction`."""
        prediction = dataclasses.replace(self.prediction, **changes)
        return dataclasses.replace(self, prediction=prediction)

    def to_json(self) -> dict[str, Any]:
        """The config as plain values, the prediction's fields beside the network's."""
        network = dataclasses.asdict(self)
        prediction = network.pop("prediction")
        return network | prediction

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Config:
        """The config that `to_json` gave; an unknown key is a ValueError that names it."""
        of_network = _names(cls) - {"prediction"}
        if unknown := sorted(set(values) - of_network - _names(Prediction)):
            raise ValueError(
                f"config: {', '.join(unknown)} not known: was it written by a newer jaxcolor?"
            )
        network = {name: value for name, value in values.items() if name in of_network}
        prediction = {name: _frozen(values[name]) for name in values.keys() - of_network}
        return cls(**network, prediction=Prediction(**prediction))


def _check_size(size: int, multiple: int) -> None:
    below = size // multiple * multiple
    if size > 0 and size == below:
        return
    near = f"{below} and {below + multiple} are" if below > 0 else f"{multiple} is the smallest"
    raise ValueError(
        f"size: {size} is not a positive multiple of {multiple}, which this network needs: {near}"
    )


def _names(cls: type[Any]) -> set[str]:
    return {field.name for field in dataclasses.fields(cls)}


def _frozen(value: Any) -> Any:
    """JSON's lists as tuples: a config is hashable."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


@flax.struct.dataclass
class Params:
    """A colorizer ready for use: one pytree of arrays that carries its static config.

    Attributes:
      config: what the network is, and how to predict by it (static: part of the tree's structure).
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
        return Params(self.config.predicting(size=operator.index(size)), self.variables)


def make_network(config: Config, dtype: Any = jnp.float32, dropout: float = 0.0) -> Network:
    """The module that `config` means; L / 50 - 1 -> the head's channels at half of the size.

    Applied to (lightness, seeds), a number for each picture, it trains with `dropout`.
    """
    network = NETWORKS[config.network]
    square: dict[str, Any] = {} if network.FOLLOWS_INPUT else {"size": config.size}
    return network(
        backbone_name=config.backbone,
        channels=HEADS[config.head].channels,
        dtype=dtype,
        dropout=dropout,
        **square,
    )


def to_input(config: Config, lightness: Float[Array, "b h w 1"]) -> Float[Array, "b h2 w2 1"]:
    """L / 50 - 1 of any size as the network takes it, to give chroma at the config's size."""
    seen = as_seen(config, lightness)
    return resize(seen, config.size) if NETWORKS[config.network].FOLLOWS_INPUT else seen


def as_seen(config: Config, lightness: Float[Array, "b h w 1"]) -> Float[Array, "b h w 1"]:
    """L / 50 - 1 as the network sees it: without damage, its black and white point moved."""
    if not (config.prediction.mended or config.stretched):
        return lightness
    whole = color.network_to_lightness(lightness[..., 0])
    if config.prediction.mended:
        whole = mended(whole)
    if config.stretched:
        whole = tone.stretched(whole)
    return color.lightness_to_network(whole)[..., None]


def forward(
    config: Config, variables: Any, lightness: Float[Array, "b h w 1"]
) -> Float[Array, "b h2 w2 2"]:
    """The network that `config` means, with these variables: L / 50 - 1 -> ab / 110.

    Args:
      config: what the network is.
      variables: of one floating-point type, which is computed in.
      lightness: a pyramid takes any multiples of 32 and gives chroma of that height and width;
        fusion takes any size and gives chroma at the config's.

    Raises:
      TypeError: the variables are not of one floating-point type.
      ValueError: a side of `lightness` that the network cannot work on.
    """
    network = make_network(config, _type_of(variables))
    output = cast(Array, network.apply(variables, lightness))
    return read_chroma(config, output.astype(jnp.float32))


def _type_of(variables: Any) -> Any:
    types = {leaf.dtype for leaf in jax.tree.leaves(variables)}
    if len(types) == 1 and jnp.issubdtype(dtype := next(iter(types)), jnp.floating):
        return dtype
    names = ", ".join(sorted(map(str, types))) or "empty"
    raise TypeError(f"the variables are {names}: all must be of one floating-point type")


def read_chroma(config: Config, output: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w 2"]:
    """What the network gave, through its head, doubled: ab / 110."""
    return NETWORKS[config.network].enlarge(HEADS[config.head].decode(output))


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


jax.export.register_pytree_node_serialization(
    Params,
    serialized_name="jaxcolor.Params",
    serialize_auxdata=lambda static: json.dumps(static[0].to_json()).encode(),
    deserialize_auxdata=lambda data: (Config.from_json(json.loads(data)),),
)
