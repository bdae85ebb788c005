"""Training, as a library and as the run that `scripts/train.py` starts: needs the `[train]` extra.

`make_train_step` is one step with any loss and any optimizer of optax, and `loop.train` makes the
same step from a recipe. The input pipeline, `training.input`, is what needs TensorFlow; it is not
imported here.
"""

from __future__ import annotations

from jaxcolor.training.losses import LOSSES
from jaxcolor.training.start import new_params
from jaxcolor.training.step import TrainState, init_state, make_train_step

__all__ = ["LOSSES", "TrainState", "init_state", "make_train_step", "new_params"]
