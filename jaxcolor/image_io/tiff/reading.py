"""TIFF files: which page is the photo, and what it says beside its pixels.

TIFF 6.0 and its supplements, BigTIFF included.
"""

from __future__ import annotations

import itertools
import logging
import struct
from collections.abc import Iterator
from typing import BinaryIO

import tifffile
from tifffile import TiffFile, TiffPage

from jaxcolor.image_io.errors import NotAPhoto, no_frame, not_chosen
from jaxcolor.image_io.limits import check_size
from jaxcolor.image_io.metadata import exif, photoshop
from jaxcolor.image_io.metadata.ifd import Read
from jaxcolor.image_io.photo import Stored
from jaxcolor.image_io.profiles import MAX_PROFILE
from jaxcolor.image_io.tiff import pixels as tiff_pixels

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_CFA, _LINEAR_RAW, _DNG_VERSION = 32803, 34892, 50706  # raw files: colour models, a tag
_MAX_PAGES = 1000  # looked at in search of pictures
_MAX_VALUE = MAX_PROFILE  # bytes of a tag: the profile is the largest
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 274, 282, 283, 296
_XMP, _IPTC, _PHOTOSHOP, _ICC = 700, 33723, 34377, 34675

# tifffile logs what it finds odd; without a handler Python prints that.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def read(file: BinaryIO, max_pixels: int, frame: int | None) -> Stored:
    """Reads the only picture of a TIFF, or the one with the number `frame`.

    Pages that say of themselves that they are reduced images or masks are not counted. Where each
    page is half as large as the one before, they are one picture: ImageMagick writes pyramids so.

    Raises:
      Refused: several pictures and no `frame`; too large, damaged, cut short, or of a kind that is
        not read.
    """
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page, others = _chosen(tiff, frame)
        check_size(page.imagewidth, page.imagelength, max_pixels)
        warnings: list[str] = []
        if any(other.subfiletype & _MASK for other in others):
            warnings.append("its transparency mask is left out")
        bands, alpha = tiff_pixels.read(file, page, warnings)
        stored = Stored("TIFF", bands, alpha, _orientation(page), dpi=_dpi(page), warnings=warnings)
        stored.icc, stored.xmp = _bytes(file, page, _ICC), _bytes(file, page, _XMP)
        stored.iptc = _bytes(file, page, _IPTC)
        stored.iptc = stored.iptc or photoshop.iptc(_bytes(file, page, _PHOTOSHOP) or b"")
        try:
            order, big = tiff.byteorder, tiff.is_bigtiff
            stored.exif = exif.from_tiff(_reader(file), order, page.offset, big=big)
        except (ValueError, struct.error):
            stored.warnings.append("its EXIF data is damaged and left out")
    return stored


def _chosen(tiff: TiffFile, frame: int | None) -> tuple[TiffPage, list[TiffPage]]:
    """The page that is wanted, and those beside it that were looked at."""
    others: list[TiffPage] = []
    pictures = _pictures(tiff, others)
    if frame is not None:
        page = next(itertools.islice(pictures, frame, None), None)
        if page is None:
            raise no_frame(frame)
        return page, []
    page = level = next(pictures, None)
    if page is None or level is None:
        raise NotAPhoto("holds no picture but reduced ones: a camera's raw file?")
    for following in pictures:
        if not _is_half(level, following):
            raise not_chosen()
        level = following
    return page, others


def _is_half(page: TiffPage, following: TiffPage) -> bool:
    """Whether a page may be the next level of a pyramid."""
    sides = zip(
        (page.imagewidth, page.imagelength),
        (following.imagewidth, following.imagelength),
        strict=True,
    )
    return page.samplesperpixel == following.samplesperpixel and all(
        half in (side // 2, (side + 1) // 2) for side, half in sides
    )


def _pictures(tiff: TiffFile, others: list[TiffPage]) -> Iterator[TiffPage]:
    """The pages that are pictures of their own; the others are added to the list."""
    for index in range(_MAX_PAGES):
        try:
            page = tiff.pages[index]
        except (IndexError, tifffile.TiffFileError):
            if index == 0:
                raise
            return
        if not isinstance(page, TiffPage):
            return
        if page.photometric in (_CFA, _LINEAR_RAW) or _DNG_VERSION in page.tags:
            raise NotAPhoto("a camera's raw file: develop it first")
        if page.subfiletype & (_REDUCED | _MASK):
            others.append(page)
        else:
            yield page


def _orientation(page: TiffPage) -> int | None:
    value = page.tags.valueof(_ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def _dpi(page: TiffPage) -> tuple[float, float] | None:
    tags = page.tags
    try:
        x, x_parts = tags.valueof(_X_RESOLUTION)
        y, y_parts = tags.valueof(_Y_RESOLUTION)
        scale = exif.INCHES[tags.valueof(_RESOLUTION_UNIT, default=2)]
        dpi = x / x_parts * scale, y / y_parts * scale
    except (TypeError, ValueError, KeyError, ZeroDivisionError):
        return None
    return dpi if min(dpi) > 0 else None


def _bytes(file: BinaryIO, page: TiffPage, code: int) -> bytes | None:
    """A tag's value as it stands in the file."""
    tag = page.tags.get(code)
    if tag is None or tag.valuebytecount > _MAX_VALUE:
        return None
    file.seek(tag.valueoffset)
    return file.read(tag.valuebytecount) or None


def _reader(file: BinaryIO) -> Read:
    def read(at: int, count: int) -> bytes:
        file.seek(at)
        data = file.read(count)
        if len(data) < count:
            raise ValueError("outside the file")
        return data

    return read
