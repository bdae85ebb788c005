"""Every mode, depth, format and orientation: pixels, transparency and lightness stay as they were.

Pictures are stored by Pillow, tifffile and pillow-heif from arrays that are known.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import skimage.color
import tifffile
from PIL import Image

from jaxcolor import image_io, predict
from jaxcolor.predict import stages

HEIGHT, WIDTH = 96, 160


def ramps() -> np.ndarray:
    """Smooth RGB, so that lossy formats can be compared; no symmetry of any kind."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / [[[HEIGHT]], [[WIDTH]]]
    return np.rint(np.stack([x * 200, y * 90 + x * 100, 250 - y * 200], -1)).astype(np.uint8)


def grey() -> np.ndarray:
    return ramps()[..., 1]


def cover() -> np.ndarray:
    return np.rint(np.linspace(60, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)).astype(np.uint8)


def deep() -> np.ndarray:
    return (
        (np.arange(HEIGHT * WIDTH, dtype=np.uint32) * 67 % 65536)
        .astype(np.uint16)
        .reshape(HEIGHT, WIDTH)
    )


def image_of(mode: str) -> Image.Image:
    """A picture of a mode, all of whose values matter."""
    if mode == "1":
        return Image.fromarray(grey()).convert("1")
    if mode in ("LA", "PA", "RGBA"):
        image = Image.fromarray(grey() if mode == "LA" else ramps())
        image = image.quantize(20) if mode == "PA" else image
        image.putalpha(Image.fromarray(cover()))
        return image
    if mode == "P":
        return Image.fromarray(ramps()).quantize(50)
    if mode == "CMYK":
        inks = np.concatenate([ramps(), grey()[..., None] // 2], axis=-1)
        return Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes())
    if mode in ("I;16", "I"):
        return Image.fromarray(deep() if mode == "I;16" else deep().astype(np.int32))
    if mode == "F":
        return Image.fromarray((deep() / np.float32(65535)).astype(np.float32))
    return Image.fromarray(grey() if mode == "L" else ramps())


def expected_of(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    if image.mode in ("I;16", "I"):
        return np.asarray(image).astype(np.uint16), None
    if image.mode == "F":
        return np.asarray(image), None
    if image.mode in ("LA", "PA", "RGBA"):
        bands = np.asarray(image.convert("LA" if image.mode == "LA" else "RGBA"))
        return bands[..., 0] if image.mode == "LA" else bands[..., :3], bands[..., -1]
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")), None


# Format, modes that it stores without loss, how Pillow writes it.
LOSSLESS: list[tuple[str, str, dict[str, Any]]] = [
    ("PNG", "1 L LA P RGB RGBA I;16", {}),
    ("TIFF", "1 L LA P PA RGB RGBA CMYK I;16 I F", {"compression": "tiff_lzw"}),
    ("WEBP", "RGB RGBA", {"lossless": True, "exact": True}),
    ("BMP", "1 L P RGB", {}),
    ("GIF", "L P", {}),
    ("JPEG2000", "L LA RGB RGBA I;16", {}),
    ("PPM", "1 L RGB I I;16", {}),
    ("TGA", "L LA P RGB RGBA", {}),
    ("PCX", "1 L P RGB", {}),
    ("QOI", "RGB RGBA", {}),
    ("SGI", "L RGB RGBA", {}),
]
LOSSY: list[tuple[str, str, dict[str, Any]]] = [
    ("JPEG", "L RGB CMYK", {"quality": 98, "subsampling": 0}),
    ("AVIF", "RGB RGBA", {"quality": 98, "subsampling": "4:4:4"}),
    ("HEIF", "L RGB RGBA", {"quality": 98, "chroma": 444}),
]
WRITTEN = ("PNG", "TIFF", "JPEG", "WEBP", "AVIF", "BMP")
CASES = [
    pytest.param(format, mode, options, exact, id=f"{format}-{mode}")
    for table, exact in ((LOSSLESS, True), (LOSSY, False))
    for format, modes, options in table
    for mode in modes.split()
]


def stored(image: Image.Image, format: str, options: dict[str, Any]) -> io.BytesIO:
    file = io.BytesIO()
    if format == "HEIF":
        pillow_heif.from_pillow(image).save(file, **options)
    else:
        image.save(file, format, **options)
    file.seek(0)
    return file


@pytest.mark.parametrize(("format", "mode", "options", "exact"), CASES)
def test_modes(format: str, mode: str, options: dict[str, Any], exact: bool) -> None:
    image = image_of(mode)
    photo = image_io.open_photo(stored(image, format, options))
    pixels, alpha = expected_of(image)
    if photo.pixels.ndim == 3 and format in ("HEIF",) and mode == "L":  # the format has no grey
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    assert photo.pixels.dtype == pixels.dtype
    assert photo.pixels.shape == pixels.shape
    tolerance = 0 if exact else 8
    assert np.abs(photo.pixels.astype(float) - pixels).max() <= tolerance
    assert (photo.alpha is None) == (alpha is None)
    if alpha is not None:
        assert photo.alpha.dtype == alpha.dtype
        assert np.abs(photo.alpha.astype(int) - alpha).max() <= tolerance
    assert photo.warnings == ()
    assert photo.metadata.format == format


@pytest.mark.parametrize("white", [1, 100, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_pgm_and_ppm_in_full_depth(channels: int, white: int) -> None:
    """As scanner programs write them, with comments in the header."""
    top = 255 if white < 256 else 65535
    samples = np.random.default_rng(white).integers(
        0, white, (HEIGHT, WIDTH, channels), endpoint=True
    )
    header = b"P%d # SANE\n%d %d\n# white\n%d\n" % (5 if channels == 1 else 6, WIDTH, HEIGHT, white)
    data = header + samples.astype(">u2" if white > 255 else "u1").tobytes()
    photo = image_io.open_photo(io.BytesIO(data))
    expected = (2 * samples * top + white) // (2 * white)
    np.testing.assert_array_equal(photo.pixels, expected[..., 0] if channels == 1 else expected)
    assert photo.pixels.dtype == (np.uint8 if top == 255 else np.uint16)
    assert photo.pixels.flags.c_contiguous
    for bad, reason in (
        (data[: len(data) // 3], r"cut short: \d\d % of the picture is missing"),
        (data[:6], "no header"),
        (data.replace(b"\n%d\n" % white, b"\n0\n", 1), "white is 0"),
    ):
        with pytest.raises(image_io.PhotoError, match=reason):
            image_io.open_photo(io.BytesIO(bad))


def test_the_picture_of_a_psd() -> None:
    planes = np.moveaxis(ramps(), -1, 0)
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, HEIGHT, WIDTH, 8, 3) + bytes(12)
    photo = image_io.open_photo(io.BytesIO(header + b"\0\0" + planes.tobytes()))
    np.testing.assert_array_equal(photo.pixels, ramps())


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """What a camera held in this way stores: the inverse of what the flag asks for."""
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return image.transpose(method) if method is not None else image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("format", "mode"),
    [
        ("PNG", "RGB"),
        ("PNG", "LA"),
        ("TIFF", "RGB"),  # read by tifffile
        ("TIFF", "P"),  # read by Pillow
        ("TIFF", "I;16"),
        ("JPEG", "RGB"),
        ("WEBP", "RGBA"),
        ("AVIF", "RGB"),
        ("HEIF", "RGB"),
    ],
)
def test_orientation_is_applied_and_gone(format: str, mode: str, orientation: int) -> None:
    upright = image_of(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = next(options for name, _, options in LOSSLESS + LOSSY if name == format)
    lossless = format in [name for name, _, _ in LOSSLESS]
    file = stored(turned(upright, orientation), format, {**options, "exif": exif.tobytes()})
    photo = image_io.open_photo(file)
    pixels, alpha = expected_of(upright)
    assert photo.pixels.shape == pixels.shape
    assert np.abs(photo.pixels.astype(int) - pixels).mean() <= (0 if lossless else 1.5)
    if alpha is not None:
        np.testing.assert_array_equal(photo.alpha, alpha)
    # And the result does not turn again, whoever reads it.
    rgb = photo.pixels if photo.pixels.ndim == 3 else np.stack([photo.pixels] * 3, axis=-1)
    result = io.BytesIO()
    image_io.save_photo(result, photo, rgb, format="png")
    with Image.open(result) as image:
        assert image.size == (WIDTH, HEIGHT)
        assert image.getexif().get(0x0112, 1) == 1
    np.testing.assert_array_equal(image_io.open_photo(result).pixels, rgb)


EXIF_FORMATS = ("PNG", "TIFF", "JPEG", "WEBP", "AVIF", "HEIF")


@pytest.mark.parametrize(("format", "mode", "options", "exact"), CASES)
def test_the_whole_way(format: str, mode: str, options: dict[str, Any], exact: bool) -> None:
    """A photo, coloured and written: its size, depth, transparency, metadata and lightness."""
    small = np.random.default_rng(0).normal(0, 12, (4, 4, 3)).astype(np.float32)
    small[..., 0] = 50
    upright = image_of(mode)
    _, alpha = expected_of(upright)
    near = []
    for orientation in range(1, 9) if format in EXIF_FORMATS else (1,):
        exif = Image.Exif()
        exif[0x0112], exif[0x013B] = orientation, "A. Photographer"
        said = {"exif": exif.tobytes()} if format in EXIF_FORMATS else {}
        photo = image_io.open_photo(stored(turned(upright, orientation), format, options | said))
        file = io.BytesIO()
        left_out = image_io.save_photo(file, photo, stages.paint(photo.pixels, small))
        assert left_out == photo.warnings == ()

        with Image.open(file) as image:
            assert image.format == (format if format in WRITTEN else "PNG")
            assert image.size == (WIDTH, HEIGHT)
            image.load()
            assert image.getexif().get(0x0112, 1) == 1
            assert image.getexif().get(0x013B) == ("A. Photographer" if said else None)
        result = image_io.open_photo(file)
        deep = photo.pixels.dtype != np.uint8
        assert result.pixels.dtype == (np.uint16 if deep else np.uint8)
        if mode != "1":  # black and white have none
            assert np.ptp(result.pixels.astype(int), axis=-1).mean() > 3
        if alpha is None:
            assert result.alpha is None
        else:
            loss = 1 if format in ("AVIF", "HEIF") else 0
            assert np.abs(result.alpha.astype(int) - alpha).max() <= 2 * loss
        error = np.abs(lightness(result.pixels) - lightness(photo.pixels))
        assert error.mean() <= (0.02 if deep else 0.3)
        near.append(error <= 1.0)
    assert np.mean(near) >= 0.999


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIE L*, by scikit-image."""
    unit = rgb.astype(np.float64) / (1 if rgb.dtype == np.float32 else np.iinfo(rgb.dtype).max)
    unit = np.stack([unit] * 3, axis=-1) if unit.ndim == 2 else unit
    return skimage.color.rgb2lab(unit)[..., 0]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".avif", ".bmp"])
@pytest.mark.parametrize("bits", [8, 16])
def test_lightness_survives_the_file(tmp_path: Path, suffix: str, bits: int) -> None:
    y, x = np.mgrid[0:200, 0:300]
    scene = (np.sin(x / 9) * np.cos(y / 13) + x / 300 + 1.2) / 3.4
    pixels = np.rint(scene * (2**bits - 1)).astype(f"u{bits // 8}")
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="minisblack")
    photo = image_io.open_photo(tmp_path / "in.tif")
    path = tmp_path / f"out{suffix}"
    image_io.save_photo(path, photo, np.stack([photo.pixels] * 3, axis=-1))
    result = image_io.open_photo(path)
    error = np.abs(lightness(result.pixels) - lightness(pixels))
    deep = bits == 16 and suffix in (".png", ".tif")
    assert result.pixels.dtype == (np.uint16 if deep else np.uint8)
    assert error.mean() <= (0 if deep else 0.3)
    assert np.quantile(error, 0.999) <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".avif", ".bmp"])
def test_lightness_of_grainy_photos_survives_the_file(suffix: str, grainy) -> None:
    shares = []
    for grey_photo, rgb in grainy:
        file = io.BytesIO()
        image_io.save_photo(file, image_io.Photo(grey_photo), rgb, format=suffix)
        with Image.open(file) as image:
            got = np.asarray(image.convert("RGB"))
        error = np.abs(lightness(got) - lightness(grey_photo))
        assert error.mean() <= 0.3
        shares.append(np.mean(error <= 1))
    assert np.mean(shares) >= 0.999


@pytest.fixture(scope="module")
def grainy(params, photos) -> list[tuple[np.ndarray, np.ndarray]]:
    """Grey photos with the grain of film, off the grid of the JPEGs they once were; colorized."""
    rng = np.random.default_rng(0)
    found = []
    for photo in photos.values():
        grain = rng.normal(0, 5, photo.shape[:2])[3:, 5:]
        grey_photo = np.rint(photo[3:, 5:, 1] + grain).clip(0, 255).astype(np.uint8)
        found.append((grey_photo, predict.colorize(params, grey_photo)))
    return found


def test_tables_of_a_jpeg() -> None:
    """Luma in steps of 1 and 2, chroma as coarse as quality 96 has it."""
    ours, usual = io.BytesIO(), io.BytesIO()
    image_io.save_photo(ours, image_io.Photo(ramps()), ramps(), format="jpg")
    Image.fromarray(ramps()).save(usual, "JPEG", quality=96)
    with Image.open(ours) as image, Image.open(usual) as other:
        luma, chroma = image.quantization.values()
        assert chroma == [max(2, step) for step in other.quantization[1]]
        assert [luma[8 * v + u] for v, u in ((0, 0), (0, 6), (6, 0), (3, 3), (3, 4), (7, 7))] == [
            *(1, 1, 1, 1, 2, 2)
        ]
        assert image.layer == [(1, 1, 1, 0), (2, 1, 1, 1), (3, 1, 1, 1)]  # 4:4:4


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_colours_keep_their_resolution(tmp_path: Path, suffix: str) -> None:
    """Lines of one pixel, of equal lightness: 4:2:0 would mix their colours to grey."""
    columns = np.array([[150, 90, 90], [60, 116, 116]], np.uint8)
    lines = np.tile(columns, (32, 16, 1)).reshape(32, 32, 3)
    image_io.save_photo(tmp_path / f"a{suffix}", image_io.Photo(lines[..., 1]), lines)
    result = image_io.open_photo(tmp_path / f"a{suffix}").pixels.astype(int)
    assert np.abs(result - lines).mean() < 6


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".avif"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_transparency_survives_the_file(tmp_path: Path, suffix: str, dtype: str) -> None:
    alpha = cover() if dtype == "u1" else cover().astype(np.uint16) * 257
    alpha = (alpha / np.float32(65535)) if dtype == "f4" else alpha
    rgb = ramps() if dtype == "u1" else ramps().astype(np.uint16) * 257
    rgb = (rgb / np.float32(65535)) if dtype == "f4" else rgb
    path = tmp_path / f"a{suffix}"
    image_io.save_photo(path, image_io.Photo(rgb[..., 1], alpha), rgb)
    result = image_io.open_photo(path)
    deep = dtype != "u1" and suffix in (".png", ".tif")
    assert result.alpha is not None
    assert result.alpha.dtype == result.pixels.dtype == (np.uint16 if deep else np.uint8)
    scale = 257 if deep else 1
    off = np.abs(result.alpha.astype(int) - cover() * np.int32(scale))
    assert off.max() <= (1 if suffix == ".avif" else 0)
    if suffix != ".avif":
        np.testing.assert_array_equal(result.pixels, ramps() * np.uint16(scale))


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_transparency_that_cannot_be_written_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(image_io.PhotoError, match=rf"a\{suffix}: .* cannot hold .* \.png"):
        image_io.save_photo(path, image_io.Photo(grey(), cover()), ramps())
    assert not list(tmp_path.iterdir())
    # All of it visible: nothing is lost.
    image_io.save_photo(path, image_io.Photo(grey(), np.full_like(grey(), 255)), ramps())
    assert path.exists()


def test_animations_are_refused_or_give_a_frame() -> None:
    frames = [Image.new("RGB", (8, 8), (60 * i, 200, 0)) for i in range(4)]
    for format in ("GIF", "WEBP", "PNG", "AVIF"):
        file = io.BytesIO()
        options = {"lossless": True} if format == "WEBP" else {}
        frames[0].save(file, format, save_all=True, append_images=frames[1:], **options)
        with pytest.raises(image_io.PhotoError, match=r"several pictures.*--frame"):
            image_io.open_photo(file)
        for i in range(4):
            red = image_io.open_photo(file, frame=i).pixels[4, 4, 0]
            assert abs(int(red) - 60 * i) <= 3
        with pytest.raises(image_io.PhotoError, match="no picture with the number 4"):
            image_io.open_photo(file, frame=4)


def test_pictures_beside_the_photo_are_not_several(tmp_path: Path) -> None:
    """Phones store a second view or a thumbnail behind the photo."""
    file = io.BytesIO()
    Image.fromarray(ramps()).save(
        file, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]
    )
    photo = image_io.open_photo(file)
    assert photo.size == (HEIGHT, WIDTH)
    assert photo.metadata.format == "JPEG"
    for frame in (0, 1):
        if frame:
            with pytest.raises(image_io.PhotoError, match="no picture"):
                image_io.open_photo(file, frame=frame)
        else:
            np.testing.assert_array_equal(image_io.open_photo(file, frame=0).pixels, photo.pixels)


def test_further_pictures_of_a_heic_are_not_several() -> None:
    heic = pillow_heif.from_pillow(Image.fromarray(ramps()))
    heic.add_from_pillow(Image.new("RGB", (64, 64)))
    file = io.BytesIO()
    heic.save(file, primary_index=0)
    assert image_io.open_photo(file).size == (HEIGHT, WIDTH)


def test_pillow_images_of_any_mode() -> None:
    """`colorize` takes them as they are."""
    for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I", "F"):
        image = image_of(mode)
        photo = image_io.from_pillow(image)
        pixels, alpha = photo.pixels, photo.alpha
        expected, expected_alpha = expected_of(image)
        np.testing.assert_array_equal(pixels, expected)
        np.testing.assert_array_equal(alpha, expected_alpha)
        if pixels.dtype == np.uint8:
            again = np.asarray(image_io.from_pixels(pixels, alpha))
            whole = expected if alpha is None else np.dstack([expected, expected_alpha])
            np.testing.assert_array_equal(again, whole)
    keyed = image_of("L")
    keyed.info["transparency"] = 100
    np.testing.assert_array_equal(image_io.from_pillow(keyed).alpha == 0, grey() == 100)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("format", ["png", "bmp"])
def test_colours_of_any_order_of_bytes_are_written(format: str, dtype: Any) -> None:
    rgb = ramps().astype(dtype) * 257 if dtype == np.uint16 else (ramps() / 255).astype(dtype)
    photo = image_io.Photo(rgb)
    files = io.BytesIO(), io.BytesIO()
    for file, order in zip(files, "<>", strict=True):
        image_io.save_photo(file, photo, rgb.astype(rgb.dtype.newbyteorder(order)), format=format)
    assert files[0].getvalue() == files[1].getvalue()


def test_large_images_are_taken_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxcolor.image_io import modes

    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"):
        image = image_of(mode)
        whole = modes.to_bands(image)
        monkeypatch.setattr(modes, "_STRIP", 7 * WIDTH)
        parts = modes.to_bands(image)
        monkeypatch.undo()
        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(one, other)
