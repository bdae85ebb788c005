"""Which formats a result can be written in, and what each can hold."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from jaxcolor.image_io.photo import PhotoError, name_of


@dataclasses.dataclass(frozen=True)
class Format:
    """A format that results are written in.

    Attributes:
      name: Pillow's.
      suffixes: of file names; the first is given to results whose photo has another format.
      deep: holds 16 bits.
      alpha: holds transparency.
      max_side: of the picture, in pixels.
      max_pixels: of the picture, where the encoder's memory is the limit: with this many the whole
        program stays under 2.5 GB (docs/refine.md).
    """

    name: str
    suffixes: tuple[str, ...]
    deep: bool = False
    alpha: bool = True
    max_side: int = 2**31 - 1
    max_pixels: int | None = None


_FORMATS = (
    Format("PNG", (".png",), deep=True),
    Format("TIFF", (".tif", ".tiff"), deep=True),
    Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), alpha=False, max_side=65500),
    Format("WEBP", (".webp",), max_side=16383, max_pixels=50_000_000),
    Format("AVIF", (".avif",), max_side=65536, max_pixels=40_000_000),
    Format("BMP", (".bmp",), alpha=False, max_side=65535 * 256),
)
_BY_SUFFIX = {suffix: format for format in _FORMATS for suffix in format.suffixes}
_HEIC_SUFFIXES = (".heic", ".heif", ".hif")

SUFFIXES = tuple(_BY_SUFFIX)
# Those of all photos that `open_photo` reads.
PHOTO_SUFFIXES = (
    *SUFFIXES,
    *_HEIC_SUFFIXES,
    *(".mpo", ".gif", ".jp2", ".j2k", ".jpf", ".jpx", ".pgm", ".pbm", ".ppm", ".pnm", ".pfm"),
    *(".psd", ".pcx", ".qoi", ".sgi", ".ras", ".tga", ".dib", ".apng"),
)
# What the command line offers.
NAMES = tuple(format.suffixes[0][1:] for format in _FORMATS)


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
    return next((format for format in _FORMATS if format.name == name), _FORMATS[0])


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
    return ".jpg" if own.lower() in _HEIC_SUFFIXES else ".png"
