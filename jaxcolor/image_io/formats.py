"""All that is known of each format: names, what it can hold, how it is written, what that costs.

Imports nothing heavy: the command's help is made of it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxcolor.image_io.errors import PhotoError, name_of

# JPEG's steps of quantization, row by row: 8 rows of vertical frequencies, 8 horizontal ones each.
# Luma's 28 lowest frequencies have steps of 1, the others of 2: that keeps 99.9 % of L within 1.
# The usual tables take more bytes for it (docs/refine.md). Chroma, whose errors move L too where
# colours are vivid, has the steps of quality 96, but none below 2.
_LUMA = [1 if u + v < 7 else 2 for v in range(8) for u in range(8)]
_CHROMA = [
    *(2, 2, 2, 4, 8, 8, 8, 8),
    *(2, 2, 2, 5, 8, 8, 8, 8),
    *(2, 2, 4, 8, 8, 8, 8, 8),
    *(4, 5, 8, 8, 8, 8, 8, 8),
    *[8] * 32,
]


@dataclasses.dataclass(frozen=True)
class Format:
    """A format that photos come in, and perhaps one that results are written in.

    Attributes:
      name: Pillow's.
      title: as people write it.
      media_type: HTTP's name.
      suffixes: of file names; the first is given to results whose photo has another format.
      read_suffixes: further ones, of files that are read and become results of another suffix.
      written: results can have it.
      deep: results hold 16 bits.
      alpha: results hold transparency.
      holds: the fields of `Metadata` that results hold.
      options: of Pillow's encoder.
      max_side: of a result, in pixels.
      max_pixels: of a result, where the encoder's memory is the limit: with this many the whole
        program stays under 2.5 GB (docs/refine.md).
      costly: its decoder holds a picture several times over, and gets 2/5 of the limit on pixels.
      result: the name of the format that a photo's result has; its own where that is written.
    """

    name: str
    title: str
    media_type: str
    suffixes: tuple[str, ...]
    read_suffixes: tuple[str, ...] = ()
    written: bool = False
    deep: bool = False
    alpha: bool = True
    holds: frozenset[str] = frozenset()
    options: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    max_side: int = 2**31 - 1
    max_pixels: int | None = None
    costly: bool = False
    result: str = "PNG"


# A result is written once and kept for long. JPEG and AVIF keep the full resolution of colours;
# WebP can do so only without loss. There method 1 is 15 % smaller than 0, and quality, which is
# effort, gains 0.1 % from 50 to 80 at three times the time.
_WRITTEN = (
    Format(
        "PNG",
        "PNG",
        "image/png",
        (".png",),
        (".apng",),
        deep=True,
        holds=frozenset({"exif", "xmp", "iptc", "dpi", "icc", "text"}),
    ),
    Format(
        "TIFF",
        "TIFF",
        "image/tiff",
        (".tif", ".tiff"),
        (".ptif", ".ptiff", ".btf", ".tf8"),
        deep=True,
        holds=frozenset({"exif", "xmp", "iptc", "dpi", "icc"}),
    ),
    Format(
        "JPEG",
        "JPEG",
        "image/jpeg",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        (".mpo",),
        alpha=False,
        holds=frozenset({"exif", "xmp", "iptc", "dpi", "icc", "text"}),
        options={"qtables": [_LUMA, _CHROMA], "subsampling": "4:4:4"},
        max_side=65500,
    ),
    Format(
        "WEBP",
        "WebP",
        "image/webp",
        (".webp",),
        holds=frozenset({"exif", "xmp", "icc"}),
        options={"lossless": True, "method": 1, "quality": 50, "exact": True},
        max_side=16383,
        max_pixels=50_000_000,
        costly=True,
    ),
    Format(
        "AVIF",
        "AVIF",
        "image/avif",
        (".avif",),
        holds=frozenset({"exif", "xmp", "icc"}),
        options={"quality": 99, "subsampling": "4:4:4", "speed": 8},
        max_side=65536,
        max_pixels=40_000_000,
        costly=True,
    ),
    Format(
        "BMP",
        "BMP",
        "image/bmp",
        (".bmp",),
        (".dib",),
        alpha=False,
        holds=frozenset({"dpi"}),
        max_side=65535 * 256,
    ),
)
_READ = (
    Format("HEIF", "HEIC", "image/heic", (".heic", ".heif", ".hif"), costly=True, result="JPEG"),
    Format("GIF", "GIF", "image/gif", (".gif",)),
    Format("JPEG2000", "JPEG 2000", "image/jp2", (".jp2", ".j2k", ".jpf", ".jpx"), costly=True),
    Format("PPM", "PNM", "image/x-portable-anymap", (".pgm", ".pbm", ".ppm", ".pnm", ".pfm")),
    Format("PSD", "PSD", "image/vnd.adobe.photoshop", (".psd",)),
    Format("PCX", "PCX", "image/x-pcx", (".pcx",)),
    Format("QOI", "QOI", "image/qoi", (".qoi",)),
    Format("SGI", "SGI", "image/sgi", (".sgi",)),
    Format("SUN", "Sun raster", "image/x-sun-raster", (".ras",)),
    Format("TGA", "TGA", "image/x-tga", (".tga",)),
)
FORMATS = tuple(dataclasses.replace(f, written=True, result=f.name) for f in _WRITTEN) + _READ
WRITTEN = tuple(format for format in FORMATS if format.written)

_BY_NAME = {format.name: format for format in FORMATS}
_BY_SUFFIX = {suffix: format for format in WRITTEN for suffix in format.suffixes}
_READ_BY_SUFFIX = {s: f for f in FORMATS for s in (*f.suffixes, *f.read_suffixes)}

SUFFIXES = tuple(_BY_SUFFIX)
# Those of all photos that `open_photo` reads.
PHOTO_SUFFIXES = tuple(_READ_BY_SUFFIX)
# Those of photos of kinds that are not read: newer codecs, large documents, cameras' raw files.
UNREAD_SUFFIXES = (
    *(".jxl", ".jxr", ".hdp", ".wdp", ".jls", ".psb", ".xcf", ".exr", ".hdr", ".djvu"),
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf"),
    *(".rw2", ".pef", ".srw", ".raw", ".rwl", ".3fr", ".fff", ".iiq", ".mrw", ".dcr", ".kdc"),
    *(".erf", ".mef", ".mos", ".x3f"),
)
# Folders that others leave among photos: a NAS its thumbnails, macOS's archives what is no picture.
_LEFT_BY_OTHERS = frozenset({"@eaDir", "__MACOSX"})
# What the command line offers.
NAMES = tuple(format.suffixes[0][1:] for format in WRITTEN)


def is_passed_over(name: str) -> bool:
    """Whether a file or folder in a folder of photos is none of them: hidden, or left by others."""
    return name.startswith(".") or name in _LEFT_BY_OTHERS


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words as a sentence lists them: "a, b and c"."""
    *others, end = words
    return f"{', '.join(others)} {last} {end}" if others else end


