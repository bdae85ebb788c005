"""Small photos of every format that is read, with every kind of metadata."""

from __future__ import annotations

import functools
import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jaxcolor import image_io


@functools.cache
def photos(number: int = 0) -> dict[str, bytes]:
    """Small whole photos, by what they are; others of other sizes for each number up to 20."""
    height, width = 40 - number, 56 - 2 * number
    y, x = np.mgrid[number:40, 0:width]
    grey = ((x * 4 + y * 2 + 20 * np.sin(x * y / 50)) % 256).astype(np.uint8)
    rgb = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)
    deep = grey.astype(np.uint16) * 257
    icc = bytes(imagecodecs.cms_profile("adobergb"))
    exif = Image.Exif()
    exif[0x0112], exif[0x013B], exif[0x011A] = 6, "A. Photographer", 300.0
    exif[0x8769], exif._ifds[0x8769] = 0, {0x9003: "1912:06:01 10:00:00", 0x927C: bytes(90)}
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:O="1" xmlns:tiff="t"/></x:xmpmeta>'
    texts = PngInfo()
    texts.add_text("Title", "harbour " * 20, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
    found: dict[str, bytes] = {}

    def pillow(name: str, image: Image.Image, format: str, **options: Any) -> None:
        file = io.BytesIO()
        image.save(file, format, **options)
        found[name] = file.getvalue()

    def tiff(name: str, pixels: np.ndarray, **options: Any) -> None:
        file = io.BytesIO()
        photometric = "rgb" if pixels.shape[2:] == (3,) else "minisblack"
        tifffile.imwrite(file, pixels, photometric=photometric, iccprofile=icc, **options)
        found[name] = file.getvalue()

    colour, bright = Image.fromarray(rgb), Image.fromarray(grey)
    everything = {"exif": exif, "icc_profile": icc, "xmp": xmp}
    pillow("jpeg", colour, "JPEG", dpi=(300, 300), comment=b"plate", **everything)
    pillow("jpeg progressive", bright, "JPEG", progressive=True)
    pillow("jpeg cmyk", colour.convert("CMYK"), "JPEG")
    found["jpeg 12"] = imagecodecs.jpeg8_encode(rgb.astype(np.uint16) << 4, 95, bitspersample=12)
    found["jpeg lossless"] = imagecodecs.jpeg8_encode(deep, bitspersample=16, lossless=True)
    planes = b"\0\0" + np.moveaxis(rgb.astype(">u2") * 257, -1, 0).tobytes()
    found["psd 16"] = b"8BPS" + struct.pack(">H6xHIIHH12x", 1, 3, height, width, 16, 3) + planes
    pillow("png", colour, "PNG", exif=exif, icc_profile=icc, pnginfo=texts, dpi=(300, 300))
    pillow("png palette", colour.quantize(16), "PNG")
    pillow("png 16", Image.fromarray(deep), "PNG")
    pillow("png animated", bright, "PNG", save_all=True, append_images=[bright.rotate(90)])
    file = io.BytesIO()
    metadata = image_io.Metadata(exif=exif.tobytes()[6:], xmp=xmp, dpi=(300, 300), icc=icc)
    photo = image_io.Photo(deep, deep, metadata)
    image_io.save_photo(file, photo, rgb.astype(np.uint16) * 257, format="png")
    found["png 16 rgba"] = file.getvalue()
    file = io.BytesIO()
    image_io.save_photo(file, photo, rgb.astype(np.uint16) * 257, format="tif")
    found["tiff 16 rgba"] = file.getvalue()
    pillow("tiff", colour, "TIFF", **everything)
    pillow("tiff fax", bright.convert("1"), "TIFF", compression="group4")
    pillow("tiff jpeg", colour, "TIFF", compression="jpeg")
    pillow("tiff palette", colour.quantize(16), "TIFF", compression="tiff_lzw")
    tiff("tiff lzw", deep, compression="lzw", predictor=True, rowsperstrip=7)
    tiff("tiff tiles", deep, compression="zlib", tile=(16, 16), byteorder=">")
    tiff("tiff planes", rgb, compression="packbits", planarconfig="contig", bigtiff=True)
    tiff("tiff float", (deep / np.float32(65535)).astype(np.float32), compression="zstd")
    pillow("webp", colour, "WEBP", **everything)
    pillow("webp animated", bright, "WEBP", save_all=True, append_images=[bright.rotate(90)])
    pillow("bmp", colour, "BMP")
    pillow("gif", colour.quantize(32), "GIF", comment=b"plate")
    pillow("avif", colour, "AVIF", **everything)
    pillow("jp2", colour, "JPEG2000")
    pillow("ppm", bright, "PPM")
    pillow("tga", colour, "TGA")
    pillow("pcx", bright, "PCX")
    pillow("qoi", colour, "QOI")
    pillow("sgi", bright, "SGI")
    heic = io.BytesIO()
    pillow_heif.from_pillow(colour).save(heic, quality=80)
    found["heic"] = heic.getvalue()
    return found
