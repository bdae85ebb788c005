"""Training, as a library and as a run by a recipe: needs the `[train]` extra.

`make_train_step` is one step with any loss and any optimizer of optax, and `loop.train` makes the
same step from a recipe. The names below are imported when they are first used; TensorFlow is when
`training.input` is.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcolor.training.losses import LOSSES
    from jaxcolor.training.start import new_params
    from jaxcolor.training.step import TrainState, init_state, make_train_step

_HOMES = {
    "LOSSES": "losses",
    "TrainState": "step",
    "init_state": "step",
    "make_train_step": "step",
    "new_params": "start",
}

__all__ = ["LOSSES", "TrainState", "init_state", "make_train_step", "new_params"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"jaxcolor.training.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'jaxcolor.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
