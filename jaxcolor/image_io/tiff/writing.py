"""TIFF files of 8 or 16 bits, written strip by strip.

TIFF 6.0: chunky RGB(A), deflate with the horizontal predictor. A block of EXIF is a TIFF file
without pixels: the new file begins with it, so that every offset in it stays right, makers' notes
included, and a new main directory at the end takes its place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import BinaryIO

import imagecodecs
import numpy as np

from jaxcolor.image_io.deflate import BLOCK, blocks, side_by_side
from jaxcolor.image_io.errors import Refused
from jaxcolor.image_io.metadata import exif
from jaxcolor.image_io.metadata.ifd import LONG, RATIONAL, SHORT, Value, packed
from jaxcolor.image_io.photo import Metadata

_BYTE, _UNDEFINED = 1, 7
_CODES = {SHORT: "H", LONG: "I"}
_EMPTY = b"II*\0\0\0\0\0"
_MAX_SIZE = 2**32 - 1  # what offsets can say
_DEFLATE, _RGB, _CHUNKY, _HORIZONTAL, _UNASSOCIATED, _INCH = 8, 2, 1, 2, 2, 2
_DPI_PARTS = 10_000
# libdeflate's level 2 takes half of the time of zlib's 3 for files of the same size.
_LEVEL = 2


def write(
    file: BinaryIO,
    strips: Iterable[np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype,
    metadata: Metadata,
) -> None:
    """Writes a TIFF.

    Args:
      file: open for writing and seeking.
      strips: (h, W, 3 or 4) of uint8 or uint16, from the top.
      shape: height, width and channels of the whole.
      dtype: of the strips.
      metadata: what it says.

    Raises:
      Refused: the file would be larger than the 4 GB that a TIFF can have.
    """
    height, width, channels = shape
    order, inherited = exif.main_entries(metadata.exif) if metadata.exif else ("<", [])
    file.write(_even(metadata.exif or _EMPTY))
    rows = min(height, max(1, BLOCK // (width * channels * dtype.itemsize)))
    offsets, counts = [], []
    for data in side_by_side(lambda block: _compressed(block, order), blocks(strips, rows)):
        offsets.append(_place(file))
        counts.append(len(data))
        file.write(_even(data))
    values = {
        256: _numbers(order, LONG, width),
        257: _numbers(order, LONG, height),
        258: _numbers(order, SHORT, *[8 * dtype.itemsize] * channels),
        259: _numbers(order, SHORT, _DEFLATE),
        262: _numbers(order, SHORT, _RGB),
        273: _numbers(order, LONG, *offsets),
        277: _numbers(order, SHORT, channels),
        278: _numbers(order, LONG, rows),
        279: _numbers(order, LONG, *counts),
        284: _numbers(order, SHORT, _CHUNKY),
        317: _numbers(order, SHORT, _HORIZONTAL),
    }
    if channels == 4:
        values[338] = _numbers(order, SHORT, _UNASSOCIATED)
    _write_directory(file, order, values | _described(order, metadata), inherited)


def _described(order: str, metadata: Metadata) -> dict[int, Value]:
    values: dict[int, Value] = {}
    if metadata.dpi:
        for tag, dpi in zip((282, 283), metadata.dpi, strict=True):
            parts = _DPI_PARTS if dpi < _MAX_SIZE / _DPI_PARTS else 1
            dots = min(round(dpi * parts), _MAX_SIZE)
            values[tag] = RATIONAL, 1, struct.pack(order + "II", dots, parts)
        values[296] = _numbers(order, SHORT, _INCH)
    for tag, kind, content in (
        (700, _BYTE, metadata.xmp),
        (33723, _UNDEFINED, metadata.iptc),
        (34675, _UNDEFINED, metadata.icc),
    ):
        if content:
            values[tag] = kind, len(content), content
    return values


def _write_directory(
    file: BinaryIO, order: str, values: dict[int, Value], inherited: list[bytes]
) -> None:
    """Writes the main directory at the end and lets the header point to it."""
    at = _place(file)
    file.write(packed(order, values, at, inherited))
    _place(file)
    file.seek(4)
    file.write(struct.pack(order + "I", at))


def _place(file: BinaryIO) -> int:
    """Where the file stands."""
    place = file.tell()
    if place > _MAX_SIZE:
        raise Refused("larger than the 4 GB that a TIFF can have; name it .png")
    return place


def _numbers(order: str, kind: int, *numbers: int) -> Value:
    return kind, len(numbers), struct.pack(f"{order}{len(numbers)}{_CODES[kind]}", *numbers)


def _even(data: bytes) -> bytes:
    return data + bytes(len(data) % 2)


def _compressed(block: np.ndarray, order: str) -> bytes:
    """Pixels as differences from their left neighbours, deflated."""
    differences = block.copy()
    differences[:, 1:] -= block[:, :-1]
    stored = differences.astype(f"{order}u{block.itemsize}", copy=False)
    return bytes(imagecodecs.deflate_encode(stored.tobytes(), level=_LEVEL))
