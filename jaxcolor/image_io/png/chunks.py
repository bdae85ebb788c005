"""The chunks of a PNG file, and what they say beside the pixels."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from jaxcolor.image_io import profiles
from jaxcolor.image_io.errors import Refused, one_line
from jaxcolor.image_io.metadata import exif, photoshop

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = "XML:com.adobe.xmp"
METRE = 39.3701  # inches
_IEND = b"\0\0\0\0IEND\xaeB`\x82"
_BLOCK = 1 << 20  # bytes of pixel data read at once
_MAX_CHUNK = 16 << 20  # bytes of a chunk that is no pixels; larger ones are left out
_MAX_TEXT = 1 << 20  # bytes of all texts together, decompressed
_MAX_CHUNKS = 1_000_000
_SRGB_GAMMA, _SLACK = 2.2, 0.05  # files say 2.2 where they mean sRGB
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_OTHERS = (b"PLTE", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"pHYs")


class Chunk(NamedTuple):
    """A chunk's kind, and where its data stands."""

    kind: bytes
    at: int
    length: int


@dataclasses.dataclass
class Said:
    """What a file says beside its pixels; as in `Stored`."""

    palette: bytes | None = None
    transparency: bytes | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


def table(file: BinaryIO) -> list[Chunk]:
    """All chunks from the first to IEND or the end of the file."""
    chunks: list[Chunk] = []
    at = file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4], "big")
        chunks.append(Chunk(head[4:], at + 8, length))
        at = file.seek(length + 4, 1)
        if len(chunks) > _MAX_CHUNKS:
            raise Refused("damaged: a million chunks")
    return chunks


def has_end(file: BinaryIO, chunks: list[Chunk]) -> bool:
    """Whether IEND stands behind the last chunk."""
    file.seek(chunks[-1].at + chunks[-1].length + 4)
    return file.read(12) == _IEND


def is_animated(file: BinaryIO) -> bool:
    """Whether the file announces more than one frame."""
    for chunk in table(file):
        if chunk.kind == b"acTL":
            frames = data(file, chunk)
            return frames is not None and int.from_bytes(frames[:4], "big") > 1
    return False


def data(file: BinaryIO, chunk: Chunk) -> bytes | None:
    """A chunk's data; None if it is damaged, cut short or unreasonably large."""
    if chunk.length > _MAX_CHUNK:
        return None
    file.seek(chunk.at)
    read = file.read(chunk.length + 4)
    if zlib.crc32(chunk.kind + read[:-4]) != int.from_bytes(read[-4:], "big"):
        return None
    return read[:-4]


def pixel_data(file: BinaryIO, chunks: list[Chunk]) -> Iterator[bytes]:
    """The data of the chunks of pixels, in blocks.

    Raises:
      Refused: a chunk is damaged.
    """
    for chunk in chunks:
        if chunk.kind != b"IDAT":
            continue
        file.seek(chunk.at)
        check = zlib.crc32(chunk.kind)
        left = chunk.length
        while left and (block := file.read(min(left, _BLOCK))):
            check = zlib.crc32(block, check)
            left -= len(block)
            yield block
        stored = file.read(4)
        if not left and len(stored) == 4 and int.from_bytes(stored, "big") != check:
            raise Refused("damaged: a wrong checksum")


def describe(file: BinaryIO, chunks: list[Chunk], *, grey: bool) -> Said:
    """Reads the chunks around the pixels; damaged ones become warnings.

    Args:
      file: the PNG.
      chunks: of `table`.
      grey: whether the pixels are grey, for a profile made of gAMA.
    """
    said = Said()
    known: dict[bytes, bytes] = {}
    texts: list[tuple[str, str]] = []
    for chunk in chunks:
        if chunk.kind not in _TEXTS + _OTHERS:
            continue
        content = data(file, chunk)
        if content is not None and chunk.kind in _TEXTS:
            content = _take_text(chunk.kind, content, texts)
        if content is None:
            said.warnings.append(f"its {chunk.kind.decode()} is damaged and left out")
        else:
            known.setdefault(chunk.kind, content)
    said.palette, said.transparency = known.get(b"PLTE"), known.get(b"tRNS")
    said.exif = known.get(b"eXIf")
    said.dpi = _dpi(known.get(b"pHYs", b""))
    sort_texts(texts, said)
    try:
        said.icc = _profile(known, grey=grey)
    except (ValueError, zlib.error, struct.error):
        said.warnings.append("its colour profile is damaged and left out")
    return said


