"""The input alone, and how long a train step waits for it."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.ours import recipe, trainer

REPEATS = 5


@click.option("--photos", help="A source, as in configs/.  [default: JPEGs made for this]")
@click.option("--steps", default=20, show_default=True, help="Train steps to measure.")
def data(photos: str | None, steps: int) -> None:
    """Photos per second of the input, and the wait for it beside configs/lite.py at 128x128."""
    with tempfile.TemporaryDirectory() as folder:
        if photos is None:
            _write_photos(Path(folder))
            photos = f"folder:{folder}"
        config = _lite_at_128(photos)
        for aging in (0.0, 0.5):
            rate = _input_rate(config, aging)
            click.echo(f"the input alone, aging {aging}: {rate:.0f} photos/s")
        waits, totals = _train(config, steps)
    share = statistics.median(wait / total for wait, total in zip(waits, totals, strict=True))
    click.echo(
        f"beside {steps} train steps of {config.batch} photos: a step takes "
        f"{statistics.median(totals):.3f} s, of which {1000 * statistics.median(waits):.1f} ms go "
        f"into waiting: {share:.2%} (medians); of the whole time {sum(waits) / sum(totals):.2%}"
    )


def _lite_at_128(photos: str) -> Any:
    config = recipe("lite")
    config.network.size = config.crop = 128
    config.photos = photos
    return config


def _batches(config: Any, aging: float) -> Any:
    from jaxcolor.training.input.batches import open_photos, training_batches

    return training_batches(
        open_photos(config.photos),
        size=config.crop,
        batch=config.batch,
        first_step=0,
        seed=config.seed,
        min_area=config.min_crop_area,
        aging=aging,
    )


def _input_rate(config: Any, aging: float) -> float:
    """Photos per second: the median over pieces of a run, each long enough to empty the buffers."""
    batches = _batches(config, aging)
    pieces, length = 2 * REPEATS, 20
    next(batches)
    times = []
    for _ in range(pieces):
        start = time.perf_counter()
        for _ in range(length):
            next(batches)
        times.append(time.perf_counter() - start)
    return float(length * config.batch / statistics.median(times))


def _train(config: Any, steps: int) -> tuple[list[float], list[float]]:
    """Seconds of each step that go into waiting for its batch, and seconds that it takes."""
    import jax

    from jaxcolor.models import Config
    from jaxcolor.training import sharding, start

    network = Config.from_json(config.network.to_dict())
    state, advance, mesh = trainer(config, start.first_params(config, network))
    batches = _batches(config, config.aging)
    warm_up = 2  # the first compiles, and lets the input run ahead
    waits, totals = [], []
    for _ in range(warm_up + steps):
        begin = time.perf_counter()
        batch = dict(next(batches))
        arrived = time.perf_counter()
        batch.pop("photo")
        state, metrics = advance(state, sharding.global_batch(mesh, batch))
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
