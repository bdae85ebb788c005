"""What a run starts from, by its recipe: the colorizer, the optimizer, the loss."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float
from ml_collections import ConfigDict

from jaxcolor import weights
from jaxcolor.models.colorizer import Config, Params, join_trained, make_network, split_trained
from jaxcolor.models.heads import BINS, HEADS
from jaxcolor.training import losses, step
from jaxcolor.training.losses import LOSSES, Loss

_COUNTED_BATCHES = 32


def check(config: ConfigDict, network: Config) -> None:
    """Raises a ValueError that names a field of the recipe that cannot be."""
    if config.loss not in LOSSES:
        raise ValueError(f"loss: {config.loss!r} is not known (known: {', '.join(LOSSES)})")
    if (head := LOSSES[config.loss].head) != network.head:
        raise ValueError(f"loss: {config.loss} trains network.head={head}, not {network.head}")
    if config.compute_dtype not in ("float32", "bfloat16"):
        raise ValueError(f"compute_dtype: {config.compute_dtype!r} is neither float32 nor bfloat16")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout: {config.dropout} is not in [0, 1)")
    if not 0 <= config.warmup_steps < config.steps:
        raise ValueError(f"warmup_steps: {config.warmup_steps} is not in [0, steps={config.steps})")
    if config.consistency < 0:
        raise ValueError(f"consistency: {config.consistency} is negative")
    if config.consistency and HEADS[network.head].is_distribution:
        raise ValueError(f"consistency: must be 0 with network.head={network.head}")
    if config.schedule not in ("cosine", "constant"):
        raise ValueError(f"schedule: {config.schedule!r} is neither 'cosine' nor 'constant'")
    step.tuned_parts(network, config.tuned_from)
    if config.tuned_from and not config.export_backbone:
        raise ValueError("export_backbone: must be True when tuned_from changes the backbone")
    if not config.backbone_weights and not config.start_from and not config.export_backbone:
        raise ValueError("export_backbone: must be True when the backbone is random")


def fields(config: ConfigDict, function: Callable[..., Any]) -> dict[str, Any]:
    """The fields of a recipe that a function has keywords of the same names for."""
    parameters = inspect.signature(function).parameters.values()
    names = (each.name for each in parameters if each.kind is each.KEYWORD_ONLY)
    return {name: config[name] for name in names if name in config}


# -- The colorizer ---------------------------------------------------------------------------------


def first_params(config: ConfigDict, network: Config) -> Params:
    """The colorizer before the first step: that of `start_from`, or else a new one.

    Raises:
      ValueError: the weights that the recipe names are of another network or backbone.
    """
    if not config.start_from:
        return new_params(network, config.backbone_weights, config.seed)
    variables = weights.load(config.start_from).variables
    if not _same_shapes(variables, _declared(network)):
        raise ValueError(f"start_from: {config.start_from} is of another network")
    return Params(network, variables)


def new_params(network: Config, backbone_weights: str | None = None, seed: int = 0) -> Params:
    """A colorizer that has learned nothing yet, on a pretrained backbone or a random one.

    Args:
      network: what it is.
      backbone_weights: a backbone's name or its file, as `weights.load_backbone` takes it; "" for
        a random backbone. None: the pretrained one that the network names.
      seed: of all that is random.

    Raises:
      FileNotFoundError: there are no such weights.
      ValueError: they are of another backbone.
    """
    name = network.backbone if backbone_weights is None else backbone_weights
    if not name:
        return Params(network, _random(network, seed, lambda variables: variables))
    backbone = weights.with_backbone(weights.load_backbone(name))
    declared = _declared(network)
    if "classifier" not in declared["params"]["backbone"]:
        del backbone["params"]["backbone"]["classifier"]
    if not _same_shapes(backbone, split_trained(declared)[1]):
        raise ValueError(f"backbone_weights: {name} does not fit a {network.backbone}")
    new = _random(network, seed, lambda variables: split_trained(variables)[0])
    return Params(network, join_trained(new, backbone))


def _random(network: Config, seed: int, part: Callable[[Any], Any]) -> Any:
    """Random variables; those that `part` leaves out are never computed."""
    init = _init(network)
    return jax.jit(lambda key: part(init(key, _nothing(network))))(jax.random.key(seed))


def _declared(network: Config) -> Any:
    return jax.eval_shape(_init(network), jax.random.key(0), _nothing(network))


@functools.cache
def _init(network: Config) -> Any:
    """The network's `init`, traced once for all that ask."""
    return jax.jit(make_network(network).init)


def _nothing(network: Config) -> jax.Array:
    return jnp.zeros((1, network.size, network.size, 1))


def _same_shapes(one: Any, other: Any) -> bool:
    return bool(jax.tree.map(jnp.shape, one) == jax.tree.map(jnp.shape, other))


# -- The optimizer ---------------------------------------------------------------------------------


def make_schedule(config: ConfigDict) -> optax.Schedule:
    """`learning_rate` behind a linear warm-up: "constant", or a "cosine" down to zero."""
    if config.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, config.warmup_steps, config.steps
        )
    if config.warmup_steps == 0:  # optax's warm-up of no steps never leaves its start, zero
        return optax.constant_schedule(config.learning_rate)
    return optax.warmup_constant_schedule(0.0, config.learning_rate, config.warmup_steps)


def make_optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """AdamW behind a clip of the global norm; biases do not decay, the backbone moves slower."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            make_schedule(config),
            weight_decay=config.weight_decay,
            mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
        ),
        optax.masked(optax.scale(config.backbone_rate), _is_backbone),
    )


def _is_backbone(trainable: Any) -> Any:
    return {
        name: jax.tree.map(lambda _, name=name: name == "backbone", part)
        for name, part in trainable.items()
    }


# -- The loss --------------------------------------------------------------------------------------


def make_loss(
    config: ConfigDict, network: Config, batches: Callable[[], Iterable[Mapping[str, Any]]]
) -> Loss:
    """The recipe's loss, with all that it needs beside prediction and batch.

    Args:
      config: the recipe; a keyword of the loss is the field of that name.
      network: what the network is.
      batches: the first batches of the run; called where the loss wants `bin_weights`.
    """
    loss = LOSSES[config.loss]
    options = fields(config, loss)
    if "bin_weights" in inspect.signature(loss).parameters:
        options["bin_weights"] = bin_weights(batches(), network)
    made = functools.partial(loss, **options)
    return losses.with_consistency(made, config.consistency) if config.consistency else made


def bin_weights(batches: Iterable[Mapping[str, Any]], network: Config) -> Float[np.ndarray, " 313"]:
    """The weights of the loss `cross_entropy`, from the first batches of a run."""

    @jax.jit
    def count(rgb: Any) -> Any:
        _, truth = step.to_network({"rgb": rgb}, network.size)
        nearest = jnp.argmax(losses.soft_encode(truth[:, ::4, ::4]), axis=-1)
        return jnp.bincount(nearest.ravel(), length=len(BINS))

    counts = [count(batch["rgb"]) for batch in itertools.islice(batches, _COUNTED_BATCHES)]
    return losses.rebalancing(np.sum(jax.device_get(counts), axis=0))
