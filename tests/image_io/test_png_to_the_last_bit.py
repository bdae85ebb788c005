"""Every kind of PNG is read to the last bit; expected values by the specification's formulas."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from jaxcolor import image_io

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [(depth, 0) for depth in (1, 2, 4, 8, 16)] + [(depth, 3) for depth in (1, 2, 4, 8)]
KINDS += [(depth, colour) for colour in (2, 4, 6) for depth in (8, 16)]
ADAM7 = "1646264677777777565656567777777736463646777777775656565677777777"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: np.ndarray, depth: int, colour: int, *extra: bytes, interlaced: bool) -> bytes:
    """Encodes (H, W, S) samples with a filter drawn at random for each row."""
    height, width, _ = samples.shape
    rng = np.random.default_rng(height)
    data = b""
    for part in passes(samples) if interlaced else [samples]:
        above = None
        for row in part:
            packed = pack(row.reshape(-1), depth)
            above = above or bytes(len(packed))
            kind = int(rng.integers(5))
            step = max(1, depth * SAMPLES[colour] // 8)
            data += bytes([kind]) + filtered(kind, packed, above, step)
            above = packed
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    packed = zlib.compress(data)
    cut = len(packed) // 3
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header),
            *extra,
            chunk(b"IDAT", packed[:cut]),
            chunk(b"IDAT", packed[cut:]),
            chunk(b"IEND", b""),
        ]
    )


def passes(samples: np.ndarray) -> Iterator[np.ndarray]:
    """The seven pictures of Adam7, by the specification's 8x8 pattern of pass numbers."""
    pattern = np.array([int(c) for c in ADAM7]).reshape(8, 8)
    height, width, _ = samples.shape
    tiled = np.tile(pattern, (height // 8 + 1, width // 8 + 1))[:height, :width]
    for number in range(1, 8):
        rows = np.flatnonzero((tiled == number).any(axis=1))
        columns = np.flatnonzero((tiled == number).any(axis=0))
        if len(rows) and len(columns):
            yield samples[np.ix_(rows, columns)]


def pack(row: np.ndarray, depth: int) -> bytes:
    bits = "".join(format(int(v), f"0{depth}b") for v in row)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def filtered(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    out = []
    for i, x in enumerate(row):
        a = row[i - step] if i >= step else 0
        b = above[i]
        c = above[i - step] if i >= step else 0
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        out.append((x - (0, a, b, (a + b) // 2, paeth)[kind]) % 256)
    return bytes(out)


def data_chunks(data: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        content = data[at + 8 : at + 8 + length]
        assert data[at : at + 12 + length] == chunk(data[at + 4 : at + 8], content)
        if data[at + 4 : at + 8] == b"IDAT":
            yield content
        at += 12 + length


def read(data: bytes, **options: int) -> image_io.Photo:
    return image_io.open_photo(io.BytesIO(data), **options)


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "adam7"])
@pytest.mark.parametrize(("depth", "colour"), KINDS)
def test_samples(depth: int, colour: int, interlaced: bool) -> None:
    rng = np.random.default_rng(depth + colour)
    palette = rng.integers(0, 256, (2 ** min(depth, 8), 3), dtype=np.uint8)
    extra = [chunk(b"PLTE", palette.tobytes())] if colour == 3 else []
    for height, width in ((1, 1), (5, 3), (19, 21)):
        samples = rng.integers(0, 2**depth, (height, width, SAMPLES[colour]))
        data = png(samples, depth, colour, *extra, interlaced=interlaced)
        photo = read(data)
        colours = samples[..., :3] if colour in (2, 6) else samples[..., 0]
        if colour == 3:
            colours = palette[samples[..., 0]]
        elif depth < 8:
            colours = colours * 255 // (2**depth - 1)
        np.testing.assert_array_equal(photo.pixels, colours)
        assert photo.pixels.dtype == (np.uint16 if depth == 16 else np.uint8)
        if colour in (4, 6):
            np.testing.assert_array_equal(photo.alpha, samples[..., -1])
            assert photo.alpha.dtype == photo.pixels.dtype
        else:
            assert photo.alpha is None
        if depth <= 8:  # another implementation agrees
            with Image.open(io.BytesIO(data)) as image:
                mode = "RGB" if colours.ndim == 3 else "L"
                np.testing.assert_array_equal(photo.pixels, image.convert(mode))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_level(depth: int) -> None:
    samples = np.arange(64).reshape(8, 8, 1) % 2**depth
    key = chunk(b"tRNS", struct.pack(">H", 1))
    photo = read(png(samples, depth, 0, key, interlaced=False))
    np.testing.assert_array_equal(photo.alpha == 0, samples[..., 0] == 1)
    assert photo.pixels.ndim == 2


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour(depth: int) -> None:
    samples = np.random.default_rng(0).integers(0, 2, (8, 8, 3)) * (2**depth - 1)
    key = chunk(b"tRNS", struct.pack(">HHH", 0, 2**depth - 1, 0))
    photo = read(png(samples, depth, 2, key, interlaced=False))
    hidden = (samples == [0, 2**depth - 1, 0]).all(axis=-1)
    assert hidden.any()
    np.testing.assert_array_equal(photo.alpha, np.where(hidden, 0, 2**depth - 1))


def test_a_transparent_palette() -> None:
    samples = np.arange(64).reshape(8, 8, 1) % 16
    palette = np.random.default_rng(0).integers(0, 256, (16, 3), dtype=np.uint8)
    opacity = np.array([0, 77, 200], np.uint8)
    extra = chunk(b"PLTE", palette.tobytes()) + chunk(b"tRNS", opacity.tobytes())
    data = png(samples, 4, 3, extra, interlaced=True)
    photo = read(data)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(photo.pixels, expected[..., :3])
    np.testing.assert_array_equal(photo.alpha, expected[..., 3])


def test_a_palette_of_greys_is_grey() -> None:
    palette = np.repeat(np.arange(0, 256, 17, dtype=np.uint8)[:, None], 3, axis=1)
    samples = np.arange(64).reshape(8, 8, 1) % 16
    data = png(samples, 4, 3, chunk(b"PLTE", palette.tobytes()), interlaced=False)
    np.testing.assert_array_equal(read(data).pixels, samples[..., 0] * 17)


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxcolor.image_io.png import reading as module

    samples = np.random.default_rng(1).integers(0, 2**16, (19, 21, 4))
    for interlaced in (False, True):
        data = png(samples, 16, 6, interlaced=interlaced)
        for strip in (1, 700):
            monkeypatch.setattr(module, "_STRIP", strip)
            np.testing.assert_array_equal(read(data).pixels, samples[..., :3])


def test_damage_is_noticed() -> None:
    samples = np.random.default_rng(2).integers(0, 2**16, (19, 21, 3))
    whole = png(samples, 16, 2, interlaced=False)
    at = whole.index(b"IDAT")
    for data, reason in {
        whole[: len(whole) // 2]: r"cut short: \d\d % of the picture is missing",
        whole[: at + 30] + bytes([whole[at + 30] ^ 1]) + whole[at + 31 :]: "checksum|unpacked",
        whole[:20] + b"\0" * 9 + whole[29:]: "no header",
        whole.replace(chunk(b"IEND", b""), b"")[: at - 4]: "cut short",
    }.items():
        with pytest.raises(image_io.PhotoError, match=reason):
            read(data)


def test_a_changed_pixel_is_noticed_by_the_checksums() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50, 50, 8, 0, 0, 0, 0))
    data = bytearray(chunk(b"IDAT", zlib.compress(bytes(51 * 50), 0)))
    whole = b"\x89PNG\r\n\x1a\n" + header + bytes(data) + chunk(b"IEND", b"")
    assert read(whole).size == (50, 50)
    for at, reason in ((1000, "cannot be unpacked"), (len(data) - 1, "a wrong checksum")):
        data[at] ^= 4  # of deflate, of the chunk
        with pytest.raises(image_io.PhotoError, match=reason):
            read(b"\x89PNG\r\n\x1a\n" + header + bytes(data) + chunk(b"IEND", b""))
        data[at] ^= 4


def test_written_files_are_png(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other readers agree, and the bytes do not depend on strips or threads."""
    rng = np.random.default_rng(3)
    from jaxcolor.image_io.png import writing as png_writing

    monkeypatch.setattr(png_writing, "BLOCK", 3000)
    for depth in (8, 16):
        for alpha in (None, rng.integers(0, 2**depth, (40, 33)).astype(f"u{depth // 8}")):
            rgb = rng.integers(0, 2**depth, (40, 33, 3)).astype(f"u{depth // 8}")
            photo = image_io.Photo(rgb[..., 0], alpha)
            whole, strips = io.BytesIO(), io.BytesIO()
            image_io.save_photo(whole, photo, rgb, format="png")
            image_io.save_photo(strips, photo, (rgb[i : i + 1] for i in range(40)), format="png")
            assert whole.getvalue() == strips.getvalue()
            rows = zlib.decompress(b"".join(data_chunks(whole.getvalue())))  # checks its checksum
            assert len(rows) == 40 * (1 + 33 * (3 if alpha is None else 4) * depth // 8)
            with Image.open(whole) as image:
                image.load()
                assert image.mode == ("RGB" if alpha is None else "RGBA")
                expected = rgb if depth == 8 else rgb >> 8
                np.testing.assert_array_equal(np.asarray(image)[..., :3], expected)
            again = read(whole.getvalue())
            np.testing.assert_array_equal(again.pixels, rgb)
            np.testing.assert_array_equal(again.alpha, alpha)
