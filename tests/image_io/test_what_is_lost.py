"""Bits, channels and transparency that do not reach the result are named."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageOps

from jaxcolor import image_io
from jaxcolor.predict import stages

SHAPE = 40, 56
DEEP = np.random.default_rng(0).integers(0, 65536, (*SHAPE, 3), np.uint16)
SHALLOW = (DEEP >> 8).astype(np.uint8)
FLOATS = (DEEP / np.float32(65535)).astype(np.float32)


def opened(data: bytes, **options: Any) -> image_io.Photo:
    return image_io.open_photo(io.BytesIO(data), **options)


@pytest.mark.parametrize("format", image_io.WRITTEN, ids=lambda format: format.name)
def test_bits_that_a_format_cannot_hold(format: image_io.Format) -> None:
    suffix = format.suffixes[0]
    for pixels, bits in ((DEEP, 16), (FLOATS, 32), (SHALLOW, 8)):
        photo = image_io.Photo(pixels[..., 0])
        line = f"{format.name} cannot hold its {bits} bits a channel: they become 8"
        expected = () if format.deep or bits == 8 else (line,)
        for rgb in (pixels, stages.paint(photo.pixels, np.zeros((4, 4, 3), np.float32))):
            assert image_io.save_photo(io.BytesIO(), photo, rgb, format=suffix) == expected
        # Bits that the colours do not have are not lost by the format.
        assert image_io.save_photo(io.BytesIO(), photo, SHALLOW, format=suffix) == ()


def test_it_stands_before_what_else_is_lost() -> None:
    photo = image_io.Photo(DEEP[..., 0], metadata=image_io.Metadata(text=(("Title", "x"),)))
    assert image_io.save_photo(io.BytesIO(), photo, DEEP, format="webp") == (
        "WEBP cannot hold its 16 bits a channel: they become 8",
        "WEBP cannot hold its texts",
    )


def test_bits_that_are_not_read() -> None:
    heic = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", SHAPE[::-1], DEEP.tobytes()).save(heic)
    for data, bits in (
        (imagecodecs.jpeg2k_encode(DEEP), 16),
        (imagecodecs.jpeg2k_encode(DEEP[..., 0] >> 4, bitspersample=12), 8),  # grey is read whole
        (imagecodecs.jpeg2k_encode(SHALLOW), 8),
        (imagecodecs.avif_encode(DEEP >> 6, bitspersample=10), 10),
        (imagecodecs.avif_encode(DEEP >> 4, bitspersample=12), 12),
        (imagecodecs.avif_encode(SHALLOW), 8),
        (heic.getvalue(), 10),
    ):
        line = f"its {bits} bits a channel are read as 8"
        assert opened(data).warnings == (() if bits == 8 else (line,))


def test_transparency_that_is_damaged_or_left_out() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(9 * 8))) + chunk(b"IEND", b"")
    photo = opened(head + chunk(b"tRNS", b"\0\7") + body)
    assert photo.alpha is not None
    assert photo.warnings == ()
    photo = opened(head + chunk(b"tRNS", b"\0\7\0\7") + body)
    assert photo.alpha is None
    assert photo.warnings == ("its tRNS is damaged and left out",)

    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        options: dict[str, Any] = {"metadata": None, "photometric": "minisblack"}
        writer.write(SHALLOW[..., 0], **options)
        writer.write(SHALLOW[..., 1] > 99, subfiletype=4, **options)
    photo = image_io.open_photo(file)
    np.testing.assert_array_equal(photo.pixels, SHALLOW[..., 0])
    assert photo.warnings == ("its transparency mask is left out",)


# -- EXIF in AVIF ----------------------------------------------------------------------------------


def avif(orientation: int = 1) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x013B], exif[0x010E] = orientation, "A. Photographer", "harbour " * 9
    Image.fromarray(SHALLOW).save(file, "AVIF", exif=exif)
    return file.getvalue()


def test_damaged_exif_in_an_avif_is_no_matter_for_pillow() -> None:
    """Pillow warns, which Python prints; here that would be an error."""
    data = bytearray(avif())
    at = data.rindex(b"MM\0*", 0, data.index(b"A. Photographer"))
    struct.pack_into(">I", data, at + 10 + 4, 9999)  # the count of the first entry
    with pytest.warns(UserWarning, match=r"Tag data|Truncated|Corrupt"):
        Image.open(io.BytesIO(data)).getexif().get(0x010E)
    photo = opened(bytes(data))
    np.testing.assert_array_equal(photo.pixels, opened(avif()).pixels)
    assert image_io.save_photo(io.BytesIO(), photo, SHALLOW, format="avif") == ()


def test_an_avif_is_turned_as_its_container_says() -> None:
    upright = opened(avif())
    for orientation in range(1, 9):
        photo = opened(avif(orientation))
        assert photo.size == (SHAPE if orientation < 5 else SHAPE[::-1])
        assert b"A. Photographer" in photo.metadata.exif
        with Image.open(io.BytesIO(avif(orientation))) as image:
            np.testing.assert_array_equal(photo.pixels, np.asarray(ImageOps.exif_transpose(image)))
    assert upright.warnings == ()


def test_makers_notes_survive_avif() -> None:
    """Pillow would pack the block anew, and leave their offsets wrong."""
    note = bytes(range(90))
    child = struct.pack("<HHHII", 1, 0x927C, 7, len(note), 44) + bytes(4)
    block = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x8769, 4, 1, 26) + bytes(4) + child + note
    photo = image_io.Photo(SHALLOW[..., 0], metadata=image_io.Metadata(exif=block))
    file = io.BytesIO()
    assert image_io.save_photo(file, photo, SHALLOW, format="avif") == ()
    assert block in file.getvalue()
