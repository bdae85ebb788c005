"""A picture as its file stores it -> `Photo`: upright, in sRGB, with what it says made to fit."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from jaxcolor.image_io import profiles
from jaxcolor.image_io.metadata import exif, orientation, xmp
from jaxcolor.image_io.photo import Metadata, Photo, Stored

_T = TypeVar("_T")

_MAX_METADATA = 1 << 20  # bytes of EXIF, of XMP and of IPTC that are kept


def finished(stored: Stored) -> Photo:
    """Upright and in sRGB, with the metadata that belongs to that."""
    block, packet = stored.exif, stored.xmp
    if block is not None and block.startswith(exif.MARK):
        block = block[len(exif.MARK) :]
    keep = _Keeper(stored.warnings)
    bands, icc = _in_srgb(stored)
    turn = stored.orientation or keep("EXIF data", exif.orientation, block)
    turn = turn or keep("XMP data", xmp.orientation, packet) or 1
    transposed = turn in orientation.TRANSPOSING
    pixels = orientation.upright(bands, turn)
    size = pixels.shape[0], pixels.shape[1]
    dpi = stored.dpi or keep("EXIF data", exif.resolution, block)
    metadata = Metadata(
        format=stored.format,
        exif=keep("EXIF data", lambda b: exif.cleaned(b, size, transposed=transposed), block),
        xmp=keep("XMP data", lambda p: xmp.cleaned(p, size), packet),
        iptc=keep("IPTC data", bytes, stored.iptc),
        dpi=dpi[::-1] if dpi and transposed else dpi,
        icc=icc,
        text=stored.text,
    )
    return Photo(
        pixels=pixels,
        alpha=None if stored.alpha is None else orientation.upright(stored.alpha, turn),
        metadata=metadata,
        warnings=tuple(dict.fromkeys(stored.warnings)),
    )


class _Keeper:
    """Reads metadata; what cannot be read becomes a warning, as the photo matters more."""

    def __init__(self, warnings: list[str]):
        self._warnings = warnings

    def __call__(
        self, what: str, function: Callable[[bytes], _T], content: bytes | None
    ) -> _T | None:
        if not content:
            return None
        if len(content) > _MAX_METADATA:
            self._warnings.append(f"its {what} is too large and left out")
            return None
        try:
            return function(content)
        except (ValueError, struct.error, IndexError):
            self._warnings.append(f"its {what} is damaged and left out")
            return None


def _in_srgb(stored: Stored) -> tuple[np.ndarray, bytes | None]:
    """Grey or RGB pixels, and the profile to write with them."""
    if stored.icc:
        try:
            return profiles.to_srgb(stored.bands, stored.icc)
        except profiles.ProfileError as error:
            stored.warnings.append(f"its colour profile {error}: it is not used")
    bands = stored.bands
    return (profiles.cmyk_to_rgb(bands) if bands.shape[2:] == (4,) else bands), None
