"""One step of training, and one of validation: pure functions of state and batch."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from jaxcolor import color
from jaxcolor.models.backbones import resize
from jaxcolor.models.colorizer import Config, join_trained, make_network, read_chroma, to_input
from jaxcolor.training import losses
from jaxcolor.training.sharding import AXIS

LOSSES = {
    "squared_error": "regression",
    "huber": "regression",
    "cross_entropy": "classification",
}  # -> the head that it trains

Metrics = dict[str, Array]


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


@flax.struct.dataclass
class Fixed:
    """What a step reads and never changes.

    Attributes:
      variables: the network's that are not trained: the backbone, or what is frozen of it.
      bin_weights: (313,) of the loss `cross_entropy`; None for others.
    """

    variables: Any
    bin_weights: Array | None = None


def check(config: ConfigDict, network: Config) -> None:
    """Raises a ValueError that names a field of the recipe that cannot be."""
    if config.loss not in LOSSES:
        raise ValueError(f"loss: {config.loss!r} is not known (known: {', '.join(LOSSES)})")
    if (head := LOSSES[config.loss]) != network.head:
        raise ValueError(f"loss: {config.loss} trains network.head={head}, not {network.head}")
    if config.compute_dtype not in ("float32", "bfloat16"):
        raise ValueError(f"compute_dtype: {config.compute_dtype!r} is neither float32 nor bfloat16")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout: {config.dropout} is not in [0, 1)")
    if not 0 <= config.warmup_steps < config.steps:
        raise ValueError(f"warmup_steps: {config.warmup_steps} is not in [0, steps={config.steps})")
    if config.schedule not in ("cosine", "constant"):
        raise ValueError(f"schedule: {config.schedule!r} is neither 'cosine' nor 'constant'")


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
    fixed: Fixed,
    batch: dict[str, Array],
    *,
    network: Config,
    config: ConfigDict,
    mesh: Mesh,
) -> tuple[TrainState, Metrics]:
    """One step of the optimizer.

    Args:
      state: before; may be donated.
      fixed: what is not trained.
      batch: {"rgb": uint8 (B, S, S, 3)} and, if the network is to see another grey than the
        photo's own, {"grey": uint8 (B, S, S)}; cut over the mesh.
      network: what the network is (static).
      config: the recipe (static).
      mesh: the devices (static).

    Returns:
      The state after, and {"loss", "gradient_norm", "learning_rate"}.
    """
    # Dropout's: functions of (seed, step, place in the batch), whatever the mesh is.
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    batch = {**batch, "seed": jax.random.bits(key, (len(batch["rgb"]),), "uint32")}
    loss, gradient = _gradient(state.trainable, fixed, batch, network, config, mesh)
    updates, opt_state = make_optimizer(config).update(gradient, state.opt_state, state.trainable)
    trainable = optax.apply_updates(state.trainable, updates)
    # Early on the average follows faster, or it would remember the random start for long.
    keep = jnp.minimum(config.ema, (1 + state.step) / (10 + state.step))
    ema = optax.incremental_update(trainable, state.ema, 1 - keep)
    metrics = {
        "loss": loss,
        "gradient_norm": optax.tree.norm(gradient),
        "learning_rate": jnp.asarray(make_schedule(config)(state.step)),
    }
    return TrainState(state.step + 1, trainable, ema, opt_state), metrics


def _gradient(
    trainable: Any,
    fixed: Fixed,
    batch: dict[str, Array],
    network: Config,
    config: ConfigDict,
    mesh: Mesh,
) -> tuple[Array, Any]:
    """The mean loss over the batch and its gradient.

    Each device goes through its own part of the batch in `accumulate` pieces; then they meet once.
    """

    def of_piece(trainable: Any, piece: dict[str, Array], fixed: Fixed) -> Array:
        lightness, truth = to_network(piece, network.size)
        module = make_network(network, config.compute_dtype, config.dropout)
        output = _apply(module, trainable, fixed, to_input(network, lightness), piece["seed"])
        return loss_of(output, truth, fixed, network, config).mean()

    def of_device(trainable: Any, fixed: Fixed, part: dict[str, Array]) -> Any:
        # Each device owns its copy until the end: the sum over devices is one, and is ours.
        trainable = jax.lax.pcast(trainable, AXIS, to="varying")
        of_one = jax.value_and_grad(of_piece)
        if config.accumulate == 1:  # no loop: XLA is slow inside of one on a CPU
            return jax.lax.pmean(of_one(trainable, part, fixed), AXIS)

        def add(sums: Any, piece: dict[str, Array]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, sums, of_one(trainable, piece, fixed)), None

        pieces = jax.tree.map(lambda x: x.reshape(config.accumulate, -1, *x.shape[1:]), part)
        zero = jax.lax.pcast(jnp.zeros(()), AXIS, to="varying")
        sums, _ = jax.lax.scan(add, (zero, jax.tree.map(jnp.zeros_like, trainable)), pieces)
        return jax.lax.pmean(jax.tree.map(lambda x: x / config.accumulate, sums), AXIS)

    whole, cut = PartitionSpec(), PartitionSpec(AXIS)
    specs = (whole, whole, cut)
    loss, gradient = jax.shard_map(of_device, mesh=mesh, in_specs=specs, out_specs=whole)(
        trainable, fixed, batch
    )
    return loss, gradient


def loss_of(
    output: Float[Array, "b h w c"],
    truth: Float[Array, "b s s 2"],
    fixed: Fixed,
    network: Config,
    config: ConfigDict,
) -> Float[Array, " b"]:
    """The recipe's loss of each picture, from the network's last layer."""
    if config.loss == "cross_entropy":
        assert fixed.bin_weights is not None
        return losses.cross_entropy(output, resize(truth, output.shape[1]), fixed.bin_weights)
    predicted = read_chroma(network, output)
    if config.loss == "huber":
        return losses.huber(predicted, truth, config.huber_delta)
    return losses.squared_error(predicted, truth)


def validation_step(
    trainable: Any,
    fixed: Fixed,
    batch: dict[str, Array],
    *,
    network: Config,
    config: ConfigDict,
) -> Metrics:
    """Sums over the batch's real pictures, of what `summarize` turns into figures.

    Args:
      trainable: parameters to validate.
      fixed: the rest.
      batch: {"rgb": uint8 (B, S, S, 3), "mask": (B,), 1 for a real picture}.
      network: what the network is (static).
      config: the recipe (static).
    """
    lightness, truth = to_network(batch, network.size)
    module = make_network(network, config.compute_dtype)
    output = _apply(module, trainable, fixed, to_input(network, lightness))
    predicted = read_chroma(network, output)
    per_picture = {
        "loss": loss_of(output, truth, fixed, network, config),
        "squared_error": losses.squared_error(predicted, truth),
        "grey_squared_error": losses.squared_error(jnp.zeros_like(truth), truth),
        "chroma": _mean_chroma(predicted),
        "true_chroma": _mean_chroma(truth),
        "count": jnp.ones_like(batch["mask"]),
    }
    return {name: jnp.sum(batch["mask"] * values) for name, values in per_picture.items()}


def summarize(sums: dict[str, float]) -> dict[str, float]:
    """Sums of `validation_step` over all batches -> means a picture.

    Returns:
      "loss", "squared_error" and "grey_squared_error" (of ab / 110: the network's and the grey
      picture's), "chroma" and "true_chroma" (mean CIE chroma).
    """
    return {name: value / sums["count"] for name, value in sums.items() if name != "count"}


def paint(
    trainable: Any, fixed: Fixed, batch: dict[str, Array], *, network: Config
) -> Float[Array, "b s 3*s 3"]:
    """Grey, prediction and truth side by side at the network's size: sRGB in [0, 1]."""
    lightness, truth = to_network(batch, network.size)
    output = _apply(make_network(network), trainable, fixed, to_input(network, lightness))
    predicted = read_chroma(network, output)
    small = color.network_to_lightness(resize(lightness, network.size))
    pictures = [
        color.lab_to_rgb(jnp.concatenate([small, color.network_to_ab(ab)], axis=-1))
        for ab in (jnp.zeros_like(truth), predicted, truth)
    ]
    return jnp.concatenate(pictures, axis=2)


def to_network(
    batch: dict[str, UInt8[Array, "b h w *c"]], size: int
) -> tuple[Float[Array, "b h w 1"], Float[Array, "b s s 2"]]:
    """uint8 RGB -> the network's input L / 50 - 1, and the truth ab / 110 at the network's size."""
    lab = color.rgb_to_lab(batch["rgb"].astype(jnp.float32) / 255)
    lightness = lab[..., :1]
    if "grey" in batch:
        lightness = color.grey_to_lightness(batch["grey"].astype(jnp.float32) / 255)[..., None]
    truth = resize(color.ab_to_network(lab[..., 1:]), size)
    return color.lightness_to_network(lightness), truth


def _apply(
    module: Any, trainable: Any, fixed: Fixed, lightness: Array, seeds: Array | None = None
) -> Array:
    """The network's last layer as float32, computed in the module's own type."""
    variables = join_trained(trainable, fixed.variables)
    variables = jax.tree.map(lambda leaf: leaf.astype(module.dtype), variables)
    output = module.apply(variables, lightness, seeds)
    return jnp.asarray(output, jnp.float32)


def _mean_chroma(ab: Array) -> Array:
    return jnp.mean(jnp.linalg.norm(color.network_to_ab(ab), axis=-1), axis=(1, 2))
