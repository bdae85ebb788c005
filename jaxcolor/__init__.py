"""jaxcolor gives grey photographs their colours back.

>>> import jaxcolor
>>> params = jaxcolor.load()
>>> colour = jaxcolor.colorize(params, grey)

The names below are imported when they are first used: `jaxcolor --help` needs no JAX, and nobody
who only predicts pays for TensorFlow, optax or Orbax.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from jaxcolor.hints import Hint
    from jaxcolor.models.colorizer import Params
    from jaxcolor.predict import Controls, colorize, colorize_batch
    from jaxcolor.weights import available_models, load

_HOMES = {
    "Controls": "jaxcolor.predict",  # which makes it a pytree
    "Hint": "jaxcolor.hints",
    "Params": "jaxcolor.models.colorizer",
    "available_models": "jaxcolor.weights",
    "colorize": "jaxcolor.predict",
    "colorize_batch": "jaxcolor.predict",
    "load": "jaxcolor.weights",
}
_SUBMODULES = (
    *("album", "color", "engine", "evaluation", "exporting", "hints", "hub", "image_io", "jobs"),
    *("metrics", "models", "porting", "predict", "refine", "training", "weights"),
)

__all__ = [
    "Controls",
    "Hint",
    "Params",
    "__version__",
    "available_models",
    "colorize",
    "colorize_batch",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"jaxcolor.{name}")
    raise AttributeError(f"module 'jaxcolor' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
