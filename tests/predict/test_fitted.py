"""Photos in a shape near their own and without their margin: prediction with `fitted`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_network
from PIL import Image
from skimage.color import rgb2lab

from jaxcolor.models import Config, Params
from jaxcolor.predict import colorize, colorize_batch, stages

pytestmark = pytest.mark.unoptimized


@pytest.fixture(scope="module")
def params() -> Params:
    config, variables = tiny_network.make(64)
    chroma = variables["params"]["chroma"]
    vivid = {**chroma, "kernel": chroma["kernel"] * 3}
    params = {**variables["params"], "chroma": vivid}
    return Params(config.predicting(fitted=True), {**variables, "params": params})


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth, with light and shade everywhere."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(30, 225, (7, 9), np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def ab(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(rgb2lab(rgb)[..., 1:])


@pytest.mark.parametrize("size", [(90, 90), (90, 140), (200, 60), (40, 400)])
def test_numpy_and_traced_arrays_get_the_same_colours(
    params: Params, size: tuple[int, int]
) -> None:
    grey = picture(*size)
    traced = jax.jit(lambda image: colorize(params, image))(jnp.asarray(grey))
    assert np.abs(np.asarray(traced, int) - colorize(params, grey)).max() <= 1


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_margin_is_neutral_and_changes_nothing_inside(params: Params, level: int) -> None:
    grey = picture(150, 200)
    framed = np.pad(grey, ((22, 22), (29, 29)), constant_values=level)
    clean, colour = colorize(params, grey), colorize(params, framed)
    inside = colour[22:-22, 29:-29]
    apart = np.linalg.norm(ab(inside) - ab(clean), axis=-1)
    assert np.linalg.norm(ab(clean), axis=-1).mean() > 5
    assert apart.mean() < 0.15 * np.linalg.norm(ab(clean), axis=-1).mean()
    rim = np.ones(framed.shape, bool)
    rim[18:-18, 25:-25] = False
    assert np.linalg.norm(ab(colour)[rim], axis=-1).max() < 1
    traced = colorize(params, jnp.asarray(framed))
    assert np.abs(np.asarray(traced, int) - colour).max() <= 1


def test_photos_of_all_shapes_in_one_call_get_what_each_gets_alone(params: Params) -> None:
    pictures = [
        picture(*size, seed) for seed, size in enumerate([(90, 90), (60, 90), (90, 61)] * 2)
    ]
    together = colorize_batch(params, pictures, batch_size=4)
    for image, rgb in zip(pictures, together, strict=True):
        np.testing.assert_array_equal(rgb, colorize(params, image))


def test_a_turned_photo_is_seen_in_the_turned_shape(params: Params) -> None:
    for size, shape in (((95, 190), (46, 90)), ((190, 95), (90, 46)), ((90, 90), (64, 64))):
        view = stages.shrink(params, picture(*size))
        assert view.shape == view.seen.shape == shape == stages.answer_shape(params, shape)


def test_only_networks_that_follow_their_input_can_be_fitted() -> None:
    with pytest.raises(ValueError, match="fitted: a fusion works on its square alone"):
        Config(network="fusion").predicting(fitted=True)
