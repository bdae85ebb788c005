"""XMP packets: checked, and made to fit the upright result."""

from __future__ import annotations

import re
from xml.parsers import expat

_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|\s*>\s*))([0-9]+)""")
_THUMBNAILS = re.compile(rb"<(xmp|xap):Thumbnails\b.*?</\1:Thumbnails\s*>", re.DOTALL)
_SIDES = {  # what holds the picture's height and width
    b"tiff:ImageLength": 0,
    b"exif:PixelYDimension": 0,
    b"tiff:ImageWidth": 1,
    b"exif:PixelXDimension": 1,
}


def orientation(packet: bytes) -> int:
    """EXIF's number for how the picture is stored, 1 to 8; 1 if the packet does not say."""
    found = _ORIENTATION.search(packet)
    value = int(found[2][:2]) if found else 1
    return value if 1 <= value <= 8 else 1


def cleaned(packet: bytes, size: tuple[int, int]) -> bytes:
    """The packet with orientation 1, the upright picture's height and width, no thumbnails.

    Raises:
      ValueError: not XML in UTF-8, or with a document type: entities can grow without end.
    """
    packet = packet.rstrip(b"\0")
    packet.decode("utf-8")
    packet = _THUMBNAILS.sub(b"", packet)
    packet = _ORIENTATION.sub(rb"\g<1>1", packet)
    for name, side in _SIDES.items():
        pattern = rb"""(%s(?:\s*=\s*["']|\s*>\s*))[0-9]+""" % name
        packet = re.sub(pattern, rb"\g<1>%d" % size[side], packet)
    _check_xml(packet)
    return packet


def _check_xml(packet: bytes) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("a document type")

    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(packet, True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from None
