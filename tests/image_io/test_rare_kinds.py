"""Photos of rare kinds: read in full depth, or refused by their true name."""

from __future__ import annotations

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxcolor import image_io

HEIGHT, WIDTH = 90, 133
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
SMOOTH = np.stack([40 + x * 0.77 + y * 0.31, 30 + y + x / 2, 200 - y], axis=-1) / 256
TWELVE = (SMOOTH * 4095).astype(np.uint16)
SIXTEEN = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 3), np.uint16)


def opened(data: bytes, **options: Any) -> image_io.Photo:
    return image_io.open_photo(io.BytesIO(data), **options)


def refused(data: bytes) -> str:
    with pytest.raises(image_io.PhotoError) as caught:
        opened(data)
    return str(caught.value).removeprefix("the photo: ")


# -- JPEG ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_jpegs_of_12_bits(channels: int) -> None:
    """As exact as Pillow's of 8 bits, in finer steps."""
    samples = TWELVE if channels == 3 else TWELVE[..., 0].copy()
    data = imagecodecs.jpeg8_encode(samples, 98, bitspersample=12, subsampling="444")
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(data))
    photo = opened(data)
    assert photo.pixels.dtype == np.uint16
    assert photo.metadata.format == "JPEG"
    assert photo.warnings == ()
    error = np.abs(photo.pixels / 65535 - samples / 4095)
    assert error.max() < 0.02
    file = io.BytesIO()
    Image.fromarray((samples >> 4).astype(np.uint8)).save(file, "JPEG", quality=98, subsampling=0)
    rough = np.asarray(Image.open(file)) / 255
    assert error.mean() < np.abs(rough - samples / 4095).mean() / 2
    assert len(np.unique(photo.pixels)) > 300


def test_what_a_jpeg_of_12_bits_says_beside_its_pixels() -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x013B] = 6, "A. Photographer"
    icc = bytes(imagecodecs.cms_profile("adobergb"))
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif, icc_profile=icc, comment=b"plate")
    said = file.getvalue()[2 : file.getvalue().index(b"\xff\xdb")]
    plain = imagecodecs.jpeg8_encode(TWELVE, 98, bitspersample=12)
    photo = opened(plain[:2] + said + plain[2:])
    assert photo.size == (WIDTH, HEIGHT)  # turned
    assert b"A. Photographer" in photo.metadata.exif
    assert dict(photo.metadata.text) == {"Comment": "plate"}
    assert photo.metadata.icc is not None
    turned = np.rot90(opened(plain).pixels, -1)
    assert np.abs(photo.pixels.astype(int) - turned).max() > 1000  # Adobe RGB became sRGB


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_jpegs_are_exact(bits: int, channels: int) -> None:
    samples = SIXTEEN >> (16 - bits)
    samples = samples.astype(np.uint8) if bits == 8 else samples
    samples = samples if channels == 3 else samples[..., 0].copy()
    data = imagecodecs.jpeg8_encode(samples, lossless=True, bitspersample=bits)
    photo = opened(data)
    top, white = 2**bits - 1, 255 if bits == 8 else 65535
    expected = (2 * samples.astype(np.int64) * white + top) // (2 * top)
    np.testing.assert_array_equal(photo.pixels, expected)
    assert photo.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)


def test_deep_jpegs_are_looked_at_before_they_are_decoded() -> None:
    data = imagecodecs.jpeg8_encode(TWELVE, 90, bitspersample=12)
    with pytest.raises(image_io.PhotoError, match="too large: 133x90 pixels"):
        opened(data, max_pixels=HEIGHT * WIDTH - 1)
    frame = data.index(b"\xff\xc1")
    huge = data[: frame + 5] + struct.pack(">HH", 65000, 65000) + data[frame + 9 :]
    assert "too large" in refused(huge)


