"""Photoshop's image resources, in which JPEG and TIFF files carry IPTC records.

Adobe Photoshop File Formats Specification, "Image Resource Blocks".
"""

from __future__ import annotations

import struct

_IPTC = 0x0404
_MARK = b"8BIM"


def iptc(resources: bytes) -> bytes | None:
    """The IPTC-IIM record among image resources, or None."""
    at = resources.find(_MARK)
    while at >= 0 and resources[at : at + 4] == _MARK and at + 12 <= len(resources):
        (kind,) = struct.unpack_from(">H", resources, at + 4)
        at += 6 + (resources[at + 6] + 2) // 2 * 2  # a name of so many bytes, made even
        if at + 4 > len(resources):
            return None
        (length,) = struct.unpack_from(">I", resources, at)
        if kind == _IPTC:
            return resources[at + 4 : at + 4 + length] or None
        at += 4 + length + length % 2
    return None


def resources(iptc_record: bytes) -> bytes:
    """Image resources that hold an IPTC-IIM record and nothing else."""
    padding = bytes(len(iptc_record) % 2)
    return _MARK + struct.pack(">HHI", _IPTC, 0, len(iptc_record)) + iptc_record + padding
