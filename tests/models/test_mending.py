"""What the network is spared: vignettes, scratches, specks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from jaxcolor import color
from jaxcolor.models import Config, mending, tone
from jaxcolor.models.colorizer import to_input

pytestmark = pytest.mark.unoptimized

mended = jax.jit(mending.mended)
without_scratches = jax.jit(mending._without_scratches)


def see(lightness: np.ndarray) -> np.ndarray:
    return np.asarray(mended(lightness[None].astype(np.float32))[0])


def smooth(seed: int, shape: tuple[int, int] = (96, 128)) -> np.ndarray:
    """A scene without an edge, from L 30 to 70."""
    soft = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 12)
    return np.asarray(50 + 20 * soft / np.abs(soft).max())


def corners(shape: tuple[int, int]) -> np.ndarray:
    row, column = (np.linspace(-1, 1, side) for side in shape)
    return (row[:, None] ** 2 + column**2) / 2


@pytest.mark.parametrize("shape", [(96, 96), (97, 64)])
def test_thin_structures_are_those_of_scipy(shape: tuple[int, int]) -> None:
    """Opening and closing, the roughness around, and how much is filled."""
    given = np.random.default_rng(1).uniform(20, 80, (2, *shape)).astype(np.float32)
    given[:, :48] = given[:, :48] / 20 + 50  # grain, in which something can stand out
    given[:, 10, 5:60], given[:, 20:40, 30] = 90, 10
    found = np.asarray(without_scratches(given))
    for before, after in zip(given, found, strict=True):
        opened = ndimage.grey_opening(before, 3, mode="nearest")
        closed = ndimage.grey_closing(before, 3, mode="nearest")
        thin = before - opened, closed - before
        around = [ndimage.uniform_filter(each, 9, mode="constant") for each in thin]
        bright, dark = (
            each * np.clip((each - 7 * opposite - 4) / 2, 0, 1)
            for each, opposite in zip(thin, around[::-1], strict=True)
        )
        np.testing.assert_allclose(after, before - bright + dark, atol=1e-3)
        assert bright.max() > 30 < dark.max()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_scratches_and_specks_go_and_edges_stay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clean = smooth(seed)
    clean[48:] += 15  # an edge
    scratched = clean.copy()
    for left in (0, 32, 64, 96):  # apart: where they meet they are no longer thin
        columns = np.rint(np.linspace(*rng.integers(left + 6, left + 28, 2), 96)).astype(int)
        scratched[np.arange(96), columns] = 95
        for row in rng.permutation(np.arange(1, 94, 9))[:4]:
            scratched[row : row + 2, left : left + 2] = 5
    both = np.stack([clean, scratched]).astype(np.float32)
    seen = np.asarray(without_scratches(both))
    assert np.abs(seen[1] - clean).mean() < 0.1 * np.abs(scratched - clean).mean()
    np.testing.assert_allclose(seen[0], clean, atol=0.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.25, 0.9), st.sampled_from([(96, 128), (65, 97)]))
def test_a_vignette_is_lifted(seed: int, left: float, shape: tuple[int, int]) -> None:
    scene = np.random.default_rng(seed).uniform(30, 70, shape)
    dark = scene * (1 - (1 - left) * corners(shape))
    lifted = np.abs(see(dark) - scene).mean()
    assert lifted < 0.4 * np.abs(dark - scene).mean() + 0.5


def test_three_dark_corners_are_no_vignette() -> None:
    scene = np.random.default_rng(3).uniform(40, 60, (96, 128))
    dark = scene * (1 - 0.6 * corners(scene.shape))
    dark[:48, :64] = scene[:48, :64] * (1 + 0.2 * corners(scene.shape)[:48, :64])
    np.testing.assert_allclose(see(dark), dark, atol=0.5)


def test_textures_stay() -> None:
    rough = np.random.default_rng(0).uniform(20, 80, (1, 96, 96)).astype(np.float32)
    changed = np.abs(np.asarray(without_scratches(rough)) - rough) > 1
    assert changed.mean() < 0.01


@pytest.mark.parametrize("level", [0, 50, 100])
def test_flat_pictures_stay(level: int) -> None:
    np.testing.assert_allclose(see(np.full((64, 96), level)), level, atol=1e-3)


def test_pictures_of_a_batch_do_not_meet_and_mirror_images_are_alike() -> None:
    pictures = np.stack([smooth(1), smooth(2) / 2]).astype(np.float32)
    together = np.asarray(mended(pictures))
    for picture, mine in zip(pictures, together, strict=True):
        np.testing.assert_allclose(see(picture), mine, atol=1e-4)
        np.testing.assert_allclose(see(picture[:, ::-1])[:, ::-1], mine, atol=1e-3)


def test_a_network_is_trained_on_what_it_will_see() -> None:
    """Mended first, then with its black and white point moved."""
    scene = np.random.default_rng(3).uniform(20, 60, (1, 64, 64))
    dark = (scene * (1 - 0.6 * corners((64, 64)))).astype(np.float32)
    config = Config(network="pyramid", stretched=True).predicting(size=64, mended=True)
    given = jnp.asarray(color.lightness_to_network(dark))[..., None]
    expected = color.lightness_to_network(tone.stretched(mended(dark)))
    np.testing.assert_allclose(to_input(config, given)[..., 0], expected, atol=1e-4)
    assert np.abs(mended(dark) - dark).max() > 5
