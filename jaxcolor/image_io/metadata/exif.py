"""EXIF blocks: read, cleaned in place, taken out of TIFF files.

An EXIF block is a TIFF file without pixels (EXIF 2.32, section 4.5). It is changed where it stands,
never packed anew: makers' notes hold offsets that nobody else knows.
"""

from __future__ import annotations

import dataclasses
import struct

from jaxcolor.image_io.metadata.ifd import (
    LONG,
    RATIONAL,
    SHORT,
    SIZES,
    Entry,
    Read,
    Value,
    number,
    packed,
)
from jaxcolor.image_io.metadata.ifd import directory as read_directory

MARK = b"Exif\0\0"  # stands before the block in JPEG, and in other files by habit
INCHES = {2: 1.0, 3: 2.54}  # ResolutionUnit -> what makes dots an inch of its dots
_ORIENTATION = 0x0112
_EXIF, _GPS, _INTEROP = 0x8769, 0x8825, 0xA005  # entries that point to directories
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_COLOR_SPACE, _WIDTH, _HEIGHT = 0xA001, 0xA002, 0xA003
_THUMBNAILS = ((0x0201, 0x0202), (0x0111, 0x0117))  # entries of offset and length
# What a TIFF file's main directory says about the photo rather than about its own pixels: names,
# description, maker, dates, artist, copyright, ratings, Windows' titles, and GeoTIFF's place.
_NAMES = (0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0129, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298)
_TITLES = (0x4746, 0x4749, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
_GEOTIFF = (0x830E, 0x8482, 0x85D8, 0x87AF, 0x87B0, 0x87B1)
_DESCRIPTIVE = frozenset((*_NAMES, *_TITLES, *_GEOTIFF, _EXIF, _GPS))
_MAX_VALUE = 1 << 16  # bytes of one value that is taken out of a TIFF file
_HEADER = 8  # bytes


def orientation(block: bytes) -> int | None:
    """EXIF's orientation, 1 to 8; None if it says nothing or nonsense.

    Raises:
      ValueError: not an EXIF block.
    """
    order, main = _main(block)
    entry = main.get(_ORIENTATION)
    value = number(_reader(block), order, entry) if entry else 0
    return value if 1 <= value <= 8 else None


def resolution(block: bytes) -> tuple[float, float] | None:
    """Dots an inch, horizontally and vertically, of the picture as it is stored.

    Raises:
      ValueError: not an EXIF block.
    """
    order, main = _main(block)
    read = _reader(block)
    entries = [main.get(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION)]
    unit = main.get(_RESOLUTION_UNIT)
    scale = INCHES.get(number(read, order, unit) if unit else 2, 0.0)
    values: list[int] = []
    for entry in entries:
        if entry is None or (entry.kind, entry.count) != (RATIONAL, 1):
            return None
        values += struct.unpack(order + "II", read(entry.where, 8))
    if 0 in values or not scale:
        return None
    x, x_parts, y, y_parts = values
    return x / x_parts * scale, y / y_parts * scale


def cleaned(block: bytes, size: tuple[int, int], *, transposed: bool) -> bytes:
    """The block as it belongs to the upright result.

    Orientation becomes 1 and colour space sRGB, width and height are the result's, the thumbnail
    goes, and so do entries whose values lie outside the block.

    Args:
      block: from the TIFF header on.
      size: height and width of the upright picture.
      transposed: its sides were exchanged: so are the resolutions.

    Raises:
      ValueError: not an EXIF block.
    """
    order, first = _header(block)
    data = bytearray(block)
    main, thumbnail = _tidy(data, order, first)
    kept = _ranges(first, main)
    _renumber(data, order, main, {_ORIENTATION: 1})
    if transposed and _X_RESOLUTION in main and _Y_RESOLUTION in main:
        _exchange(data, main[_X_RESOLUTION], main[_Y_RESOLUTION])
    pointers = [main[tag] for tag in (_EXIF, _GPS) if tag in main]
    for pointer in pointers:  # grows by one: the EXIF directory's own pointer
        at = number(_reader(data), order, pointer)
        child, _ = _tidy(data, order, at)
        kept += _ranges(at, child)
        _renumber(data, order, child, {_COLOR_SPACE: 1, _HEIGHT: size[0], _WIDTH: size[1]})
        if _INTEROP in child and pointer.tag == _EXIF:
            pointers.append(child[_INTEROP])
    _drop_thumbnail(data, order, thumbnail, kept)
    return bytes(data)


def main_entries(block: bytes) -> tuple[str, list[bytes]]:
    """The byte order ("<" or ">") and the descriptive entries of the main directory, as packed."""
    order, main = _main(block)
    kept = _DESCRIPTIVE | {_ORIENTATION}
    return order, [entry.packed for entry in main.values() if entry.tag in kept]


def from_tiff(read: Read, order: str, at: int, *, big: bool) -> bytes | None:
    """What a TIFF file's directory says about the photo, as an EXIF block of its own.

    Args:
      read: gives bytes of the file.
      order: "<" or ">".
      at: where the directory stands.
      big: a BigTIFF.

    Returns:
      None if it says nothing.

    Raises:
      ValueError: the directory is damaged.
    """
    tree: dict[int, Value] = {}
    entries, _ = read_directory(read, at, order, big=big)
    for entry in entries:
        if entry.tag in (_EXIF, _GPS):
            place = number(read, order, entry)
            children, _ = read_directory(read, place, order, big=big)
            tree[entry.tag] = {c.tag: _copied(read, c) for c in children if _is_small(c)}
        elif entry.tag in _DESCRIPTIVE and _is_small(entry):
            tree[entry.tag] = _copied(read, entry)
    if not tree:
        return None
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", _HEADER) + packed(order, tree, _HEADER)


def descriptive(block: bytes) -> bytes | None:
    """The block with what says something about the photo alone, packed anew.

    Raises:
      ValueError: not an EXIF block.
    """
    order, first = _header(block)
    return from_tiff(_reader(block), order, first, big=False)


# -- parts -----------------------------------------------------------------------------------------


def _header(block: bytes) -> tuple[str, int]:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(block[:4]))
    if order is None or len(block) < _HEADER:
        raise ValueError("no TIFF header")
    return order, struct.unpack_from(order + "I", block, 4)[0]


