"""The black and white point that a network sees a photo with."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcolor.models import tone

stretched = jax.jit(tone.stretched)


def photo(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.beta(2, 3, (1, 96, 64)).astype(np.float32) * 100


def ends(lightness: np.ndarray) -> np.ndarray:
    return np.percentile(np.asarray(lightness), tone.PERCENTILES)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.25, 1), st.floats(-10, 10))
def test_black_and_white_come_nearer(seed: int, contrast: float, exposure: float) -> None:
    """Part of the way where they are far apart, all of it where they are near."""
    faded = np.float32(50 + exposure) + (photo(seed) - 50) * np.float32(contrast)
    seen = np.asarray(stretched(faded))
    share = np.interp(np.ptp(ends(faded)), (tone.FADED, tone.WHOLE), (1, tone.SHARE))
    expected = ends(faded) + share * (np.array(tone.RANGE) - ends(faded))
    np.testing.assert_allclose(ends(seen), expected, atol=0.5)
    assert seen.min() >= 0
    assert seen.max() <= 100


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 0.5), st.floats(-10, 10))
def test_how_much_a_photo_has_faded_does_not_matter(
    seed: int, contrast: float, exposure: float
) -> None:
    clean = photo(seed)
    seen = stretched(np.float32(50 + exposure) + (clean - 50) * np.float32(contrast))
    least = stretched(np.float32(50) + (clean - 50) * np.float32(0.3))
    assert np.abs(np.asarray(seen) - np.asarray(least)).mean() < 2


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([1, 7, 300]),
    st.floats(0, 1),
    st.sampled_from([1, 9, 2**20]),
    st.integers(0, 99),
)
def test_what_stands_at_a_rank(count: int, share: float, levels: int, seed: int) -> None:
    """Of numbers all the same, of some that are, and of such as differ by little."""
    rng = np.random.default_rng(seed)
    samples = (rng.integers(0, levels, (3, count)) * (100 / levels) - 20).astype(np.float32)
    rank = round(share * (count - 1))
    got = tone._ranked(jnp.asarray(samples), rank)
    np.testing.assert_array_equal(got, np.sort(samples)[:, rank])


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
