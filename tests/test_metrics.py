"""Figures against scikit-image, against published numbers, and against the papers' formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxcolor import metrics

# Sharma, Wu, Dalal 2005, table 1: L, a, b of one colour, of another, and their difference.
SHARMA = np.array(
    [
        (50, 2.6772, -79.7751, 50, 0, -82.7485, 2.0425),
        (50, 3.1571, -77.2803, 50, 0, -82.7485, 2.8615),
        (50, 2.8361, -74.02, 50, 0, -82.7485, 3.4412),
        (50, -1.3802, -84.2814, 50, 0, -82.7485, 1),
        (50, -1.1848, -84.8006, 50, 0, -82.7485, 1),
        (50, -0.9009, -85.5211, 50, 0, -82.7485, 1),
        (50, 0, 0, 50, -1, 2, 2.3669),
        (50, -1, 2, 50, 0, 0, 2.3669),
        (50, 2.49, -0.001, 50, -2.49, 0.0009, 7.1792),
        (50, 2.49, -0.001, 50, -2.49, 0.001, 7.1792),
        (50, 2.49, -0.001, 50, -2.49, 0.0011, 7.2195),
        (50, 2.49, -0.001, 50, -2.49, 0.0012, 7.2195),
        (50, -0.001, 2.49, 50, 0.0009, -2.49, 4.8045),
        (50, -0.001, 2.49, 50, 0.001, -2.49, 4.8045),
        (50, -0.001, 2.49, 50, 0.0011, -2.49, 4.7461),
        (50, 2.5, 0, 50, 0, -2.5, 4.3065),
        (50, 2.5, 0, 73, 25, -18, 27.1492),
        (50, 2.5, 0, 61, -5, 29, 22.8977),
        (50, 2.5, 0, 56, -27, -3, 31.903),
        (50, 2.5, 0, 58, 24, 15, 19.4535),
        (50, 2.5, 0, 50, 3.1736, 0.5854, 1),
        (50, 2.5, 0, 50, 3.2972, 0, 1),
        (50, 2.5, 0, 50, 1.8634, 0.5757, 1),
        (50, 2.5, 0, 50, 3.2592, 0.335, 1),
        (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
        (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.263),
        (61.2901, 3.7196, -5.3901, 61.4292, 2.248, -4.962, 1.8731),
        (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
        (22.7233, 20.0904, -46.694, 23.0331, 14.973, -42.5619, 2.0373),
        (36.4612, 47.858, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
        (90.8027, -2.0831, 1.441, 91.1528, -1.6435, 0.0447, 1.4441),
        (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
        (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
        (2.0776, 0.0795, -1.135, 0.9033, -0.0636, -0.5514, 0.9082),
    ]
)


@pytest.fixture(scope="module")
def pairs(photos) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures beside their truth, of one odd size: greyed, noisy, half as colourful, another."""
    rng = np.random.default_rng(0)
    truths = [np.asarray(Image.fromarray(p).resize((93, 70))) for p in photos.values()]
    found = []
    for truth in truths:
        grey = np.repeat(truth.mean(axis=-1, keepdims=True), 3, axis=-1)
        noisy = truth + rng.integers(-40, 40, truth.shape)
        for picture in (grey, noisy, (grey + truth) / 2, truths[0]):
            found.append((np.clip(picture, 0, 255).astype(np.uint8), truth))
    return found


def labs(*pictures: np.ndarray) -> list[np.ndarray]:
    return [metrics.picture_to_lab(picture) for picture in pictures]


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_psnr_agrees_with_scikit_image(pairs) -> None:
    for picture, truth in pairs:
        if (picture == truth).all():
            assert metrics.psnr(picture, truth) == math.inf
            continue
        expected = skimage.metrics.peak_signal_noise_ratio(truth, picture, data_range=255)
        assert metrics.psnr(picture, truth) == pytest.approx(expected, abs=1e-9)


