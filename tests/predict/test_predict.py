"""`colorize` as its users call it."""

from __future__ import annotations

import dataclasses
import io
import logging
import threading
from pathlib import Path
from typing import Any

import imagecodecs
import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import skimage.color
import skimage.data
import tifffile
import tiny_network
from PIL import ExifTags, Image

import jaxcolor
from jaxcolor import color, image_io, predict, refine
from jaxcolor.controls import Controls
from jaxcolor.predict import stages, strips

# What the peak was with everything compiled, and what it is after a large picture.
MEMORY = """
import numpy as np
import jaxcolor
from jaxcolor import predict
def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return line.split()[1]
params = jaxcolor.load()
pixels = np.full((3000, 4000), 20000, np.uint16)
for rows in predict.colorize_rows(params, pixels[:1100, :1467]):
    pass
before = peak()
for rows in predict.colorize_rows(params, pixels):
    pass
print(before, peak())
"""


def grey(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth grey picture: noise of 8x8 patches, enlarged."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def grey_of(rgb: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(Image.fromarray(rgb).convert("L"))[..., None], 3, axis=-1)


@pytest.fixture(scope="module")
def shipped(params: jaxcolor.Params) -> jaxcolor.Params:
    """The default colorizer on its square, one program for all photos; `test_fitted` has shapes."""
    config = params.config.predicting(fitted=False)
    return dataclasses.replace(params, config=config)


@pytest.fixture(scope="module")
def params() -> jaxcolor.Params:
    """A network of three layers, for what is the same with any."""
    config, variables = tiny_network.make(64)
    return jaxcolor.Params(config.predicting(size=64, mirrored=True, border=2), variables)


def network(params: jaxcolor.Params, pixels: np.ndarray) -> np.ndarray:
    """What the network makes of one picture."""
    (small,) = stages.run_network(params, [stages.shrink(params, pixels)], batch_size=1)
    return small


def lightness(rgb: np.ndarray) -> np.ndarray:
    scale = 1 if rgb.dtype.kind == "f" else np.iinfo(rgb.dtype).max
    return skimage.color.rgb2lab(rgb.astype(np.float64) / scale)[..., 0]


def test_a_photo_gets_colours_and_keeps_its_lightness(shipped, photos) -> None:
    for truth in photos.values():
        got = jaxcolor.colorize(shipped, truth)
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


def test_jax_arrays_and_numpy_arrays_give_the_same(shipped) -> None:
    for image in (grey(70, 50), np.repeat(grey(33, 600)[..., None], 3, axis=2)):
        ours = jaxcolor.colorize(shipped, image)
        on_device = jaxcolor.colorize(shipped, jnp.asarray(image))
        assert isinstance(on_device, jax.Array)
        assert on_device.dtype == jnp.uint8
        assert np.abs(np.asarray(on_device).astype(int) - ours).max() <= 1
        (batched,) = jaxcolor.colorize_batch(shipped, [jnp.asarray(image)], batch_size=1)
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


def test_a_pillow_image_is_turned_and_converted_and_keeps_what_it_says(params) -> None:
    block = Image.Exif()
    block[ExifTags.Base.Orientation], block[ExifTags.Base.Artist] = 6, "A. Photographer"
    profile = bytes(imagecodecs.cms_profile("adobergb"))
    said: dict[str, Any] = {"exif": block, "icc_profile": profile, "dpi": (300, 600)}
    file = io.BytesIO()
    Image.fromarray(np.dstack([grey(30, 44, seed) for seed in range(3)])).save(file, "JPEG", **said)
    got = jaxcolor.colorize(params, Image.open(file))
    expected = jaxcolor.colorize(params, image_io.open_photo(file).pixels)
    assert got.size == (30, 44)
    np.testing.assert_array_equal(np.asarray(got), expected)
    assert got.info["dpi"] == (600, 300)
    file = io.BytesIO()
    got.save(file, "PNG", exif=got.info["exif"], icc_profile=got.info["icc_profile"])
    again = image_io.open_photo(file)
    np.testing.assert_array_equal(again.pixels, expected)  # neither turned nor converted again
    assert Image.open(file).getexif()[ExifTags.Base.Artist] == "A. Photographer"


def test_a_pillow_images_damaged_profile_is_told_of(params) -> None:
    image = Image.fromarray(grey(30, 44))
    expected = jaxcolor.colorize(params, image)
    assert expected.info == {}
    image.info["icc_profile"] = b"nonsense"
    for work in (jaxcolor.colorize, lambda params, image: jaxcolor.colorize_batch(params, [image])):
        with pytest.warns(UserWarning, match="the photo: its colour profile has 8 bytes") as told:
            got = work(params, image)
        assert told[0].filename == __file__
    assert got[0].info == {}
    np.testing.assert_array_equal(np.asarray(got[0]), np.asarray(expected))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_arrays_however_they_lie_in_memory(params, dtype: Any) -> None:
    values = np.random.default_rng(0).uniform(0, 1, (40, 30, 3))
    whole = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    image = (values * whole).astype(dtype)
    wide = np.repeat(np.repeat(image, 2, axis=0), 3, axis=1)
    read_only = image.copy()
    read_only.flags.writeable = False
    layouts = {
        "big-endian": image.astype(image.dtype.newbyteorder(">")),
        "little-endian": image.astype(image.dtype.newbyteorder("<")),
        "column by column": np.asfortranarray(image),
        "backwards": np.ascontiguousarray(image[::-1, ::-1])[::-1, ::-1],
        "every other one": wide[::2, ::3],
        "planes": np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0),
        "read-only": read_only,
        "of a file": np.frombuffer(image.tobytes(), image.dtype).reshape(image.shape),
    }
    expected = jaxcolor.colorize(params, image)
    for name, layout in layouts.items():
        got = jaxcolor.colorize(params, layout)
        assert got.dtype == np.dtype(dtype), name  # in the machine's own order
        np.testing.assert_array_equal(got, expected, err_msg=name)
    rows = list(predict.colorize_rows(params, layouts["big-endian"]))
    assert rows[0].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(np.concatenate(rows), expected)
    file = io.BytesIO()
    tifffile.imwrite(file, image, byteorder=">", photometric="rgb")
    file.seek(0)
    np.testing.assert_array_equal(jaxcolor.colorize(params, tifffile.imread(file)), expected)


