"""TIFF files of every layout: stored by tifffile and Pillow, read back to the last bit."""

from __future__ import annotations

import dataclasses
import io
import itertools
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxcolor import image_io

HEIGHT, WIDTH = 37, 53
SHAPES = {"grey": (), "grey+alpha": (2,), "rgb": (3,), "rgb+alpha": (4,)}
COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd")
PLACES: tuple[dict[str, Any], ...] = ({}, {"rowsperstrip": 5}, {"tile": (16, 32)})


def samples(kind: str, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(7)
    shape = (HEIGHT, WIDTH, *SHAPES[kind])
    if dtype == "f4":
        return rng.random(shape, np.float32)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def tiff(pixels: np.ndarray, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    options = {"photometric": "minisblack", "metadata": None} | options
    if pixels.ndim == 3:
        colours = 3 if pixels.shape[-1] > 2 else 1
        options["photometric"] = "rgb" if colours == 3 else options["photometric"]
        options.setdefault("extrasamples", ["unassalpha"] * (pixels.shape[-1] - colours))
    if options.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(file, pixels, **options)
    return file


def check(photo: image_io.Photo, expected: np.ndarray) -> None:
    colours, alpha = expected, None
    if expected.ndim == 3 and expected.shape[-1] in (2, 4):
        colours, alpha = expected[..., :-1], expected[..., -1]
    colours = colours[..., 0] if colours.shape[2:] == (1,) else colours
    np.testing.assert_array_equal(photo.pixels, colours)
    assert photo.pixels.dtype == expected.dtype
    np.testing.assert_array_equal(photo.alpha, alpha)
    assert photo.pixels.flags.c_contiguous
    assert photo.warnings == ()


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("kind", SHAPES)
def test_layouts(kind: str, dtype: str) -> None:
    pixels = samples(kind, dtype)
    for compression, place, byteorder in itertools.product(COMPRESSIONS, PLACES, "<>"):
        file = tiff(pixels, compression=compression, byteorder=byteorder, **place)
        check(image_io.open_photo(file), pixels)
    for predictor, planar in itertools.product((False, True), ("contig", "separate")):
        if planar == "separate" and pixels.ndim == 2:
            continue
        options = {"predictor": True, "compression": "lzw"} if predictor else {}
        if pixels.ndim == 3:
            options["planarconfig"] = planar
        check(image_io.open_photo(tiff(pixels, bigtiff=predictor, **options)), pixels)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_white_may_be_zero(dtype: str) -> None:
    pixels = samples("grey", dtype)
    photo = image_io.open_photo(tiff(pixels, photometric="miniswhite"))
    white = np.float32(1) if dtype == "f4" else np.iinfo(dtype).max
    check(photo, white - pixels)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_odd_depths_fill_the_range(bits: int) -> None:
    pixels = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) % 2**bits
    pixels[0, 0] = 2**bits - 1
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, bitspersample=bits, metadata=None, photometric="minisblack")
    photo = image_io.open_photo(file)
    expected = np.rint(pixels * (65535 / (2**bits - 1)))
    np.testing.assert_array_equal(photo.pixels, expected)
    assert photo.pixels.max() == 65535


def test_integers_of_other_types() -> None:
    deep = samples("grey", "u2")
    for dtype in ("u4", "i4"):
        check(image_io.open_photo(tiff(deep.astype(dtype))), deep)
    check(image_io.open_photo(tiff(deep.astype("u4") << 16)), deep)
    small = deep >> 1
    check(image_io.open_photo(tiff(small.astype("i2"))), small)
    for pixels in (deep.astype("i4") - 70000, deep.astype("i4") << 10):
        with pytest.raises(image_io.PhotoError, match="bring it to 16 bits"):
            image_io.open_photo(tiff(pixels))


