"""EXIF, XMP, IPTC, resolution and texts: written by Pillow and tifffile, read back by them."""

from __future__ import annotations

import io
import re
import struct
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, IptcImagePlugin

from jaxcolor import image_io

HEIGHT, WIDTH = 20, 32
GREY = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 251).astype(np.uint8)
RGB = np.stack([GREY, GREY[::-1], GREY], axis=-1)
EXIF, GPS, INTEROP = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop
MAKER_NOTE = b"ACME\0" + bytes(range(200))
XMP = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" tiff:Orientation="6" exif:PixelXDimension="20">
<dc:title>N\xc3\xa4chte</dc:title>
<tiff:ImageLength>32</tiff:ImageLength>
<xmp:Thumbnails><rdf:Alt>/9j/4AAQ</rdf:Alt></xmp:Thumbnails>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
CAPTION = b"Glass plate 12, harbour"
IPTC = b"\x1c\x02\x78" + struct.pack(">H", len(CAPTION)) + CAPTION


def exif(orientation: int = 1) -> Image.Exif:
    block = Image.Exif()
    block.endian = "<"
    block[ExifTags.Base.Orientation] = orientation
    block[EXIF], block[GPS] = 0, 0  # places; the directories follow
    block[ExifTags.Base.Artist] = "A. Photographer"
    block[ExifTags.Base.ImageDescription] = "The harbour in 1912"
    block[ExifTags.Base.XResolution], block[ExifTags.Base.YResolution] = 300.0, 600.0
    block[ExifTags.Base.ResolutionUnit] = 2
    block._ifds[EXIF] = {
        ExifTags.Base.DateTimeOriginal: "1912:06:01 10:00:00",
        ExifTags.Base.ExifImageWidth: HEIGHT,
        ExifTags.Base.ExifImageHeight: WIDTH,
        ExifTags.Base.ColorSpace: 65535,
        ExifTags.Base.MakerNote: MAKER_NOTE,
        ExifTags.Base.LensModel: "f/8",
    }
    block._ifds[GPS] = {
        ExifTags.GPS.GPSLatitudeRef: "N",
        ExifTags.GPS.GPSLatitude: (60.0, 1.0, 2.5),
    }
    return block


def with_thumbnail(block: bytes) -> bytes:
    """Adds a second directory with an embedded JPEG to an EXIF block."""
    thumbnail = b"\xff\xd8" + b"grey thumbnail" * 20 + b"\xff\xd9"
    (first,) = struct.unpack_from("<I", block, 4)
    (count,) = struct.unpack_from("<H", block, first)
    out = bytearray(block + bytes(len(block) % 2))
    struct.pack_into("<I", out, first + 2 + 12 * count, len(out))
    at = len(out) + 2 + 2 * 12 + 4
    out += struct.pack("<H", 2)
    out += struct.pack("<HHII", 0x0201, 4, 1, at)
    out += struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail))
    return bytes(out) + bytes(4) + thumbnail


