"""Damaged and malicious files: each is opened or refused with one line, in little time and memory.

The long form: `JAXCOLOR_FUZZ=2000 pytest -q tests/image_io/test_hostile_photos.py -k mutated`.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import every_kind
import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxcolor import image_io

FILES = int(os.environ.get("JAXCOLOR_FUZZ", "150"))
SECONDS = 10  # of CPU time
MAX_PIXELS = 4_000_000


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def mutated(rng: np.random.Generator, whole: list[bytes]) -> bytes:
    """One photo with bits flipped, cut, overwritten, or spliced with another."""
    data = bytearray(whole[rng.integers(len(whole))])
    kind = rng.integers(6)
    near = min(len(data), 300 if rng.random() < 0.7 else len(data))
    if kind <= 1:
        for _ in range(int(rng.integers(1, 10))):
            data[rng.integers(near)] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        del data[rng.integers(len(data)) :]
    elif kind == 3:
        at = int(rng.integers(near))
        data[at : at + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", rng.bytes(4)][
            rng.integers(4)
        ]
    elif kind == 4:
        other = whole[rng.integers(len(whole))]
        cut = int(rng.integers(1, min(len(data), len(other), 400)))
        data[:cut] = other[:cut]
    else:
        at, size = int(rng.integers(len(data))), int(rng.integers(1, 200))
        data[at:at] = data[at : at + size]
    if data[:4] == b"\x89PNG" and rng.random() < 0.8:
        data = repaired(data)
    return bytes(data)


def repaired(data: bytearray) -> bytearray:
    """Makes a PNG's checksums right again, so that what is wrong is looked at."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            break
        check = zlib.crc32(data[at + 4 : at + 8 + length])
        struct.pack_into(">I", data, at + 8 + length, check)
        at += 12 + length
    return data


def test_mutated_files_are_opened_or_refused(tmp_path: Path) -> None:
    whole = every_kind.photos()
    for name, data in whole.items():  # they are photos to begin with
        frame = 0 if "animated" in name else None
        image_io.open_photo(io.BytesIO(data), frame=frame)
    rng = np.random.default_rng(1912)
    outcomes = {True: 0, False: 0}
    path = tmp_path / "photo"
    for i in range(FILES):
        path.write_bytes(mutated(rng, list(whole.values())))
        frame = None if i % 4 else 0
        start, message = time.process_time(), f"{path}: done"
        try:
            photo = image_io.open_photo(path, max_pixels=MAX_PIXELS, frame=frame)
            assert photo.pixels.shape[0] * photo.pixels.shape[1] <= MAX_PIXELS
            rgb = np.zeros((*photo.size, 3), photo.pixels.dtype)
            if photo.pixels.size < 100_000:  # what was read can be written
                image_io.save_photo(io.BytesIO(), photo, rgb, format=("png", "tif", "webp")[i % 3])
            outcomes[True] += 1
        except image_io.PhotoError as refused:
            message = str(refused)
            outcomes[False] += 1
        assert time.process_time() - start < SECONDS, f"file {i}"
        assert message.startswith(f"{path}: ")
        assert message.isprintable()
    assert min(outcomes.values()) > FILES / 10


def memory_of(data: bytes, **options: Any) -> float:
    """Megabytes that Python and NumPy allocate until the file is opened or refused."""
    tracemalloc.start()
    try:
        image_io.open_photo(io.BytesIO(data), **options)
    except image_io.PhotoError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak / 1e6


def png_of(width: int, height: int, *extra: bytes, depth: int = 8, colour: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    chunks = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def with_entry(tiff: bytes, tag: int, count: int, value: int) -> bytes:
    """A small-endian TIFF with another value in its directory."""
    (at,) = struct.unpack_from("<I", tiff, 4)
    while struct.unpack_from("<H", tiff, at + 2)[0] != tag:
        at += 12
    return tiff[: at + 2] + struct.pack("<HHII", tag, 4, count, value) + tiff[at + 14 :]


def headers_of(width: int, height: int) -> dict[str, bytes]:
    """Files that say how large they are and then hold nothing."""
    found = {"png": png_of(width, height)}
    sizes = 100, 0, 54, 40, width, height, 1, 24
    found["bmp"] = b"BM" + struct.pack("<IIIIiiHHIIiiII", *sizes, *[0] * 6)
    found["gif"] = b"GIF89a" + struct.pack("<HHBBB", min(width, 65535), min(height, 65535), 0, 0, 0)
    found["gif"] += b"," + struct.pack("<HHHHB", 0, 0, min(width, 65535), min(height, 65535), 0)
    found["gif"] += b"\x08" + bytes(20)
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
    found["webp"] = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + sides
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((9, 9), np.uint16), photometric="minisblack", metadata=None)
    found["tiff"] = file.getvalue()
    for tag, value in ((256, width), (257, height), (278, height)):
        found["tiff"] = with_entry(found["tiff"], tag, 1, value)
    found["jpeg"] = b"\xff\xd8\xff\xc0" + struct.pack(
        ">HBHHB3B", 11, 8, min(height, 65500), min(width, 65500), 1, 1, 17, 0
    )
    found["jpeg"] += b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    found["ppm"] = b"P6 %d %d 255\n" % (width, height)
    found["qoi"] = b"qoif" + struct.pack(">IIBB", width, height, 3, 0)
    return found