def test_jpegs_of_other_kinds_are_named() -> None:
    data = imagecodecs.jpeg8_encode(TWELVE[..., 0].copy(), 90, bitspersample=12)
    frame = data.index(b"\xff\xc1")
    for marker, kind in ((0xC5, "hierarchical"), (0xCB, "arithmetically coded and lossless")):
        other = data[: frame + 1] + bytes([marker]) + data[frame + 2 :]
        assert refused(other) == f"a JPEG of a kind that is not read ({kind})"
    jpeg_ls = imagecodecs.jpegls_encode(SIXTEEN[..., 0].copy())
    assert refused(jpeg_ls) == "a JPEG of a kind that is not read (JPEG-LS)"


@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "ycbcr"])
@pytest.mark.parametrize("place", [{"rowsperstrip": 32}, {"tile": (48, 64)}])
def test_jpegs_of_12_bits_in_a_tiff(photometric: str, place: dict[str, Any]) -> None:
    samples = TWELVE[..., 0].copy() if photometric == "minisblack" else TWELVE
    stored = samples
    if photometric == "ycbcr":  # as JFIF has it
        luma = TWELVE @ [0.299, 0.587, 0.114]
        blue, red = (TWELVE[..., 2] - luma) / 1.772, (TWELVE[..., 0] - luma) / 1.402
        stored = np.stack([luma, blue + 2048, red + 2048], axis=-1).round().astype(np.uint16)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        stored,
        photometric=photometric,
        compression="jpeg",
        compressionargs={"level": 98, "bitspersample": 12},
        bitspersample=12,
        metadata=None,
        **({"subsampling": (1, 1)} if photometric == "ycbcr" else {}),
        **place,
    )
    photo = image_io.open_photo(file)
    assert photo.pixels.dtype == np.uint16
    error = np.abs(photo.pixels / 65535 - samples / 4095)
    assert error.mean() < 0.002
    assert error.max() < 0.2  # tiles are filled up with black


# -- PSD -------------------------------------------------------------------------------------------


def psd(samples: np.ndarray, mode: int, *, packed: bool, bits: int = 16, version: int = 1) -> bytes:
    """Samples (H, W, C) as Photoshop stores them, with a profile; the specification's words."""
    planes = np.moveaxis(samples.astype(f">u{bits // 8}"), -1, 0)
    shape = (len(planes), *samples.shape[:2])
    icc = bytes(imagecodecs.cms_profile("srgb"))
    resource = b"8BIM" + struct.pack(">HHI", 1039, 0, len(icc)) + icc + bytes(len(icc) % 2)
    data = b"8BPS" + struct.pack(">H6xHIIHH", version, *shape, bits, mode)
    data += bytes(4) + struct.pack(">I", len(resource)) + resource + bytes(4)
    if not packed:
        return data + b"\0\0" + planes.tobytes()
    rows = [imagecodecs.packbits_encode(row.tobytes()) for plane in planes for row in plane]
    counts = struct.pack(f">{len(rows)}H", *map(len, rows))
    return data + b"\0\1" + counts + b"".join(rows)


@pytest.mark.parametrize("packed", [False, True])
def test_psd_of_16_bits(packed: bool) -> None:
    rgb = SIXTEEN.copy()
    rgb[:40] = rgb[:1]
    photo = opened(psd(rgb, 3, packed=packed))
    np.testing.assert_array_equal(photo.pixels, rgb)
    assert photo.alpha is None
    assert photo.metadata.icc is not None
    photo = opened(psd(rgb[..., :1], 1, packed=packed))
    np.testing.assert_array_equal(photo.pixels, rgb[..., 0])
    photo = opened(psd(np.dstack([rgb, rgb[..., 0]]), 3, packed=packed))
    np.testing.assert_array_equal(photo.pixels, rgb)
    np.testing.assert_array_equal(photo.alpha, rgb[..., 0])