def stored(format: str, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(GREY if format != "WEBP" else RGB).save(file, format, **options)
    return file


def saved(photo: image_io.Photo, format: str, rgb: np.ndarray | None = None) -> io.BytesIO:
    if rgb is None:
        rgb = np.stack([photo.pixels] * 3, axis=-1) if photo.pixels.ndim == 2 else photo.pixels
    file = io.BytesIO()
    left_out = image_io.save_photo(file, photo, rgb, format=format)
    assert left_out == ()
    file.seek(0)
    return file


def read_exif(file: io.BytesIO, format: str) -> Image.Exif:
    file.seek(0)
    with Image.open(file) as image:
        assert image.format == format
        image.load()
        return image.getexif()


EXIF_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")


@pytest.mark.parametrize("result", EXIF_FORMATS)
@pytest.mark.parametrize("source", EXIF_FORMATS)
def test_exif_goes_from_every_format_to_every_other(source: str, result: str) -> None:
    options: dict[str, Any] = {"exif": exif(6)}
    if source == "TIFF":  # Pillow writes its own resolution into a TIFF's one directory
        options |= {"x_resolution": 300, "y_resolution": 600, "resolution_unit": 2}
    photo = image_io.open_photo(stored(source, **options))
    assert photo.size == (WIDTH, HEIGHT)
    assert photo.warnings == ()
    assert photo.metadata.dpi == (600, 300)
    found = read_exif(saved(photo, result), result)
    assert found.get(ExifTags.Base.Orientation, 1) == 1
    assert found[ExifTags.Base.Artist] == "A. Photographer"
    assert found[ExifTags.Base.ImageDescription] == "The harbour in 1912"
    inner = found.get_ifd(EXIF)
    assert inner[ExifTags.Base.DateTimeOriginal] == "1912:06:01 10:00:00"
    assert inner[ExifTags.Base.LensModel] == "f/8"
    assert inner[ExifTags.Base.ExifImageWidth] == HEIGHT
    assert inner[ExifTags.Base.ExifImageHeight] == WIDTH
    assert inner[ExifTags.Base.ColorSpace] == 1
    assert inner[ExifTags.Base.MakerNote] == MAKER_NOTE
    where = found.get_ifd(GPS)
    assert where[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert where[ExifTags.GPS.GPSLatitude] == (60.0, 1.0, 2.5)
    if source != "TIFF":
        assert found[ExifTags.Base.XResolution] == 600
        assert found[ExifTags.Base.YResolution] == 300


@pytest.mark.parametrize("order", "<>")
def test_exif_stays_where_it_is(order: str) -> None:
    """Makers' notes hold offsets into the block: nothing may move."""
    block = Image.Exif()
    block.endian = order
    block[ExifTags.Base.Orientation] = 6
    block._ifds[EXIF] = {ExifTags.Base.MakerNote: MAKER_NOTE}
    raw = block.tobytes()[6:]
    assert raw[:2] == (b"II" if order == "<" else b"MM")
    photo = image_io.open_photo(stored("PNG", exif=raw))
    assert photo.metadata.exif is not None
    assert len(photo.metadata.exif) == len(raw)
    assert photo.metadata.exif.index(MAKER_NOTE) == raw.index(MAKER_NOTE)
    assert sum(a != b for a, b in zip(photo.metadata.exif, raw, strict=True)) == 1
    written = saved(photo, "tif").getvalue()
    assert written.index(MAKER_NOTE) == raw.index(MAKER_NOTE)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(written))[..., 0], photo.pixels)


def test_the_thumbnail_goes() -> None:
    raw = with_thumbnail(exif().tobytes()[6:])
    assert b"grey thumbnail" in raw
    photo = image_io.open_photo(stored("JPEG", exif=b"Exif\0\0" + raw))
    for format in ("jpg", "png", "tif", "webp"):
        file = saved(photo, format)
        assert b"grey thumbnail" not in file.getvalue()
        with Image.open(file) as image:
            assert not image.getexif().get_ifd(ExifTags.IFD.IFD1)
            assert image.getexif()[ExifTags.Base.Artist] == "A. Photographer"
    assert photo.metadata.exif is not None
    assert len(photo.metadata.exif) < len(raw) - 280


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_xmp(source: str) -> None:
    file = stored(source, **{"tiffinfo": {700: XMP}} if source == "TIFF" else {})
    if source == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
        file = stored("PNG", pnginfo=info)
    elif source != "TIFF":
        file = stored(source, xmp=XMP)
    photo = image_io.open_photo(file)
    assert photo.warnings == ()
    assert photo.size == (WIDTH, HEIGHT)  # XMP's orientation, as there is no other
    for result in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):
        found = saved(photo, result)
        with Image.open(found) as image:
            packet = image.info["xmp"]
        root = ElementTree.fromstring(packet)
        description = next(e for e in root.iter() if e.tag.endswith("Description"))
        assert description.get("{http://ns.adobe.com/tiff/1.0/}Orientation") == "1"
        assert description.get("{http://ns.adobe.com/exif/1.0/}PixelXDimension") == str(HEIGHT)
        assert "".join(description.itertext()).split() == ["Nächte", str(WIDTH)]
        assert image_io.open_photo(found).metadata.xmp == photo.metadata.xmp
        assert image_io.open_photo(found).size == (WIDTH, HEIGHT)


def test_exif_goes_before_xmp() -> None:
    photo = image_io.open_photo(stored("JPEG", xmp=XMP, exif=exif(1)))
    assert photo.size == (HEIGHT, WIDTH)


@pytest.mark.parametrize("result", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "BMP"])
def test_resolution(source: str, result: str) -> None:
    photo = image_io.open_photo(stored(source, dpi=(300, 1200)))
    assert photo.metadata.dpi == pytest.approx((300, 1200), abs=0.02)
    file = saved(photo, result)
    with Image.open(file) as image:
        assert image.info["dpi"] == pytest.approx((300, 1200), abs=0.02)
    again = image_io.open_photo(file)
    assert again.metadata.dpi == pytest.approx((300, 1200), abs=0.02)