def test_the_size_is_looked_at_before_decoding() -> None:
    for name, data in headers_of(60_000, 60_000).items():
        limit = r"too large: .*[12]\d0,000,000.*--max-pixels"
        with pytest.raises(image_io.PhotoError, match=limit):
            image_io.open_photo(io.BytesIO(data))
        assert memory_of(data) < 3, name
    # Within the limit, but nothing behind the header.
    for name, data in headers_of(6000, 6000).items():
        with pytest.raises(image_io.PhotoError):
            image_io.open_photo(io.BytesIO(data))
        assert name in ("png", "tiff") or memory_of(data) < 3, name


def test_the_limit_can_be_chosen() -> None:
    for name, data in every_kind.photos().items():
        options = {"frame": 0} if "animated" in name else {}
        costly = name.startswith(("webp", "avif", "heic", "jp2"))
        limit = 40 * 56 * 5 // 2 if costly else 40 * 56
        with pytest.raises(image_io.PhotoError, match=r"too large: \d+x\d+ pixels .* 2,239"):
            image_io.open_photo(io.BytesIO(data), max_pixels=limit - 1, **options)
        photo = image_io.open_photo(io.BytesIO(data), max_pixels=limit, **options)
        assert sorted(photo.size) == [40, 56]


def test_pillows_limit_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for name, data in every_kind.photos().items():  # 2,240 pixels: Pillow itself would refuse
        image_io.open_photo(io.BytesIO(data), frame=0 if "animated" in name else None)
        assert Image.MAX_IMAGE_PIXELS == 1000


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP", b"tEXt", b"long tEXt"])
def test_bombs_in_chunks(kind: bytes) -> None:
    bomb = zlib.compress(bytes(100_000_000), 1)
    content = {
        b"zTXt": b"Title\0\0" + bomb,
        b"iTXt": b"Title\0\1\0\0\0" + bomb,
        b"iCCP": b"icc\0\0" + bomb,
        b"tEXt": b"Title\0" + b"a" * 2_000_000,
        b"long tEXt": b"Title\0" + b"a" * 20_000_000,
    }[kind]
    data = png_of(10, 10, chunk(kind[-4:], content))
    photo = image_io.open_photo(io.BytesIO(data))
    assert photo.size == (10, 10)
    assert photo.metadata.text == ()
    assert len(photo.warnings) == 1
    assert memory_of(data) < 45


def test_a_thousand_texts_are_too_many() -> None:
    texts = [chunk(b"zTXt", b"T\0\0" + zlib.compress(b"a" * 100_000)) for _ in range(1000)]
    photo = image_io.open_photo(io.BytesIO(png_of(10, 10, *texts)))
    assert sum(len(text) for _, text in photo.metadata.text) <= 1 << 20
    assert len(photo.warnings) == 1


def test_absurd_strips_and_tiles() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.ones((64, 64), np.uint16), tile=(16, 16), compression="zlib")
    data = file.getvalue()

    for tag, count, value in (
        (322, 1, 2**31),  # tile width
        (323, 1, 2**20),
        (324, 2**31, 8),  # tile offsets
        (324, 1, 8),
        (325, 2**31, 8),  # tile byte counts
        (277, 1, 65535),  # samples a pixel
        (258, 2**30, 8),  # bits a sample
    ):
        bad = with_entry(data, tag, count, value)
        with pytest.raises(image_io.PhotoError):
            image_io.open_photo(io.BytesIO(bad))
        assert memory_of(bad) < 5, tag


