"""Measures how fast things are on this machine: medians, never a single run.

python scripts/benchmark.py compile     # lowering and compiling, without and with the cache
python scripts/benchmark.py step        # one train step on each backbone
python scripts/benchmark.py port        # porting Inception-ResNet-v2: time and peak memory
"""

from __future__ import annotations

import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

REPEATS = 5

# In a process of its own, as a user meets it; what is measured is what comes after the imports.
COMPILE = """
import json, sys, time
import jax, jax.numpy as jnp
from jaxcolor.models import BACKBONES
if len(sys.argv) > 2:
    jax.config.update("jax_compilation_cache_dir", sys.argv[2])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
network = BACKBONES[sys.argv[1]]()
side = network.input_size
picture = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
variables = jax.eval_shape(network.init, jax.random.key(0), picture)
start = time.perf_counter()
lowered = jax.jit(network.apply).lower(variables, picture)
middle = time.perf_counter()
lowered.compile()
print(json.dumps([middle - start, time.perf_counter() - middle]))
"""


@click.group()
def main() -> None:
    """Measure one kind of work."""


@main.command("compile")
def compile_backbones() -> None:
    """Lowering and compiling each backbone at batch 1, in turn without and with the cache."""
    from jaxcolor.models import BACKBONES

    for name in BACKBONES:
        with tempfile.TemporaryDirectory() as cache:
            _fresh(COMPILE, name, cache)  # fills it
            runs = [(_fresh(COMPILE, name), _fresh(COMPILE, name, cache)) for _ in range(REPEATS)]
        cold, warm = (
            [statistics.median(part) for part in zip(*side, strict=True)]
            for side in zip(*runs, strict=True)
        )
        click.echo(
            f"{name}: lowering {cold[0]:.2f} s + compiling {cold[1]:.2f} s = {sum(cold):.2f} s; "
            f"from the cache {warm[0]:.2f} + {warm[1]:.2f} = {sum(warm):.2f} s "
            f"(ratio {sum(warm) / sum(cold):.2f})"
        )


@main.command()
@click.option("--batch", default=8, show_default=True, help="Photos in a step.")
def step(batch: int) -> None:
    """One train step with random weights, for each backbone, at 128x128 and at 224x224."""
    import jax
    from ml_collections import FrozenConfigDict

    from jaxcolor.models import BACKBONES, Colorizer, Config
    from jaxcolor.models.colorizer import split_backbone
    from jaxcolor.training.step import init_state, train_step

    recipe = FrozenConfigDict(
        {
            "schedule": "constant",
            "learning_rate": 1e-3,
            "warmup_steps": 0,
            "steps": 1,
            "clip_norm": 1.0,
            "weight_decay": 0.0,
            "ema": 0.99,
        }
    )
    for name in BACKBONES:
        for side in (128, 224):
            network = Config(backbone=name, size=side)
            rgb = jax.random.bits(jax.random.key(0), (batch, side, side, 3), "uint8")
            shape = jax.ShapeDtypeStruct((1, side, side, 1), "float32")
            declared = jax.eval_shape(Colorizer(network).init, jax.random.key(0), shape)
            # Small values: speed does not depend on them, as long as nothing overflows.
            variables = jax.tree.map(lambda leaf: jax.numpy.full(leaf.shape, 1e-3), declared)
            trainable, backbone = split_backbone(variables)
            state = init_state(trainable, recipe)
            run = jax.jit(train_step, static_argnames=("network", "config"))
            photos = {"rgb": rgb}
            work = functools.partial(run, state, backbone, photos, network=network, config=recipe)
            seconds = _median(work)
            click.echo(f"{name} {side}x{side}, batch {batch}: {seconds / batch:.3f} s a photo")


@main.command()
@click.option(
    "--source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keras's .h5 file.  [default: one of the same layout, with random weights]",
)
def port(source: Path | None) -> None:
    """Time and peak memory of porting Inception-ResNet-v2, as a process."""
    with tempfile.TemporaryDirectory() as folder:
        if source is None:
            source = Path(folder, "random.h5")
            _write_random_keras_file(source)
        script = Path(__file__).with_name("port_weights.py")
        out = Path(folder, "ported.safetensors")
        command = [sys.executable, str(script), "inception_resnet_v2"]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--source", str(source), "--out", str(out)], capture_output=True, check=True
        )
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        click.echo(f"{source.stat().st_size / 1e6:.0f} MB: {seconds:.1f} s, peak {peak:.2f} GB")


def _write_random_keras_file(path: Path) -> None:
    """The legacy layout, from our own table of the order: for speed, not for proof."""
    import h5py
    import numpy as np
    from flax.traverse_util import flatten_dict

    from jaxcolor.porting.inception_resnet_v2 import declared_variables, keras_order

    shapes = {name: leaf.shape for name, leaf in flatten_dict(declared_variables()).items()}
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        names = []
        for number, slot in enumerate(keras_order()):
            names.append(f"layer_{number}")
            group = file.create_group(names[-1])
            group.attrs["weight_names"] = [leaf for _, leaf in slot.leaves]
            for collection, leaf in slot.leaves:
                shape = shapes[(collection, *slot.module, leaf)]
                shape = shape if slot.block is None else shape[1:]
                group[leaf] = rng.random(shape, np.float32)
        file.attrs["layer_names"] = names


def _median(work: Callable[[], Any]) -> float:
    import jax

    jax.block_until_ready(work())  # compiles
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(work())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _fresh(code: str, *arguments: str) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


if __name__ == "__main__":
    main()
