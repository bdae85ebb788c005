"""Directories of tagged values, as TIFF files and EXIF blocks have them.

TIFF 6.0, section 2: entries of 12 bytes (tag, kind, count, value); values of more than 4 bytes
stand elsewhere and are found by their offset. BigTIFF has 20, 8 and 8-byte offsets.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Mapping
from typing import TypeAlias

SHORT, LONG, RATIONAL = 3, 4, 5
# Bytes of one value of each kind: BYTE, ASCII, SHORT, LONG, RATIONAL, SBYTE, UNDEFINED, SSHORT,
# SLONG, SRATIONAL, FLOAT, DOUBLE, IFD; BigTIFF's LONG8, SLONG8, IFD8.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BIG_SIZES = SIZES | {16: 8, 17: 8, 18: 8}
_MAX_ENTRIES = 4096

# Gives so many bytes from a place; ValueError where there are none.
Read: TypeAlias = Callable[[int, int], bytes]
# What a directory is packed of: kind, count and bytes of each value; or a directory.
Value: TypeAlias = "tuple[int, int, bytes] | Mapping[int, Value]"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A directory's entry: its own bytes, and where its value stands."""

    tag: int
    kind: int
    count: int
    packed: bytes
    where: int
    size: int

    @property
    def end(self) -> int:
        """Where the value ends."""
        return self.where + self.size


def directory(read: Read, at: int, order: str, *, big: bool = False) -> tuple[list[Entry], int]:
    """The entries of known kinds, and where the next directory stands (0: none).

    Args:
      read: gives bytes of the file or block.
      at: where the directory stands.
      order: "<" or ">".
      big: a BigTIFF; the next directory is not looked for.

    Raises:
      ValueError: there is no directory.
    """
    head, item, offset, value = ("Q", "HHQ", "Q", 12) if big else ("H", "HHI", "I", 8)
    sizes = _BIG_SIZES if big else SIZES
    width = value + struct.calcsize(offset)
    start = at + struct.calcsize(head)
    (count,) = struct.unpack(order + head, read(at, start - at))
    if count > _MAX_ENTRIES:
        raise ValueError(f"{count} entries in a directory")
    table = read(start, count * width)
    entries = []
    for i in range(count):
        packed = table[i * width : (i + 1) * width]
        tag, kind, number = struct.unpack_from(order + item, packed)
        if kind not in sizes:
            continue
        size = sizes[kind] * number
        where = start + i * width + value
        if size > width - value:
            (where,) = struct.unpack_from(order + offset, packed, value)
        entries.append(Entry(tag, kind, number, packed, where, size))
    return entries, 0 if big else _next_directory(read, start + count * width, order)


def number(read: Read, order: str, entry: Entry) -> int:
    """The value of an entry of one number.

    Raises:
      ValueError: it is none, or cannot be read.
    """
    if not 0 < entry.size <= 8:
        raise ValueError("no number")
    return int.from_bytes(read(entry.where, entry.size), "little" if order == "<" else "big")


def packed(
    order: str, values: Mapping[int, Value], at: int, more: list[bytes] | None = None
) -> bytes:
    """A directory and all that hangs on it, as it stands at `at`.

    Args:
      order: "<" or ">".
      values: by their tags.
      at: an even place.
      more: entries that are packed already.
    """
    table = list(more or [])
    tail_at = at + 2 + 12 * (len(values) + len(table)) + 4
    tail = b""
    for tag, value in values.items():
        here = tail_at + len(tail)
        if isinstance(value, Mapping):
            kind, count, data = LONG, 1, struct.pack(order + "I", here)
            tail += packed(order, value, here)
        else:
            kind, count, data = value
            if len(data) > 4:
                tail += data + bytes(len(data) % 2)
                data = struct.pack(order + "I", here)
        table.append(struct.pack(order + "HHI", tag, kind, count) + data.ljust(4, b"\0"))
    table.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
    return struct.pack(order + "H", len(table)) + b"".join(table) + bytes(4) + tail


def _next_directory(read: Read, at: int, order: str) -> int:
    try:
        return int(struct.unpack(order + "I", read(at, 4))[0])
    except ValueError:
        return 0  # some writers leave out the last directory's end