def test_floats() -> None:
    unit = samples("grey", "f4")
    check(image_io.open_photo(tiff(unit.astype("f8"))), unit)
    half = unit.astype("f2")
    check(image_io.open_photo(tiff(half)), half.astype("f4"))
    check(image_io.open_photo(tiff(unit * 1.0005)), (unit * np.float32(1.0005)).clip(0, 1))
    bad = unit.copy()
    bad[3, 3] = np.nan
    for pixels in (unit * 255, unit - 1, bad):
        with pytest.raises(image_io.PhotoError, match=r"floats must lie in \[0, 1\]"):
            image_io.open_photo(tiff(pixels))


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_colours_multiplied_by_alpha_are_divided(dtype: str) -> None:
    pixels = samples("rgb+alpha", dtype)
    white = np.iinfo(dtype).max
    pixels[..., 3] = np.maximum(pixels[..., 3], white // 4)
    pixels[0, 0, 3] = 0
    stored = pixels.astype(np.float64)
    stored[..., :3] = np.rint(stored[..., :3] * stored[..., 3:] / white)
    photo = image_io.open_photo(tiff(stored.astype(dtype), extrasamples=["assocalpha"]))
    np.testing.assert_array_equal(photo.alpha, pixels[..., 3])
    seen = pixels[..., 3] > 0
    assert np.abs(photo.pixels[seen].astype(int) - pixels[..., :3][seen]).max() <= 2


def test_extra_channels_that_are_no_alpha_are_left_out() -> None:
    pixels = samples("rgb+alpha", "u2")
    line = "a further channel, of unknown meaning (infrared, perhaps), left out"
    file = tiff(pixels, extrasamples=["unspecified"])
    photo = image_io.open_photo(file)
    assert photo.warnings == (line,)
    check(dataclasses.replace(photo, warnings=()), pixels[..., :3])
    # Without a word about it, too: only what is called alpha is transparency.
    at = file.getvalue().index(struct.pack("<HHI", 338, 3, 1))
    unsaid = file.getvalue()[:at] + struct.pack("<H", 65000) + file.getvalue()[at + 2 :]
    photo = image_io.open_photo(io.BytesIO(unsaid))
    assert photo.warnings == (line,)
    check(dataclasses.replace(photo, warnings=()), pixels[..., :3])


def test_alpha_behind_another_channel_is_found() -> None:
    pixels = np.dstack([samples("rgb+alpha", "u2"), samples("grey", "u2")])
    for place, kinds in ((3, ["unassalpha", "unspecified"]), (4, ["unspecified", "unassalpha"])):
        photo = image_io.open_photo(tiff(pixels, extrasamples=kinds))
        np.testing.assert_array_equal(photo.pixels, pixels[..., :3])
        np.testing.assert_array_equal(photo.alpha, pixels[..., place])
        assert photo.warnings == (
            "a further channel, of unknown meaning (infrared, perhaps), left out",
        )


def test_cmyk_of_16_bits_is_that_of_8_bits() -> None:
    small = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    file = io.BytesIO()
    tifffile.imwrite(file, small.astype(np.uint16) * 257, photometric="separated", metadata=None)
    photo = image_io.open_photo(file)
    expected = np.asarray(Image.fromarray(small, "CMYK").convert("RGB"))
    assert photo.pixels.dtype == np.uint16
    assert np.abs(photo.pixels / 257 - expected).max() <= 1


PILLOW: dict[str, tuple[str, dict[str, Any]]] = {
    "bilevel": ("1", {}),
    "fax 3": ("1", {"compression": "group3"}),
    "fax 4": ("1", {"compression": "group4"}),
    "palette": ("P", {}),
    "palette, LZW": ("P", {"compression": "tiff_lzw"}),
    "CMYK": ("CMYK", {"compression": "tiff_lzw"}),
    "grey JPEG": ("L", {"compression": "jpeg", "quality": 95}),
    "colour JPEG": ("RGB", {"compression": "jpeg", "quality": 95}),
    "Lab": ("LAB", {}),
}


@pytest.mark.parametrize("kind", PILLOW)
def test_layouts_of_8_bits(kind: str) -> None:
    mode, options = PILLOW[kind]
    ramp = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) * 255 // (HEIGHT + WIDTH)
    colours = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=-1).astype(np.uint8)
    image = Image.fromarray(colours)
    if mode == "LAB":
        lab = np.stack([ramp, np.full_like(ramp, 0), np.full_like(ramp, 0)], axis=-1)
        image = Image.frombytes("LAB", (WIDTH, HEIGHT), lab.astype(np.uint8).tobytes())
    else:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, "TIFF", **options)
    photo = image_io.open_photo(file)
    if mode == "LAB":  # a and b of zero are grey: L* of 0..255 to sRGB
        from skimage.color import lab2rgb

        lightness = ramp / 2.55
        grey = lab2rgb(np.stack([lightness, lightness * 0, lightness * 0], axis=-1)) * 255
        assert np.abs(photo.pixels - grey).max() <= 2
        return
    expected = np.asarray(image.convert("L" if mode in "1L" else "RGB"))
    difference = np.abs(photo.pixels.astype(int) - expected)
    assert difference.max() <= (8 if "JPEG" in kind else 0)
    assert photo.alpha is None


