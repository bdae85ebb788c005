"""Files of all formats but PNG and TIFF, written by way of Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

import numpy as np
from PIL import Image

from jaxcolor.image_io.formats import Format
from jaxcolor.image_io.metadata import exif, photoshop
from jaxcolor.image_io.metadata.fitting import COMMENT
from jaxcolor.image_io.photo import Metadata

_PASTED = 64  # rows that Pillow copies at once


def write(
    format: Format,
    file: BinaryIO,
    strips: Iterator[np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype,
    metadata: Metadata,
) -> None:
    """Writes a picture of 8 bits, which Pillow needs whole.

    Args:
      format: of the file.
      file: open for writing and seeking.
      strips: (h, W, 3 or 4) of uint8, from the top.
      shape: height, width and channels of the whole.
      dtype: of the strips.
      metadata: what it says; fits the format.
    """
    height, width, channels = shape
    image = Image.new("RGBA" if channels == 4 else "RGB", (width, height))
    top = 0
    for strip in strips:
        for rows in np.split(strip, range(_PASTED, len(strip), _PASTED)):
            image.paste(Image.fromarray(rows), (0, top))
            top += len(rows)
    arguments = format.options | _arguments(metadata, format.name)
    image.save(cast(IO[bytes], _Plain(file)), format.name, **arguments)


class _Block(Image.Exif):
    """A block of EXIF that is written as it is: Pillow takes bytes apart, and warns of oddities."""

    def __init__(self, block: bytes):
        super().__init__()
        self._block = block

    def __bool__(self) -> bool:
        return True  # though it holds no entry that Pillow knows

    def tobytes(self, offset: int = 8) -> bytes:
        return self._block


class _Plain:
    """A file without a descriptor.

    Given one, Pillow writes past Python, and takes it for success if the last block is written in
    part only: on a full disk the end of a picture would be missing.
    """

    def __init__(self, file: BinaryIO):
        self.write, self.flush = file.write, file.flush
        self.seek, self.tell = file.seek, file.tell


def _arguments(metadata: Metadata, name: str) -> dict[str, Any]:
    """Fitting metadata as Pillow's `save` takes it for this format."""
    block = metadata.exif and exif.MARK + metadata.exif
    arguments: dict[str, Any] = {"exif": _Block(block) if block and name == "AVIF" else block}
    arguments |= {"xmp": metadata.xmp, "icc_profile": metadata.icc}
    if metadata.dpi:
        arguments["dpi"] = tuple(min(65535, max(1, round(dpi))) for dpi in metadata.dpi)
    if name == "JPEG":
        arguments["comment"] = dict(metadata.text).get(COMMENT, "").encode()
        arguments["extra"] = _iptc_segment(metadata.iptc)
    return {key: value for key, value in arguments.items() if value}


def _iptc_segment(iptc: bytes | None) -> bytes:
    if not iptc:
        return b""
    content = photoshop.MARK + photoshop.resources(iptc)
    return b"\xff\xed" + (2 + len(content)).to_bytes(2, "big") + content
