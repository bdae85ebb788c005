"""Colours of any ICC profile -> sRGB, by Little CMS."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator

import imagecodecs
import numpy as np

_SPACES = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk"}
_FITTING = {1: ("gray", "rgb"), 3: ("rgb",), 4: ("cmyk",)}  # number of channels -> profiles for it
SRGB_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
MAX_PROFILE = 8 << 20  # bytes; printers' profiles have about 2 MB
# Little CMS's numbers. Its optimized paths are wrong by up to a twelfth of the range in 16 bits
# (Adobe RGB, dark saturated colours) and by up to 19 levels of 255 through tables (CMYK). Of 8 bits
# through curves and a matrix it is right to 0.7 levels, and ten times as fast as the exact one.
_RELATIVE, _NO_OPTIMIZE, _BLACK_POINT_COMPENSATION = 1, 0x0100, 0x2000
# A profile that changes no colour by more than half an 8-bit level is sRGB under one of its many
# names: such pixels stay as they are, to the last bit.
_SAME = 0.5 / 255
_TAG_TABLE = 4 + 12 * 50  # bytes after the header that name the profile's parts
_STRIP = 1 << 20  # pixels converted at once


class ProfileError(ValueError):
    """A profile that cannot be used; the message says why."""


@functools.cache
def srgb() -> bytes:
    """An ICC profile of sRGB, the same bytes every time."""
    profile = bytearray(imagecodecs.cms_profile("srgb"))
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # else the time of making it
    return bytes(profile)


def from_gamma(gamma: float, chromaticities: tuple[float, ...] | None, *, grey: bool) -> bytes:
    """A profile of a power curve, as PNG's gAMA and cHRM describe colours.

    Args:
      gamma: the exponent that makes light of values: 2.2, not 0.4545.
      chromaticities: x and y of white, red, green and blue; None: sRGB's.
      grey: for grey pixels.

    Raises:
      ProfileError: there are no such colours.
    """
    white_x, white_y, *primaries = chromaticities or SRGB_CHROMATICITIES
    try:
        if grey:
            return bytes(imagecodecs.cms_profile("gray", gamma=gamma))
        return bytes(
            imagecodecs.cms_profile(
                "rgb", gamma=gamma, whitepoint=[white_x, white_y, 1.0], primaries=primaries
            )
        )
    except imagecodecs.CmsError as error:
        raise ProfileError("is damaged") from error


def to_srgb(bands: np.ndarray, icc: bytes) -> tuple[np.ndarray, bytes]:
    """Converts pixels from a profile's colours to sRGB.

    Relative colorimetric, with black point compensation.

    Args:
      bands: (H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK; uint8, uint16 or float32 in [0, 1].
      icc: the profile. Grey pixels may have an RGB profile: they are three equal channels.

    Returns:
      (H, W) or (H, W, 3) pixels of the same type: the same array if the profile is sRGB; and the
      profile to write with them: this one if it is sRGB's, else `srgb()`.

    Raises:
      ProfileError: the profile is damaged, too large, or not for such pixels.
    """
    space = _space(bands, icc)
    if space != "cmyk" and _is_srgb(bands, icc, space):
        return bands, icc if space == "rgb" else srgb()
    if bands.ndim == 2 and bands.dtype != np.float32:
        return _by_table(bands, icc, space), srgb()
    out = np.empty(bands.shape[:2] + ((3,) if bands.ndim == 3 else ()), bands.dtype)
    for rows in _strips(bands):
        out[rows] = _transform(bands[rows], icc, space)
    return out, srgb()


def cmyk_to_rgb(bands: np.ndarray) -> np.ndarray:
    """CMYK of an unknown press -> RGB: light is what no ink takes away."""
    rgb = np.empty((*bands.shape[:2], 3), bands.dtype)
    full = np.iinfo(bands.dtype).max
    for rows in _strips(bands):
        light = 1 - bands[rows].astype(np.float32) / full
        rgb[rows] = light[..., :3] * light[..., 3:] * full + 0.5
    return rgb


def _space(bands: np.ndarray, icc: bytes) -> str:
    if not 128 <= len(icc) <= MAX_PROFILE:
        raise ProfileError(f"has {len(icc)} bytes")
    space = _SPACES.get(bytes(icc[16:20]))
    if space is None or space not in _FITTING[1 if bands.ndim == 2 else bands.shape[-1]]:
        raise ProfileError("is for other colours than the photo's")
    return space


def _is_srgb(bands: np.ndarray, icc: bytes, space: str) -> bool:
    """Whether the profile leaves colours from the whole range as they are."""
    channels, steps = (1, 1024) if bands.ndim == 2 else (3, 17)
    values = np.linspace(0, 1, steps, dtype=np.float32)
    samples = np.stack(np.meshgrid(*[values] * channels, indexing="ij"), axis=-1)
    samples = samples.reshape((1, -1) if channels == 1 else (1, -1, channels))
    change = np.abs(_transform(samples, icc, space) - samples)
    return bool(change.max() <= _SAME)  # NaN is not


def _by_table(bands: np.ndarray, icc: bytes, space: str) -> np.ndarray:
    """Grey pixels, each level converted once."""
    levels = np.arange(np.iinfo(bands.dtype).max + 1, dtype=bands.dtype)
    table = _transform(levels[None], icc, space)[0]
    out = np.empty_like(bands)
    for rows in _strips(bands):
        out[rows] = table[bands[rows]]
    return out


def _transform(values: np.ndarray, icc: bytes, space: str) -> np.ndarray:
    """(h, w) grey, (h, w, 3) RGB or (h, w, 4) CMYK -> sRGB of the same type; grey stays (h, w)."""
    grey = values.ndim == 2
    if grey and space == "rgb":
        values = np.repeat(values[..., None], 3, axis=-1)
    exact = grey or values.dtype != np.uint8 or icc.find(b"A2B", 128, 128 + _TAG_TABLE) >= 0
    try:
        rgb = imagecodecs.cms_transform(
            np.ascontiguousarray(values),
            icc,
            srgb(),
            colorspace=space,
            outcolorspace="rgb",
            intent=_RELATIVE,
            flags=_BLACK_POINT_COMPENSATION | (_NO_OPTIMIZE if exact else 0),
        )
    except imagecodecs.CmsError as error:
        raise ProfileError("is damaged") from error
    rgb = rgb.reshape(*values.shape[:2], 3)
    if rgb.dtype == np.float32:
        if not np.isfinite(rgb).all():
            raise ProfileError("is damaged")
        rgb = rgb.clip(0, 1)
    return rgb[..., 1] if grey else rgb


def _strips(bands: np.ndarray) -> Iterator[slice]:
    height = max(1, _STRIP // bands.shape[1])
    for top in range(0, bands.shape[0], height):
        yield slice(top, top + height)
