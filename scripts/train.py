"""Trains a colorizer.

python scripts/train.py --config=configs/lite.py --workdir=runs/lite --config.photos=folder:photos
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import absl.logging
from absl import app, flags
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The recipe; any field can be changed with --config.FIELD=VALUE."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints and weights go.", required=True)
flags.mark_flag_as_required("config")


def main(argv: list[str]) -> None:
    """Flags -> `jaxcolor.training.loop.train`."""
    if len(argv) > 1:
        raise app.UsageError(f"not understood: {' '.join(argv[1:])}")
    _log_to_console()
    from jaxcolor.training.loop import train

    try:
        train(_CONFIG.value, Path(_WORKDIR.value))
    except (ValueError, OSError) as error:
        sys.exit(f"train: {error}")


def _log_to_console() -> None:
    absl.logging.set_verbosity(absl.logging.WARNING)  # Orbax tells every rename at INFO
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("jaxcolor")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


if __name__ == "__main__":
    app.run(main)
