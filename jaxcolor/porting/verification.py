"""How far a ported network is from the original that loads the same file itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Verification(NamedTuple):
    """How far our network is from the original.

    Attributes:
      errors: for each map and the logits, the largest difference over the largest value.
      same_class: the share of pictures whose first class is the same.
    """

    errors: dict[str, float]
    same_class: float

    @property
    def passed(self) -> bool:
        """Maps agree to 1e-4, logits to 1e-3, and every picture gets the same class."""
        limits = {name: 1e-3 if name == "logits" else 1e-4 for name in self.errors}
        close = all(error <= limits[name] for name, error in self.errors.items())
        return close and self.same_class == 1.0


def compare(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> Verification:
    """Measures how far `ours` are from `theirs`, relative to each picture's largest value."""
    errors = {}
    for name, expected in theirs.items():
        axes = tuple(range(1, expected.ndim))
        differences = np.abs(ours[name] - expected).max(axis=axes)
        errors[name] = float((differences / np.abs(expected).max(axis=axes)).max())
    same = ours["logits"].argmax(-1) == theirs["logits"].argmax(-1)
    return Verification(errors, float(same.mean()))


def made_up_pictures(count: int, size: int) -> Float[np.ndarray, "count size size 3"]:
    """Tiles of random colours in [-1, 1]."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-1, 1, (count, 13, 13, 3)).astype(np.float32)
    tile = -(-size // 13)  # pixels
    return np.kron(coarse, np.ones((1, tile, tile, 1), np.float32))[:, :size, :size]
