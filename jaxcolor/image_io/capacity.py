"""Which of a photo's metadata each format can hold."""

from __future__ import annotations

import dataclasses
from typing import Any

from PIL import Image

from jaxcolor.image_io import exif, photoshop
from jaxcolor.image_io.formats import Format
from jaxcolor.image_io.photo import Metadata

_SEGMENT = 65533  # bytes of a JPEG's segment
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
_PHOTOSHOP_MARK = b"Photoshop 3.0\0"
_COMMENT = "Comment"
_WORDS = {
    "exif": "EXIF data",
    "xmp": "XMP data",
    "iptc": "IPTC data",
    "dpi": "resolution",
    "icc": "colour profile",
    "text": "texts",
}
_HOLDS = {
    "PNG": {"exif", "xmp", "iptc", "dpi", "icc", "text"},
    "TIFF": {"exif", "xmp", "iptc", "dpi", "icc"},
    "JPEG": {"exif", "xmp", "iptc", "dpi", "icc", "text"},
    "WEBP": {"exif", "xmp", "icc"},
    "AVIF": {"exif", "xmp", "icc"},
    "BMP": {"dpi"},
}


def fitting(metadata: Metadata, format: Format) -> tuple[Metadata, tuple[str, ...]]:
    """What of the metadata the format can hold, and a line about the rest."""
    held = _HOLDS[format.name]
    lost = [field for field in _WORDS if getattr(metadata, field) and field not in held]
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


def pillow_arguments(metadata: Metadata, name: str) -> dict[str, Any]:
    """Fitting metadata as Pillow's `save` takes it for this format."""
    arguments: dict[str, Any] = {"exif": metadata.exif and exif.MARK + metadata.exif}
    arguments |= {"xmp": metadata.xmp, "icc_profile": metadata.icc}
    if metadata.dpi:
        arguments["dpi"] = tuple(min(65535, max(1, round(dpi))) for dpi in metadata.dpi)
    if name == "JPEG":
        arguments["comment"] = dict(metadata.text).get(_COMMENT, "").encode()
        arguments["extra"] = _iptc_segment(metadata.iptc)
    return {key: value for key, value in arguments.items() if value}


def _too_long(metadata: Metadata) -> list[str]:
    """Fields that do not fit a JPEG's segments; of texts it has the comment only."""
    resources = photoshop.resources(metadata.iptc or b"")
    lengths = {
        "exif": len(exif.MARK) + len(metadata.exif or b""),
        "xmp": len(_XMP_MARK) + len(metadata.xmp or b""),
        "iptc": len(_PHOTOSHOP_MARK) + len(resources),
    }
    fields = [field for field, length in lengths.items() if length > _SEGMENT]
    return [*fields, "text"] if metadata.text != _short_comment(metadata) else fields


def _short_comment(metadata: Metadata) -> tuple[tuple[str, str], ...]:
    texts = (text for key, text in metadata.text if key == _COMMENT)
    return tuple((_COMMENT, text) for text in texts if len(text.encode()) <= _SEGMENT)[:1]


def _iptc_segment(iptc: bytes | None) -> bytes:
    if not iptc:
        return b""
    content = _PHOTOSHOP_MARK + photoshop.resources(iptc)
    return b"\xff\xed" + (2 + len(content)).to_bytes(2, "big") + content


def _readable(block: bytes) -> bool:
    """Whether Pillow can take the block apart, as its AVIF writer does."""
    try:
        parsed = Image.Exif()
        parsed.load(block)
        parsed.tobytes()
    except Exception:  # whatever its parser stumbles over
        return False
    return True
