"""Files that end before their picture does: done with a word, or refused; never in silence."""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxcolor import image_io

HEIGHT, WIDTH = 152, 203
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
GREY = (60 + x * 0.4 + y * 0.3 + np.random.default_rng(0).normal(0, 9, x.shape)).clip(0, 255)
GREY = GREY.astype(np.uint8)
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)
DEEP = RGB.astype(np.uint16) * 257
WARNING = r"it is cut short: (less than 0\.1|[\d.]+) % of the picture is missing, and (grey|coarse)"
REFUSAL = r"damaged or cut short: (\d+) % of the picture is missing"


def pillow(pixels: np.ndarray, format: str, **options: Any) -> bytes:
    mode = options.pop("mode", None)
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, format, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    if options.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(file, pixels, photometric="rgb", metadata=None, **options)
    return file.getvalue()


def ours(pixels: np.ndarray, format: str) -> bytes:
    file = io.BytesIO()
    photo = image_io.Photo(pixels[..., 0], pixels[..., 1])
    image_io.save_photo(file, photo, pixels, format=format)
    return file.getvalue()


def interlaced() -> bytes:
    """Adam7, which nobody here writes; PNG specification, section 8."""
    rows = b""
    for top, left, down, right in (
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
        *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
    ):
        for row in RGB[top::down, left::right]:
            rows += b"\0" + row.tobytes()
    chunks = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 1)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        check = zlib.crc32(kind + data)
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
    return chunks


WHOLE = {
    "jpeg": pillow(GREY, "JPEG"),
    "jpeg 4:2:0": pillow(RGB, "JPEG", quality=90),
    "jpeg 4:4:4": pillow(RGB, "JPEG", subsampling="4:4:4"),
    "jpeg cmyk": pillow(RGB, "JPEG", mode="CMYK"),
    "jpeg 12": imagecodecs.jpeg8_encode(GREY.astype(np.uint16) << 4, 90, bitspersample=12),
    "png": pillow(RGB, "PNG"),
    "png 16 rgba": ours(DEEP, "png"),
    "png interlaced": interlaced(),
    "png palette": pillow(GREY, "PNG", mode="P"),
    "tiff strips": tiff(RGB, rowsperstrip=7),
    "tiff lzw": tiff(DEEP, rowsperstrip=7, compression="lzw", predictor=True),
    "tiff tiles": tiff(RGB, tile=(32, 48), compression="zlib"),
    "tiff planes": tiff(RGB, planarconfig="separate", rowsperstrip=150),
    "ppm": b"P6 %d %d 255\n" % (WIDTH, HEIGHT) + RGB.tobytes(),
    "pgm 16": b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + DEEP[..., 0].astype(">u2").tobytes(),
}
END = {"jpeg": 2, "png": 12}  # bytes of the end marker


def opened(data: bytes) -> image_io.Photo:
    return image_io.open_photo(io.BytesIO(data))


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_there_is_kept_and_the_rest_is_told(name: str) -> None:
    """At any length: the share that is told is right, and what is called whole is whole."""
    data = WHOLE[name]
    whole = opened(data)
    assert whole.warnings == ()
    accepted, refused, grey = [], [], (int(np.iinfo(whole.pixels.dtype).max) + 1) // 2
    lengths = np.linspace(len(data) * 0.02, len(data) - 1, 25).astype(int)
    for length in [*lengths, *(len(data) - cut for cut in (2, 3, 4, 5, 8, 12, 13, 20))]:
        try:
            photo = opened(data[:length])
        except image_io.PhotoError as error:
            refused.append(length)
            if found := re.search(REFUSAL, str(error)):
                assert int(found[1]) > 45
            continue
        accepted.append(length)
        assert photo.size == whole.size
        assert photo.pixels.dtype == whole.pixels.dtype
        changed = (photo.pixels != whole.pixels).reshape(*whole.size, -1).any(axis=-1)
        if photo.warnings == ("its end marker is missing; the picture is whole",):
            assert not changed.any()
            continue
        (line,) = photo.warnings
        found = re.fullmatch(WARNING, line)
        assert found, line
        share = 0.0005 if found[1].startswith("less") else float(found[1]) / 100
        assert share <= 0.505
        # JPEG's chroma is smooth across the edge; a pixel may be right by chance.
        assert abs(changed.mean() - share) < 0.02 + 0.1 * share
        if found[2] == "grey" and share > 0.01 and name != "jpeg cmyk":
            assert np.abs(photo.pixels[-1, -1].astype(int) - grey).max() <= grey // 256
        if photo.alpha is not None:
            assert photo.alpha[-1, -1] == np.iinfo(photo.alpha.dtype).max
    assert len(accepted) >= 8
    # Those that lie behind each other: a shorter file is never better.
    assert not refused or max(refused) < min(accepted)


