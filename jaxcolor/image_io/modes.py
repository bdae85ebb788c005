"""Pillow images of any mode <-> arrays."""

from __future__ import annotations

from typing import cast

import numpy as np
from PIL import Image, ImageCms

from jaxcolor.image_io.errors import Refused

_STRIP = 1 << 20  # pixels; one strip is converted at once, so that no second copy is ever whole
_DEEP = np.iinfo(np.uint16).max
_SLACK = 1e-3  # how far floats may lie outside [0, 1]: resizing overshoots a little


def to_bands(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """A Pillow image of any mode -> its pixels as they are stored, and its alpha if it has one.

    Returns:
      (H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK, of uint8, uint16 (modes I;16 and I) or float32
      (mode F, in [0, 1]); alpha (H, W) of the same type, or None.

    Raises:
      ValueError: mode I with negative values, or mode F with values outside [0, 1].
    """
    image.load()
    mode = _target_mode(image)
    width, height = image.size
    rows = max(1, _STRIP // width)
    first = _strip(image, mode, 0, min(rows, height))
    out = first
    if height > rows:
        out = np.empty((height, *first.shape[1:]), first.dtype)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            out[top:bottom] = _strip(image, mode, top, bottom)
    if mode in ("I", "F"):
        return (integers if mode == "I" else floats)(out), None
    if mode in ("LA", "RGBA"):
        colours = out[..., 0] if mode == "LA" else out[..., :3]
        return np.ascontiguousarray(colours), np.ascontiguousarray(out[..., -1])
    return out, _keyed(image, out)


def from_pixels(pixels: np.ndarray, alpha: np.ndarray | None) -> Image.Image:
    """Pixels and alpha as a `Photo` has them -> a Pillow image of 8 bits: L, RGB, LA or RGBA."""
    image = Image.fromarray(to_depth(pixels, np.uint8))
    if alpha is not None:
        image.putalpha(Image.fromarray(to_depth(alpha, np.uint8)))
    return image


def to_depth(values: np.ndarray, dtype: type[np.uint8] | type[np.uint16]) -> np.ndarray:
    """Pixels of any type -> uint8 or uint16 over the full range, rounded to the nearest."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype == dtype:
        return values
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if values.dtype == np.uint8:
        return values.astype(np.uint16) * 257
    return (values.clip(0, 1) * np.iinfo(dtype).max + 0.5).astype(dtype)


def full_range(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers of 1 to 16 bits -> uint8 or uint16 over the full range, rounded to the nearest."""
    top = 2**bits - 1
    if bits <= 8:
        return ((values.astype(np.uint16) * 255 + top // 2) // top).astype(np.uint8)
    return ((values.astype(np.uint32) * 65535 + top // 2) // top).astype(np.uint16)


def integers(values: np.ndarray) -> np.ndarray:
    """Integers of 32 bits or with a sign -> uint16.

    Programs write 16 bits into such files as often as 32: values that fit 16 bits are taken for
    16 bits, others for 32.

    Raises:
      Refused: there are negative ones, or larger ones of a type whose white is not known.
    """
    if values.min() < 0:
        raise Refused("has negative pixels: bring it to 16 bits without a sign")
    if values.max() <= _DEEP:
        return values.astype(np.uint16)
    if values.dtype != np.uint32:
        raise Refused("has pixels of 32 bits: bring it to 16 bits, or to floats in [0, 1]")
    return (values >> 16).astype(np.uint16)


def floats(values: np.ndarray) -> np.ndarray:
    """Floats of any size -> float32 in [0, 1].

    Raises:
      Refused: they are not in [0, 1].
    """
    check_floats(values)
    return values.astype(np.float32, copy=False).clip(0, 1)


def check_floats(values: np.ndarray) -> None:
    """Refuses pixels outside [0, 1]; a little is forgiven.

    Raises:
      ValueError: they are not in [0, 1].
    """
    low, high = float(values.min()), float(values.max())
    if not (low >= -_SLACK and high <= 1 + _SLACK):  # NaN is neither
        raise Refused(f"floats must lie in [0, 1]; these lie in [{low:g}, {high:g}]")


def _target_mode(image: Image.Image) -> str:
    mode = image.mode
    if mode in ("CMYK", "I", "F", "LAB") or mode.startswith("I;16"):
        return mode
    if mode in ("LA", "La"):
        return "LA"
    if mode in ("1", "L"):
        return "L"
    transparent = image.has_transparency_data
    if mode == "P" and _has_grey_palette(image):
        return "LA" if transparent else "L"
    return "RGBA" if transparent else "RGB"


def _has_grey_palette(image: Image.Image) -> bool:
    colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _strip(image: Image.Image, mode: str, top: int, bottom: int) -> np.ndarray:
    whole = (top, bottom) == (0, image.height)
    strip = image if whole else image.crop((0, top, image.width, bottom))
    if mode == "LAB":
        return _from_lab(strip)
    pixels = np.asarray(strip if strip.mode == mode else strip.convert(mode))
    return pixels.astype(np.uint16) if mode.startswith("I;16") else pixels


def _from_lab(strip: Image.Image) -> np.ndarray:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    rgb = ImageCms.profileToProfile(strip, lab, srgb, outputMode="RGB")
    return np.asarray(cast(Image.Image, rgb))


def _keyed(image: Image.Image, pixels: np.ndarray) -> np.ndarray | None:
    """Alpha of a grey picture one of whose levels means transparent."""
    key = image.info.get("transparency")
    if not isinstance(key, int) or image.mode not in ("1", "L", "I;16"):
        return None
    key = 255 * bool(key) if image.mode == "1" else key
    return np.where(pixels == key, 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
