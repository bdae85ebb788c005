"""Photo files of any kind <-> arrays, with everything that a photo carries beside its pixels.

`open_photo` reads a file into a `Photo`: pixels upright and in sRGB, 8 or 16 bits as the file has
them, transparency and metadata beside them. `save_photo` writes the colours with all that back.
`from_pillow` and `to_pillow` do the same with images that Pillow has opened.

The names below are imported when they are first used: `jaxcolor --help` tells the formats, and
needs neither NumPy nor Pillow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcolor.image_io.cut_short import cut_short_line
    from jaxcolor.image_io.errors import (
        AlreadyThere,
        Empty,
        NotAPhoto,
        PhotoError,
        Place,
        Refused,
        Source,
        TooLarge,
        WrongFrame,
        name_of,
    )
    from jaxcolor.image_io.formats import (
        FORMATS,
        NAMES,
        PHOTO_SUFFIXES,
        SUFFIXES,
        UNREAD_SUFFIXES,
        WRITTEN,
        Format,
        format_of,
        is_passed_over,
        listed,
        named,
        result_suffix,
    )
    from jaxcolor.image_io.limits import MAX_PIXELS
    from jaxcolor.image_io.modes import check_floats, from_pixels
    from jaxcolor.image_io.photo import Metadata, Photo
    from jaxcolor.image_io.pillow_images import from_pillow, to_pillow
    from jaxcolor.image_io.reading import fetched, open_photo
    from jaxcolor.image_io.writing import check_writable, save_photo

_HOMES = {
    **dict.fromkeys(
        ("Empty", "NotAPhoto", "PhotoError", "Refused", "Source", "TooLarge", "WrongFrame"),
        "errors",
    ),
    **dict.fromkeys(("AlreadyThere", "Place"), "errors"),
    **dict.fromkeys(("FORMATS", "NAMES", "PHOTO_SUFFIXES", "SUFFIXES"), "formats"),
    **dict.fromkeys(("UNREAD_SUFFIXES", "WRITTEN"), "formats"),
    **dict.fromkeys(("Format", "format_of", "is_passed_over", "listed"), "formats"),
    **dict.fromkeys(("named", "result_suffix"), "formats"),
    **dict.fromkeys(("Metadata", "Photo"), "photo"),
    **dict.fromkeys(("check_floats", "from_pixels"), "modes"),
    **dict.fromkeys(("check_writable", "save_photo"), "writing"),
    **dict.fromkeys(("from_pillow", "to_pillow"), "pillow_images"),
    "MAX_PIXELS": "limits",
    "name_of": "errors",
    "cut_short_line": "cut_short",
    **dict.fromkeys(("fetched", "open_photo"), "reading"),
}

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "NAMES",
    "PHOTO_SUFFIXES",
    "SUFFIXES",
    "UNREAD_SUFFIXES",
    "WRITTEN",
    "AlreadyThere",
    "Empty",
    "Format",
    "Metadata",
    "NotAPhoto",
    "Photo",
    "PhotoError",
    "Place",
    "Refused",
    "Source",
    "TooLarge",
    "WrongFrame",
    "check_floats",
    "check_writable",
    "cut_short_line",
    "fetched",
    "format_of",
    "from_pillow",
    "from_pixels",
    "is_passed_over",
    "listed",
    "name_of",
    "named",
    "open_photo",
    "result_suffix",
    "save_photo",
    "to_pillow",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxcolor.image_io' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jaxcolor.image_io.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
