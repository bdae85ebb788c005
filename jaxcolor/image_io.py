"""Photo files <-> Pillow images <-> arrays.

Pixels travel as (H, W) or (H, W, 3) arrays of uint8, uint16 or float; transparency beside them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageOps

from jaxcolor.atomic import open_whole

# Suffix -> Pillow's format and how it is saved: a result is written once and kept for long, so
# JPEG keeps full chroma resolution.
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".webp": ("WEBP", {"quality": 95}),
    ".bmp": ("BMP", {}),
}
_OPAQUE = ("JPEG", "BMP")

SUFFIXES = tuple(_FORMATS)


class PhotoError(ValueError):
    """A photo that cannot be read or written; the message is one line that names the file."""


def read(path: str | os.PathLike[str]) -> Image.Image:
    """Opens and decodes a photo, turned upright as its EXIF orientation says.

    Raises:
      PhotoError: it is missing, no picture, damaged, cut short, or larger than Pillow's limit
        against decompression bombs.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise PhotoError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise PhotoError(f"{path}: a folder, not a photo") from None
    except PermissionError:
        raise PhotoError(f"{path}: no permission to read it") from None
    except PIL.UnidentifiedImageError:
        raise PhotoError(f"{path}: not a picture of any format known here") from None
    except Image.DecompressionBombError as error:
        raise PhotoError(f"{path}: too large: {error}") from None
    # Pillow's plugins raise whatever their parsers stumble over.
    except Exception as error:
        raise PhotoError(f"{path}: damaged or cut short ({_first_line(error)})") from None


def write(path: str | os.PathLike[str], image: Image.Image) -> None:
    """Saves an image in the format of the path's suffix; the file appears whole or not at all.

    Raises:
      PhotoError: the format is not known or cannot hold transparency, or the file cannot be
        written.
    """
    path = Path(path)
    name, options = format_of(path)
    if name in _OPAQUE and image.mode == "RGBA":
        raise PhotoError(f"{path}: {name} cannot hold the photo's transparency; name it .png")
    try:
        with open_whole(path) as file:
            image.save(file, name, **options)
    except OSError as error:
        raise PhotoError(f"{path}: cannot be written ({error.strerror or error})") from None


def format_of(path: Path) -> tuple[str, dict[str, Any]]:
    """Pillow's name and options for the format that a suffix means.

    Raises:
      PhotoError: the suffix is none that can be written.
    """
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        raise PhotoError(f"{path}: the suffix says the format: use one of {known}") from None


def to_pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """A Pillow image of any mode -> its pixels, and its alpha if it has one.

    Returns:
      (H, W) or (H, W, 3) of uint8, uint16 (modes I;16 and I) or float32 (mode F, in [0, 1]);
      (H, W) uint8 alpha or None.

    Raises:
      ValueError: mode I with values that do not fit 16 bits.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), None
    if image.mode == "I":
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > np.iinfo(np.uint16).max:
            raise ValueError("pixels of 32 bits: bring them to 16 bits or to floats in [0, 1]")
        return wide.astype(np.uint16), None
    if image.mode == "F":
        return np.asarray(image), None
    if image.has_transparency_data:
        bands = np.asarray(image.convert("RGBA"))
        return bands[..., :3], bands[..., 3]
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")), None


def from_pixels(rgb: np.ndarray, alpha: np.ndarray | None) -> Image.Image:
    """(H, W, 3) pixels as `to_pixels` has them -> a Pillow image of 8 bits, RGB or RGBA."""
    if rgb.dtype == np.uint16:
        rgb = (rgb.astype(np.float32) / 257 + 0.5).astype(np.uint8)
    elif rgb.dtype != np.uint8:
        rgb = (rgb * 255 + 0.5).astype(np.uint8)
    if alpha is not None:
        rgb = np.concatenate([rgb, alpha[..., None]], axis=-1)
    return Image.fromarray(rgb)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
