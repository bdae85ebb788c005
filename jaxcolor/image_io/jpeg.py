"""JPEG files of all kinds: of 8 bits by way of Pillow, others by way of imagecodecs.

ITU-T T.81. Pillow reads 8 bits only, and gives up where the end of a file is missing.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from typing import BinaryIO, cast

import imagecodecs
import numpy as np

from jaxcolor.image_io import cut_short, modes, pillow_reading
from jaxcolor.image_io.errors import NotAPhoto, Refused
from jaxcolor.image_io.limits import check_scans, check_size
from jaxcolor.image_io.photo import Stored

SIGNATURE = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_SCAN = b"\xff\xda"
# Kinds of frames by the low half of their marker: those that are coded by steps of difference
# between resolutions (5 to 7, 13 to 15) are read by nobody.
_PLAIN, _LOSSLESS, _LOSSLESS_ARITHMETIC = (0, 1, 2, 9, 10), 3, 11
_PROGRESSIVE = (2, 10)
_NO_FRAMES = (4, 8, 12)  # tables of Huffman codes and of arithmetic coding
_JPEG_LS = 0xF7
_MAX_SEGMENTS = 10_000
_TRAILING = 1 << 12  # bytes that may stand behind a picture's end
# In the place of data that is missing, where libjpeg takes zeros: this begins with a one. A picture
# that is whole does not change by it.
_FILLING = b"\xaa" * 64
_MISSED = 0.75  # of a block's pixels are grey: the next one's chroma may shine in at its edges


@dataclasses.dataclass(frozen=True)
class _Frame:
    """A frame's header, and where it stands."""

    at: int
    kind: int
    bits: int
    height: int
    width: int
    sampling: tuple[tuple[int, int], ...]  # of each component, horizontally and vertically

    @property
    def unit(self) -> tuple[int, int]:
        """Height and width in pixels of what is coded together, in a scan of all components."""
        if len(self.sampling) == 1:
            return 8, 8
        return 8 * max(v for _, v in self.sampling), 8 * max(h for h, _ in self.sampling)


def read(file: BinaryIO, max_pixels: int, frame: int | None) -> Stored:
    """Reads a JPEG of any kind.

    Raises:
      Refused: too large, damaged, cut short before half of the picture, or of a kind that is not
        read.
    """
    header = _frame(file)
    if header is None:
        return pillow_reading.read(file, max_pixels, frame)
    check_size(header.width, header.height, max_pixels)
    if header.kind in _PLAIN and header.bits == 8:
        return _read_plain(file, max_pixels, frame, header)
    if header.kind not in (*_PLAIN, _LOSSLESS):
        raise NotAPhoto(f"a JPEG of a kind that is not read ({_name(header.kind)})")
    return _read_deep(file, header)


def _read_plain(file: BinaryIO, max_pixels: int, frame: int | None, header: _Frame) -> Stored:
    """By Pillow, which is shown an end where the file has none."""
    watched = _Watched(file)
    try:
        return pillow_reading.read(cast(BinaryIO, watched), max_pixels, frame)
    except OSError:
        if not watched.ended:
            raise
    file.seek(0)
    content = _whole_segments(file.read())

    def decoded(end: bytes) -> Stored:
        return pillow_reading.read(io.BytesIO(content + end), max_pixels, frame)

    stored = decoded(_END)
    line = _what_is_missing(header, content, stored.bands, lambda: decoded(_FILLING + _END).bands)
    stored.warnings.append(line)
    return stored


def _frame(file: BinaryIO) -> _Frame | None:
    """The header of the first frame; None where there is none, or it makes no sense."""
    at = file.seek(2)
    for _ in range(_MAX_SEGMENTS):
        mark = file.read(4)
        if len(mark) < 4 or mark[0] != 0xFF:
            return None
        if mark[1] == 0xFF:  # a byte that fills
            at = file.seek(at + 1)
            continue
        if mark[1] == _JPEG_LS:
            raise NotAPhoto("a JPEG of a kind that is not read (JPEG-LS)")
        if 0xC0 <= mark[1] <= 0xCF and mark[1] - 0xC0 not in _NO_FRAMES:
            return _parsed(at, mark[1] - 0xC0, file.read(int.from_bytes(mark[2:], "big") - 2))
        if mark[1] in (0xD9, 0xDA):
            return None
        at = file.seek(at + 2 + int.from_bytes(mark[2:], "big"))
    return None


def _parsed(at: int, kind: int, content: bytes) -> _Frame | None:
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        return None
    height, width = (int.from_bytes(content[i : i + 2], "big") for i in (1, 3))
    factors = content[7 : 6 + 3 * content[5] : 3]
    sampling = tuple((factor >> 4, factor & 15) for factor in factors)
    if not sampling or 0 in {side for pair in sampling for side in pair}:
        return None
    return _Frame(at, kind, content[0], height, width, sampling)