def _main(block: bytes) -> tuple[str, dict[int, Entry]]:
    order, first = _header(block)
    entries, _ = read_directory(_reader(block), first, order)
    return order, {entry.tag: entry for entry in entries}


def _reader(block: bytes | bytearray) -> Read:
    def read(at: int, count: int) -> bytes:
        if at + count > len(block):
            raise ValueError("outside the block")
        return bytes(block[at : at + count])

    return read


def _is_small(entry: Entry) -> bool:
    return entry.kind in SIZES and entry.size <= _MAX_VALUE and entry.tag != _INTEROP


def _copied(read: Read, entry: Entry) -> Value:
    return entry.kind, entry.count, read(entry.where, entry.size)


def _tidy(data: bytearray, order: str, at: int) -> tuple[dict[int, Entry], int]:
    """Drops a directory's entries that point outside; gives the others, and the next directory."""
    entries, after = read_directory(_reader(data), at, order)
    good = [entry for entry in entries if entry.end <= len(data)]
    struct.pack_into(order + "H", data, at, len(good))
    kept = {}
    for i, entry in enumerate(good):
        place = at + 2 + 12 * i
        data[place : place + 12] = entry.packed
        inline = entry.size <= 4
        kept[entry.tag] = dataclasses.replace(entry, where=place + 8) if inline else entry
    end = at + 2 + 12 * len(good)
    data[end : end + 4] = bytes(len(data[end : end + 4]))
    return kept, after


def _renumber(
    data: bytearray, order: str, entries: dict[int, Entry], numbers: dict[int, int]
) -> None:
    """Gives entries of one number another one, where the directory has them."""
    for tag, value in numbers.items():
        entry = entries.get(tag)
        if entry is None or entry.count != 1 or entry.kind not in (SHORT, LONG):
            continue
        kind = LONG if value > 0xFFFF else entry.kind
        struct.pack_into(order + "H", data, entry.where - 6, kind)
        values = (value,) if kind == LONG else (value, 0)
        struct.pack_into(order + ("I" if kind == LONG else "HH"), data, entry.where, *values)


def _exchange(data: bytearray, one: Entry, other: Entry) -> None:
    if one.size == other.size:
        a, b = slice(one.where, one.end), slice(other.where, other.end)
        data[a], data[b] = data[b], data[a]


def _ranges(at: int, entries: dict[int, Entry]) -> list[tuple[int, int]]:
    """Where a directory and its values begin and end."""
    values = [(entry.where, entry.end) for entry in entries.values()]
    return [(at, at + 6 + 12 * len(entries)), *values]


def _drop_thumbnail(data: bytearray, order: str, at: int, kept: list[tuple[int, int]]) -> None:
    """Removes the thumbnail's bytes; nothing points to its directory any more."""
    read = _reader(data)
    try:
        entries = {entry.tag: entry for entry in read_directory(read, at, order)[0]} if at else {}
        for offset, length in _THUMBNAILS:
            if offset in entries and length in entries:
                start = number(read, order, entries[offset])
                _erase(data, start, start + number(read, order, entries[length]), kept)
    except ValueError:
        return  # a damaged one is not shown by anybody


def _erase(data: bytearray, start: int, end: int, kept: list[tuple[int, int]]) -> None:
    end = min(end, len(data))
    later = [first for first, last in kept if last > start]
    if start < _HEADER or start >= end or any(first < end for first in later):
        return
    data[start:end] = bytes(end - start)
    if not later and not any(data[end:]):
        del data[start:]
