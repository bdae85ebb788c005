"""One step of training, and one of validation: pure functions of state and batch."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from jaxcolor import color
from jaxcolor.models.colorizer import Config, forward, join_backbone, resize
from jaxcolor.training.losses import squared_error


@flax.struct.dataclass
class TrainState:
    """All that a step changes; what a checkpoint holds.

    Attributes:
      step: steps done.
      trainable: parameters that the optimizer moves, float32.
      ema: their exponential moving average: what is validated and shipped.
      opt_state: optax'.
    """

    step: Array
    trainable: Any
    ema: Any
    opt_state: Any


def make_schedule(config: ConfigDict) -> optax.Schedule:
    """`learning_rate` behind a linear warm-up, "constant" or in a "cosine" down to zero at the end.

    Raises:
      ValueError: the warm-up is not shorter than the run, or the schedule is of no known kind.
    """
    if not 0 <= config.warmup_steps < config.steps:
        raise ValueError(f"warmup_steps: {config.warmup_steps} is not in [0, steps={config.steps})")
    if config.schedule == "constant":
        if config.warmup_steps == 0:  # optax's warm-up of no steps never leaves its start, zero
            return optax.constant_schedule(config.learning_rate)
        return optax.warmup_constant_schedule(0.0, config.learning_rate, config.warmup_steps)
    if config.schedule != "cosine":
        raise ValueError(f"schedule: {config.schedule!r} is neither 'cosine' nor 'constant'")
    return optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup_steps, config.steps
    )


def make_optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """AdamW behind a clip of the global norm; biases do not decay."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            make_schedule(config),
            weight_decay=config.weight_decay,
            mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
        ),
    )


def init_state(trainable: Any, config: ConfigDict) -> TrainState:
    """The state at step 0."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        trainable=trainable,
        ema=jax.tree.map(jnp.copy, trainable),  # a copy: both are donated
        opt_state=make_optimizer(config).init(trainable),
    )


def train_step(
    state: TrainState,
    backbone: Any,
    batch: dict[str, Array],
    *,
    network: Config,
    config: ConfigDict,
) -> tuple[TrainState, dict[str, Array]]:
    """One step of the optimizer.

    Args:
      state: before; may be donated.
      backbone: its variables; frozen.
      batch: {"rgb": uint8 (B, S, S, 3)}.
      network: what the network is (static).
      config: the recipe (static).

    Returns:
      The state after, and {"loss", "gradient_norm"}.
    """
    lightness, truth = to_network(batch["rgb"], network.size)

    def loss_of(trainable: Any) -> Array:
        predicted = forward(network, join_backbone(trainable, backbone), lightness)
        return squared_error(predicted, truth).mean()

    loss, gradient = jax.value_and_grad(loss_of)(state.trainable)
    updates, opt_state = make_optimizer(config).update(gradient, state.opt_state, state.trainable)
    trainable = optax.apply_updates(state.trainable, updates)
    # Early on the average follows faster, or it would remember the random start for long.
    keep = jnp.minimum(config.ema, (1 + state.step) / (10 + state.step))
    ema = optax.incremental_update(trainable, state.ema, 1 - keep)
    metrics = {"loss": loss, "gradient_norm": optax.tree.norm(gradient)}
    return TrainState(state.step + 1, trainable, ema, opt_state), metrics


def validation_step(
    trainable: Any, backbone: Any, batch: dict[str, Array], *, network: Config
) -> dict[str, Array]:
    """Sums over the batch's real pictures: the loss, that of the grey picture, and their number."""
    lightness, truth = to_network(batch["rgb"], network.size)
    predicted = forward(network, join_backbone(trainable, backbone), lightness)
    mask = batch["mask"]
    return {
        "loss": jnp.sum(mask * squared_error(predicted, truth)),
        "grey_loss": jnp.sum(mask * squared_error(jnp.zeros_like(truth), truth)),
        "count": jnp.sum(mask),
    }


def to_network(
    rgb: UInt8[Array, "b h w 3"], size: int
) -> tuple[Float[Array, "b h w 1"], Float[Array, "b s s 2"]]:
    """uint8 RGB -> the network's input L / 50 - 1, and the truth ab / 110 at the network's size."""
    lab = color.rgb_to_lab(rgb.astype(jnp.float32) / 255)
    truth = resize(color.ab_to_network(lab[..., 1:]), size)
    return color.lightness_to_network(lab[..., :1]), truth
