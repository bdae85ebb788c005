"""Colorizers for programs without JAX: small lightness in, small chroma out.

`to_onnx` makes the file that ONNX Runtime and others load, `to_stablehlo` what `jax.export` does,
`save_model` the folder that TensorFlow does. All hold the weights. Enlarging the chroma to the
photo's size is the program's own work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcolor.exporting.files import save_model, to_onnx, to_stablehlo
    from jaxcolor.exporting.networks import NotExportable

# Imported when they are first used: the command line looks at `command.py` for `--help`.
_HOMES = {
    "NotExportable": "networks",
    "save_model": "files",
    "to_onnx": "files",
    "to_stablehlo": "files",
}

__all__ = ["NotExportable", "save_model", "to_onnx", "to_stablehlo"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxcolor.exporting' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jaxcolor.exporting.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
