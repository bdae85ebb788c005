"""Trains a colorizer.

python scripts/train.py --config=configs/lite.py --workdir=runs/lite --config.photos=folder:photos

The same command on every process of a run on several hosts; docs/training.md has them all.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import absl.logging
from absl import app, flags
from ml_collections import config_flags

sys.path.insert(0, str(Path(__file__).parents[1]))  # recipes start from `configs.base`
_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The recipe; any field can be changed with --config.FIELD=VALUE."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints and weights go.", required=True)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of process 0, for several processes that no scheduler started."
)
_PROCESSES = flags.DEFINE_integer("processes", None, "How many there are, with --coordinator.")
_PROCESS = flags.DEFINE_integer("process", None, "Which this one is, with --coordinator.")
flags.mark_flag_as_required("config")


def main(argv: list[str]) -> None:
    """Flags -> `jaxcolor.training.loop.train`."""
    if len(argv) > 1:
        raise app.UsageError(f"not understood: {' '.join(argv[1:])}")
    # TensorFlow, which only reads photos here, and XLA say more of themselves than is of use.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from jaxcolor import startup
    from jaxcolor.training import distributed

    try:
        distributed.connect(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
        _log_to_console()
        with startup.collector_at_rest():
            from jaxcolor.training.loop import train
        train(_CONFIG.value, Path(_WORKDIR.value))
    except (ValueError, OSError) as error:
        sys.exit(f"train: {error}")


def _log_to_console() -> None:
    """Progress from the first process, warnings from all."""
    import jax

    absl.logging.set_verbosity(absl.logging.WARNING)  # JAX and Orbax tell every detail at INFO
    first = jax.process_index() == 0
    handler = logging.StreamHandler()
    prefix = "" if jax.process_count() == 1 else f"[{jax.process_index()}] "
    handler.setFormatter(logging.Formatter(f"%(asctime)s {prefix}%(message)s", "%H:%M:%S"))
    log = logging.getLogger("jaxcolor")
    log.addHandler(handler)
    log.setLevel(logging.INFO if first else logging.WARNING)
    log.propagate = False


if __name__ == "__main__":
    app.run(main)
