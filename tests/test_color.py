"""Colour against scikit-image, and the properties that a colorizer stands on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.color
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxcolor import color


def grid(steps: int) -> np.ndarray:
    axis = np.linspace(0, 1, steps)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)


def test_lab_agrees_with_scikit_image() -> None:
    rgb = grid(33)
    np.testing.assert_allclose(color.rgb_to_lab(rgb), skimage.color.rgb2lab(rgb), atol=1e-3)


def test_rgb_agrees_with_scikit_image() -> None:
    lab = skimage.color.rgb2lab(grid(33))
    np.testing.assert_allclose(color.lab_to_rgb(lab), skimage.color.lab2rgb(lab), atol=1e-4)


@pytest.mark.slow
def test_all_colours_come_back_exactly() -> None:
    @jax.jit
    def there_and_back(rgb: jax.Array) -> jax.Array:
        lab = color.rgb_to_lab(rgb.astype(jnp.float32) / 255)
        return jnp.round(color.lab_to_rgb(lab) * 255).astype(jnp.uint8)

    plane = np.stack(np.meshgrid(np.arange(256), np.arange(256), indexing="ij"), axis=-1)
    for red in range(256):
        rgb = np.concatenate([np.full((256, 256, 1), red), plane], axis=-1).astype(np.uint8)
        np.testing.assert_array_equal(there_and_back(rgb), rgb)


lab_to_rgb = jax.jit(color.lab_to_rgb)


@given(st.floats(0, 100), st.floats(-200, 200), st.floats(-200, 200))
@settings(max_examples=100, deadline=None)
def test_any_chroma_keeps_lightness_and_hue(lightness: float, a: float, b: float) -> None:
    rgb = np.asarray(lab_to_rgb(np.float32([lightness, a, b])))
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    back = skimage.color.rgb2lab(rgb.astype(np.float64))
    assert abs(back[0] - lightness) < 0.1
    cross = back[1] * b - back[2] * a  # parallel: only the chroma's length may change
    assert abs(cross) <= 0.5 * max(1.0, np.hypot(a, b))
    assert back[1] * a + back[2] * b >= -0.1 * max(1.0, np.hypot(a, b))


@pytest.mark.parametrize("shape", [(128, 192), (7, 33), (4, 8, 64), (5,)])
@pytest.mark.parametrize("outside", [0.001, 0.1, 1.0])
def test_a_colour_does_not_hang_on_those_around_it(shape: tuple[int, ...], outside: float) -> None:
    """Wherever the few lie that do not fit."""
    rng = np.random.default_rng(len(shape))
    lab = rng.uniform([40, -10, -10], [60, 10, 10], (*shape, 3)).astype(np.float32)
    lab[rng.random(shape) < outside, 1:] *= 15
    alone = jax.lax.map(color.lab_to_rgb, lab.reshape(-1, 3))
    together = jax.jit(color.lab_to_rgb)(lab)
    np.testing.assert_allclose(together, np.reshape(alone, lab.shape), atol=2e-3)


def test_gamut_keeps_as_much_chroma_as_fits() -> None:
    # Along the ray from grey through a colour of the gamut's surface, the surface is the answer.
    rgb = grid(9).reshape(-1, 3)
    surface = rgb[(rgb.min(axis=1) == 0) | (rgb.max(axis=1) == 1)]
    lab = skimage.color.rgb2lab(surface)
    # But for the tip at yellow: there the ray leaves the gamut on its way and touches it again.
    tip = (surface[:, 0] == 1) & (surface[:, 1] == 1) & (surface[:, 2] < 0.7)
    got = skimage.color.rgb2lab(np.asarray(color.lab_to_rgb(lab * [1, 1.3, 1.3]), np.float64))
    assert np.abs(got - lab)[~tip].max() < 0.7
    assert np.abs(got - lab)[tip, 0].max() < 0.1


@pytest.mark.parametrize("value", [0.0, 1e-8, 0.04045, 0.5, 1.0])
@pytest.mark.parametrize(
    "function",
    [
        color.rgb_to_lab,
        color.rgb_to_lightness,
        color.grey_to_lightness,
        lambda x: color.lab_to_rgb(x * 100),
        lambda x: color.lightness_to_grey(x * 100),
    ],
)
def test_gradients_are_finite(function, value: float) -> None:
    gradient = jax.grad(lambda x: jnp.sum(function(x)))(jnp.full(3, value))
    assert np.isfinite(gradient).all()


def test_gradient_agrees_with_differences() -> None:
    at = jnp.array([0.2, 0.5, 0.8])
    check_grads(color.rgb_to_lab, (at,), order=1, modes=["rev"], rtol=2e-2)


@pytest.mark.parametrize("lead", [(), (1,), (2, 3), (2, 1, 4, 5)])
def test_leading_dimensions(lead: tuple[int, ...]) -> None:
    rgb = np.random.default_rng(0).random((*lead, 3), np.float32)
    rgb_to_lab, rgb_to_lightness = jax.jit(color.rgb_to_lab), jax.jit(color.rgb_to_lightness)
    lab = rgb_to_lab(rgb)
    assert lab.shape == (*lead, 3)
    assert lab.dtype == jnp.float32
    lab = np.asarray(lab)
    flat = rgb_to_lab(rgb.reshape(-1, 3))
    np.testing.assert_allclose(lab.reshape(-1, 3), flat, atol=1e-4)
    np.testing.assert_allclose(rgb_to_lightness(rgb), lab[..., 0], atol=1e-4)


def test_grey_lightness() -> None:
    # Half grey is not L = 50.
    assert float(color.grey_to_lightness(128 / 255)) == pytest.approx(53.585, abs=1e-3)
    greys = np.arange(256, dtype=np.float32) / 255
    lightness = color.grey_to_lightness(greys)
    np.testing.assert_allclose(color.lightness_to_grey(lightness), greys, atol=1e-6)
    np.testing.assert_allclose(
        color.rgb_to_lightness(np.repeat(greys[:, None], 3, axis=1)), lightness, atol=1e-3
    )


def test_network_scales_cover_srgb() -> None:
    lab = color.rgb_to_lab(grid(33))
    scaled = color.lightness_to_network(lab[..., 0]), color.ab_to_network(lab[..., 1:])
    for values in scaled:
        assert np.abs(values).max() <= 1 + 1e-6
    np.testing.assert_allclose(color.network_to_lightness(scaled[0]), lab[..., 0], atol=1e-4)
    np.testing.assert_allclose(color.network_to_ab(scaled[1]), lab[..., 1:], atol=1e-4)
