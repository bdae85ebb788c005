"""Chroma enlarged along edges: the paper's formula, its limits, and that it pays on photos."""

from __future__ import annotations

import re
from pathlib import Path

import click.testing
import jax
import jax.numpy as jnp
import measure_colorize
import numpy as np
import pytest
import skimage.color
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxcolor import refine

pytestmark = pytest.mark.unoptimized

enlarge = jax.jit(refine.enlarge)


def enlarged(small: np.ndarray, lightness: np.ndarray, strength: float = 1.0) -> np.ndarray:
    rows, columns = (
        refine.taps(old, new) for old, new in zip(small.shape, lightness.shape, strict=False)
    )
    return np.asarray(enlarge(small, lightness, rows, columns, strength))


def random_small(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lightness = rng.uniform(0, 100, (rows, columns, 1))
    return np.concatenate([lightness, rng.normal(0, 30, (rows, columns, 2))], -1).astype(np.float32)


def by_formula(small: np.ndarray, lightness: np.ndarray, strength: float) -> np.ndarray:
    """Kopf et al. 2007, equation 4, over ALL samples; the spatial weight is the tent."""
    floor = 1 - strength * (1 - refine.FLOOR)
    out = np.empty((*lightness.shape, 2))
    for pixel in np.ndindex(lightness.shape):
        nearness = []
        for axis in range(2):
            old, new = small.shape[axis], lightness.shape[axis]
            place = np.clip((pixel[axis] + 0.5) * old / new - 0.5, 0, old - 1)
            nearness.append(np.maximum(0, 1 - np.abs(np.arange(old) - place)))
        difference = np.abs(small[..., 0] - lightness[pixel])
        likeness = floor + (1 - floor) * np.exp(-difference / refine.RANGE)
        weights = np.outer(*nearness) * likeness
        out[pixel] = np.einsum("ij,ijc->c", weights, small[..., 1:]) / weights.sum()
    return out


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("shape", [((5, 7), (23, 31)), ((8, 8), (8, 8)), ((6, 4), (40, 5))])
def test_agrees_with_the_formula(shape, strength: float) -> None:
    small = random_small(*shape[0])
    lightness = np.random.default_rng(1).uniform(0, 100, shape[1]).astype(np.float32)
    expected = by_formula(small.astype(np.float64), lightness.astype(np.float64), strength)
    np.testing.assert_allclose(enlarged(small, lightness, strength), expected, atol=1e-3)


@pytest.mark.parametrize("new", [(17, 40), (224, 300), (512, 513)])
def test_without_strength_it_is_bilinear(new: tuple[int, int]) -> None:
    small = random_small(16, 40)
    lightness = np.random.default_rng(1).uniform(0, 100, new).astype(np.float32)
    expected = jax.image.resize(small[..., 1:], (*new, 2), "linear")
    np.testing.assert_allclose(enlarged(small, lightness, 0.0), expected, atol=1e-3)


@pytest.mark.parametrize("new", [(1, 1), (5, 30), (100, 60), (224, 50)])
def test_making_smaller_averages(new: tuple[int, int]) -> None:
    coarse = np.random.default_rng(0).normal(0, 30, (20, 20, 3))
    small = np.asarray(jax.image.resize(coarse, (224, 224, 3), "cubic"))
    rows, columns = (refine.averaging(224, size) for size in new)
    averaged = np.stack([rows @ small[..., i] @ columns.T for i in range(3)], axis=-1)
    got = enlarged(averaged, np.full(new, 50, np.float32), 0.0)
    expected = jax.image.resize(small[..., 1:], (*new, 2), "linear")
    assert np.abs(got - expected).max() < 0.05 * small[..., 1:].std()


def test_averaging_leaves_alone_what_grows() -> None:
    for new in (16, 17, 4000):
        np.testing.assert_array_equal(refine.averaging(16, new), np.eye(16))


def test_colour_stops_where_lightness_jumps() -> None:
    """Two flat colours that meet between two samples, inside a full-size pixel's reach of both."""
    size, new = 8, 64
    left = np.arange(new) < new // 2
    lightness = np.broadcast_to(np.where(left, 30.0, 70.0), (new, new)).astype(np.float32)
    small = np.zeros((size, size, 3), np.float32)
    small[:, :4], small[:, 4:] = (30, 40, -20), (70, -10, 50)
    truth = np.where(left[:, None], small[0, 0, 1:], small[0, -1, 1:])
    worst = {s: np.abs(enlarged(small, lightness, s) - truth).max() for s in (0.0, 0.5, 1.0)}
    assert worst[0.0] > 30  # bilinear: nearly half of the step of 70
    assert worst[0.5] < 0.8 * worst[0.0]
    assert worst[1.0] < 0.25 * worst[0.0]


def test_what_fits_no_sample_is_bilinear() -> None:
    """A thin bright line before a flat background has no sample of its own."""
    small = random_small(8, 8)
    small[..., 0] = 40
    lightness = np.full((64, 64), 40, np.float32)
    lightness[:, 31] = 95
    np.testing.assert_allclose(
        enlarged(small, lightness), enlarged(small, lightness, 0.0), atol=1e-3
    )
    # And where lightness leaves the samples behind, the result moves there without a jump.
    small = random_small(2, 2, seed=3)
    ramp = np.broadcast_to(np.linspace(-100, 200, 3001, dtype=np.float32), (2, 3001))
    rows, columns = refine.taps(2, 2), refine.taps(2, 1)
    columns = refine.Taps(*(np.repeat(part, 3001, axis=1) for part in columns))
    out = np.asarray(enlarge(small, ramp, rows, columns))
    assert np.abs(np.diff(out, axis=1)).max() < 0.02 * np.ptp(small[..., 1:])
    plain = np.asarray(enlarge(small, ramp, rows, columns, 0.0))
    for end in (0, -1):  # 100 away from all samples
        np.testing.assert_allclose(out[:, end], plain[:, end], atol=0.2)


# Few shapes: each is compiled.
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
    st.sampled_from([(1, 1), (1, 9), (9, 1), (7, 7), (5, 40), (9, 4)]),
)
@settings(max_examples=60, deadline=None)
def test_it_is_a_mean_of_four_samples(seed: int, strength: float, sizes: tuple[int, int]) -> None:
    old, new = sizes
    small = random_small(old, old, seed)
    lightness = np.random.default_rng(seed).uniform(0, 100, (new, new)).astype(np.float32)
    out = enlarged(small, lightness, strength)
    first, second = refine.taps(old, new).sample
    sides = (first, second)
    corners = [small[rows][:, columns, 1:] for rows in sides for columns in sides]
    assert (out >= np.min(corners, axis=0) - 1e-3).all()
    assert (out <= np.max(corners, axis=0) + 1e-3).all()