def test_ssim_agrees_with_scikit_image(pairs) -> None:
    flat = np.full_like(pairs[0][0], 250)  # bright and nearly even: the worst for float32
    for picture, truth in [*pairs, (flat, flat - pairs[0][0] % 2)]:
        expected = skimage.metrics.structural_similarity(
            truth,
            picture,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        )
        assert metrics.ssim(picture, truth) == pytest.approx(expected, abs=3e-5)


def test_lab_agrees_with_scikit_image(pairs) -> None:
    for picture, _ in pairs:
        got = metrics.picture_to_lab(picture)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, skimage.color.rgb2lab(picture), atol=1e-3)
        chroma = np.hypot(*np.moveaxis(skimage.color.rgb2lab(picture)[..., 1:], -1, 0))
        assert metrics.mean_chroma(got) == pytest.approx(chroma.mean(), abs=1e-3)


def test_ciede2000_is_that_of_sharmas_table() -> None:
    one, other, expected = SHARMA[:, :3], SHARMA[:, 3:6], SHARMA[:, 6]
    assert len(SHARMA) == 34
    np.testing.assert_allclose(metrics.ciede2000(one, other), expected, atol=1e-4)
    np.testing.assert_allclose(metrics.ciede2000(other, one), expected, atol=1e-4)


def test_ciede2000_agrees_with_scikit_image(pairs) -> None:
    rng = np.random.default_rng(0)
    low, high = (0, -90, -110), (100, 100, 95)
    one, other = rng.uniform(low, high, (2, 20_000, 3))
    near = one + rng.normal(0, 1, one.shape)
    for a, b in ((one, other), (one, near), (one, one)):
        expected = skimage.color.deltaE_ciede2000(a, b)
        np.testing.assert_allclose(metrics.ciede2000(a, b), expected, atol=2e-3)
    for picture, truth in pairs:
        a, b = (skimage.color.rgb2lab(x) for x in (picture, truth))
        expected = skimage.color.deltaE_ciede2000(a, b).mean()
        assert metrics.mean_ciede2000(*labs(picture, truth)) == pytest.approx(expected, abs=1e-4)


def test_colourfulness_is_the_papers(pairs) -> None:
    for picture, _ in pairs:
        r, g, b = np.moveaxis(picture.astype(np.float64), -1, 0)
        rg, yb = r - g, (r + g) / 2 - b
        expected = np.sqrt(rg.var() + yb.var()) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
        assert metrics.colourfulness(picture) == pytest.approx(expected, abs=1e-9)
    assert metrics.colourfulness(skimage.data.astronaut()) == pytest.approx(72.61, abs=0.005)
    grey = np.repeat(noise(0, (20, 20, 1)), 3, axis=-1)
    assert metrics.colourfulness(grey) == 0


def raw_accuracy_by_the_paper(pairs, uniform: float | None) -> float:
    """Zhang et al. 2016: a sweep over thresholds, pixel by pixel, with equation 4's weights."""
    picture_ab, truth_ab = (
        np.concatenate([skimage.color.rgb2lab(pair[i]).reshape(-1, 3)[:, 1:] for pair in pairs])
        for i in (0, 1)
    )
    distance = np.linalg.norm(picture_ab - truth_ab, axis=-1)
    weight = np.ones(len(distance))
    if uniform is not None:
        bins, which = np.unique(np.rint(truth_ab / 10), axis=0, return_inverse=True)
        p = np.bincount(which.ravel(), minlength=len(bins)) / len(distance)
        weight = 1 / ((1 - uniform) * p[which.ravel()] + uniform / 261)
    thresholds = np.linspace(0, 150, 3001)
    order = np.argsort(distance)
    mass = np.concatenate([[0], np.cumsum(weight[order])]) / weight.sum()
    within = mass[np.searchsorted(distance[order], thresholds, side="right")]
    return np.trapezoid(within, thresholds) / 150


