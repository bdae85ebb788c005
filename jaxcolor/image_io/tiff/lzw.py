"""LZW data of a strip or tile, looked at before it is decoded.

imagecodecs takes the first code behind a clear code for a byte, whatever it is. One above 257 would
make it read memory that it never wrote, which may end the process. How wide a code is depends on
how many came since the clear code and not on what they say: so they are found without decoding.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np

from jaxcolor.image_io.errors import Refused

_Order = Literal["big", "little"]  # of the bits: TIFF's, and an older one from the lowest bit on

_CLEAR, _END, _FIRST = 256, 257, 258  # the first code that stands for several bytes
# When the table has so many entries, codes become wider than 9 bits.
_WIDER: dict[_Order, tuple[int, ...]] = {"big": (511, 1023, 2047), "little": (512, 1024, 2048)}
# Codes behind a clear code: as many as fill the table of 4,096, and as imagecodecs takes at most.
_USUAL, _LONGEST = 3840, 5120 - _FIRST + 1
# Clear codes are followed one by one. Writers that never use more than 9 bits write one for 254.
_FEW = 100  # codes for each clear code, on average


def check(data: bytes, most: int) -> None:
    """Refuses what must not be decoded.

    Args:
      data: as the decoder gets it.
      most: bytes that are decoded at most; what comes behind them is not looked at.

    Raises:
      Refused: a first code behind a clear code is none, or there are absurdly many clear codes.
    """
    if len(data) < 2:
        return
    codes = _Codes(data)
    at = 9  # a bit; the first code is a clear code, or nothing is decoded
    done = clears = 0
    while done < most and at + 9 <= 8 * len(data):
        if codes.read(at, 9) >= _FIRST:
            raise Refused("damaged: its LZW data makes no sense")
        count = codes.special(at)
        if count is None:
            return  # the data ends before, or imagecodecs refuses it
        start, width = _places(codes.order)[count].tolist()
        if codes.read(at + start, width) == _END:
            return
        at += start + width
        done, clears = done + count, clears + 1
        if clears > _FEW and done < _FEW * clears:
            raise Refused("damaged: its LZW data begins anew too often")


class _Codes:
    """The codes in LZW data, by the bit where they begin; behind the end of the data are zeros."""

    def __init__(self, data: bytes):
        self.order: _Order = "little" if data[0] == 0 and data[1] & 1 else "big"  # as imagecodecs
        self._data = data
        size = _picks(self.order, 7, _LONGEST)[0]
        self._words = np.empty(4 * size, "<u4")
        self._told, self._found = np.empty(_LONGEST, "<u4"), np.empty(_LONGEST, bool)

    def read(self, at: int, width: int) -> int:
        """The code of `width` bits that begins at a bit."""
        three = int.from_bytes(self._data[at // 8 : at // 8 + 3].ljust(3, b"\0"), self.order)
        shift = at % 8 if self.order == "little" else 24 - at % 8 - width
        return (three >> shift) & ((1 << width) - 1)

    def special(self, at: int) -> int | None:
        """How many codes come from a bit on, behind a clear code, before a clear or end code."""
        for count in (_USUAL, _LONGEST):
            size, picked, masks, values = _picks(self.order, at % 8, count)
            part = self._data[at // 8 : at // 8 + 4 * size + 3].ljust(4 * size + 3, b"\0")
            # Each byte with the three that follow it: four times words that lie side by side.
            words = self._words[: 4 * size]
            for offset in range(4):
                words[offset * size :][:size] = np.ndarray(size, "<u4", part, offset)
            told = words.take(picked, out=self._told[:count], mode="clip")  # "raise" copies
            told &= masks
            found = np.equal(told, values, out=self._found[:count])
            first = int(found.argmax())
            if found[first]:
                return first
        return None


@functools.cache
def _places(order: _Order) -> np.ndarray:
    """The first bit and the number of bits of each code behind a clear code: (codes, 2)."""
    entries = _FIRST - 1 + np.maximum(np.arange(_LONGEST), 1)  # the first code makes none
    widths = 9 + np.searchsorted(_WIDER[order], entries, side="right")
    return np.stack([np.cumsum(widths) - widths, widths], axis=1)


@functools.cache
def _picks(order: _Order, phase: int, count: int) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """How to find clear and end codes among the first `count` codes from a bit of a byte on.

    Returns:
      How many words of four bytes hold the codes; for each code its word among those of all four
      offsets, the bits in it that tell, and what they are in a clear and in an end code.
    """
    starts, widths = _places(order)[:count].T
    first, bit = np.divmod(phase + starts, 8)
    size = int(first[-1]) // 4 + 1
    shifts = (bit if order == "little" else 32 - bit - widths).astype(np.uint32)
    masks = ((1 << widths) - 2).astype(np.uint32) << shifts  # they differ in the last bit
    values = np.full(count, _CLEAR, np.uint32) << shifts
    kind = "<u4" if order == "little" else ">u4"
    masks, values = (part.astype(kind).view("<u4") for part in (masks, values))
    return size, first % 4 * size + first // 4, masks, values
