"""Photoshop's image resources, in which JPEG and TIFF files carry IPTC records.

Adobe Photoshop File Formats Specification, "Image Resource Blocks".
"""

from __future__ import annotations

import struct

MARK = b"Photoshop 3.0\0"  # stands before the resources in a JPEG's segment
_IPTC = 0x0404
_RESOURCE = b"8BIM"


def iptc(resources: bytes) -> bytes | None:
    """The IPTC-IIM record among image resources, or None."""
    at = resources.find(_RESOURCE)
    while at >= 0 and resources[at : at + 4] == _RESOURCE and at + 12 <= len(resources):
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
    return _RESOURCE + struct.pack(">HHI", _IPTC, 0, len(iptc_record)) + iptc_record + padding