def test_raw_accuracy_is_the_area_that_the_paper_sweeps(pairs) -> None:
    total = metrics.RawAccuracy()
    for picture, truth in pairs:
        total += metrics.raw_accuracy(*labs(picture, truth))
    assert total.pixels.sum() == sum(truth[..., 0].size for _, truth in pairs)
    assert total.plain == pytest.approx(raw_accuracy_by_the_paper(pairs, None), abs=3e-4)
    for uniform in (0.0, 0.5, 1.0):
        expected = raw_accuracy_by_the_paper(pairs, uniform)
        assert total.rebalanced(uniform) == pytest.approx(expected, abs=3e-4)
    assert total.rebalanced() == total.rebalanced(0.5)
    assert total.rebalanced(1.0) == pytest.approx(total.plain, abs=1e-12)


def test_rare_colours_count_more_when_rebalanced() -> None:
    truth = np.full((40, 40, 3), 128, np.uint8)
    truth[:2] = (255, 0, 0)
    grey = np.full_like(truth, 128)  # right where the truth is common, wrong where it is rare
    accuracy = metrics.raw_accuracy(*labs(grey, truth))
    assert accuracy.plain > 0.95
    assert accuracy.rebalanced(0.0) == pytest.approx(1 - 104.55 / 150 / 2, abs=1e-3)
    assert accuracy.rebalanced(0.0) < accuracy.rebalanced() < accuracy.plain


def test_a_colour_farther_than_150_counts_for_nothing() -> None:
    blue, yellow = (np.full((4, 4, 3), rgb, np.uint8) for rgb in ((0, 0, 255), (255, 255, 0)))
    accuracy = metrics.raw_accuracy(*labs(blue, yellow))
    assert accuracy.plain == accuracy.rebalanced() == 0


def test_the_bins_that_srgb_falls_into() -> None:
    # The gamut's surface covers all that the gamut covers, seen along L.
    side = np.stack(np.meshgrid(np.arange(256), np.arange(256), indexing="ij"), axis=-1)
    seen: set[tuple[int, ...]] = set()
    for channel in range(3):
        for value in (0, 255):
            face = np.insert(side, channel, value, axis=-1).astype(np.uint8)
            ab = np.rint(metrics.picture_to_lab(face)[..., 1:].reshape(-1, 2) / 10).astype(int)
            seen |= set(map(tuple, np.unique(ab, axis=0).tolist()))
    assert len(seen) == metrics._BINS_OF_SRGB
    assert np.abs(list(seen)).max() <= metrics._REACH


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_picture_is_nearest_to_itself(seed: int) -> None:
    picture, other = noise(seed, (12, 13, 3)), noise(seed + 1, (12, 13, 3))
    lab, other_lab = labs(picture, other)
    assert metrics.ssim(picture, picture) == pytest.approx(1, abs=1e-6)
    assert metrics.mean_ciede2000(lab, lab) == 0
    own = metrics.raw_accuracy(lab, lab)
    assert own.plain == own.rebalanced() == 1
    assert metrics.ssim(picture, other) == pytest.approx(metrics.ssim(other, picture), abs=1e-6)
    assert metrics.ssim(picture, other) < 1
    assert metrics.mean_ciede2000(lab, other_lab) > 0
    assert 0 < metrics.raw_accuracy(lab, other_lab).plain < 1


def test_what_cannot_be_compared_is_refused() -> None:
    a = np.zeros((12, 12, 3), np.uint8)
    for compare in (metrics.psnr, metrics.ssim):
        with pytest.raises(ValueError, match="one shape"):
            compare(a, a[:11])
        with pytest.raises(ValueError, match=r"float64 .* uint8"):
            compare(a.astype(float), a)
    with pytest.raises(ValueError, match="11 pixels"):
        metrics.ssim(a[:10], a[:10])
    for measure in (metrics.colourfulness, metrics.picture_to_lab):
        for bad in (a[..., 0], a[..., :1], a[:0], a / 255):
            with pytest.raises(ValueError, match="uint8"):
                measure(bad)
