"""Photo files of any kind <-> arrays, with everything that a photo carries beside its pixels.

`open_photo` reads a file into a `Photo`: pixels upright and in sRGB, 8 or 16 bits as the file has
them, transparency and metadata beside them. `save_photo` writes the colours with all that back.
"""

from __future__ import annotations

from jaxcolor.image_io.formats import (
    NAMES,
    PHOTO_SUFFIXES,
    SUFFIXES,
    Format,
    format_of,
    named,
    result_suffix,
)
from jaxcolor.image_io.limits import MAX_PIXELS
from jaxcolor.image_io.modes import check_floats, from_pixels, to_pixels
from jaxcolor.image_io.photo import (
    Metadata,
    NotAPhoto,
    Photo,
    PhotoError,
    Refused,
    Source,
    TooLarge,
    WrongFrame,
    name_of,
)
from jaxcolor.image_io.reading import open_photo
from jaxcolor.image_io.writing import check_writable, save_photo

__all__ = [
    "MAX_PIXELS",
    "NAMES",
    "PHOTO_SUFFIXES",
    "SUFFIXES",
    "Format",
    "Metadata",
    "NotAPhoto",
    "Photo",
    "PhotoError",
    "Refused",
    "Source",
    "TooLarge",
    "WrongFrame",
    "check_floats",
    "check_writable",
    "format_of",
    "from_pixels",
    "name_of",
    "named",
    "open_photo",
    "result_suffix",
    "save_photo",
    "to_pixels",
]
