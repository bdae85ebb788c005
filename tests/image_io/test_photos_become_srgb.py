"""Colours of other profiles become sRGB's in full depth.

Expected values by the curves' formulas and by Pillow's ImageCms.
"""

from __future__ import annotations

import io
import itertools
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from jaxcolor import image_io

ADOBE_GAMMA = 563 / 256
ADOBE = np.array(  # Adobe RGB (1998) to XYZ of D65
    [
        [0.57667, 0.18556, 0.18823],
        [0.29734, 0.62736, 0.07529],
        [0.02703, 0.07069, 0.99134],
    ]
)
SRGB = np.array(
    [
        [0.41239, 0.35758, 0.18048],
        [0.21264, 0.71517, 0.07219],
        [0.01933, 0.11919, 0.95053],
    ]
)


def encoded(light: np.ndarray) -> np.ndarray:
    """Light in [0, 1] -> sRGB's values (IEC 61966-2-1)."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def ramp(bits: int) -> np.ndarray:
    """All levels, in no order."""
    levels = np.arange(2**bits, dtype=f"u{bits // 8}")
    return np.random.default_rng(0).permutation(levels).reshape(-1, 16)


def colours(bits: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 2**bits, (40, 50, 3)).astype(f"u{bits // 8}")


def opened(pixels: np.ndarray, icc: bytes, **options: Any) -> image_io.Photo:
    file = io.BytesIO()
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(
        file, pixels, iccprofile=icc, metadata=None, **{"photometric": photometric, **options}
    )
    return image_io.open_photo(file)


def gamma_profile(gamma: float) -> bytes:
    return bytes(imagecodecs.cms_profile("gray", gamma=gamma))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2, 2.6])
def test_grey_gamma_is_not_srgb(gamma: float, bits: int) -> None:
    levels = ramp(bits)
    photo = opened(levels, gamma_profile(gamma))
    top = 2**bits - 1
    expected = encoded((levels / top) ** gamma) * top
    assert photo.pixels.shape == levels.shape
    assert photo.pixels.dtype == levels.dtype
    assert np.abs(photo.pixels - expected).max() <= (0.51 if bits == 8 else 1.1)
    assert photo.warnings == ()
    changed = np.abs(photo.pixels.astype(int) - levels).max()
    assert changed > (2 if bits == 8 else 500)


def test_grey_curve_of_a_press() -> None:
    """A sampled curve, as Photoshop's "Dot Gain 20%" has."""
    curve = np.rint(np.linspace(0, 1, 256) ** 1.4 * 65535).astype(">u2")
    tag = b"curv" + struct.pack(">II", 0, 256) + curve.tobytes()
    profile = icc_profile(b"GRAY", {b"kTRC": tag})
    levels = ramp(16)
    photo = opened(levels, profile)
    light = np.interp(levels / 65535, np.linspace(0, 1, 256), curve / 65535)
    # Curves are rounded to 16 bits of light, which are 13 times as far apart in the shadows.
    assert np.abs(photo.pixels - encoded(light) * 65535).max() <= 13 / 2 + 1


