"""What a photo file holds, and the error that names a file."""

from __future__ import annotations

import dataclasses
import os
from typing import BinaryIO, TypeAlias

import numpy as np

# A file by its path, or one that is open for reading or writing bytes, standard input among them.
Source: TypeAlias = str | os.PathLike[str] | BinaryIO

TRANSPOSING = (5, 6, 7, 8)  # EXIF's orientations that exchange the sides


class Refused(ValueError):
    """Why a photo is refused, as long as the file's name is not known."""


class NotAPhoto(Refused):
    """No picture, or one of a kind that is not read."""


class TooLarge(Refused):
    """More pixels than are allowed; found before anything is decoded.

    Attributes:
      width: of the picture, as it is stored.
      height: likewise.
    """

    def __init__(self, width: int, height: int, message: str):
        super().__init__(message)
        self.width, self.height = width, height


class WrongFrame(Refused):
    """A file of several pictures, none of which is chosen; or a choice that is not there."""


class PhotoError(ValueError):
    """A photo that cannot be read or written; the message is one line that names the file.

    Attributes:
      refusal: the same without the file's name, where the photo itself is to blame.
    """

    def __init__(self, message: str, refusal: Refused | None = None):
        super().__init__(message)
        self.refusal = refusal


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What a photo says about itself beside its pixels, ready to be written with the result.

    Attributes:
      format: Pillow's name of the format that it came in, "JPEG" or "TIFF".
      exif: a block of EXIF from its TIFF header on; orientation 1, no thumbnail.
      xmp: an XMP packet in UTF-8; orientation 1, no thumbnails.
      iptc: an IPTC-IIM record: captions and keywords of archives.
      dpi: horizontal and vertical, of the upright picture.
      icc: an sRGB profile if the photo had a profile of any kind.
      text: keys and texts: those of PNG; the comment of JPEG and GIF is "Comment".
    """

    format: str = "PNG"
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Photo:
    """A photo as its file holds it, upright and in sRGB.

    Attributes:
      pixels: (H, W) grey or (H, W, 3), uint8, uint16 or float32 in [0, 1], in sRGB's encoding.
      alpha: (H, W) of the same type, or None; the colours are not multiplied by it.
      metadata: what is written back.
      warnings: what could not be read and is left out, a line each, without the file's name.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Metadata = Metadata()
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclasses.dataclass
class Stored:
    """A picture as its file stores it: perhaps turned, in a colour space of its own.

    Attributes:
      format: Pillow's name of the format.
      bands: (H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK (all ink is the largest value); uint8,
        uint16 or float32 in [0, 1].
      alpha: (H, W) of the same type, or None.
      orientation: EXIF's number from 1 to 8; None: what EXIF or XMP say.
      icc: the file's profile, as found; so are exif, xmp and iptc.
      dpi, text: as in `Metadata`.
      warnings: what could not be read.
    """

    format: str
    bands: np.ndarray
    alpha: np.ndarray | None = None
    orientation: int | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: tuple[tuple[str, str], ...] = ()
    warnings: list[str] = dataclasses.field(default_factory=list)


def not_chosen() -> WrongFrame:
    """Why a file of several pictures cannot be read as one."""
    return WrongFrame("holds several pictures: choose one (--frame 0 is the first)")


def no_frame(frame: int) -> WrongFrame:
    """Why a picture that is not there cannot be read."""
    return WrongFrame(f"has no picture with the number {frame} (the first has 0)")


def name_of(source: Source) -> str:
    """How messages call a file; on one line, whatever its name."""
    if isinstance(source, (str, os.PathLike)):
        return one_line(os.fspath(source))
    name = getattr(source, "name", None)
    return one_line(name) if isinstance(name, str) else "the photo"


def one_line(text: str) -> str:
    """Text with what cannot be printed on one line written as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