@pytest.mark.parametrize("bits", [8, 16])
def test_written_files_are_tiff(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """tifffile and Pillow agree; the bytes do not depend on strips or threads."""
    from jaxcolor.image_io.tiff import writing as tiff_writing

    monkeypatch.setattr(tiff_writing, "BLOCK", 2000)
    for alpha in (None, samples("grey", f"u{bits // 8}")):
        rgb = samples("rgb", f"u{bits // 8}")
        photo = image_io.Photo(rgb[..., 0], alpha)
        whole, strips = io.BytesIO(), io.BytesIO()
        image_io.save_photo(whole, photo, rgb, format="tif")
        thirds = (rgb[i : i + 3] for i in range(0, HEIGHT, 3))
        image_io.save_photo(strips, photo, thirds, format="tif")
        assert whole.getvalue() == strips.getvalue()
        expected = rgb if alpha is None else np.concatenate([rgb, alpha[..., None]], axis=-1)
        whole.seek(0)
        with tifffile.TiffFile(whole) as file:
            np.testing.assert_array_equal(file.asarray(), expected)
            assert len(file.pages) == 1
            assert len(file.pages.first.dataoffsets) > 1
        with Image.open(whole) as image:
            image.load()
            seen = np.asarray(image)
            np.testing.assert_array_equal(seen, expected if bits == 8 else expected >> 8)


def test_more_than_four_gigabytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxcolor.image_io.tiff import writing as tiff_writing

    monkeypatch.setattr(tiff_writing, "_MAX_SIZE", 5000)
    with pytest.raises(image_io.PhotoError, match="larger than the 4 GB"):
        image_io.save_photo(
            io.BytesIO(), image_io.Photo(samples("grey", "u2")), samples("rgb", "u2"), format="tif"
        )


def test_which_page_is_the_photo() -> None:
    pages = [np.full((20, 30), 1000 * i, np.uint16) for i in range(4)]
    reduced, several = io.BytesIO(), io.BytesIO()
    with tifffile.TiffWriter(reduced) as writer:
        for page, kind in zip(pages, (1, 0, 1, 1), strict=True):  # 1: reduced
            writer.write(page, subfiletype=kind, metadata=None, photometric="minisblack")
        writer.write(pages[0] > 0, subfiletype=4, metadata=None, photometric="mask")
    with tifffile.TiffWriter(several) as writer:
        for page in pages:
            writer.write(page, metadata=None, photometric="minisblack")
    assert image_io.open_photo(reduced).pixels[0, 0] == 1000
    with pytest.raises(image_io.PhotoError, match=r"several pictures.*--frame"):
        image_io.open_photo(several)
    for i in range(4):
        assert image_io.open_photo(several, frame=i).pixels[0, 0] == 1000 * i
    for frame in (4, -1):
        with pytest.raises(image_io.PhotoError, match=f"no picture with the number {frame}"):
            image_io.open_photo(several, frame=frame)
    pages_of_8_bits = io.BytesIO()
    images = [Image.new("P", (30, 20), i) for i in range(3)]
    for i, image in enumerate(images):
        image.putpalette([7 * i, 0, 0] * 256)
    images[0].save(pages_of_8_bits, "TIFF", save_all=True, append_images=images[1:])
    assert image_io.open_photo(pages_of_8_bits, frame=2).pixels[0, 0, 0] == 14


def test_raw_files_are_refused() -> None:
    for options in ({"photometric": "cfa"}, {"subfiletype": 1}):
        file = tiff(samples("grey", "u2"), **options)
        with pytest.raises(image_io.PhotoError, match="raw file"):
            image_io.open_photo(file)