@pytest.mark.parametrize("bits", [8, 16])
def test_wide_gamut_rgb(bits: int) -> None:
    pixels = colours(bits)
    photo = opened(pixels, bytes(imagecodecs.cms_profile("adobergb")))
    top = 2**bits - 1
    light = (pixels / top) ** ADOBE_GAMMA @ (np.linalg.inv(SRGB) @ ADOBE).T
    error = np.abs(photo.pixels - encoded(light) * top)
    assert photo.pixels.dtype == pixels.dtype
    assert error.mean() <= (0.3 if bits == 8 else 2)
    assert np.quantile(error, 0.99) <= (0.8 if bits == 8 else 20)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_format_carries_profiles(format: str) -> None:
    icc = bytes(imagecodecs.cms_profile("adobergb"))
    file = io.BytesIO()
    Image.fromarray(colours(8)).save(file, format, icc_profile=icc)
    photo = image_io.open_photo(file)
    with Image.open(file) as image:
        converted = ImageCms.profileToProfile(
            image.convert("RGB"),
            ImageCms.getOpenProfile(io.BytesIO(icc)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    assert np.abs(photo.pixels.astype(int) - np.asarray(converted)).max() <= 1


def srgb_profiles() -> list[bytes]:
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return [made, bytes(imagecodecs.cms_profile("srgb"))]


@pytest.mark.parametrize("bits", [8, 16])
def test_srgb_stays_to_the_last_bit(bits: int) -> None:
    for icc in srgb_profiles():
        for pixels in (ramp(bits), colours(bits)):
            photo = opened(pixels, icc)
            np.testing.assert_array_equal(photo.pixels, pixels)
            assert photo.metadata.icc == icc  # the photo's own


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_results_say_that_they_are_srgb(format: str) -> None:
    photo = opened(ramp(16), gamma_profile(1.8))
    rgb = np.stack([photo.pixels] * 3, axis=-1)
    file, again = io.BytesIO(), io.BytesIO()
    image_io.save_photo(file, photo, rgb, format=format)
    image_io.save_photo(again, opened(ramp(16), gamma_profile(1.8)), rgb, format=format)
    assert file.getvalue() == again.getvalue()
    with Image.open(file) as image:
        profile = ImageCms.getOpenProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in str(profile.profile.profile_description)
        assert profile.profile.xcolor_space.strip() == "RGB"
        assert image.info["icc_profile"][24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
        decoded = np.asarray(image.convert("RGB"))
    result = image_io.open_photo(file)
    assert result.metadata.icc == photo.metadata.icc
    if result.pixels.dtype == np.uint8:
        np.testing.assert_array_equal(result.pixels, decoded)
    else:
        np.testing.assert_array_equal(result.pixels, rgb)


def test_grey_pixels_under_an_rgb_profile() -> None:
    levels = ramp(16)
    photo = opened(levels, bytes(imagecodecs.cms_profile("adobergb")))
    expected = encoded((levels / 65535) ** ADOBE_GAMMA) * 65535
    assert photo.pixels.shape == levels.shape
    assert np.abs(photo.pixels - expected).max() <= 1.1


def test_floats() -> None:
    levels = (ramp(16) / np.float32(65535)).astype(np.float32)
    photo = opened(levels, gamma_profile(1.8))
    assert photo.pixels.dtype == np.float32
    assert np.abs(photo.pixels - encoded(levels.astype(float) ** 1.8)).max() < 2e-5


def icc_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A profile of version 2 with the tags given, ICC.1:2001-04."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1, 0.8249)))
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags = {b"desc": text, b"wtpt": white, **tags}
    at = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(data), len(content))
        data += content
    kind, connection = (b"mntr", b"XYZ ") if space == b"GRAY" else (b"prtr", b"Lab ")
    version = 0x02100000
    header = struct.pack(">I4sI4s4s4s", at + len(data), b"test", version, kind, space, connection)
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + table + data


def cmyk_profile() -> bytes:
    corners = []
    for c, m, y, k in itertools.product((0, 1), repeat=4):
        light = (1 - k) * (1 - 0.3 * c - 0.4 * m - 0.1 * y)
        a, b = 50 * (m - c) * (1 - k), 50 * (y - (c + m) / 2) * (1 - k)
        corners += [95 * light * 652.8, (a + 128) * 256, (b + 128) * 256]
    ends = struct.pack(">2H", 0, 65535)
    lut = b"mft2\0\0\0\0" + bytes([4, 3, 2, 0])
    lut += struct.pack(">9i", *(65536 * v for v in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut += struct.pack(">2H", 2, 2) + ends * 4
    lut += np.rint(corners).astype(">u2").tobytes() + ends * 3
    return icc_profile(b"CMYK", {b"A2B0": lut, b"A2B1": lut})


@pytest.mark.parametrize("bits", [8, 16])
def test_cmyk_of_a_press(bits: int) -> None:
    inks = np.random.default_rng(2).integers(0, 256, (30, 40, 4), np.uint8)
    icc = cmyk_profile()
    pixels = inks if bits == 8 else inks.astype(np.uint16) * 257
    photo = opened(pixels, icc, photometric="separated")
    expected = ImageCms.profileToProfile(
        Image.fromarray(inks, "CMYK"),
        ImageCms.getOpenProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE,
    )
    assert photo.warnings == ()
    assert photo.pixels.dtype == pixels.dtype
    scale = 1 if bits == 8 else 257
    error = np.abs(photo.pixels / scale - np.asarray(expected))
    assert error.max() <= 1
    assert error.mean() < (0.01 if bits == 8 else 0.3)
    naive = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
    assert np.abs(photo.pixels / scale - naive).mean() > 10


@pytest.mark.parametrize(
    ("icc", "reason"),
    [
        (b"no profile", "has 10 bytes"),
        (bytes(200), "is for other colours"),
        (bytes(imagecodecs.cms_profile("srgb"))[:300], "is damaged"),
        (gamma_profile(2.2)[:128] + b"\xff" * 188, "is damaged"),
        (cmyk_profile(), "is for other colours"),
    ],
)
def test_profiles_that_cannot_be_used(icc: bytes, reason: str) -> None:
    levels = ramp(8)
    photo = opened(levels, icc)
    np.testing.assert_array_equal(photo.pixels, levels)
    assert photo.metadata.icc is None
    (warning,) = photo.warnings
    assert warning.startswith(f"its colour profile {reason}")


def with_chunks(pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> image_io.Photo:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for kind, content in chunks:
        info.add(kind, content)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info)
    return image_io.open_photo(file)


def test_gamma_of_a_png() -> None:
    levels = ramp(16)
    for value, gamma in ((100_000, 1.0), (55_556, 1.8)):
        photo = with_chunks(levels, (b"gAMA", struct.pack(">I", value)))
        expected = encoded((levels / 65535) ** gamma) * 65535
        assert np.abs(photo.pixels - expected).max() <= 1.1
    for chunks in (
        [(b"gAMA", struct.pack(">I", 45_455))],  # what everybody writes for sRGB
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))],
    ):
        np.testing.assert_array_equal(with_chunks(levels, *chunks).pixels, levels)
    for bad in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0"):
        photo = with_chunks(levels, (b"gAMA", bad))
        np.testing.assert_array_equal(photo.pixels, levels)
        assert photo.warnings == ("its colour profile is damaged and left out",)


def test_chromaticities_of_a_png() -> None:
    adobe = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    pixels = colours(8)
    chromaticities = struct.pack(">8I", *(round(v * 100_000) for v in adobe))
    gamma = struct.pack(">I", round(100_000 / ADOBE_GAMMA))
    photo = with_chunks(pixels, (b"gAMA", gamma), (b"cHRM", chromaticities))
    other = opened(pixels, bytes(imagecodecs.cms_profile("adobergb")))
    assert np.abs(photo.pixels.astype(int) - other.pixels).max() <= 1


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxcolor.image_io import profiles

    icc = bytes(imagecodecs.cms_profile("adobergb"))
    for pixels in (colours(8), colours(16), ramp(16)):
        whole = opened(pixels, icc).pixels
        monkeypatch.setattr(profiles, "_STRIP", 170)
        np.testing.assert_array_equal(opened(pixels, icc).pixels, whole)
        monkeypatch.undo()
