"""One step of training, and one of validation: pure functions of state and batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, UInt8

from jaxcolor import color
from jaxcolor.models.backbones import BACKBONES, resize
from jaxcolor.models.colorizer import (
    Config,
    Params,
    join_trained,
    make_network,
    read_chroma,
    split_trained,
    to_input,
)
from jaxcolor.models.heads import HEADS
from jaxcolor.training import losses, sharding
from jaxcolor.training.losses import Batch, Loss

Metrics = dict[str, Array]
_FIXED = "frozen"  # the field of a state that no step changes


@flax.struct.dataclass
class TrainState:
    """All that a step reads and changes beside the batch.

    Attributes:
      step: steps done.
      trainable: parameters that the optimizer moves, float32.
      ema: their exponential moving average: what is validated and shipped.
      opt_state: optax'.
      frozen: the network's variables that are not trained; no step changes them.
    """

    step: Array
    trainable: Any
    ema: Any
    opt_state: Any
    frozen: Any

    def moving(self) -> dict[str, Any]:
        """What steps change, by the names of the fields: what a checkpoint holds."""
        return {name: value for name, value in vars(self).items() if name != _FIXED}

    def params(self, network: Config) -> Params:
        """The colorizer that has been trained: the moving average and all that was frozen."""
        return Params(network, join_trained(self.ema, self.frozen))


def init_state(
    params: Params,
    optimizer: optax.GradientTransformation,
    *,
    tuned_from: str = "",
    mesh: Mesh | None = None,
) -> TrainState:
    """The state at step 0, on the devices that will train.

    Args:
      params: a colorizer, from `jaxcolor.load` or `start.new_params`; its arrays are copied.
      optimizer: any of optax.
      tuned_from: the first part of the backbone that is trained too, with all that come after it;
        "": the backbone is frozen.
      mesh: the devices, the same that `make_train_step` is given.

    Raises:
      ValueError: the backbone has no such part.
    """
    tuned = tuned_parts(params.config, tuned_from)
    everywhere = sharding.replicated(sharding.of(mesh))

    # One program: leaf by leaf, each shape would be compiled by itself.
    @functools.partial(jax.jit, out_shardings=everywhere)
    def begin(trainable: Any, frozen: Any) -> TrainState:
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            trainable=_copy(trainable),
            ema=_copy(trainable),
            opt_state=optimizer.init(trainable),
            frozen=_copy(frozen),
        )

    return begin(*jax.device_put(split_trained(params.variables, tuned), everywhere))


def _copy(tree: Any) -> Any:
    """Copies: the state is donated at every step, and nothing may be donated twice."""
    return jax.tree.map(jnp.copy, tree)


def tuned_parts(network: Config, tuned_from: str) -> tuple[str, ...]:
    """The parts of the backbone from `tuned_from` on; none for "".

    Raises:
      ValueError: the backbone has no such part.
    """
    if not tuned_from:
        return ()
    backbone = BACKBONES[network.backbone]
    parts = backbone.parts()
    if tuned_from not in parts:
        raise ValueError(
            f"tuned_from: {tuned_from!r} is no part of {network.backbone} "
            f"({', '.join(parts) or 'it can only be frozen'})"
        )
    return tuple(parts[parts.index(tuned_from) :])


def make_train_step(
    network: Config,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    mesh: Mesh | None = None,
    accumulate: int = 1,
    ema: float = 0.0,
    dropout: float = 0.0,
    compute_dtype: str = "float32",
    seed: int = 0,
) -> Callable[[TrainState, Mapping[str, Any]], tuple[TrainState, Metrics]]:
    """Makes one step of the optimizer, compiled for one device or for many.

    Args:
      network: what the network is, `params.config`.
      loss: (prediction, batch) -> a scalar, the mean over the batch. From the head "regression" the
        prediction is ab / 110 of (B, size, size, 2), from one that is a distribution the network's
        last layer of (B, size / 2, size / 2, channels), as the 313 logits of "classification";
        float32. The batch is what the step was given, and in it
        "lightness", L / 50 - 1 as the network saw it, and "ab", the true ab / 110 of (B, size,
        size, 2). Over several devices or pieces it sees one part of the batch at a time; the loss
        is the mean of theirs. `losses.LOSSES` has some.
      optimizer: any of optax, the same that `init_state` was given.
      mesh: the devices; batches are cut over all of its axes. None: the first device alone.
      accumulate: pieces that a device's part of a batch is worked on in, in as much less memory.
      ema: how much of the moving average a step keeps, in [0, 1); 0: it is the parameters.
      dropout: share of the channels that a photo does without.
      compute_dtype: what the network computes in, "float32" or "bfloat16"; parameters, loss and
        optimizer stay in float32.
      seed: of the dropout.

    Returns:
      A jitted function of (state, batch). The state is donated: use the one that comes back. The
      batch is {"rgb": uint8 (B, H, W, 3)} and, where the network is to see another grey than the
      photo's own, {"grey": uint8 (B, H, W)}, and whatever else the loss reads, the first axis
      being the photos'; B must divide by devices times pieces, or a ValueError says so. Back come
      the state after the step and {"loss", "gradient_norm"}.
    """
    over = sharding.of(mesh)
    gradient_of = _make_gradient(
        make_network(network, compute_dtype, dropout), network, loss, over, accumulate
    )

    def train_step(state: TrainState, batch: Mapping[str, Any]) -> tuple[TrainState, Metrics]:
        sharding.check_batch(over, len(batch["rgb"]), accumulate)
        # Dropout's: functions of (seed, step, place in the batch), whatever the mesh is.
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        seeds = jax.random.bits(key, (len(batch["rgb"]),), "uint32")
        value, gradient = gradient_of(state.trainable, state.frozen, (dict(batch), seeds))
        # Early on the average follows faster, or it would remember the random start for long.
        keep = jnp.minimum(ema, (1 + state.step) / (10 + state.step))
        # optax counts on JAX's own conversions, which a careful program may have forbidden.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            updates, opt_state = optimizer.update(gradient, state.opt_state, state.trainable)
            trainable = optax.apply_updates(state.trainable, updates)
            average = optax.incremental_update(trainable, state.ema, 1 - keep)
            norm = optax.tree.norm(gradient)
        after = TrainState(state.step + 1, trainable, average, opt_state, state.frozen)
        return after, {"loss": value, "gradient_norm": norm}

    whole, cut = sharding.replicated(over), sharding.split(over)
    return jax.jit(train_step, donate_argnums=0, in_shardings=(whole, cut), out_shardings=whole)


def _make_gradient(
    module: Any, network: Config, loss: Loss, mesh: Mesh, accumulate: int
) -> Callable[..., tuple[Array, Any]]:
    """(Trainable, frozen, batch with seeds) -> the mean loss over the batch and its gradient.

    Each device goes through its own part of the batch in `accumulate` pieces; then they meet once.
    """
    axes = mesh.axis_names

    def of_piece(trainable: Any, frozen: Any, piece: tuple[dict[str, Array], Array]) -> Array:
        batch, seeds = piece
        prediction, seen = _predict(module, network, trainable, frozen, batch, seeds)
        return _scalar(loss(prediction, seen))

    def of_device(trainable: Any, frozen: Any, part: Any) -> Any:
        # Each device owns its copy until the end: the sum over devices is one, and is ours.
        trainable = jax.lax.pcast(trainable, axes, to="varying")
        of_one = jax.value_and_grad(of_piece)
        if accumulate == 1:  # no loop: XLA is slow inside of one on a CPU
            return jax.lax.pmean(of_one(trainable, frozen, part), axes)

        def add(sums: Any, piece: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, sums, of_one(trainable, frozen, piece)), None

        pieces = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), part)
        zero = jax.lax.pcast(jnp.zeros(()), axes, to="varying")
        sums, _ = jax.lax.scan(add, (zero, jax.tree.map(jnp.zeros_like, trainable)), pieces)
        return jax.lax.pmean(jax.tree.map(lambda x: x / accumulate, sums), axes)

    whole, cut = PartitionSpec(), PartitionSpec(axes)
    return jax.shard_map(of_device, mesh=mesh, in_specs=(whole, whole, cut), out_specs=whole)


def validation_step(
    trainable: Any,
    frozen: Any,
    batch: Batch,
    *,
    network: Config,
    loss: Loss,
    compute_dtype: str = "float32",
) -> tuple[Metrics, Float[Array, "b s s 2"]]:
    """Sums over the batch's real pictures, which `summarize` turns into figures, and all their ab.

    Args:
      trainable: parameters to validate.
      frozen: the rest.
      batch: {"rgb": uint8 (B, H, W, 3), "mask": (B,), 1 for a real picture}.
      network: what the network is (static).
      loss: as `make_train_step` takes it (static).
      compute_dtype: likewise (static).

    Returns:
      The sums, and the predicted ab / 110 of every picture.
    """
    module = make_network(network, compute_dtype)
    prediction, seen = _predict(module, network, trainable, frozen, batch)
    predicted, truth = _chroma(network, prediction), seen["ab"]
    per_picture = {
        "loss": losses.of_each_picture(loss, prediction, seen),
        "squared_error": losses.of_each_picture(losses.squared_error, predicted, seen),
        "grey_squared_error": jnp.mean(jnp.square(truth), axis=(1, 2, 3)),
        "chroma": _mean_chroma(predicted),
        "true_chroma": _mean_chroma(truth),
        "count": jnp.ones_like(batch["mask"]),
    }
    return {k: jnp.sum(batch["mask"] * values) for k, values in per_picture.items()}, predicted


def summarize(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Sums of `validation_step` over all batches -> means over the pictures.

    Returns:
      "loss", "squared_error" and "grey_squared_error" (of ab / 110: the network's and the grey
      picture's), "chroma" and "true_chroma" (mean CIE chroma).
    """
    return {name: value / sums["count"] for name, value in sums.items() if name != "count"}


