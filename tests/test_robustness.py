"""The damage that `robustness` does, and the distance that it measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_network
from PIL import Image
from skimage.color import rgb2lab

from jaxcolor import evaluation, image_io, robustness
from jaxcolor.models import Params
from jaxcolor.predict import colorize


@pytest.fixture
def grey() -> np.ndarray:
    rng = np.random.default_rng(0)
    smooth = np.asarray(
        Image.fromarray(rng.integers(40, 200, (8, 6), np.uint8)).resize((60, 80), 2)
    )
    return smooth


def test_every_state_keeps_the_photo_where_it_says(grey: np.ndarray) -> None:
    for name, state in robustness.variants(grey).items():
        inside, clean = state.picture[state.inside], grey[state.of]
        assert state.picture.dtype == np.uint8, name
        assert inside.shape[:2] == clean.shape, name
        flat = inside if inside.ndim == 2 else inside.mean(axis=-1)
        assert np.corrcoef(flat.ravel(), clean.ravel())[0, 1] > 0.4, name


def test_states_are_as_strong_as_their_names_say(grey: np.ndarray) -> None:
    states = robustness.variants(grey)
    for scale in (0.8, 0.5, 0.35):
        spread = np.ptp(states[f"contrast x{scale}"].picture.astype(float))
        assert spread == pytest.approx(scale * np.ptp(grey.astype(float)), abs=1.5)
    np.testing.assert_array_equal(states["exposure +15"].picture, grey + 15)
    assert states["blacks faded by 0.3"].picture.min() >= 76
    vignette = states["vignette to 0.3"].picture
    assert vignette[0, 0] == pytest.approx(0.3 * grey[0, 0], rel=0.1)
    assert vignette[40, 30] == pytest.approx(grey[40, 30], rel=0.02)
    framed = states["margin of 12 %, grey"].picture
    assert framed.shape == (80 + 2 * 10, 60 + 2 * 7)
    assert (framed[:10] == 128).all()
    np.testing.assert_array_equal(framed[10:90, 7:67], grey)
    changed = states["10 scratches, 50 specks"].picture != np.rint(grey)
    assert 0.08 < changed.mean() < 0.25
    assert states["crop to 95 %"].picture.shape == (76, 56)


def test_same_seed_same_damage(grey: np.ndarray) -> None:
    one, again, other = (robustness.variants(grey, seed) for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name].picture, again[name].picture)
    assert (one["grain 0.04"].picture != other["grain 0.04"].picture).any()


def test_distance_is_that_of_scikit_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    photo = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(photo)
    params = Params(*tiny_network.make(32))
    (measured,) = robustness.distances(params, [photo])
    grey = evaluation.grey_of(evaluation.central_square(evaluation.read_rgb(photo)))[..., 0]
    state = robustness.variants(grey)["margin of 12 %, black"]
    clean, framed = (rgb2lab(colorize(params, x))[..., 1:] for x in (grey, state.picture))
    expected = np.linalg.norm(framed[state.inside] - clean, axis=-1).mean()
    assert expected > 0
    assert measured["margin of 12 %, black"] == pytest.approx(expected, abs=0.02)


def test_a_strip_is_compared_with_the_truth(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(4).integers(0, 255, (64, 64, 3), np.uint8)).save(photo)
    params = Params(*tiny_network.make(32))
    (measured,) = robustness.distances(params, [photo])
    square = evaluation.central_square(evaluation.read_rgb(photo))
    grey = evaluation.grey_of(square)[..., 0]
    side = len(square)
    rows = slice(side // 2 - side // 16, side // 2 + side // 16)
    truth = rgb2lab(square)[rows, :, 1:]
    for name, colours in (
        (robustness.STRIP, colorize(params, np.ascontiguousarray(grey[rows]))),
        (robustness.WITHIN, colorize(params, grey)[rows]),
    ):
        expected = np.linalg.norm(rgb2lab(colours)[..., 1:] - truth, axis=-1).mean()
        assert measured[name] == pytest.approx(expected, abs=0.02)
    assert measured[robustness.STRIP] != measured[robustness.WITHIN]


def test_a_photo_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (error,) = robustness.distances(Params(*tiny_network.make(32)), [tmp_path / "bad.png"])
    assert isinstance(error, image_io.PhotoError)
    with pytest.raises(ValueError, match="no photo could be read"):
        robustness.means([])


def test_means_over_photos() -> None:
    assert robustness.means([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]) == {"a": 2.0, "b": 3.0}
