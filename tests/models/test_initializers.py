"""Random weights against JAX's own initializers."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax.nn import initializers

from jaxcolor.models.initializers import HE_NORMAL, LECUN_NORMAL, variance_scaling


@pytest.mark.parametrize("shape", [(3, 3, 16, 8), (5, 5, 1, 32), (1, 1, 7, 3), (9, 4)])
@pytest.mark.parametrize(
    ("ours", "jaxs"),
    [
        (HE_NORMAL, initializers.he_normal()),
        (LECUN_NORMAL, initializers.lecun_normal()),
        (variance_scaling(0.3, "normal"), initializers.variance_scaling(0.3, "fan_in", "normal")),
    ],
)
def test_the_numbers_are_jaxs(shape: tuple[int, ...], ours: object, jaxs: object) -> None:
    key = jax.random.key(sum(shape))
    np.testing.assert_allclose(ours(key, shape), jaxs(key, shape), rtol=1e-6)  # type: ignore[operator]
