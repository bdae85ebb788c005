"""The training loop, in the order in which things happen."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxcolor import weights
from jaxcolor.models.colorizer import Config
from jaxcolor.training import sharding, start, step
from jaxcolor.training.checkpoint import Checkpoints
from jaxcolor.training.input.batches import (
    Batch,
    Photos,
    open_photos,
    training_batches,
    validation_batches,
)
from jaxcolor.training.journal import Journal, commit
from jaxcolor.training.preemption import Preemption

BEST = "squared_error"  # the validation figure that the best checkpoint has smallest

_LOG = logging.getLogger(__name__)


def train(config: ConfigDict, workdir: Path) -> dict[str, float]:
    """Trains a colorizer, from the newest checkpoint in `workdir` if there is one.

    Every process of a run calls it with the same arguments; `workdir` is a folder that all of them
    see. Writes there what `docs/training.md` lists, among it `weights.safetensors` (with every
    checkpoint) and `best.safetensors` (with the best validation): the moving average, which
    `jaxcolor.load` takes.

    Args:
      config: the whole recipe; see `configs/`.
      workdir: made if it is not there.

    Returns:
      The last validation's figures, see `step.summarize`; none if SIGTERM ended the run before.

    Raises:
      ValueError: a field of the config that cannot be, named; a work folder of another network; or
        the loss is no longer finite: names the step, its photos and the last good checkpoint.
    """
    # -- Recipe and mesh ---------------------------------------------------------------------
    network = Config.from_json(config.network.to_dict())
    start.check(config, network)
    mesh = sharding.make_mesh()
    sharding.check_batch(mesh, config.batch, config.accumulate, pairs=config.consistency > 0)
    process = (jax.process_index(), jax.process_count())
    _LOG.info("%d devices of %d processes", mesh.size, process[1])

    # -- Photos ------------------------------------------------------------------------------
    photos = open_photos(config.photos)
    validation_photos = open_photos(config.validation_photos)
    _LOG.info("%d photos, %d to validate", len(photos), len(validation_photos))
    crops = functools.partial(
        training_batches,
        photos,
        size=config.crop,
        min_area=config.min_crop_area,
        **start.fields(config, training_batches),  # batch, seed, aging, ...
    )
    squares = functools.partial(validation_batches, validation_photos, size=config.crop)

    # -- Network and state -------------------------------------------------------------------
    params = start.first_params(config, network)
    optimizer = start.make_optimizer(config)
    loss = start.make_loss(config, network, lambda: crops(first_step=0))
    state = step.init_state(params, optimizer, tuned_from=config.tuned_from, mesh=mesh)
    # A big backbone stays out of the weights, which name it by its checksum.
    checksum = None if config.export_backbone else weights.backbone_sha256(config.backbone_weights)

    def export(name: str, number: int, **header: object) -> None:
        if jax.process_index() == 0:
            params = jax.device_get(state.params(network))
            header |= {"step": number, "commit": commit()}
            weights.save_params(workdir / name, params, backbone_sha256=checksum, **header)

    # -- Steps -------------------------------------------------------------------------------
    options = start.fields(config, step.make_train_step)
    train_step = step.make_train_step(network, loss, optimizer, mesh=mesh, **options)
    validation_step = jax.jit(
        functools.partial(
            step.validation_step, network=network, loss=loss, compute_dtype=config.compute_dtype
        ),
        out_shardings=sharding.replicated(mesh),
    )
    paint = jax.jit(step.paint)
    rate = jax.jit(start.make_schedule(config))

    # -- Work folder, checkpoint -------------------------------------------------------------
    workdir.mkdir(parents=True, exist_ok=True)
    folder = workdir / "checkpoints"
    with (
        Checkpoints(folder, keep=config.keep_checkpoints, best=BEST) as checkpoints,
        Preemption() as preemption,
        Journal(workdir, config) as journal,
    ):
        restored = checkpoints.restore_latest(state.moving())
        state = state if restored is None else dataclasses.replace(state, **restored)
        first_step = int(jax.device_get(state.step))
        if restored is not None:
            _LOG.info("going on from the checkpoint of step %d", first_step)
        journal.start(first_step)
        best = _best_so_far(workdir / "best.safetensors")

        # -- Loop ----------------------------------------------------------------------------
        batches = crops(first_step=first_step, process=process)
        figures: dict[str, float] = {}
        unchecked: list[_Step] = []  # at most one
        for number in range(first_step + 1, config.steps + 1):
            batch = dict(next(batches))
            taken = batch.pop("photo")
            with jax.transfer_guard("disallow"):  # the batch travels, and nothing else
                state, metrics = train_step(state, sharding.global_batch(mesh, batch))
            # The loss of the step before is looked at while this one runs.
            _check_finite(unchecked, photos, checkpoints)
            unchecked.append(_Step(number, metrics["loss"], taken))

            last = number == config.steps
            stop = preemption.reached(number)
            validate = last or number % config.validate_every == 0
            save = validate or stop or number % config.checkpoint_every == 0
            if save or number % config.log_every == 0:
                _check_finite(unchecked, photos, checkpoints)  # before it reaches a file
                metrics["learning_rate"] = rate(number - 1)
                journal.progress(number, jax.device_get(metrics))
            if validate:
                local = squares(batch=config.batch, process=process)
                figures, *first = _validate(validation_step, state, local, mesh)
                journal.validation(number, figures)
                if config.pictures and jax.process_index() == 0:
                    shown = (jax.device_put(part[: config.pictures]) for part in first)
                    journal.pictures(number, jax.device_get(paint(*shown)))
                if figures[BEST] < best:
                    best = figures[BEST]
                    export("best.safetensors", number, **{BEST: best})
            if save:
                checkpoints.save(number, state.moving(), figures if validate else None)
                export("weights.safetensors", number)
            if stop and not last:
                checkpoints.wait()
                _LOG.info("stopped by SIGTERM at step %d: the same command goes on from it", number)
                return {}
        if not figures:  # all steps were done before
            local = squares(batch=config.batch, process=process)
            figures, *_ = _validate(validation_step, state, local, mesh)
    return figures


class _Step(NamedTuple):
    """A step whose loss has not been looked at.

    Attributes:
      number: of the step.
      loss: of its batch, over all processes.
      taken: (b,) which photos this process took.
    """

    number: int
    loss: jax.Array
    taken: np.ndarray


def _check_finite(unchecked: list[_Step], photos: Photos, checkpoints: Checkpoints) -> None:
    """Empties the list; stops the run if a loss in it is not finite."""
    while unchecked:
        number, loss, taken = unchecked.pop()
        value = float(jax.device_get(loss))
        if math.isfinite(value):
            continue
        checkpoints.wait()
        names = ", ".join(photos.name(int(i)) for i in taken)
        raise ValueError(
            f"step {number}: the loss is {value}; nothing of it was saved, the last good "
            f"checkpoint is that of step {checkpoints.latest_step()} in {checkpoints.folder}. Try "
            f"a lower learning_rate or clip_norm, or look at the photos of this batch: {names}"
        )


def _validate(
    validation_step: Any,
    state: step.TrainState,
    batches: Iterable[Batch],
    mesh: jax.sharding.Mesh,
) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Means over every validation photo, each counted once on any number of hosts.

    The sums stay on the device, which has the next batch before it is done with this one.

    Returns:
      The means, and of the first batch what was predicted and the photos that this process has: of
      the first process, they are the first ones.
    """
    sums: Any = None
    first: Any = None
    for local in batches:
        batch = sharding.global_batch(mesh, {k: v for k, v in local.items() if k != "photo"})
        of_batch, predicted = validation_step(state.ema, state.frozen, batch)
        first = first or (jax.device_get(predicted), local["rgb"])
        before, sums = sums, of_batch if sums is None else _add(sums, of_batch)
        jax.block_until_ready(before)  # no more than two batches wait in its memory
    sums = {name: float(value) for name, value in jax.device_get(sums).items()}
    return step.summarize(sums), *first


@jax.jit
def _add(sums: Any, more: Any) -> Any:
    return jax.tree.map(jnp.add, sums, more)


def _best_so_far(file: Path) -> float:
    return float(weights.read_header(file)[BEST]) if file.exists() else math.inf
