"""Photoshop's own files: the picture of all layers together.

Adobe Photoshop File Formats Specification. Pillow reads those of 8 bits only.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import imagecodecs
import numpy as np

from jaxcolor.image_io import pillow_reading
from jaxcolor.image_io.errors import NotAPhoto, Refused, no_frame
from jaxcolor.image_io.limits import check_size
from jaxcolor.image_io.photo import Stored

SIGNATURE = b"8BPS"
_HEADER = ">4sH6xHIIHH"  # signature, version, channels, height, width, bits, mode
_DEPTH_AT = 22  # where the bits stand
_CHANNELS = {1: 1, 3: 3, 4: 4}  # mode (grey, RGB, CMYK) -> channels, without extra ones
_GREY, _RGB, _CMYK = 1, 3, 4
_LARGE = 2  # a version, for pictures of more than 30,000 pixels a side
_RAW, _PACKED = 0, 1
_MAX_CHANNELS = 56


def read(file: BinaryIO, max_pixels: int, frame: int | None) -> Stored:
    """Reads the whole picture, in 8 or 16 bits.

    Raises:
      Refused: too large, damaged, cut short, or of a kind that is not read.
    """
    file.seek(0)
    head = file.read(struct.calcsize(_HEADER))
    if len(head) < struct.calcsize(_HEADER):
        raise Refused("damaged or cut short: no header")
    _, version, channels, height, width, bits, mode = struct.unpack(_HEADER, head)
    if version == _LARGE:
        raise NotAPhoto("a large document (PSB) of Photoshop, which is not read: save it as TIFF")
    if bits not in (1, 8, 16):
        raise NotAPhoto(f"a PSD of {bits} bits, which is not read: save it as TIFF")
    if bits != 16:
        return pillow_reading.read(file, max_pixels, frame)
    if frame:
        raise no_frame(frame)
    check_size(width, height, max_pixels)
    if mode not in _CHANNELS:
        raise NotAPhoto("a PSD of 16 bits in colours that are not read: save it as RGB")
    if not _CHANNELS[mode] <= channels <= _MAX_CHANNELS:
        raise Refused(f"damaged: {channels} channels")
    return _read_deep(file, mode, (channels, height, width))


def _read_deep(file: BinaryIO, mode: int, shape: tuple[int, int, int]) -> Stored:
    file.seek(struct.calcsize(_HEADER))
    for _ in range(3):  # of palettes, of resources, of layers
        file.seek(int.from_bytes(file.read(4), "big"), 1)
    start = file.tell()
    channels = _CHANNELS[mode]
    alphas = 1 if (mode, shape[0]) == (_RGB, 4) else 0  # others may be selections that were kept
    planes = _planes(file, shape, channels + alphas)
    bands = np.ascontiguousarray(np.moveaxis(planes[:channels], 0, -1))
    if mode == _CMYK:  # stored as light, not as ink
        bands = ~bands
    stored = pillow_reading.described(
        _shown_to_pillow(file, start),
        bands[..., 0] if mode == _GREY else bands,
        planes[channels].copy() if alphas else None,
    )
    return stored


def _shown_to_pillow(file: BinaryIO, end: int) -> pillow_reading.Psd:
    """The file's header and what it says beside its pixels, as if these were none of 16 bits."""
    file.seek(0)
    head = bytearray(file.read(end))
    head[_DEPTH_AT : _DEPTH_AT + 2] = b"\0\x08"
    return pillow_reading.Psd(io.BytesIO(bytes(head) + b"\0\0"))


def _planes(file: BinaryIO, shape: tuple[int, int, int], wanted: int) -> np.ndarray:
    """The first channels, (C, H, W) of uint16."""
    channels, height, width = shape
    compression = int.from_bytes(file.read(2), "big")
    row_bytes = 2 * width
    if compression == _RAW:
        data = file.read(wanted * height * row_bytes)
    elif compression == _PACKED:
        counts = np.frombuffer(file.read(2 * channels * height), ">u2")[: wanted * height]
        rows = (imagecodecs.packbits_decode(file.read(int(count))) for count in counts)
        data = b"".join(row[:row_bytes].ljust(row_bytes, b"\0") for row in rows)
    else:
        raise NotAPhoto("a PSD whose pixels are packed in a way that is not read: save it as TIFF")
    if len(data) < wanted * height * row_bytes:
        raise Refused("damaged or cut short")
    return np.frombuffer(data, ">u2").reshape(wanted, height, width).astype(np.uint16)