def test_cmyk_psd_of_16_bits_is_that_of_8() -> None:
    small = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    without = bytes(4)  # no profile: sRGB's is for other colours
    files = []
    for bits, samples in ((8, small), (16, small.astype(np.uint16) * 257)):
        data = psd(samples, 4, packed=True, bits=bits)
        (length,) = struct.unpack_from(">I", data, 30)
        files.append(opened(data[:30] + without + data[34 + length :]))
    shallow, deep = files
    assert deep.pixels.dtype == np.uint16
    assert np.abs(deep.pixels / 257 - shallow.pixels).max() <= 1


def test_psds_of_other_kinds_are_named() -> None:
    whole = psd(SIXTEEN, 3, packed=False)
    assert refused(psd(SIXTEEN, 3, packed=False, version=2)).startswith("a large document (PSB)")
    floats = psd(SIXTEEN.astype(np.uint32), 3, packed=False, bits=32)
    assert refused(floats) == "a PSD of 32 bits, which is not read: save it as TIFF"
    assert "colours that are not read" in refused(psd(SIXTEEN, 9, packed=False))
    assert refused(whole[:-1]) == "damaged or cut short"
    assert refused(whole[:20]) == "damaged or cut short: no header"
    with pytest.raises(image_io.PhotoError, match="too large: 133x90"):
        opened(whole, max_pixels=1000)
    with pytest.raises(image_io.PhotoError, match="no picture with the number 1"):
        opened(whole, frame=1)


# -- others ----------------------------------------------------------------------------------------


def test_kinds_that_are_not_read_are_named() -> None:
    jxl = imagecodecs.jpegxl_encode((SIXTEEN >> 8).astype(np.uint8))
    for data, kind in (
        (jxl, "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"II\xbc\x01" + bytes(40), "JPEG XR"),
        (b"\0\0\0\x18ftypcrx " + bytes(40), "a camera's raw file"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(40), "a camera's raw file"),
        (b"v/1\x01" + bytes(40), "OpenEXR"),
    ):
        assert refused(data) == f"{kind}, which is not read"
    assert not set(image_io.UNREAD_SUFFIXES) & set(image_io.PHOTO_SUFFIXES)
    assert {".jxl", ".dng", ".cr3"} < set(image_io.UNREAD_SUFFIXES)


def test_an_empty_file_is_called_so() -> None:
    with pytest.raises(image_io.PhotoError, match="the photo: empty, not a picture") as caught:
        opened(b"")
    assert isinstance(caught.value.refusal, image_io.Empty)


def pages(*sizes: tuple[int, int], dtype: str = "u1") -> io.BytesIO:
    """A TIFF with a page of each height and width, all called pages, as ImageMagick does."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for height, width in sizes:
            pixels = np.full((height, width), height % 256, dtype)
            options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
            writer.write(pixels, subfiletype=2, **options)
    return file


def test_the_largest_level_of_a_pyramid() -> None:
    for sizes in (
        ((352, 480), (176, 240), (88, 120), (44, 60)),
        ((75, 101), (37, 50), (18, 25)),
        ((75, 101), (38, 51), (19, 26), (10, 13)),
    ):
        photo = image_io.open_photo(pages(*sizes))
        assert photo.size == sizes[0]
        assert image_io.open_photo(pages(*sizes), frame=1).size == sizes[1]
    for sizes in (((40, 60), (40, 60)), ((40, 60), (20, 31)), ((40, 60), (20, 30), (40, 60))):
        with pytest.raises(image_io.PhotoError, match="several pictures"):
            image_io.open_photo(pages(*sizes))


@pytest.mark.parametrize("suffix", [".ptif", ".btf", ".tf8"])
def test_suffixes_of_pyramids_and_large_tiffs(tmp_path: Any, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(pages((64, 80), (32, 40)).getvalue())
    assert image_io.open_photo(tmp_path / f"a{suffix}").size == (64, 80)
    assert image_io.result_suffix(f"a{suffix}") == ".tif"
    assert suffix in image_io.PHOTO_SUFFIXES