def test_a_colour_photo_is_greyed_first(params, photos) -> None:
    truth = photos["coffee"]
    unit = color.lightness_to_grey(color.rgb_to_lightness(truth.astype(np.float32) / 255))
    got = jaxcolor.colorize(params, truth.astype(np.float32) / 255)
    np.testing.assert_allclose(got, jaxcolor.colorize(params, np.asarray(unit)), atol=2e-3)


@pytest.mark.parametrize(("dtype", "fields", "mean"), [(np.uint8, 200, 0.3), (np.uint16, 40, 0.02)])
def test_lightness_is_kept_under_any_chroma(
    photos, monkeypatch, dtype: Any, fields: int, mean: float
) -> None:
    """Random chroma fields over photos, wild ones among them, at any saturation and refinement."""
    monkeypatch.setattr(strips, "_SEGMENTS", 256)  # no larger than these photos need
    rng = np.random.default_rng(0)
    crops = [p[y : y + 100, x : x + 140] for p in photos.values() for y, x in ((0, 0), (90, 130))]
    differences = []
    for i in range(fields):
        coarse = rng.normal(0, rng.uniform(5, 80), (4, 4, 2)).astype(np.float32)
        small = np.empty((64, 64, 3), np.float32)
        small[..., 0] = rng.uniform(0, 100, (64, 64))
        small[..., 1:] = jax.image.resize(coarse, (64, 64, 2), "linear")
        photo = crops[i % len(crops)].astype(dtype) * (np.iinfo(dtype).max // 255)
        options = {"saturation": rng.choice([0.5, 1, 3]), "refine": rng.choice([0, 0.5, 1])}
        got = np.concatenate(list(stages.paint(photo, small, Controls(**options))))
        assert got.dtype == dtype
        differences.append(np.abs(lightness(got) - lightness(photo)).ravel())
    assert np.mean(differences) <= mean
    assert np.mean(np.concatenate(differences) <= 1.0) >= 0.999


def test_a_mirrored_network_colours_a_mirror_image_alike(params, photos) -> None:
    grey_photo = grey_of(photos["coffee"])
    config = params.config.predicting(mirrored=False, border=0)
    once = dataclasses.replace(params, config=config)
    twice = dataclasses.replace(params, config=config.predicting(mirrored=True))
    left, right = (grey_photo, np.ascontiguousarray(grey_photo[:, ::-1]))

    def ab(params, image):
        return network(params, image)[..., 1:]

    one, other = ab(once, left), ab(once, right)[:, ::-1]
    assert np.abs(one - other).max() > 1
    np.testing.assert_allclose(ab(twice, left), (one + other) / 2, atol=1e-2)
    np.testing.assert_allclose(ab(twice, right)[:, ::-1], ab(twice, left), atol=1e-2)


def test_the_rim_is_coloured_from_inside(params, photos) -> None:
    grey_photo = grey_of(photos["chelsea"])
    plain, bordered = (
        network(
            dataclasses.replace(params, config=params.config.predicting(border=border)), grey_photo
        )
        for border in (0, 5)
    )
    np.testing.assert_array_equal(bordered[..., 0], plain[..., 0])  # L is what it was
    place = np.clip(np.arange(len(plain)), 5, len(plain) - 6)
    inside = plain[place][:, place, 1:]
    np.testing.assert_allclose(bordered[..., 1:], inside, atol=1e-2)
    assert np.abs(plain[..., 1:] - inside).max() > 0.5


def test_saturation(params, photos) -> None:
    grey_photo = grey_of(photos["coffee"]).astype(np.float32) / 255
    truth = skimage.color.rgb2lab(grey_photo)[..., 0]
    chroma = {}
    for factor in (0, 0.1, 0.2, 0.4, 2, 100):
        lab = skimage.color.rgb2lab(jaxcolor.colorize(params, grey_photo, saturation=factor))
        assert np.quantile(np.abs(lab[..., 0] - truth), 0.999) <= 1.0
        chroma[factor] = np.hypot(lab[..., 1], lab[..., 2])
    assert chroma[0].max() < 0.5
    where = (truth > 20) & (truth < 80) & (chroma[0.4] < 25)  # in gamut at every factor to 0.4
    assert chroma[0.4][where].mean() > 1
    np.testing.assert_allclose(chroma[0.4][where], 2 * chroma[0.2][where], atol=0.05)
    np.testing.assert_allclose(chroma[0.2][where], 2 * chroma[0.1][where], atol=0.05)
    assert chroma[100].mean() > chroma[2].mean()  # the gamut's surface, not grey


def test_refine_is_what_refine_py_does(shipped, photos) -> None:
    pixels = grey_of(photos["astronaut"])[..., 0]
    small = network(shipped, pixels)
    seen = color.grey_to_lightness(pixels / np.float32(255))
    place = refine.taps(len(small), 512)
    for strength in (0.0, 0.3, 1.0):
        ab = refine.enlarge(jnp.asarray(small), seen, place, place, strength)
        expected = color.lab_to_rgb(jnp.concatenate([seen[..., None], ab], axis=-1)) * 255
        got = jaxcolor.colorize(shipped, pixels, refine=strength)
        assert np.abs(np.asarray(expected) - got).max() <= 0.51
    default = jaxcolor.colorize(shipped, pixels)
    np.testing.assert_array_equal(default, jaxcolor.colorize(shipped, pixels, refine=1.0))
    assert (default != jaxcolor.colorize(shipped, pixels, refine=0.0)).any()


def test_a_picture_smaller_than_the_answer_gets_its_average() -> None:
    noise = np.random.default_rng(0).normal(0, 60, (64, 64, 3)).astype(np.float32)
    small = noise + np.array([50, 20, -30])
    for shape in ((1, 1), (2, 3)):
        ab = jax.image.resize(small[..., 1:], (*shape, 2), "linear")
        lab = np.concatenate([np.full((*shape, 1), 60), ab], axis=-1)
        pixels = np.full(shape, color.lightness_to_grey(60.0), np.float32)
        (got,) = stages.paint(pixels, small.astype(np.float32))
        np.testing.assert_allclose(got, skimage.color.lab2rgb(lab), atol=0.02)


def test_the_guide_is_the_photo_as_the_network_saw_it(shipped, photos) -> None:
    pixels = grey_of(photos["astronaut"])
    small = network(shipped, pixels)
    truth = lightness(pixels).astype(np.float32)
    expected = jax.image.resize(truth, small.shape[:2], "linear")
    assert np.abs(small[..., 0] - expected).mean() < 1.0  # it was shrunk in one step, not in two


def test_size_is_that_of_the_network(params) -> None:
    image = grey(90, 120)
    other = dataclasses.replace(params, config=params.config.predicting(size=96))
    expected = jaxcolor.colorize(other, image)
    got = jaxcolor.colorize(params, image, size=96)
    np.testing.assert_array_equal(got, expected)
    assert (got != jaxcolor.colorize(params, image)).any()
    (batched,) = jaxcolor.colorize_batch(params, [image], batch_size=1, size=96)
    np.testing.assert_array_equal(batched, expected)
    rows = np.concatenate(list(predict.colorize_rows(params, image, size=96)))
    np.testing.assert_array_equal(rows, expected)


def test_controls_inside_jit_and_vmap(params) -> None:
    image = jnp.asarray(grey(40, 56))
    colorize = jax.jit(jaxcolor.colorize, static_argnames="size")
    got = colorize(params, image, saturation=2.0, refine=0.5, size=96)
    expected = jaxcolor.colorize(params, np.asarray(image), saturation=2.0, refine=0.5, size=96)
    assert np.abs(np.asarray(got).astype(int) - expected).max() <= 1
    many = jax.vmap(lambda s: jaxcolor.colorize(params, image, saturation=s))(jnp.arange(3.0))
    for factor, one in enumerate(many):
        alone = jaxcolor.colorize(params, np.asarray(image), saturation=factor)
        assert np.abs(np.asarray(one).astype(int) - alone).max() <= 1


@pytest.mark.parametrize(
    ("control", "error", "words"),
    [
        ({"saturation": -0.1}, ValueError, "saturation: -0.1"),
        ({"saturation": float("nan")}, ValueError, "saturation: nan"),
        ({"saturation": float("inf")}, ValueError, "saturation: inf"),
        ({"saturation": 1e17}, ValueError, "saturation: 1e\\+17 is not between 0 and 100"),
        ({"refine": -0.1}, ValueError, "refine: -0.1"),
        ({"refine": 1.1}, ValueError, "refine: 1.1"),
        ({"refine": float("nan")}, ValueError, "refine: nan"),
        ({"size": 101}, ValueError, "size: 101"),
        ({"size": 0}, ValueError, "size: 0"),
        ({"size": 96.0}, TypeError, "float|Actual value: 96.0"),
    ],
)
def test_controls_out_of_range_are_refused(params, control, error: type, words: str) -> None:
    image = grey(4, 4)
    for work in (
        lambda: jaxcolor.colorize(params, image, **control),
        lambda: jaxcolor.colorize(params, jnp.asarray(image), **control),
        lambda: jaxcolor.colorize_batch(params, [], **control),
        lambda: predict.colorize_rows(params, image, **control),  # before any row is asked for
    ):
        with pytest.raises(error, match=words):
            work()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_strips_have_the_bytes_of_the_whole(params, monkeypatch, dtype: Any) -> None:
    image = (grey(700, 1100) / 255).astype(np.float32)
    if dtype != np.float32:
        image = (image * np.iinfo(dtype).max).astype(dtype)
    whole = jaxcolor.colorize(params, image, saturation=2.0)
    rows = list(predict.colorize_rows(params, image, saturation=2.0))
    assert [len(strip) for strip in rows] == [227, 227, 227, 19]
    assert {strip.dtype for strip in rows} == {np.dtype(dtype)}
    np.testing.assert_array_equal(np.concatenate(rows), whole)

    # And of one piece that holds all of it, or of parts of rows: pieces have no seams.
    small = network(params, image)
    for segments, count in ((700 * 9, 1), (4, 700)):
        monkeypatch.setattr(strips, "_SEGMENTS", segments)
        painted = list(stages.paint(image, small, Controls(saturation=2.0)))
        assert len(painted) == count
        np.testing.assert_array_equal(np.concatenate(painted), whole)


def test_a_large_picture_needs_little_memory(run) -> None:
    """12 megapixels of 16 bits: a full-size plane of floats is 48 MB, the result 72 MB."""
    done = run("-c", MEMORY)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after - before < 60_000  # kB


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

    # Whole batches; smaller than the network's answer, and larger.
    work([(50, 60), (600, 70), (20, 20), (9, 9)])
    with jax.log_compiles(), caplog.at_level(logging.WARNING, logger="jax"):
        work([(51, 61), (1, 1), (700, 40), (33, 1030), (64, 64)])
    assert not [r for r in caplog.records if "Compiling" in r.getMessage()]


def test_threads_give_the_results_of_one(params) -> None:
    images = [grey(40 + 80 * i, 50 + 90 * (i % 3), seed=i) for i in range(8)]
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


def test_the_weights_own_saturation_multiplies_the_users(params) -> None:
    photo = np.asarray(skimage.data.chelsea()[..., 1])
    config = params.config.predicting(saturation=0.5 * params.config.prediction.saturation)
    pale = dataclasses.replace(params, config=config)
    for wish in (1.0, 0.6):
        np.testing.assert_array_equal(
            jaxcolor.colorize(pale, photo, saturation=wish),
            jaxcolor.colorize(params, photo, saturation=0.5 * wish),
        )