def test_resolution_in_centimetres() -> None:
    file = io.BytesIO()
    tifffile.imwrite(
        file, GREY, resolution=(120, 60), resolutionunit="CENTIMETER", photometric="minisblack"
    )
    assert image_io.open_photo(file).metadata.dpi == pytest.approx((304.8, 152.4))
    file = io.BytesIO()
    tifffile.imwrite(
        file, GREY, resolution=(120, 60), resolutionunit="NONE", photometric="minisblack"
    )
    assert image_io.open_photo(file).metadata.dpi is None


def test_a_photo_that_says_nothing_stays_silent() -> None:
    photo = image_io.open_photo(stored("PNG"))
    assert photo.metadata == image_io.Metadata(format="PNG")
    with Image.open(saved(photo, "png")) as image:
        image.load()
        assert image.info == {}
    with Image.open(saved(photo, "jpg")) as image:
        assert not {"exif", "xmp", "icc_profile", "comment", "photoshop"} & image.info.keys()


@pytest.mark.parametrize("result", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF"])
def test_iptc(source: str, result: str) -> None:
    photo = image_io.Photo(GREY, metadata=image_io.Metadata(iptc=IPTC))
    photo = image_io.open_photo(saved(photo, source))
    assert photo.metadata.iptc == IPTC
    file = saved(photo, result)
    if result == "PNG":
        with Image.open(file) as image:
            image.load()
            assert CAPTION.hex() in image.info["Raw profile type iptc"].replace("\n", "")
        return
    with Image.open(file) as image:
        assert IptcImagePlugin.getiptcinfo(image)[2, 120] == CAPTION


def test_iptc_among_photoshops_resources() -> None:
    """Each has a name and a length that are made even."""
    before = b"8BIM" + struct.pack(">H", 1005) + b"\x04name\0" + struct.pack(">I", 3) + b"abc\0"
    record = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(IPTC)) + IPTC + bytes(len(IPTC) % 2)
    for resources, expected in (
        (before + record, IPTC),
        (record + before, IPTC),
        (before, None),
        (b"8BIM" + b"\xff" * 30, None),
        (b"rubbish", None),
    ):
        file = io.BytesIO()
        tag = (34377, 1, len(resources), resources, True)
        tifffile.imwrite(file, GREY, photometric="minisblack", extratags=[tag], metadata=None)
        assert image_io.open_photo(file).metadata.iptc == expected


def test_exif_that_pillow_cannot_write_into_avif() -> None:
    photo = image_io.Photo(GREY, metadata=image_io.Metadata(exif=b"II*\0 no directory"))
    left_out = image_io.save_photo(io.BytesIO(), photo, RGB, format="avif")
    assert left_out == ("AVIF cannot hold its EXIF data",)


def test_texts() -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Title", "Hafen, Größe")
    info.add_text("Author", "漢字")
    info.add_text("Comment", "squeezed", zip=True)
    photo = image_io.open_photo(stored("PNG", pnginfo=info))
    expected = {"Title": "Hafen, Größe", "Author": "漢字", "Comment": "squeezed"}
    assert dict(photo.metadata.text) == expected
    with Image.open(saved(photo, "png")) as image:
        assert image.text == expected
    file = io.BytesIO()
    (line,) = image_io.save_photo(file, photo, RGB, format="jpg")
    assert line == "JPEG cannot hold its texts"
    with Image.open(file) as image:
        assert image.info["comment"] == b"squeezed"
    for format in ("JPEG", "GIF"):
        commented = image_io.open_photo(stored(format, comment="père"))
        assert dict(commented.metadata.text) == {"Comment": "père"}


def test_what_a_png_says_after_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """ExifTool writes there."""
    whole = stored("PNG", exif=exif(6)).getvalue()
    at = whole.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(whole[at : at + 4], "big")
    moved = whole[:at] + whole[end:-12] + whole[at:end] + whole[-12:]
    photo = image_io.open_photo(io.BytesIO(moved))
    assert photo.size == (WIDTH, HEIGHT)
    assert b"A. Photographer" in photo.metadata.exif


def test_imagemagick_hides_exif_in_a_text() -> None:
    from PIL.PngImagePlugin import PngInfo

    block = exif(6).tobytes()
    info = PngInfo()
    digits = re.sub("(.{72})", r"\1\n", block.hex())
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{digits}\n", zip=True)
    photo = image_io.open_photo(stored("PNG", pnginfo=info))
    assert photo.size == (WIDTH, HEIGHT)
    assert photo.metadata.text == ()
    assert photo.warnings == ()


