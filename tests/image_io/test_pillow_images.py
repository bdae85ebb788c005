"""Images that Pillow has opened become what `open_photo` makes of their files."""

from __future__ import annotations

import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageOps, PngImagePlugin
from test_photos_keep_metadata import GREY, IPTC, RGB, XMP, exif
from test_photos_keep_metadata import stored as stored_file

from jaxcolor import image_io

ADOBE = bytes(imagecodecs.cms_profile("adobergb"))


def saved(image: Image.Image, format: str, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file


def check_as_from_file(file: io.BytesIO, *, fields: tuple[str, ...] = ()) -> image_io.Photo:
    """Pixels, transparency, metadata and warnings as `open_photo` reads them."""
    expected = image_io.open_photo(file)
    photo = image_io.from_pillow(Image.open(file))
    np.testing.assert_array_equal(photo.pixels, expected.pixels)
    np.testing.assert_array_equal(photo.alpha, expected.alpha)
    for field in fields or ("exif", "xmp", "iptc", "dpi", "icc", "text"):
        ours, theirs = (getattr(of.metadata, field) for of in (photo, expected))
        if field == "dpi" and theirs is not None:
            ours, theirs = pytest.approx(ours, abs=0.01), theirs
        assert ours == theirs, field
    assert photo.warnings == expected.warnings
    return photo


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_it_is_turned_upright(format: str, orientation: int) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    if format != "WEBP":
        options |= {"dpi": (300, 600)}
    file = saved(Image.fromarray(RGB), format, exif=exif(orientation), **options)
    # Of a TIFF Pillow packs the descriptive entries anew.
    fields = ("xmp", "dpi") if format == "TIFF" else ()
    photo = check_as_from_file(file, fields=fields)
    upright = ImageOps.exif_transpose(Image.open(file))
    np.testing.assert_array_equal(photo.pixels, np.asarray(upright.convert("RGB")))

    out = image_io.to_pillow(photo, photo.pixels)
    again = Image.open(saved(out, "PNG", exif=out.info["exif"]))
    assert again.getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert again.getexif()[ExifTags.Base.Artist] == "A. Photographer"
    assert again.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] == "f/8"
    assert again.getexif().get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    np.testing.assert_array_equal(np.asarray(again), photo.pixels)
    image = Image.open(file)
    image.load()  # whoever looked at it first
    np.testing.assert_array_equal(image_io.from_pillow(image).pixels, photo.pixels)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("grey", [False, True])
def test_its_profile_is_converted(format: str, grey: bool) -> None:
    image = Image.fromarray(GREY if grey and format != "WEBP" else RGB)
    photo = check_as_from_file(saved(image, format, icc_profile=ADOBE, lossless=True))
    assert (photo.pixels != np.asarray(image)).any()
    out = image_io.to_pillow(photo, np.broadcast_to(photo.pixels.reshape(20, 32, -1), RGB.shape))
    assert out.info["icc_profile"] == photo.metadata.icc != ADOBE


def test_a_cmyk_jpegs_profile_is_converted_where_there_is_none_it_is_light() -> None:
    check_as_from_file(saved(Image.fromarray(RGB).convert("CMYK"), "JPEG"))


@pytest.mark.parametrize("grey", [False, True])
def test_a_png_that_describes_its_colours_in_numbers(grey: bool) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", (100_000).to_bytes(4, "big"))
    image = Image.fromarray(GREY if grey else RGB)
    photo = check_as_from_file(saved(image, "PNG", pnginfo=chunks))
    assert (photo.pixels > np.asarray(image)).mean() > 0.9
    chunks.add(b"sRGB", b"\0")  # means more
    plain = check_as_from_file(saved(image, "PNG", pnginfo=chunks))
    np.testing.assert_array_equal(plain.pixels, np.asarray(image))


def test_all_else_that_it_says_is_kept() -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Title", "The harbour")
    chunks.add_text("dpi", "many")  # a text that Pillow stores where it has other things
    chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
    hidden = (b"Exif\0\0" + exif(6).tobytes().removeprefix(b"Exif\0\0")).hex()
    chunks.add_text("Raw profile type exif", f"\nexif\n{len(hidden) // 2}\n{hidden}\n")
    png = check_as_from_file(saved(Image.fromarray(GREY), "PNG", pnginfo=chunks))
    assert png.size == GREY.shape[::-1]
    out = image_io.to_pillow(png, np.repeat(png.pixels[..., None], 3, axis=-1))
    assert out.info["Title"] == "The harbour"
    assert b'tiff:Orientation="1"' in out.info["xmp"]

    segment = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0" + len(IPTC).to_bytes(4, "big") + IPTC
    extra = b"\xff\xed" + (2 + len(segment)).to_bytes(2, "big") + segment
    file = saved(Image.fromarray(GREY), "JPEG", comment="a print", extra=extra, dpi=(300, 600))
    jpeg = check_as_from_file(file)
    out = image_io.to_pillow(jpeg, np.repeat(jpeg.pixels[..., None], 3, axis=-1))
    assert out.info["dpi"] == (300, 600)
    again = Image.open(saved(out, "JPEG", dpi=out.info["dpi"]))
    assert again.info["comment"] == b"a print"
    assert out.info["photoshop"] == {0x0404: IPTC}

    file = io.BytesIO()
    tags = [(33723, 7, len(IPTC), IPTC, True), (274, 3, 1, 6, True), (315, 2, 4, "Ann", True)]
    tifffile.imwrite(file, RGB, photometric="rgb", metadata=None, extratags=tags)
    photo = check_as_from_file(file, fields=("iptc", "xmp"))
    out = image_io.to_pillow(photo, photo.pixels)
    assert out.getexif()[ExifTags.Base.Artist] == "Ann"


def test_one_that_says_nothing_gives_nothing() -> None:
    for image in (Image.fromarray(RGB), Image.open(stored_file("JPEG")), Image.new("RGBA", (3, 2))):
        photo = image_io.from_pillow(image)
        assert photo.metadata.exif is photo.metadata.icc is photo.metadata.dpi is None
        out = image_io.to_pillow(photo, np.zeros((*photo.size, 3), np.uint8))
        assert out.info == {}
        assert out.mode == ("RGBA" if image.mode == "RGBA" else "RGB")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"exif": b"Exif\0\0nonsense"}, "its EXIF data is damaged and left out"),
        ({"icc_profile": b"nonsense"}, "its colour profile has 8 bytes: it is not used"),
        ({"xmp": b"<nonsense"}, "its XMP data is damaged and left out"),
        ({"gamma": 1e9}, "its colour profile is damaged and left out"),
    ],
)
def test_what_is_damaged_is_left_out_and_told(said: dict[str, Any], line: str) -> None:
    image = Image.fromarray(RGB)
    image.info |= said
    photo = image_io.from_pillow(image)
    assert photo.warnings == (line,)
    np.testing.assert_array_equal(photo.pixels, RGB)
    assert image_io.to_pillow(photo, photo.pixels).info == {}


def test_the_frame_that_an_animation_stands_at() -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    file = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    image = Image.open(file)
    image.seek(1)
    np.testing.assert_array_equal(image_io.from_pillow(image).pixels, 255 - RGB)
