"""The training loop, in the order in which things happen."""

from __future__ import annotations

import functools
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict, FrozenConfigDict

from jaxcolor import weights
from jaxcolor.models.colorizer import (
    Colorizer,
    Config,
    Params,
    join_backbone,
    split_backbone,
)
from jaxcolor.training import data, sharding
from jaxcolor.training.checkpoint import Checkpoints
from jaxcolor.training.step import (
    init_state,
    make_schedule,
    train_step,
    validation_step,
)

_LOG = logging.getLogger(__name__)


def train(config: ConfigDict, workdir: Path) -> dict[str, float]:
    """Trains a colorizer, from the newest checkpoint in `workdir` if there is one.

    Writes into `workdir`: `config.json`, `checkpoints/` and, with every checkpoint,
    `weights.safetensors` (the moving average, which `jaxcolor.load` takes).

    Args:
      config: the whole recipe; see `configs/`.
      workdir: made if it is not there.

    Returns:
      The last validation's figures: "loss" and "grey_loss" (mean squared error of ab / 110).

    Raises:
      ValueError: a field of the config that cannot be, named; or the loss is no longer finite.
    """
    # -- Mesh --------------------------------------------------------------------------------
    mesh = sharding.make_mesh()
    sharding.check_batch(mesh, config.batch)
    process = (jax.process_index(), jax.process_count())
    _LOG.info("%d devices of %d processes", mesh.size, process[1])

    # -- Photos ------------------------------------------------------------------------------
    photos = data.list_photos(config.photos)
    validation_photos = data.list_photos(config.validation_photos)
    _LOG.info("%d photos, %d to validate", len(photos), len(validation_photos))

    # -- Network and state -------------------------------------------------------------------
    network = Config.from_json(config.network.to_dict())
    backbone = weights.load_backbone(config.backbone_weights)
    state = init_state(_first_parameters(config, network, backbone), config)
    backbone, state = jax.device_put((backbone, state), sharding.replicated(mesh))
    # A big backbone stays out of the weights, which name it by its checksum.
    checksum = None if config.export_backbone else weights.backbone_sha256(config.backbone_weights)

    # -- Steps -------------------------------------------------------------------------------
    recipe = FrozenConfigDict(config)
    step_fn = jax.jit(
        functools.partial(train_step, network=network, config=recipe), donate_argnums=0
    )
    validation_fn = jax.jit(functools.partial(validation_step, network=network))
    schedule = make_schedule(config)

    # -- Work folder, checkpoint -------------------------------------------------------------
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    with Checkpoints(workdir / "checkpoints", keep=config.keep_checkpoints) as checkpoints:
        restored = checkpoints.restore_latest(state)
        state = state if restored is None else restored
        first_step = int(state.step)
        if restored is not None:
            _LOG.info("going on from the checkpoint of step %d", first_step)

        # -- Loop ----------------------------------------------------------------------------
        batches = data.training_batches(
            photos,
            size=config.crop,
            batch=config.batch,
            first_step=first_step,
            seed=config.seed,
            min_area=config.min_crop_area,
            process=process,
        )
        validate = functools.partial(
            _validate, validation_fn, backbone, validation_photos, config, mesh, process
        )
        figures: dict[str, float] = {}
        clock, clock_step = time.monotonic(), first_step
        for step in range(first_step + 1, config.steps + 1):
            batch = sharding.global_batch(mesh, next(batches))
            state, metrics = step_fn(state, backbone, batch)

            last = step == config.steps
            save = last or step % config.checkpoint_every == 0
            if save or step % config.log_every == 0:
                loss = float(metrics["loss"])
                if not math.isfinite(loss):  # nothing of this state may reach a file
                    raise ValueError(
                        f"step {step}: the loss is {loss}; {checkpoints.folder} still has the last "
                        "good checkpoint. Try a lower learning_rate or clip_norm"
                    )
                rate = (step - clock_step) / (time.monotonic() - clock)
                clock, clock_step = time.monotonic(), step
                _LOG.info(
                    "step %d/%d  loss %.5f  gradient %.3f  rate %.2e  %.1f photos/s  %.0f min left",
                    *(step, config.steps, loss, float(metrics["gradient_norm"])),
                    *(float(schedule(step)), rate * config.batch),
                    (config.steps - step) / rate / 60,
                )
            if last or step % config.validate_every == 0:
                figures = validate(state.ema)
                _LOG.info("step %d  validation %s", step, _words(figures))
            if save:
                checkpoints.save(step, state)
                if jax.process_index() == 0:
                    variables = jax.device_get(join_backbone(state.ema, backbone))
                    weights.save_params(
                        workdir / "weights.safetensors",
                        Params(network, variables),
                        backbone_sha256=checksum,
                        step=step,
                    )
    return figures or validate(state.ema)


def _first_parameters(config: ConfigDict, network: Config, backbone: Any) -> Any:
    """What is trained, before the first step: random, or that of `config.start_from`."""
    model = Colorizer(network)
    lightness = jnp.zeros((1, network.size, network.size, 1))
    expected = split_backbone(jax.eval_shape(model.init, jax.random.key(0), lightness))
    if not _same_shapes(backbone, expected[1]):
        raise ValueError(
            f"backbone_weights: {config.backbone_weights} does not fit a {network.backbone}"
        )
    if config.start_from:
        parameters, _ = split_backbone(weights.load(config.start_from).variables)
        if not _same_shapes(parameters, expected[0]):
            raise ValueError(f"start_from: {config.start_from} is of another network")
        return parameters
    key = jax.random.key(config.seed)
    return model.init(key, lightness, jnp.zeros((1, 1000)), method=model.chroma)["params"]


def _same_shapes(one: Any, other: Any) -> bool:
    return bool(jax.tree.map(jnp.shape, one) == jax.tree.map(jnp.shape, other))


def _validate(
    validation_fn: Any,
    backbone: Any,
    photos: list[str],
    config: ConfigDict,
    mesh: jax.sharding.Mesh,
    process: tuple[int, int],
    trainable: Any,
) -> dict[str, float]:
    """Means over every validation photo, each counted once on any number of hosts."""
    batches = data.validation_batches(photos, size=config.crop, batch=config.batch, process=process)
    sums: dict[str, float] = {}
    for local in batches:
        for name, value in validation_fn(
            trainable, backbone, sharding.global_batch(mesh, local)
        ).items():
            sums[name] = sums.get(name, 0.0) + float(value)
    return {k: v / sums["count"] for k, v in sums.items() if k != "count"}


def _words(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.5f}" for name, value in figures.items())