@pytest.mark.parametrize("name", [name for name in WHOLE if name.split()[0] in END])
def test_the_end_marker_alone_is_no_loss(name: str) -> None:
    data = WHOLE[name]
    whole = opened(data)
    photo = opened(data[: -END[name.split()[0]]])
    np.testing.assert_array_equal(photo.pixels, whole.pixels)
    assert photo.warnings == ("its end marker is missing; the picture is whole",)
    assert photo.metadata == whole.metadata


def test_a_progressive_jpeg_lacks_detail() -> None:
    data = pillow(GREY, "JPEG", progressive=True)
    whole = opened(data).pixels
    assert opened(data[:-2]).warnings == ("its end marker is missing; the picture is whole",)
    np.testing.assert_array_equal(opened(data[:-2]).pixels, whole)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    for length in range(second - 10, len(data) - 2, 31):  # within scans, and between them
        photo = opened(data[:length])
        assert photo.warnings == ("it is cut short: some of its detail is missing",)
        assert 0 < np.abs(photo.pixels.astype(int) - whole).mean() < 20
    with pytest.raises(image_io.PhotoError, match=REFUSAL):
        opened(data[: first + 50])


def test_an_interlaced_png_is_coarse_where_it_is_cut() -> None:
    data = WHOLE["png interlaced"]
    photo = opened(data[: len(data) * 4 // 5])
    assert "coarse" in photo.warnings[0]
    np.testing.assert_array_equal(photo.pixels[::2], RGB[::2])
    last = photo.pixels[HEIGHT // 4 * 3 :]
    assert (last[1::2] == last[::2][: len(last[1::2])]).all()  # rows that came are shown twice


@pytest.mark.parametrize(
    "data",
    [
        imagecodecs.jpeg8_encode(RGB, lossless=True),
        pillow(RGB, "BMP"),
        pillow(RGB, "WEBP", lossless=True),
        pillow(RGB, "AVIF"),
        pillow(GREY, "GIF"),
        pillow(RGB, "TGA"),
        tiff(RGB),
    ],
    ids=["lossless jpeg", "bmp", "webp", "avif", "gif", "tga", "tiff of one strip"],
)
def test_where_nothing_can_be_told_the_photo_is_refused(data: bytes) -> None:
    assert opened(data).warnings == ()
    with pytest.raises(image_io.PhotoError, match=r"damaged|cut short"):
        opened(data[: len(data) * 9 // 10])


def test_strips_outside_of_a_tiff_that_is_not_cut() -> None:
    """A damaged length is no end of the file: what follows is there."""
    data = bytearray(WHOLE["tiff strips"])
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        counts = file.pages[0].tags["StripByteCounts"]
    code, size = {3: ("<H", 2), 4: ("<I", 4)}[int(counts.dtype)]
    struct.pack_into(code, data, counts.valueoffset + size, 65535)
    struct.pack_into(code, data, counts.valueoffset + 12 * size, 65535)
    with pytest.raises(image_io.PhotoError, match="strips or tiles are missing"):
        opened(bytes(data))
