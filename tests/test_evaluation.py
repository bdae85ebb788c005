"""Figures against second implementations, and the script that prints them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import skimage.metrics

from jaxcolor import evaluation, metrics


def test_psnr_agrees_with_scikit_image() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (31, 17, 3), np.uint8)
    for spread in (1, 20, 200):
        picture = np.clip(truth + rng.integers(-spread, spread, truth.shape), 0, 255)
        picture = picture.astype(np.uint8)
        expected = skimage.metrics.peak_signal_noise_ratio(truth, picture, data_range=255)
        assert metrics.psnr(picture, truth) == pytest.approx(expected, abs=1e-9)
    assert metrics.psnr(truth, truth) == math.inf


def test_psnr_refuses_what_cannot_be_compared() -> None:
    a = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="one shape"):
        metrics.psnr(a, a[:2])
    with pytest.raises(ValueError, match="uint8"):
        metrics.psnr(a.astype(float), a)


def test_grey_keeps_lightness(photos) -> None:
    for truth in photos.values():
        grey = evaluation.grey_of(truth)
        assert (grey == grey[..., :1]).all()
        difference = skimage.color.rgb2lab(grey)[..., 0] - skimage.color.rgb2lab(truth)[..., 0]
        assert np.abs(difference).max() < 0.3


def test_the_script(run, photo_folder: Path) -> None:
    script = Path(__file__).parents[1] / "scripts" / "evaluate.py"
    result = run(script, "--data", photo_folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("12 photos  PSNR ")
    (photo_folder / "bad.jpg").write_text("no picture")
    result = run(script, "--data", photo_folder)
    assert result.returncode == 2
    assert "bad.jpg: not a picture" in result.stderr
