"""Pillow images in memory <-> `Photo`: what `open_photo` and `save_photo` do with files.

`Image.open` shows pixels as the file stores them, and leaves what the file says about them (turned,
in the colours of a profile) in `info`. TIFF is turned by Pillow itself, when it is loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from jaxcolor.image_io import modes, pillow_reading
from jaxcolor.image_io.finishing import finished
from jaxcolor.image_io.metadata import exif, photoshop
from jaxcolor.image_io.metadata.fitting import COMMENT
from jaxcolor.image_io.photo import Photo, Stored
from jaxcolor.image_io.png import chunks as png_chunks

# TIFF's tags.
_WIDTH, _HEIGHT, _X_RESOLUTION, _IPTC, _PHOTOSHOP = 256, 257, 282, 33723, 34377
_NO_TEXTS = ("compression",)  # words of Pillow's own among the texts of a PNG


def from_pillow(image: Image.Image) -> Photo:
    """A Pillow image of any mode as `open_photo` would read it from its file: upright, in sRGB.

    Of an animation it is the frame that the image stands at. Pixels are as deep as Pillow has them:
    uint8, uint16 (modes I;16 and I) or float32 (mode F).

    Args:
      image: it is loaded, and not changed.

    Raises:
      ValueError: mode I with negative values, or mode F with values outside [0, 1].
    """
    bands, alpha = modes.to_bands(image)
    stored = pillow_reading.described(image, bands, alpha)
    _add_texts(stored, image.info)
    if stored.icc is None and "srgb" not in image.info:
        _add_gamma(stored, image.info)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _add_tags(stored, image)
    return finished(stored)


def to_pillow(photo: Photo, rgb: np.ndarray) -> Image.Image:
    """A photo's colours as a Pillow image, with all that the photo carries beside its pixels.

    Args:
      photo: gives transparency and metadata.
      rgb: (H, W, 3) of uint8, uint16 or float in [0, 1].

    Returns:
      An image of mode RGB or RGBA, 8 bits. Its `info` has, where the photo has them, "exif", "xmp",
      "icc_profile", "dpi", "comment", "photoshop" (IPTC) and a PNG's texts, as Pillow has them.
    """
    image = modes.from_pixels(rgb, photo.alpha)
    metadata = photo.metadata
    image.info |= dict(metadata.text)
    said = {
        "exif": metadata.exif and exif.MARK + metadata.exif,
        "xmp": metadata.xmp,
        "icc_profile": metadata.icc,
        "dpi": metadata.dpi,
        "comment": dict(metadata.text).get(COMMENT, "").encode(),
        "photoshop": metadata.iptc and {pillow_reading.IPTC: metadata.iptc},
    }
    image.info |= {key: value for key, value in said.items() if value}
    return image


def _add_texts(stored: Stored, info: dict[Any, Any]) -> None:
    """Texts of a PNG, and what programs hide in them."""
    texts = [(key, text) for key, text in info.items() if isinstance(text, str)]
    said = png_chunks.Said()
    png_chunks.sort_texts([(key, text) for key, text in texts if key not in _NO_TEXTS], said)
    stored.text = (*stored.text, *said.text)
    stored.exif, stored.xmp = stored.exif or said.exif, stored.xmp or said.xmp
    stored.iptc = stored.iptc or said.iptc
    stored.warnings += said.warnings


def _add_gamma(stored: Stored, info: dict[Any, Any]) -> None:
    """The profile that a PNG describes in numbers."""
    gamma, chromaticities = info.get("gamma"), info.get("chromaticity")
    if not isinstance(gamma, float) or stored.bands.shape[2:] == (4,):
        return
    if not isinstance(chromaticities, tuple):
        chromaticities = None
    try:
        grey = stored.bands.ndim == 2
        stored.icc = png_chunks.profile_of(gamma, chromaticities, grey=grey)
    except ValueError:
        stored.warnings.append("its colour profile is damaged and left out")


def _add_tags(stored: Stored, image: TiffImagePlugin.TiffImageFile) -> None:
    """What a TIFF says in its own directory; it was turned upright when it was loaded."""
    stored.orientation = 1
    tags = image.tag_v2
    if _X_RESOLUTION not in tags:  # Pillow makes up 1
        stored.dpi = None
    elif stored.dpi and image.size != (tags.get(_WIDTH), tags.get(_HEIGHT)):
        stored.dpi = stored.dpi[::-1]
    iptc, resources = tags.get(_IPTC), tags.get(_PHOTOSHOP)
    if isinstance(iptc, bytes):
        stored.iptc = iptc
    elif isinstance(resources, bytes):
        stored.iptc = photoshop.iptc(resources)
    try:
        block = image.getexif().tobytes()
        stored.exif = exif.descriptive(block.removeprefix(exif.MARK))
    except Exception:  # Pillow raises whatever it stumbles over
        stored.warnings.append("its EXIF data is damaged and left out")
