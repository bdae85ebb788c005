"""What a photo file holds."""

from __future__ import annotations

import dataclasses

import numpy as np


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
