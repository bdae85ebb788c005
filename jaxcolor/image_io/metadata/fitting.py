"""What of a photo's metadata fits into a format."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxcolor.image_io.formats import Format
from jaxcolor.image_io.metadata import exif, photoshop
from jaxcolor.image_io.photo import Metadata

_SEGMENT = 65533  # bytes of a JPEG's segment
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
COMMENT = "Comment"  # the key of the text that JPEG and GIF hold
_WORDS = {
    "exif": "EXIF data",
    "xmp": "XMP data",
    "iptc": "IPTC data",
    "dpi": "resolution",
    "icc": "colour profile",
    "text": "texts",
}


def fitting(metadata: Metadata, format: Format) -> tuple[Metadata, tuple[str, ...]]:
    """What of the metadata the format can hold, and a line about the rest."""
    lost = [field for field in _WORDS if getattr(metadata, field) and field not in format.holds]
    if format.name == "JPEG":
        lost += _too_long(metadata)
    if format.name == "AVIF" and metadata.exif and not _readable(metadata.exif):
        lost.append("exif")
    changes: dict[str, Any] = dict.fromkeys(lost)
    if "text" in lost:
        changes["text"] = _short_comment(metadata) if format.name == "JPEG" else ()
    # sRGB is what a file without a profile means, and EXIF has a resolution of its own.
    silent = {"icc", "dpi"} if metadata.exif else {"icc"}
    named = [_WORDS[field] for field in lost if field not in silent]
    line = (f"{format.name} cannot hold its {', '.join(named)}",) if named else ()
    return dataclasses.replace(metadata, **changes), line


def _too_long(metadata: Metadata) -> list[str]:
    """Fields that do not fit a JPEG's segments; of texts it has the comment only."""
    resources = photoshop.resources(metadata.iptc or b"")
    lengths = {
        "exif": len(exif.MARK) + len(metadata.exif or b""),
        "xmp": len(_XMP_MARK) + len(metadata.xmp or b""),
        "iptc": len(photoshop.MARK) + len(resources),
    }
    fields = [field for field, length in lengths.items() if length > _SEGMENT]
    return [*fields, "text"] if metadata.text != _short_comment(metadata) else fields


def _short_comment(metadata: Metadata) -> tuple[tuple[str, str], ...]:
    texts = (text for key, text in metadata.text if key == COMMENT)
    return tuple((COMMENT, text) for text in texts if len(text.encode()) <= _SEGMENT)[:1]


def _readable(block: bytes) -> bool:
    try:
        exif.main_entries(block)
    except ValueError:
        return False
    return True
