"""Writes tests/golden/torch_*.pth: one state dict in both of PyTorch's formats.

    pip install torch
    python scripts/golden_torch_files.py

The committed ones are PyTorch 2.13.0's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
DTYPES = ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def arrays() -> dict[str, Any]:
    """Gives what is in them: one array of each type, and windows on one of these."""
    return _with_windows({name: np.arange(-5, 7).astype(name).reshape(3, 4) for name in DTYPES})


def _with_windows(state: dict[str, Any]) -> dict[str, Any]:
    """Adds it turned, a column of it and its last number: they share its storage."""
    whole = state["float32"]
    return state | {"turned": whole.T, "column": whole[:, 1], "number": whole[2, 3, ...]}


def main() -> None:
    """Saves them as a model's state dict is saved."""
    import torch

    plain = {name: torch.from_numpy(array) for name, array in arrays().items() if name in DTYPES}
    for name, zipped in (("legacy", False), ("zip", True)):
        path = GOLDEN / f"torch_{name}.pth"
        torch.save(_with_windows(plain), path, _use_new_zipfile_serialization=zipped)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