@pytest.mark.parametrize(("old", "new"), [(10, 10), (100, 7), (7, 100), (1, 5), (5, 1), (513, 224)])
def test_resizing_agrees_with_jax_image(old: int, new: int) -> None:
    signal = np.random.default_rng(0).random((old, 1), np.float32)
    expected = jax.image.resize(signal, (new, 1), "linear")
    np.testing.assert_allclose(refine.resize_matrix(old, new) @ signal, expected, atol=1e-5)


def test_under_vmap_and_grad() -> None:
    smalls = np.stack([random_small(4, 4, seed) for seed in range(3)])
    lightness = np.random.default_rng(1).uniform(0, 100, (9, 9)).astype(np.float32)
    taps = refine.taps(4, 9)
    many = jax.vmap(refine.enlarge, in_axes=(0, None, None, None, None))(
        smalls, lightness, taps, taps, 1.0
    )
    for small, got in zip(smalls, many, strict=True):
        np.testing.assert_allclose(got, enlarged(small, lightness), atol=1e-4)
    gradient = jax.grad(lambda s: jnp.sum(refine.enlarge(s, lightness, taps, taps) ** 2))(smalls[0])
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


# -- photos whose chroma is known ------------------------------------------------------------------


def figures(rgb: np.ndarray, size: int, strength: float) -> tuple[float, float]:
    """PSNR of ab, and its error near edges, with scikit-image's Lab and NumPy's means."""
    lab = skimage.color.rgb2lab(rgb).astype(np.float32)
    factor = len(lab) // size
    blocks = lab.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    seen = jax.image.resize(lab[..., 0], (size, size), "linear")
    small = np.concatenate([seen[..., None], blocks[..., 1:]], axis=-1)
    error = ((enlarged(small, lab[..., 0], strength) - lab[..., 1:]) ** 2).mean(axis=-1)
    down, across = np.gradient(lab[..., 0])
    steepness = np.sqrt(down**2 + across**2)
    near = steepness >= np.quantile(steepness, 0.9)
    return 10 * np.log10(220**2 / error.mean()), error[near].mean() ** 0.5


@pytest.mark.parametrize("size", [128, 64, 32])
def test_it_beats_bilinear_on_photos(photos, size: int) -> None:
    for name, photo in photos.items():
        square = photo[: 256 if len(photo) < 512 else 512][:, : 256 if len(photo) < 512 else 512]
        plain, refined = figures(square, size, 0.0), figures(square, size, 1.0)
        assert refined[0] > plain[0] + 0.25, f"{name}: PSNR {plain[0]:.2f} -> {refined[0]:.2f}"
        assert refined[1] < plain[1], f"{name}: near edges {plain[1]:.2f} -> {refined[1]:.2f}"


def test_the_documented_figures_can_be_had(run, photos, tmp_path: Path) -> None:
    Image.fromarray(photos["astronaut"]).save(tmp_path / "photo.png")
    done = run(measure_colorize.__file__, "chroma", tmp_path / "photo.png", "--size", 64)
    assert done.returncode == 0, done.stderr
    printed = [float(number) for number in re.findall(r"\d+\.\d+", done.stdout)]
    plain, refined = (figures(photos["astronaut"], 64, strength) for strength in (0.0, 1.0))
    expected = [plain[0], refined[0], plain[1], refined[1]]
    np.testing.assert_allclose(printed, expected, atol=0.02)


def test_what_files_keep_can_be_measured(photos, tmp_path: Path) -> None:
    Image.fromarray(photos["coffee"][:120, :160]).save(tmp_path / "photo.png")
    words = ["files", str(tmp_path / "photo.png")]
    result = click.testing.CliRunner().invoke(measure_colorize.main, words)
    assert result.exit_code == 0, result.output
    means = dict(re.findall(r"(.*): mean (\d\.\d+)", result.stdout))
    assert len(means) == 5 + 4 + 6
    assert float(means["png, as it is written"]) < 0.1
    assert float(means["jpg, as it is written"]) < float(means["JPEG, quality 95"])
