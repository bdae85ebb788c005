"""What is done to a crop: the exact grey, and that of an old photo."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import skimage.color
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from jaxcolor import color
from jaxcolor.training.host_tensorflow import tf
from jaxcolor.training.input import augment

PIXELS = arrays(np.uint8, (8, 8, 3))


def seed(number: int) -> tf.Tensor:
    return tf.constant([number, 2], tf.int64)


def aged(rgb: np.ndarray, number: int) -> np.ndarray:
    return augment.aged_grey(tf.constant(rgb), seed(number)).numpy()


@given(PIXELS)
@settings(deadline=None)
def test_exact_grey_is_that_of_color(rgb: np.ndarray) -> None:
    expected = np.asarray(color.lightness_to_grey(color.rgb_to_lightness(rgb / 255))) * 255
    got = augment.exact_grey(tf.constant(rgb)).numpy()
    assert got.dtype == np.uint8
    assert np.abs(got - np.rint(expected)).max() <= 1


def test_exact_grey_has_the_lightness_of_scikit_image() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    rgb[:32] //= 16  # dark ones, where L is a line
    grey = augment.exact_grey(tf.constant(rgb)).numpy()
    lightness = skimage.color.rgb2lab(rgb)[..., 0]
    got = skimage.color.rgb2lab(skimage.color.gray2rgb(grey))[..., 0]
    assert np.abs(got - lightness).max() < 0.3  # L of half an 8-bit step is at most 0.22


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.2])
def test_blur_is_that_of_scipy(sigma: float) -> None:
    light = np.random.default_rng(0).random((24, 24)).astype(np.float32)

    def gaussian(values: np.ndarray) -> np.ndarray:
        return scipy.ndimage.gaussian_filter(values, sigma, mode="constant", truncate=12)

    got = augment._blur(tf.constant(light), tf.constant(sigma)).numpy()
    np.testing.assert_allclose(got, gaussian(light) / gaussian(np.ones_like(light)), atol=1e-5)


def test_the_same_seed_gives_the_same_pixels(photos: dict[str, np.ndarray]) -> None:
    rgb = photos["coffee"][:64, :64]
    np.testing.assert_array_equal(aged(rgb, 1), aged(rgb, 1))
    assert (aged(rgb, 1) != aged(rgb, 2)).mean() > 0.5


def test_an_old_photo_still_shows_the_picture(photos: dict[str, np.ndarray]) -> None:
    """Tones keep their order, on the whole, and each has tones of its own."""
    rgb = photos["coffee"][::3, ::3][:128, :128]
    exact = augment.exact_grey(tf.constant(rgb)).numpy().astype(float)
    looks = [aged(rgb, number).astype(float) for number in range(24)]
    for look in looks:
        assert look.shape == exact.shape
        assert np.corrcoef(look.ravel(), exact.ravel())[0, 1] > 0.5
    assert np.std([look.mean() for look in looks]) > 5


def test_black_and_white_fade_towards_each_other() -> None:
    halves = np.zeros((32, 64, 3), np.uint8)
    halves[:, 32:] = 255
    square = np.concatenate([halves, halves])
    looks = [aged(square, number) for number in range(24)]
    blacks = [np.median(look[:, :28]) for look in looks]
    whites = [np.median(look[:, 36:]) for look in looks]
    # Flat contrast alone makes black 255 * (0.5 - 0.5 / sqrt(2)) = 37; fading adds up to 0.35
    # of what is left to white: 113. White is as far from 255, and a vignette takes from it.
    assert min(blacks) < 20 < 45 < max(blacks) < 114
    assert max(whites) > 235 > 210 > min(whites) > 110


def test_orthochromatic_film_does_not_see_red() -> None:
    """Patches of one lightness: red comes out darker than blue on every film, on some by far."""
    lightness = np.full((32, 64), 50.0)
    a, b = np.repeat([[55.0, 5.0]], 32, axis=1), np.repeat([[40.0, -45.0]], 32, axis=1)
    lab = np.stack([lightness, np.tile(a, (32, 1)), np.tile(b, (32, 1))], axis=-1)
    rgb = np.rint(skimage.color.lab2rgb(lab) * 255).astype(np.uint8)
    square = np.concatenate([rgb, rgb])
    exact = augment.exact_grey(tf.constant(square)).numpy()
    assert np.ptp(exact) <= 1
    ratios = []
    for number in range(24):
        look = aged(square, number).astype(float)
        ratios.append(look[:, :28].mean() / look[:, 36:].mean())
    assert max(ratios) < 1.05
    assert min(ratios) < 0.6


@pytest.mark.parametrize("size", [16, 33])
def test_crops_have_their_size_and_mirror_half_of_the_time(size: int) -> None:
    ramp = np.tile(np.linspace(0, 255, 60).astype(np.uint8)[None, :, None], (40, 1, 3))
    mirrored = 0
    for number in range(60):
        crop = augment.random_crop(tf.constant(ramp), size, 0.5, seed(number)).numpy()
        assert crop.shape == (size, size, 3)
        mirrored += crop[:, 0, 0].mean() > crop[:, -1, 0].mean()
        # At least half of the area, no wider than 4:3: so much of the ramp is always there.
        assert np.ptp(crop[..., 0].astype(int)) > 255 * 0.4
    assert 15 <= mirrored <= 45  # a fair coin is outside once in 10,000


def test_an_inner_crop_lies_where_it_says() -> None:
    """Against SciPy's interpolation of the outer one, on a picture without corners."""
    row, column = np.mgrid[:60, :80] / 80
    smooth = np.stack([row, column, (row + column) / 2], axis=-1)
    rgb = tf.constant((255 * smooth).astype(np.uint8))
    sides, mirrored = [], 0
    for number in range(40):
        outer = augment.random_crop(rgb, 48, 0.5, seed(number)).numpy().astype(float)
        inner, place = (x.numpy() for x in augment.inner_crop(rgb, 48, 0.5, seed(number)))
        top, left, height, width = place
        assert min(top, left) >= 0
        assert max(top + height, left + width) <= 1 + 1e-6
        sides += [height, width]
        mirrored += outer[..., 1].mean(axis=0)[0] > outer[..., 1].mean(axis=0)[-1]
        pixels = (np.arange(48) + 0.5) / 48
        there = np.meshgrid(48 * (top + height * pixels), 48 * (left + width * pixels))
        places = [axis.T - 0.5 for axis in there]
        for channel in range(3):
            expected = scipy.ndimage.map_coordinates(
                outer[..., channel], places, order=1, mode="nearest"
            )
            assert np.abs(expected - inner[..., channel]).max() < 4
    assert 0.89 < min(sides) < 0.92
    assert max(sides) > 0.98
    assert 8 <= mirrored <= 32


