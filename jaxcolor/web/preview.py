"""A photo made to fit a screen."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from jaxcolor.image_io import Metadata, Photo
from jaxcolor.image_io.modes import to_depth


def fit(side: int, photo: Photo) -> Photo:
    """A photo of at most `side` pixels in width and in height, in 8 bits, without metadata.

    One that fits already keeps its pixels' number and loses the rest.
    """
    height, width = photo.size
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return dataclasses.replace(
        photo,
        pixels=_resized(photo.pixels, size),
        alpha=None if photo.alpha is None else _resized(photo.alpha, size),
        metadata=Metadata(format=photo.metadata.format),
        warnings=(),
    )


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(to_depth(pixels, np.uint8))
    if image.size == size:
        return np.asarray(image)
    # Averages of whole squares first: the filter itself is slow on large photos.
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
