"""What a run starts from: the network's first variables, and how rare each colour is."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from jaxcolor import weights
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.colorizer import Config, join_trained, make_network, split_trained
from jaxcolor.models.heads import BINS
from jaxcolor.training import losses, step
from jaxcolor.training.data import Batch

_COUNTED_BATCHES = 32


def first_variables(config: ConfigDict, network: Config) -> tuple[Any, Any]:
    """(What is trained, what is not), before the first step.

    The backbone is that of `config.backbone_weights`, the rest random. With `config.start_from` all
    of it comes from a colorizer's weights. `config.tuned_from` is the first part of the backbone
    that is trained, with all that come after it; without, none is.

    Raises:
      ValueError: a field of the config that does not fit the network; names it.
    """
    tuned = tuned_parts(config, network)
    lightness = jnp.zeros((1, network.size, network.size, 1))
    declared = jax.eval_shape(make_network(network).init, jax.random.key(0), lightness)
    if config.start_from:
        variables = weights.load(config.start_from).variables
        if not _same_shapes(variables, declared):
            raise ValueError(f"start_from: {config.start_from} is of another network")
        return split_trained(variables, tuned)
    backbone = weights.with_backbone(weights.load_backbone(config.backbone_weights))
    if "classifier" not in declared["params"]["backbone"]:
        del backbone["params"]["backbone"]["classifier"]
    new, pretrained = split_trained(declared)
    if not _same_shapes(backbone, pretrained):
        raise ValueError(
            f"backbone_weights: {config.backbone_weights} does not fit a {network.backbone}"
        )
    new = _random(network, config.seed)
    return split_trained(join_trained(new, backbone), tuned)


def _random(network: Config, seed: int) -> Any:
    """Random parameters of all but the backbone, whose own are never computed."""

    def init(key: Any) -> Any:
        lightness = jnp.zeros((1, network.size, network.size, 1))
        return split_trained(make_network(network).init(key, lightness))[0]

    return jax.jit(init)(jax.random.key(seed))


def tuned_parts(config: ConfigDict, network: Config) -> tuple[str, ...]:
    """The parts of the backbone that `config.tuned_from` gives to training.

    Raises:
      ValueError: the backbone has no such part, or the weights would leave the backbone out.
    """
    if not config.tuned_from:
        return ()
    backbone = BACKBONES[network.backbone]
    parts = backbone.parts()
    if config.tuned_from not in parts:
        raise ValueError(
            f"tuned_from: {config.tuned_from!r} is no part of {network.backbone} "
            f"({', '.join(parts) or 'it can only be frozen'})"
        )
    if not config.export_backbone:
        raise ValueError("export_backbone: must be True when tuned_from changes the backbone")
    return tuple(parts[parts.index(config.tuned_from) :])


def _same_shapes(one: Any, other: Any) -> bool:
    return bool(jax.tree.map(jnp.shape, one) == jax.tree.map(jnp.shape, other))


def bin_weights(batches: Iterable[Batch], network: Config) -> Array:
    """The weights of the loss `cross_entropy`, (313,), from the first batches of a run."""

    @jax.jit
    def count(rgb: Any) -> Any:
        _, truth = step.to_network({"rgb": rgb}, network.size)
        nearest = jnp.argmax(losses.soft_encode(truth[:, ::4, ::4]), axis=-1)
        return jnp.bincount(nearest.ravel(), length=len(BINS))

    counts = [count(batch["rgb"]) for batch in itertools.islice(batches, _COUNTED_BATCHES)]
    return jnp.asarray(losses.rebalancing(np.sum(jax.device_get(counts), axis=0)))