def test_a_margin_lies_at_the_rim_of_all_pictures_alike() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(40, 80, (64, 64, 3), np.uint8)
    framed = 0
    for n in range(40):
        colours, grey = (
            picture.numpy()
            for picture in augment.framed(
                (tf.constant(rgb), tf.constant(rgb[..., 0])), 0.5, _seed(n)
            )
        )
        changed = (colours != rgb).any(axis=-1)
        np.testing.assert_array_equal(changed, grey != rgb[..., 0])
        framed += bool(changed.any())
        rows, columns = changed.mean(axis=1) > 0.9, changed.mean(axis=0) > 0.9
        assert not changed[~rows][:, ~columns].any()  # a frame and nothing else
        assert rows.mean() <= 0.32
        assert columns.mean() <= 0.32
        np.testing.assert_array_equal(colours[changed].max(-1), colours[changed].min(-1))
        if changed.any():
            assert np.ptp(grey[changed].astype(int)) < 12
    assert 8 <= framed <= 32  # half of them get one, of which few have no width


def test_things_without_colour_take_their_share() -> None:
    rng = np.random.default_rng(0)
    rgb = tf.constant(rng.integers(0, 255, (48, 48, 3), np.uint8))
    made = [augment.sometimes_colourless(rgb, 0.5, _seed(n)).numpy() for n in range(60)]
    colourless = [picture for picture in made if not (picture == rgb.numpy()).all()]
    assert 18 <= len(colourless) <= 42
    for picture in colourless:
        np.testing.assert_array_equal(picture.max(-1), picture.min(-1))
    assert min(np.ptp(picture.astype(int)) for picture in colourless) < 20  # something flat
    assert max(np.ptp(picture.astype(int)) for picture in colourless) > 150  # print, or a drawing


def test_a_vignette_is_dark_in_the_corners_and_nowhere_else() -> None:
    squared = augment._squared_radius(65).numpy()
    assert squared[32, 32] == pytest.approx(0, abs=1e-3)
    assert squared[0, 0] == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(squared, squared[::-1, ::-1], atol=1e-5)
    assert squared[0, 32] == pytest.approx(0.5, abs=0.03)


def test_damage_is_dust_and_scratches_and_leaves_the_rest() -> None:
    tone = tf.fill((128, 128), 0.5)
    shares = []
    for n in range(20):
        damaged = augment._damaged(tone, tf.constant(1.0), _seed(n)).numpy()
        changed = damaged != 0.5
        assert set(np.unique(damaged)) <= {np.float32(x) for x in (0.05, 0.5, 0.95)}
        shares.append(changed.mean())
        np.testing.assert_array_equal(augment._damaged(tone, tf.constant(0.0), _seed(n)), tone)
    assert 0.02 < np.mean(shares) < 0.3


def _seed(n: int) -> tf.Tensor:
    return tf.constant([7, n], tf.int64)
