"""Measures how fast things are on this machine: medians, never a single run.

python scripts/benchmark.py compile     # lowering and compiling, without and with the cache
python scripts/benchmark.py step        # one train step of each network
python scripts/benchmark.py port        # porting Inception-ResNet-v2: time and peak memory
python scripts/benchmark.py data        # the input alone, and how long a train step waits for it
"""

from __future__ import annotations

import functools
import json
import os
import resource
import runpy
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
    """One train step with made-up weights: both backbones and the pyramid, 128x128 and 224x224."""
    import jax

    from jaxcolor.models import Config, make_network
    from jaxcolor.models.colorizer import split_trained

    for name in ("lite", "base", "pyramid"):
        for side in (128, 224):
            recipe = _recipe(name)
            recipe.network.size = recipe.crop = side
            network = Config.from_json(recipe.network.to_dict())
            shape = jax.ShapeDtypeStruct((1, side, side, 1), "float32")
            declared = jax.eval_shape(make_network(network).init, jax.random.key(0), shape)
            # Small values: speed does not depend on them, as long as nothing overflows.
            variables = jax.tree.map(lambda leaf: jax.numpy.full(leaf.shape, 1e-3), declared)
            state, fixed, advance, _ = _trainer(recipe, split_trained(variables))
            photos = {"rgb": jax.random.bits(jax.random.key(0), (batch, side, side, 3), "uint8")}
            seconds = _median(functools.partial(advance, state, fixed, photos))
            click.echo(f"{name} {side}x{side}, batch {batch}: {seconds / batch:.3f} s a photo")


def _recipe(name: str) -> Any:
    path = Path(__file__).parents[1] / "configs" / f"{name}.py"
    return runpy.run_path(str(path))["get_config"]()


def _trainer(recipe: Any, variables: tuple[Any, Any], **options: Any) -> tuple[Any, ...]:
    """State, what is fixed, the compiled step and the mesh, as the loop makes them."""
    import jax
    from ml_collections import FrozenConfigDict

    from jaxcolor.models import Config
    from jaxcolor.training import sharding
    from jaxcolor.training.step import Fixed, init_state, train_step

    mesh = sharding.make_mesh()
    trainable, kept = variables
    state, fixed = jax.device_put(
        (init_state(trainable, recipe), Fixed(kept)), sharding.replicated(mesh)
    )
    network = Config.from_json(recipe.network.to_dict())
    static = {"network": network, "config": FrozenConfigDict(recipe), "mesh": mesh}
    return state, fixed, jax.jit(functools.partial(train_step, **static), **options), mesh


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


@main.command()
@click.option("--photos", help="A source, as in configs/.  [default: JPEGs made for this]")
@click.option("--steps", default=20, show_default=True, help="Train steps to measure.")
def data(photos: str | None, steps: int) -> None:
    """Photos per second of the input, and the wait for it beside configs/lite.py at 128x128."""
    with tempfile.TemporaryDirectory() as folder:
        if photos is None:
            _write_photos(Path(folder))
            photos = f"folder:{folder}"
        recipe = _lite_at_128(photos)
        for aging in (0.0, 0.5):
            rate = _input_rate(recipe, aging)
            click.echo(f"the input alone, aging {aging}: {rate:.0f} photos/s")
        waits, totals = _train(recipe, steps)
    share = statistics.median(wait / total for wait, total in zip(waits, totals, strict=True))
    click.echo(
        f"beside {steps} train steps of {recipe.batch} photos: a step takes "
        f"{statistics.median(totals):.3f} s, of which {1000 * statistics.median(waits):.1f} ms go "
        f"into waiting: {share:.2%} (medians); of the whole time {sum(waits) / sum(totals):.2%}"
    )


def _lite_at_128(photos: str) -> Any:
    recipe = _recipe("lite")
    recipe.network.size = recipe.crop = 128
    recipe.photos = photos
    return recipe


def _batches(recipe: Any, aging: float) -> Any:
    from jaxcolor.training import data

    return data.training_batches(
        data.open_photos(recipe.photos),
        size=recipe.crop,
        batch=recipe.batch,
        first_step=0,
        seed=recipe.seed,
        min_area=recipe.min_crop_area,
        aging=aging,
    )


def _input_rate(recipe: Any, aging: float) -> float:
    """Photos per second: the median over pieces of a run, each long enough to empty the buffers."""
    batches = _batches(recipe, aging)
    pieces, length = 2 * REPEATS, 20
    next(batches)
    times = []
    for _ in range(pieces):
        start = time.perf_counter()
        for _ in range(length):
            next(batches)
        times.append(time.perf_counter() - start)
    return float(length * recipe.batch / statistics.median(times))


def _train(recipe: Any, steps: int) -> tuple[list[float], list[float]]:
    """Seconds of each step that go into waiting for its batch, and seconds that it takes."""
    import jax

    from jaxcolor.models import Config
    from jaxcolor.training import sharding, start

    network = Config.from_json(recipe.network.to_dict())
    variables = start.first_variables(recipe, network)
    state, fixed, advance, mesh = _trainer(recipe, variables, donate_argnums=0)
    batches = _batches(recipe, recipe.aging)
    warm_up = 2  # the first compiles, and lets the input run ahead
    waits, totals = [], []
    for _ in range(warm_up + steps):
        begin = time.perf_counter()
        batch = dict(next(batches))
        arrived = time.perf_counter()
        batch.pop("photo")
        state, metrics = advance(state, fixed, sharding.global_batch(mesh, batch))
        jax.block_until_ready(metrics)
        waits.append(arrived - begin)
        totals.append(time.perf_counter() - begin)
    return waits[warm_up:], totals[warm_up:]


def _write_photos(folder: Path) -> None:
    """JPEGs with the size and the detail of common data sets' photos."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(200):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 24, 3), np.uint8))
        smooth = np.asarray(coarse.resize((384, 256), Image.Resampling.BICUBIC))
        detail = np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(detail).save(folder / f"{i:03}.jpg", quality=90)


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
