"""`colorize` as its users call it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import skimage.color
from PIL import Image

import jaxcolor
from jaxcolor import color, predict


def grey(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth grey picture: noise of 8x8 patches, enlarged."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def lightness(rgb: np.ndarray) -> np.ndarray:
    scale = 1 if rgb.dtype.kind == "f" else np.iinfo(rgb.dtype).max
    return skimage.color.rgb2lab(rgb.astype(np.float64) / scale)[..., 0]


def test_a_photo_gets_colours_and_keeps_its_lightness(params, photos) -> None:
    for truth in photos.values():
        got = jaxcolor.colorize(params, truth)
        assert got.shape == truth.shape
        assert got.dtype == np.uint8
        difference = np.abs(lightness(got) - lightness(truth))
        assert np.quantile(difference, 0.999) <= 1.0
        assert difference.mean() < 0.3
        assert np.ptp(got.astype(int), axis=-1).mean() > 3  # not grey


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 300), (700, 2), (3, 5, 1), (31, 33, 3), (513, 511), (600, 1100, 3)]
)
def test_any_size(params, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    got = jaxcolor.colorize(params, image)
    assert got.shape == (*shape[:2], 3)
    rgb = np.broadcast_to(image.reshape(*shape[:2], -1), got.shape)
    assert np.quantile(np.abs(lightness(got) - lightness(rgb)), 0.999) <= 1.0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_any_type_of_number_comes_back_as_it_went(params, dtype: Any) -> None:
    image = grey(40, 60)
    if np.dtype(dtype).kind == "f":
        given = (image / 255).astype(dtype)
    else:
        given = image.astype(dtype) * (257 if dtype == np.uint16 else 1)
    got = jaxcolor.colorize(params, given)
    assert type(got) is np.ndarray
    assert got.dtype == dtype
    unit = got.astype(np.float64) / (np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1)
    reference = jaxcolor.colorize(params, image / 255.0)
    np.testing.assert_allclose(unit, reference, atol=3e-3)


def test_jax_arrays_and_numpy_arrays_give_the_same(params) -> None:
    for image in (grey(70, 50), np.repeat(grey(33, 600)[..., None], 3, axis=2)):
        ours = jaxcolor.colorize(params, image)
        on_device = jaxcolor.colorize(params, jnp.asarray(image))
        assert isinstance(on_device, jax.Array)
        assert on_device.dtype == jnp.uint8
        assert np.abs(np.asarray(on_device).astype(int) - ours).max() <= 1
        (batched,) = jaxcolor.colorize_batch(params, [jnp.asarray(image)])
        assert isinstance(batched, jax.Array)


def test_inside_jit_vmap_and_with_numpy_params(params) -> None:
    images = np.stack([grey(32, 48, seed) for seed in range(3)])
    expected = np.stack([jaxcolor.colorize(params, image) for image in images]).astype(int)
    jitted = jax.jit(jaxcolor.colorize)
    on_host = jax.tree.map(np.asarray, params)
    assert np.abs(np.asarray(jitted(on_host, images[0])) - expected[0]).max() <= 1
    many = jax.jit(jax.vmap(jaxcolor.colorize, in_axes=(None, 0)))(params, jnp.asarray(images))
    assert np.abs(np.asarray(many) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_pillow_images(params, mode: str) -> None:
    base = Image.fromarray(grey(30, 44))
    if mode == "I;16":
        image = Image.fromarray(grey(30, 44).astype(np.uint16) * 257)
    else:
        image = base.convert("RGB").convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(grey(30, 44, seed=5)))
    before = image.tobytes()
    got = jaxcolor.colorize(params, image)
    assert isinstance(got, PIL.Image.Image)
    assert image.tobytes() == before
    assert got.size == image.size
    assert got.mode == ("RGBA" if mode in ("LA", "RGBA") else "RGB")
    if got.mode == "RGBA":
        np.testing.assert_array_equal(got.getchannel("A"), grey(30, 44, seed=5))
    if mode not in ("1", "P"):  # those two have other greys than the base
        expected = jaxcolor.colorize(params, np.asarray(base))
        assert np.abs(np.asarray(got.convert("RGB")).astype(int) - expected).max() <= 3


def test_a_colour_photo_is_greyed_first(params, photos) -> None:
    truth = photos["coffee"]
    unit = color.lightness_to_grey(color.rgb_to_lightness(truth.astype(np.float32) / 255))
    got = jaxcolor.colorize(params, truth.astype(np.float32) / 255)
    np.testing.assert_allclose(got, jaxcolor.colorize(params, np.asarray(unit)), atol=2e-3)


def test_lightness_is_kept_under_any_chroma(params, photos, monkeypatch) -> None:
    """200 random chroma fields over photos, wild ones among them."""
    rng = np.random.default_rng(0)
    size = params.config.size
    crops = [p[y : y + 100, x : x + 140] for p in photos.values() for y, x in ((0, 0), (90, 130))]
    differences = []
    for i in range(200):
        coarse = rng.normal(0, rng.uniform(5, 80), (1, 4, 4, 2)).astype(np.float32)
        field = jax.image.resize(coarse, (1, size, size, 2), "linear")
        monkeypatch.setattr(predict, "_predict", lambda params, small, field=field: field)
        photo = crops[i % len(crops)]
        got = jaxcolor.colorize(params, photo)
        differences.append(np.abs(lightness(got) - lightness(photo)).ravel())
    assert np.mean(np.concatenate(differences) <= 1.0) >= 0.999


def test_a_batch_gives_what_single_photos_give(params) -> None:
    images: list[Any] = [grey(20 + 9 * i, 70 - 5 * i, seed=i) for i in range(5)]
    images[1] = Image.fromarray(images[1])
    images[3] = images[3].astype(np.float32) / 255
    got = jaxcolor.colorize_batch(params, iter(images), batch_size=2)
    assert len(got) == 5
    for image, painted in zip(images, got, strict=True):
        alone = jaxcolor.colorize(params, image)
        assert type(alone) is type(painted)
        tolerance = 2e-3 if getattr(painted, "dtype", None) == np.float32 else 1
        np.testing.assert_allclose(
            np.asarray(painted, np.float64), np.asarray(alone, np.float64), atol=tolerance
        )
    assert jaxcolor.colorize_batch(params, []) == []


def test_nothing_is_compiled_from_photo_to_photo(params, caplog) -> None:
    def work(sizes: list[tuple[int, int]]) -> None:
        jaxcolor.colorize_batch(params, [grey(h, w) for h, w in sizes], batch_size=2)

    work([(50, 60), (600, 70), (20, 20)])
    with jax.log_compiles(), caplog.at_level(logging.WARNING, logger="jax"):
        work([(51, 61), (1, 1), (700, 40), (33, 1030), (64, 64)])
    assert not [r for r in caplog.records if "Compiling" in r.getMessage()]


def test_threads_give_the_results_of_one(params) -> None:
    images = [grey(40 + i, 50, seed=i) for i in range(8)]
    expected = [jaxcolor.colorize(params, image) for image in images]
    got: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        got[i] = jaxcolor.colorize(params, images[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        np.testing.assert_array_equal(got[i], expected[i])


@pytest.mark.parametrize(("old", "new"), [(10, 10), (100, 7), (7, 100), (1, 5), (5, 1), (513, 224)])
def test_resizing_agrees_with_jax_image(old: int, new: int) -> None:
    signal = np.random.default_rng(0).random((old, 1), np.float32)
    expected = jax.image.resize(signal, (new, 1), "linear")
    np.testing.assert_allclose(predict.resize_matrix(old, new) @ signal, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        ("photo.jpg", TypeError, "not str"),
        ([[1, 2]], TypeError, "not list"),
        (Path("photo.jpg"), TypeError, "a picture is an array"),
        (np.zeros((4, 4), np.int32), TypeError, "not int32"),
        (np.zeros((4, 4), bool), TypeError, "not bool"),
        (np.zeros((4, 4), complex), TypeError, "not complex128"),
        (np.zeros(4, np.uint8), ValueError, r"not \(4,\)"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, r"not \(4, 4, 4\)"),
        (np.zeros((0, 4), np.uint8), ValueError, r"not \(0, 4\)"),
        (np.full((4, 4), 255.0), ValueError, r"\[255, 255\]"),
        (np.full((4, 4), np.nan), ValueError, "nan"),
        (jnp.zeros((4, 4), jnp.int32), TypeError, "not int32"),
        (jnp.zeros((4, 4, 2)), ValueError, r"not \(4, 4, 2\)"),
    ],
)
def test_what_is_no_picture_is_refused(params, image: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        jaxcolor.colorize(params, image)
    with pytest.raises(error, match=words):
        jaxcolor.colorize_batch(params, [image])


def test_batch_size_is_checked(params) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        jaxcolor.colorize_batch(params, [], batch_size=0)
