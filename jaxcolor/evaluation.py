"""How good a colorizer is on a folder of colour photos, beside doing nothing at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps

from jaxcolor import color, image_io
from jaxcolor.metrics import psnr
from jaxcolor.models.colorizer import Params
from jaxcolor.predict import colorize

SIZE = 256  # pixels: pictures are compared at the usual size of published figures


@dataclasses.dataclass(frozen=True)
class Score:
    """One photo's figures.

    Attributes:
      photo: its file.
      psnr: of the colorized picture against the photo, dB.
      grey_psnr: of the grey picture, the baseline, dB.
    """

    photo: Path
    psnr: float
    grey_psnr: float


def evaluate(params: Params, photos: Iterable[Path]) -> Iterator[Score]:
    """Colorizes each photo's grey copy, through the same `colorize` that users call.

    Raises:
      PhotoError: a photo that cannot be read; names it.
    """
    for photo in photos:
        truth = central_square(image_io.read(photo))
        grey = grey_of(truth)
        yield Score(photo, psnr(colorize(params, grey), truth), psnr(grey, truth))


def central_square(image: Image.Image) -> np.ndarray:
    """The photo's central square at 256x256: uint8 (256, 256, 3)."""
    fitted = ImageOps.fit(image.convert("RGB"), (SIZE, SIZE), Image.Resampling.LANCZOS)
    return np.asarray(fitted)


def grey_of(rgb: np.ndarray) -> np.ndarray:
    """uint8 RGB (H, W, 3) -> the grey of the same L, as three equal channels."""
    grey = color.lightness_to_grey(color.rgb_to_lightness(jnp.asarray(rgb, jnp.float32) / 255))
    return np.repeat(np.rint(np.asarray(grey) * 255).astype(np.uint8)[..., None], 3, axis=-1)