def test_what_a_format_cannot_hold_is_said() -> None:
    metadata = image_io.Metadata(
        exif=exif().tobytes()[6:], xmp=XMP, iptc=IPTC, dpi=(300, 300), text=(("Title", "x"),)
    )
    photo = image_io.Photo(GREY, metadata=metadata)
    for format, line in {
        "png": None,
        "tif": "TIFF cannot hold its texts",
        "jpg": "JPEG cannot hold its texts",
        "webp": "WEBP cannot hold its IPTC data, texts",
        "bmp": "BMP cannot hold its EXIF data, XMP data, IPTC data, texts",
    }.items():
        got = image_io.save_photo(io.BytesIO(), photo, RGB, format=format)
        assert got == (() if line is None else (line,))
    long = image_io.Metadata(exif=metadata.exif, xmp=XMP + b" " * 70000, iptc=IPTC * 3000)
    file = io.BytesIO()
    (line,) = image_io.save_photo(file, image_io.Photo(GREY, metadata=long), RGB, format="jpg")
    assert line == "JPEG cannot hold its XMP data, IPTC data"
    assert b"A. Photographer" in image_io.open_photo(file).metadata.exif


GARBAGE = {
    "no header": b"rubbish" * 10,
    "a directory outside": b"II*\0\xff\xff\xff\x7f" + bytes(20),
    "too many entries": b"II*\0\x08\0\0\0\xff\xff" + bytes(20),
    "a loop": b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) * 2 + b"\x08\0\0\0",
    "a pointer outside": b"II*\0\x08\0\0\0\x01\0"
    + struct.pack("<HHII", 0x8769, 4, 1, 99999)
    + bytes(4),
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_garbage_is_left_out_and_the_photo_done(format: str, kind: str) -> None:
    block = GARBAGE[kind]
    if format == "JPEG":
        block = b"Exif\0\0" + block
    photo = image_io.open_photo(stored(format, exif=block, xmp=b"<x><y></x>"))
    np.testing.assert_array_equal(photo.size, (HEIGHT, WIDTH))
    if kind != "a loop":
        assert photo.metadata.exif is None
        assert "its EXIF data is damaged and left out" in photo.warnings
    if format != "PNG":
        assert photo.metadata.xmp is None
        assert "its XMP data is damaged and left out" in photo.warnings
    for result in ("jpg", "png", "tif", "webp", "avif"):
        image_io.save_photo(io.BytesIO(), photo, RGB, format=result)


def test_garbage_in_a_tiff_is_left_out() -> None:
    file = io.BytesIO()
    # A tag nobody knows becomes an EXIF directory that lies outside the file.
    tifffile.imwrite(
        file, GREY, photometric="minisblack", extratags=[(34664, 4, 1, 10**9, True)], metadata=None
    )
    unknown, pointer = (struct.pack("<HHI", tag, 4, 1) for tag in (34664, 34665))
    photo = image_io.open_photo(io.BytesIO(file.getvalue().replace(unknown, pointer)))
    np.testing.assert_array_equal(photo.pixels, GREY)
    assert photo.warnings == ("its EXIF data is damaged and left out",)


def test_entries_that_point_outside_are_dropped() -> None:
    raw = exif().tobytes()[6:]
    at = raw.index(struct.pack("<HH", ExifTags.Base.Artist, 2))
    broken = raw[: at + 8] + struct.pack("<I", 10**8) + raw[at + 12 :]
    photo = image_io.open_photo(stored("PNG", exif=broken))
    found = read_exif(saved(photo, "tif"), "TIFF")
    assert ExifTags.Base.Artist not in found
    assert found[ExifTags.Base.ImageDescription] == "The harbour in 1912"
    assert found.get_ifd(EXIF)[ExifTags.Base.LensModel] == "f/8"


def test_xmp_entities_are_refused() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
    photo = image_io.open_photo(stored("JPEG", xmp=bomb))
    assert photo.metadata.xmp is None
    assert photo.warnings == ("its XMP data is damaged and left out",)


def test_geotiff_stays() -> None:
    file = io.BytesIO()
    scale = (0.5, 0.5, 0.0)
    tifffile.imwrite(
        file, GREY, photometric="minisblack", extratags=[(33550, 12, 3, scale, True)], metadata=None
    )
    written = saved(image_io.open_photo(file), "tif")
    with tifffile.TiffFile(written) as result:
        assert result.pages.first.tags[33550].value == scale
