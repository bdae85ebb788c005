"""Decoding for training shows what Pillow shows, and nothing that is damaged does more harm."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from jaxcolor.training.host_tensorflow import tf
from jaxcolor.training.input import containers, decode

WIDTH, HEIGHT = 40, 48


@pytest.fixture(scope="module")
def photo(photos: dict[str, np.ndarray]) -> Image.Image:
    return Image.fromarray(photos["coffee"][:384:8, :320:8])


@pytest.fixture(scope="module")
def translucent(photo: Image.Image) -> Image.Image:
    image = photo.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(photo.size))
    return image


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def in_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)


def decoded(content: bytes) -> np.ndarray:
    return decode.decode(tf.constant(content)).numpy()


def frames(size: tuple[int, int]) -> dict[str, object]:
    return {"save_all": True, "append_images": [Image.new("RGB", size, c) for c in ("red", "blue")]}


ANIMATED = frames((WIDTH, HEIGHT))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("PNG", ANIMATED),
        ("GIF", {}),
        ("GIF", ANIMATED),
        ("BMP", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"icc_profile": b"odd"}),
        ("WEBP", ANIMATED),
        ("WEBP", {"lossless": True, **ANIMATED}),
    ],
)
def test_as_pillow_decodes(photo: Image.Image, kind: str, options: dict) -> None:
    content = encoded(photo, kind, **options)
    got = decoded(content)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, in_pillow(content))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True, "exact": True}),
        ("WEBP", ANIMATED),
        ("WEBP", {"lossless": True, "exact": True, **ANIMATED}),
    ],
)
def test_transparency_goes(translucent: Image.Image, kind: str, options: dict) -> None:
    content = encoded(translucent, kind, **options)
    np.testing.assert_array_equal(decoded(content), in_pillow(content))


@pytest.mark.parametrize("mode", ["P", "L", "LA", "1", "PA", "CMYK"])
def test_other_modes(photo: Image.Image, mode: str) -> None:
    if mode == "CMYK":
        content = encoded(photo.convert("CMYK"), "JPEG")
    elif mode == "PA":
        content = encoded(photo.quantize(16), "PNG", transparency=3)
    else:
        content = encoded(photo.quantize(16) if mode == "P" else photo.convert(mode), "PNG")
    np.testing.assert_array_equal(decoded(content), in_pillow(content))


def test_sixteen_bits(photo: Image.Image) -> None:
    """Written by hand: Pillow has no mode for it."""
    wide = np.minimum(np.asarray(photo).astype(int) * 257 + 100, 65535)

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    got = decoded(b"\x89PNG\r\n\x1a\n" + parts)
    assert np.abs(got - np.asarray(photo).astype(int)).max() <= 1


@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize("orientation", range(10))
def test_photos_are_turned_upright(photo: Image.Image, orientation: int, endian: str) -> None:
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "a maker"
    exif[0x0112] = orientation
    exif[0x0131] = "a program"
    content = encoded(photo, "JPEG", exif=exif)
    np.testing.assert_array_equal(decoded(content), in_pillow(content))


@given(st.binary(max_size=120))
@settings(deadline=None)
def test_no_exif_is_too_damaged(noise: bytes) -> None:
    for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        segment = b"Exif\0\0" + start + noise
        head = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
        assert 1 <= int(containers.jpeg_orientation(tf.constant(head))) <= 8


def test_a_bmp_with_a_palette_is_refused(photo: Image.Image) -> None:
    """TensorFlow would show its indices."""
    for image in (photo.quantize(16), photo.convert("1")):
        with pytest.raises(tf.errors.OpError):
            decoded(encoded(image, "BMP"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"}),
        ("PNG", {}),
        ("GIF", ANIMATED),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", ANIMATED),
        ("WEBP", {"lossless": True}),
    ],
)
def test_damage_is_an_error_or_a_picture(photo, translucent, kind: str, options: dict) -> None:
    """A crash would end the whole suite."""
    dice = random.Random(0)
    image = translucent if kind == "WEBP" else photo
    whole = encoded(image, kind, **options)
    errors = 0
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(dice.randrange(1, 8)):
            reach = dice.choice((64, len(content)))
            content[dice.randrange(min(reach, len(content)))] = dice.choice(
                (0, 255, dice.randrange(256))
            )
        cut = dice.choice((len(content), dice.randrange(len(content))))
        try:
            got = decoded(bytes(content[:cut]))
        except tf.errors.OpError:
            errors += 1
        else:
            assert got.ndim == 3
            assert got.dtype == np.uint8
    assert errors > 10


def test_a_large_photo_is_grey_or_not_by_samples() -> None:
    """Rows and columns are left out, but not all of one channel."""
    grey = np.full((1100, 1500, 3), 90, np.uint8)
    coloured = grey.copy()
    coloured[500:800, 700:1000, 0] = 200
    for pixels, is_usable in ((grey, False), (coloured, True)):
        content = tf.constant(encoded(Image.fromarray(pixels), "PNG"))
        if is_usable:
            assert decode.decode_usable(content).shape == pixels.shape
        else:
            with pytest.raises(tf.errors.InvalidArgumentError):
                decode.decode_usable(content)