def named(name: str) -> Format:
    """The format of a name or suffix: "png", ".PNG", "jpeg", "jpg", "tif".

    Raises:
      ValueError: there is none of that name.
    """
    wanted = "." + name.lower().lstrip(".")
    if wanted not in _BY_SUFFIX:
        raise ValueError(f"{name}: no format that can be written; use one of {', '.join(NAMES)}")
    return _BY_SUFFIX[wanted]


def own_format(name: str) -> Format:
    """The format that Pillow calls so, or PNG where that cannot be written."""
    own = _BY_NAME.get(name, WRITTEN[0])
    return own if own.written else WRITTEN[0]


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format that a file name's suffix means.

    Raises:
      PhotoError: the suffix is none that can be written.
    """
    format = _BY_SUFFIX.get(Path(path).suffix.lower())
    if format is None:
        raise PhotoError(
            f"{name_of(path)}: the suffix says the format: use one of {', '.join(SUFFIXES)}"
        )
    return format


def result_suffix(photo: str | os.PathLike[str], format: str | None = None) -> str:
    """The suffix of a photo's result.

    Args:
      photo: the photo's file name.
      format: as `named` takes it. None: the photo's own format where it can be written, JPEG for
        HEIC, PNG for the rest.

    Returns:
      The suffix with its dot; spelled as in the photo's name where that means the same format.
    """
    own = Path(photo).suffix
    if format is not None:
        wanted = named(format)
        return own if own.lower() in wanted.suffixes else wanted.suffixes[0]
    if own.lower() in _BY_SUFFIX:
        return own
    known = _READ_BY_SUFFIX.get(own.lower(), WRITTEN[0])
    return _BY_NAME[known.result].suffixes[0]
