"""The one black and white point that a network sees every photo with."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcolor.models import tone

stretched = jax.jit(tone.stretched)


def photo(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.beta(2, 3, (1, 96, 64)).astype(np.float32) * 100


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.25, 1), st.floats(-10, 10))
def test_fading_and_exposure_do_not_matter(seed: int, contrast: float, exposure: float) -> None:
    clean = photo(seed)
    faded = np.float32(50 + exposure) + (clean - 50) * np.float32(contrast)
    np.testing.assert_allclose(stretched(faded), stretched(clean), atol=0.01)


def test_the_percentiles_are_those_of_numpy() -> None:
    clean = photo(3)
    seen = np.asarray(stretched(clean))
    low, high = np.percentile(seen, (1, 99))
    assert (low, high) == (pytest.approx(5, abs=0.3), pytest.approx(95, abs=0.3))
    assert seen.min() >= 0
    assert seen.max() <= 100


def test_a_flat_picture_stays_flat() -> None:
    noise = np.random.default_rng(0).normal(0, 0.5, (1, 64, 64)).astype(np.float32)
    for level in (0, 30, 100):
        seen = np.asarray(stretched(level + noise))
        assert seen.std() < 4
        assert seen.mean() == pytest.approx(50, abs=2)


def test_pictures_of_a_batch_do_not_meet() -> None:
    both = np.concatenate([photo(1), photo(2) * 0.3])
    np.testing.assert_array_equal(stretched(both)[:1], stretched(both[:1]))
    np.testing.assert_array_equal(stretched(both)[1:], stretched(both[1:]))


def test_dust_does_not_move_it() -> None:
    clean = photo(5)
    dusty = clean.copy()
    dusty[0].flat[np.random.default_rng(1).choice(96 * 64, 30, replace=False)] = 100
    assert np.abs(np.asarray(stretched(dusty)) - np.asarray(stretched(clean))).mean() < 3
