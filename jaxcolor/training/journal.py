"""What a run tells: console lines, TensorBoard, pictures, and who it was.

Only the first process writes; on the others every call does nothing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

import jaxcolor
from jaxcolor.atomic import open_whole
from jaxcolor.training.host_tensorflow import tf

_LOG = logging.getLogger(__name__)


class Journal:
    """The tale of a run in `workdir`; use as a context.

    Files: `config.json` (the recipe), `starts.jsonl` (a line for each start: version, commit,
    devices, first step), `pictures/STEP.png` and TensorBoard's `events.*`.
    """

    def __init__(self, workdir: Path, config: ConfigDict) -> None:
        self._workdir = workdir
        self._config = config
        self._tells = jax.process_index() == 0
        self._clock = (time.monotonic(), 0)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Journal:
        if self._tells:
            writer = tf.summary.create_file_writer(str(self._workdir))
            self._open.callback(writer.close)
            self._open.enter_context(writer.as_default())
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def start(self, first_step: int) -> None:
        """Writes down the recipe, and with which code and devices it goes on from `first_step`."""
        self._clock = (time.monotonic(), first_step)
        if not self._tells:
            return
        recipe = json.dumps(self._config.to_dict(), indent=2) + "\n"
        with open_whole(self._workdir / "config.json") as file:
            file.write(recipe.encode())
        who = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "version": jaxcolor.__version__,
            "commit": commit(),
            "command": sys.argv,
            "devices": jax.device_count(),
            "processes": jax.process_count(),
            "platform": jax.default_backend(),
            "first_step": first_step,
        }
        with (self._workdir / "starts.jsonl").open("a") as lines:
            lines.write(json.dumps(who) + "\n")

    def progress(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """One line: loss, rate, time left; the same to TensorBoard."""
        now, (before, step_before) = time.monotonic(), self._clock
        self._clock = (now, step)
        if not self._tells:
            return
        rate = (step - step_before) / (now - before)  # steps a second
        photos = rate * self._config.batch
        figures = {name: float(value) for name, value in metrics.items()}
        _LOG.info(
            "step %d/%d  loss %.5f  gradient %.3f  rate %.2e  %.1f photos/s  %s left",
            *(step, self._config.steps, figures["loss"], figures["gradient_norm"]),
            *(figures["learning_rate"], photos, _duration((self._config.steps - step) / rate)),
        )
        _scalars("train", step, {**figures, "photos/s": photos})

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """One line; the same to TensorBoard."""
        self._clock = (time.monotonic(), step)  # its time is not the training's
        if self._tells:
            words = "  ".join(f"{name} {value:.5f}" for name, value in figures.items())
            _LOG.info("step %d  validation %s", step, words)
            _scalars("validation", step, figures)

    def pictures(self, step: int, rows: np.ndarray) -> None:
        """Rows of pictures, (B, H, W, 3) of sRGB in [0, 1], under each other."""
        if not self._tells:
            return
        sheet = np.rint(np.concatenate(rows) * 255).astype(np.uint8)  # (B * H, W, 3)
        tf.summary.image("grey, prediction, truth", sheet[None], step)
        file = self._workdir / "pictures" / f"{step:08}.png"
        file.parent.mkdir(exist_ok=True)
        with open_whole(file) as png:
            Image.fromarray(sheet).save(png, "PNG")


@functools.cache
def commit() -> str:
    """The git commit of the code that runs, "+" behind it if files differ; "" outside of git.

    Asked for when a run starts: the folder may be at another commit when its weights are written.
    """
    home = Path(__file__).parent
    git = ["git", "-C", str(home)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True)
    except OSError:
        return ""
    return head.stdout.strip() + ("+" if changes.stdout else "")


def _scalars(group: str, step: int, figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        tf.summary.scalar(f"{group}/{name}", value, step)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