def test_missing_strips_and_cut_files() -> None:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 99, (64, 64), np.uint16)
    tifffile.imwrite(file, pixels, compression="lzw", rowsperstrip=16, photometric="minisblack")
    data = file.getvalue()
    for bad, reason in (
        (with_entry(data, 257, 1, 128), "strips or tiles are missing"),
        (data[: len(data) // 2], "cut short: 75 % of the picture is missing"),
        (with_entry(data, 257, 1, 0), "64x0 pixels"),
    ):
        with pytest.raises(image_io.PhotoError, match=reason):
            image_io.open_photo(io.BytesIO(bad))


def test_a_jpeg_inside_a_tiff_is_no_larger_than_its_strip() -> None:
    file = io.BytesIO()
    Image.new("L", (64, 64), 99).save(file, "TIFF", compression="jpeg")
    data = file.getvalue()
    assert image_io.open_photo(file).size == (64, 64)
    frame = data.index(b"\xff\xc0")
    huge = data[: frame + 5] + struct.pack(">HH", 65000, 65000) + data[frame + 9 :]
    deep = data[: frame + 4] + b"\x0c" + data[frame + 5 :]
    for bad in (huge, deep, data.replace(b"\xff\xc0", b"\xff\xc3")):
        with pytest.raises(image_io.PhotoError, match="the JPEG inside makes no sense"):
            image_io.open_photo(io.BytesIO(bad))


def test_directories_that_go_round_in_a_circle() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for _ in range(2):
            writer.write(np.ones((8, 8), np.uint16), metadata=None, photometric="minisblack")
    data = bytearray(file.getvalue())
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    start = time.process_time()
    with contextlib.suppress(image_io.PhotoError):
        assert image_io.open_photo(io.BytesIO(data)).size == (8, 8)
    assert time.process_time() - start < 2


def test_thousands_of_scans_are_refused() -> None:
    file = io.BytesIO()
    Image.new("L", (1000, 1000), 99).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    photo = image_io.open_photo(io.BytesIO(data))
    assert photo.size == (1000, 1000)
    with pytest.raises(image_io.PhotoError, match="scans"):
        image_io.open_photo(io.BytesIO(data[:last] + scan * 5000 + data[-2:]))


def test_huge_metadata_is_left_out() -> None:
    exif = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x013B, 2, 5_000_000, 26) + bytes(5_000_100)
    xmp = b"<a>" + b" " * 5_000_000 + b"</a>"
    for format in ("PNG", "WEBP"):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, format, exif=exif, xmp=xmp)
        photo = image_io.open_photo(file)
        assert photo.metadata.exif is None
        assert "its EXIF data is too large and left out" in photo.warnings
    file = io.BytesIO()
    big = [(315, 2, 0, "a" * 5_000_000, True), (700, 1, 20_000_000, bytes(20_000_000), True)]
    tifffile.imwrite(file, np.ones((8, 8), np.uint16), extratags=big, metadata=None)
    photo = image_io.open_photo(file)
    assert photo.metadata.xmp is None
    assert len(photo.metadata.exif or b"") < 1000


def test_nothing_is_executed(tmp_path: Path) -> None:
    """PostScript would be run by Ghostscript: Pillow knows the format, we do not."""
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n("
    script += bytes(tmp_path) + b"/x) (w) file\n"
    (tmp_path / "photo.eps").write_bytes(script)
    (tmp_path / "photo.jpg").write_bytes(script)
    for name in ("photo.eps", "photo.jpg"):
        with pytest.raises(image_io.PhotoError, match="not a picture of any format known here"):
            image_io.open_photo(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_in_a_folder_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "photo.jpg")
    with pytest.raises(image_io.PhotoError, match="a pipe or a device"):
        image_io.open_photo(tmp_path / "photo.jpg")


def test_names_are_told_on_one_line(tmp_path: Path) -> None:
    for name in ("a\nb.jpg", "a\rb\x1b[31m.jpg", os.fsdecode(b"\xff.jpg")):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(image_io.PhotoError) as caught:
            image_io.open_photo(tmp_path / name)
        assert str(caught.value).isprintable()
        str(caught.value).encode()


def test_decoders_write_nothing_on_standard_error(tmp_path: Path) -> None:
    """libtiff, libpng and loggers like to; run in a process of its own to see it."""
    rng = np.random.default_rng(5)
    kinds = "tiff", "png", "jpeg", "avif", "psd"
    whole = [data for name, data in every_kind.photos().items() if name.startswith(kinds)]
    for i in range(60):
        (tmp_path / f"{i}").write_bytes(mutated(rng, whole))
    code = """
import sys
from jaxcolor import image_io
for i in range(60):
    try:
        image_io.open_photo(f"{sys.argv[1]}/{i}", max_pixels=1_000_000)
    except image_io.PhotoError:
        pass
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout == ""