def _name(kind: int) -> str:
    lossless = "arithmetically coded and lossless"
    return lossless if kind == _LOSSLESS_ARITHMETIC else "hierarchical"


# -- other depths ----------------------------------------------------------------------------------


def _read_deep(file: BinaryIO, header: _Frame) -> Stored:
    """Pixels by imagecodecs; what the file says beside them by Pillow, which is shown 8 bits."""
    file.seek(0)
    content = bytearray(file.read())
    check_scans(content.count(_SCAN), header.width * header.height)
    components = len(header.sampling)
    if components not in (1, 3, 4) or not 2 <= header.bits <= 16:
        raise Refused(f"damaged: {components} components of {header.bits} bits")
    shown = content[: header.at + 4] + b"\x08" + content[header.at + 5 :]
    image = pillow_reading.Jpeg(io.BytesIO(shown))

    def decoded(end: bytes) -> np.ndarray:
        samples = imagecodecs.jpeg8_decode(bytes(content + end))
        if samples.shape[:2] != (header.height, header.width):
            raise Refused("damaged: its header makes no sense")
        if components == 4 and "adobe" in image.info:  # stored as light, not as ink
            samples = samples.dtype.type(2**header.bits - 1) - samples
        return modes.full_range(np.minimum(samples, 2**header.bits - 1), header.bits)

    whole = _END in content[-_TRAILING:]
    if not whole:
        content = bytearray(_whole_segments(bytes(content)))
    stored = pillow_reading.described(image, decoded(b"" if whole else _END), None)
    if not whole:
        line = _what_is_missing(
            header, bytes(content), stored.bands, lambda: decoded(_FILLING + _END)
        )
        stored.warnings.append(line)
    return stored


# -- what is missing -------------------------------------------------------------------------------


class _Watched:
    """A file that tells whether more was wanted of it than it has."""

    def __init__(self, file: BinaryIO):
        self._file, self.ended = file, False
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        content = self._file.read(size)
        self.ended = not content and size != 0
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file's."""
        self.ended = False
        return self._file.seek(offset, whence)


def _whole_segments(content: bytes) -> bytes:
    """A JPEG that is cut short without the part of a marker or of a table that it ends with."""
    last = content.rfind(b"\xff")
    mark, length = content[last + 1 : last + 2], content[last + 2 : last + 4]
    if mark == b"\0" or b"\xd0" <= mark <= b"\xd7":  # in the midst of coded pixels
        return content
    whole = len(length) == 2 and last + 2 + int.from_bytes(length, "big") <= len(content)
    return content if whole else content[:last]


def _has_all_scans(header: _Frame, content: bytes) -> bool:
    """Whether a progressive JPEG holds the last bit of every coefficient, or begins to."""
    bits: dict[int, np.ndarray] = {}  # that are still to come, of each component's coefficients
    at = header.at
    while (at := content.find(_SCAN, at + 2)) >= 0:
        count = content[at + 4 : at + 5]
        said = content[at + 5 : at + 8 + 2 * count[0]] if count else b""
        if len(said) < 3:
            break
        first, last, position = said[-3:]
        for component in said[:-3:2]:
            bits.setdefault(component, np.ones(64, int))[first : last + 1] = position & 15
    return len(bits) == len(header.sampling) and not any(left.any() for left in bits.values())


def _what_is_missing(
    header: _Frame, content: bytes, bands: np.ndarray, again: Callable[[], np.ndarray]
) -> str:
    """A line about a picture whose last blocks are grey, as libjpeg makes what it does not find.

    Args:
      header: its header.
      content: the file, as far as it is of use.
      bands: its pixels.
      again: decodes it with filling behind its end.

    Raises:
      Refused: too much is missing.
    """
    white = np.iinfo(bands.dtype).max
    grey = np.abs(bands.astype(np.float32) - white / 2) < white / 2 ** (header.bits - 0.5)
    grey = grey.reshape(header.height, header.width, -1).all(axis=-1)
    height, width = header.unit
    down, across = -(-header.height // height), -(-header.width // width)
    whole = np.ones((down * height, across * width), bool)
    whole[: header.height, : header.width] = grey
    blocks = whole.reshape(down, height, across, width).mean(axis=(1, 3)) >= _MISSED
    found = np.flatnonzero(~blocks)
    missing = 1 - (found[-1] + 1 if len(found) else 0) / blocks.size
    if missing and header.kind != _LOSSLESS:
        return cut_short.warning(missing)
    progressive = header.kind in _PROGRESSIVE
    if (not progressive or _has_all_scans(header, content)) and np.array_equal(bands, again()):
        return cut_short.NO_END
    if header.kind == _LOSSLESS:  # whose pixels go on from what was there
        raise Refused("damaged or cut short")
    if progressive:  # it is there from its first scan on, and gains detail
        return "it is cut short: some of its detail is missing"
    return cut_short.warning(1 / blocks.size)  # a part of the last block
