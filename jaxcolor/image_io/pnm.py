"""Binary PGM and PPM files, which scanner programs write, in full depth.

https://netpbm.sourceforge.net/doc/ppm.html. Pillow reads colours of 16 bits as 8, and takes a
second a megapixel where white is not 255 or 65535.
"""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np

from jaxcolor.image_io import cut_short
from jaxcolor.image_io.errors import Refused
from jaxcolor.image_io.limits import check_size
from jaxcolor.image_io.photo import Stored

_HEADER = re.compile(rb"P([56])" + rb"(?:\s|#[^\n\r]*[\n\r])+(\d{1,10})" * 3 + rb"\s")
_MAX_HEADER = 4096  # bytes, with its comments
_CHANNELS = {b"5": 1, b"6": 3}


def is_binary(head: bytes) -> bool:
    """Whether a file that begins so is a binary PGM or PPM."""
    return re.match(rb"P[56][\s#]", head) is not None


def read(file: BinaryIO, max_pixels: int) -> Stored:
    """Reads the first picture of the file.

    Raises:
      Refused: too large, damaged, or cut short before half of the picture.
    """
    file.seek(0)
    header = _HEADER.match(file.read(_MAX_HEADER))
    if header is None:
        raise Refused("damaged: no header")
    width, height, white = (int(header[i]) for i in (2, 3, 4))
    check_size(width, height, max_pixels)
    if not 1 <= white <= 65535:
        raise Refused(f"damaged: its white is {white}")
    channels = _CHANNELS[header[1]]
    dtype = np.dtype(">u2" if white > 255 else np.uint8)
    there = (file.seek(0, 2) - header.end()) // (channels * dtype.itemsize)
    missing = 1 - min(there / (height * width), 1)
    warnings = [cut_short.warning(missing)] if missing else []
    file.seek(header.end())
    samples = np.empty((height, width, channels), dtype)
    file.readinto(samples.data.cast("B"))  # type: ignore[attr-defined]  # BinaryIO does not tell
    bands = _full_range(samples, white)
    bands.reshape(-1, channels)[there:] = cut_short.grey(bands.dtype)
    return Stored("PPM", bands if channels == 3 else bands[..., 0], warnings=warnings)


def _full_range(samples: np.ndarray, white: int) -> np.ndarray:
    if samples.dtype.itemsize == 2 and not samples.dtype.isnative:
        samples = samples.byteswap(inplace=True).view(np.uint16)
    top = np.iinfo(samples.dtype).max
    if white == top:
        return samples
    levels = np.minimum(np.arange(top + 1), white) * top
    table = ((levels + white // 2) // white).astype(samples.dtype)
    for row in samples:
        row[...] = table[row]
    return samples