def inflated(packed: bytes, limit: int) -> bytes:
    """Decompresses at most `limit` bytes.

    Raises:
      ValueError: there are more.
      zlib.error: the data is damaged.
    """
    stream = zlib.decompressobj()
    content = stream.decompress(packed, limit)
    if not stream.eof:
        raise ValueError("cut short or too large")
    return content


def _take_text(kind: bytes, content: bytes, texts: list[tuple[str, str]]) -> bytes | None:
    """Adds the keyword and text of a chunk; None if it is damaged or there are too many."""
    room = _MAX_TEXT - sum(len(text) for _, text in texts)
    try:
        keyword, text = _text(kind, content, room)
    except (ValueError, zlib.error):
        return None
    if len(text) > room:
        return None
    texts.append((keyword, text))
    return content


def _text(kind: bytes, content: bytes, room: int) -> tuple[str, str]:
    keyword, _, rest = content.partition(b"\0")
    if kind == b"tEXt":
        text = rest.decode("latin-1")
    elif kind == b"zTXt":
        text = inflated(rest[1:], room).decode("latin-1")
    else:
        packed, rest = rest[:1] == b"\1", rest[2:]
        _language, _, rest = rest.partition(b"\0")
        _translated, _, rest = rest.partition(b"\0")
        text = (inflated(rest, room) if packed else rest).decode("utf-8")
    return keyword.decode("latin-1"), text


def sort_texts(texts: list[tuple[str, str]], said: Said) -> None:
    """Finds XMP, and what ImageMagick hides in texts, among the texts."""
    for keyword, text in texts:
        if keyword == XMP_KEYWORD:
            said.xmp = said.xmp or text.encode()
        elif keyword.startswith("Raw profile type "):
            _take_raw_profile(keyword.rpartition(" ")[2], text, said)
        else:
            said.text.append((keyword, text))


def _take_raw_profile(name: str, text: str, said: Said) -> None:
    """ImageMagick's way: a line with the name, one with the length, then hexadecimal digits."""
    try:
        content = bytes.fromhex("".join(text.strip().split("\n")[2:]))
    except ValueError:
        said.warnings.append(f"its {one_line(name)} data is damaged and left out")
        return
    if content.startswith(exif.MARK):
        said.exif = said.exif or content
    elif name == "xmp":
        said.xmp = said.xmp or content
    elif name == "iptc":
        said.iptc = photoshop.iptc(content)


def _dpi(content: bytes) -> tuple[float, float] | None:
    if len(content) != 9 or content[8] != 1:  # 1: the unit is the metre
        return None
    x, y = struct.unpack(">II", content[:8])
    return (x / METRE, y / METRE) if x and y else None


def _profile(known: dict[bytes, bytes], *, grey: bool) -> bytes | None:
    """The profile of iCCP; of gAMA and cHRM where they mean something else than sRGB."""
    if b"iCCP" in known:
        _, _, rest = known[b"iCCP"].partition(b"\0")
        return inflated(rest[1:], profiles.MAX_PROFILE)
    if b"sRGB" in known or b"gAMA" not in known:
        return None
    (value,) = struct.unpack(">I", known[b"gAMA"])
    chromaticities = None
    if b"cHRM" in known and not grey:
        chromaticities = tuple(v / 100_000 for v in struct.unpack(">8I", known[b"cHRM"]))
    return profile_of(value / 100_000, chromaticities, grey=grey)


def profile_of(
    value: float, chromaticities: tuple[float, ...] | None, *, grey: bool
) -> bytes | None:
    """A profile of what gAMA and cHRM say; None where they mean sRGB.

    Args:
      value: gAMA's: 0.45455, not 2.2.
      chromaticities: cHRM's.
      grey: whether the pixels are grey.

    Raises:
      ValueError: there are no such colours.
    """
    if not 0.1 <= value <= 10:
        raise ValueError("an absurd gamma")
    gamma = 1 / value
    if chromaticities and np.allclose(chromaticities, profiles.SRGB_CHROMATICITIES, atol=0.01):
        chromaticities = None
    if (grey or not chromaticities) and abs(gamma - _SRGB_GAMMA) < _SLACK:
        return None
    return profiles.from_gamma(gamma, chromaticities, grey=grey)