def paint(
    predicted: Float[Array, "b s s 2"], rgb: UInt8[Array, "b h w 3"]
) -> Float[Array, "b s 3*s 3"]:
    """Grey, prediction and truth side by side at the network's size: sRGB in [0, 1].

    Args:
      predicted: ab / 110, as `validation_step` gives it.
      rgb: the photos.
    """
    size = predicted.shape[1]
    lightness, truth = to_network({"rgb": rgb}, size)
    small = color.network_to_lightness(resize(lightness, size))
    pictures = [
        color.lab_to_rgb(jnp.concatenate([small, color.network_to_ab(ab)], axis=-1))
        for ab in (jnp.zeros_like(truth), predicted, truth)
    ]
    return jnp.concatenate(pictures, axis=2)


def to_network(batch: Batch, size: int) -> tuple[Float[Array, "b h w 1"], Float[Array, "b s s 2"]]:
    """The batch's photos -> the network's input L / 50 - 1, and the truth ab / 110 at its size.

    Args:
      batch: "rgb", uint8 (B, H, W, 3), and perhaps "grey", uint8 (B, H, W), which the network sees.
      size: of the network.
    """
    lab = color.rgb_to_lab(batch["rgb"].astype(jnp.float32) / 255)
    lightness = lab[..., :1]
    if "grey" in batch:
        lightness = color.grey_to_lightness(batch["grey"].astype(jnp.float32) / 255)[..., None]
    truth = resize(color.ab_to_network(lab[..., 1:]), size)
    return color.lightness_to_network(lightness), truth


def _predict(
    module: Any,
    network: Config,
    trainable: Any,
    frozen: Any,
    batch: Batch,
    seeds: Array | None = None,
) -> tuple[Array, Batch]:
    """What a loss is given: the head's answer, computed in the module's own type, and the batch."""
    lightness, truth = to_network(batch, network.size)
    variables = join_trained(trainable, frozen)
    variables = jax.tree.map(lambda leaf: leaf.astype(module.dtype), variables)
    output = jnp.asarray(module.apply(variables, to_input(network, lightness), seeds), jnp.float32)
    prediction = output if HEADS[network.head].is_distribution else read_chroma(network, output)
    return prediction, {**batch, "lightness": lightness, "ab": truth}


def _chroma(network: Config, prediction: Array) -> Float[Array, "b s s 2"]:
    is_distribution = HEADS[network.head].is_distribution
    return read_chroma(network, prediction) if is_distribution else prediction


def _scalar(value: Array) -> Array:
    if jnp.shape(value) != ():
        raise ValueError(f"loss: gives an array of {jnp.shape(value)}, not one number: take a mean")
    return value


def _mean_chroma(ab: Array) -> Array:
    return jnp.mean(jnp.linalg.norm(color.network_to_ab(ab), axis=-1), axis=(1, 2))
