"""Pictures that are made up: for the first run on a machine, where no photos are at hand.

Each is a small landscape whose colours follow from what is there, so that a network can learn them:
a smooth sky is blue and paler towards the horizon, rough ground is green, striped walls are brick
red, a disc in the sky is yellow.
"""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

SIDE = 96  # pixels


def landscape(number: int) -> UInt8[np.ndarray, "96 96 3"]:
    """The picture of a number: always the same one."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    light = rng.uniform(0.7, 1.1)
    horizon = rng.uniform(0.35, 0.65) + 0.08 * np.sin(2 * np.pi * (x * rng.uniform(0.5, 2)))
    picture = _between((70, 130, 220), (200, 220, 240), (y / horizon)[..., None])

    middle, radius = rng.uniform((0.1, 0.1), (0.9, 0.25)), rng.uniform(0.05, 0.09)
    disc = np.hypot(x - middle[0], y - middle[1]) < radius
    picture[disc] = (255, 225, 90)

    rough = rng.uniform(0.3, 1.0, (SIDE, SIDE, 1))
    ground = rough * np.array((80.0, 150.0, 50.0))
    picture = np.where((y > horizon)[..., None], ground, picture)

    left, width, top = rng.uniform((0.05, 0.2, 0.3), (0.6, 0.35, 0.5))
    wall = (x > left) & (x < left + width) & (y > top) & (y < top + 0.4)
    courses = np.where(np.sin(2 * np.pi * 14 * y) > 0.5, 0.7, 1.0)[..., None]
    picture = np.where(wall[..., None], courses * np.array((190.0, 85.0, 60.0)), picture)
    return np.rint(np.clip(light * picture, 0, 255)).astype(np.uint8)


def encoded_landscape(number: int) -> bytes:
    """The same as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(landscape(number)).save(file, "PNG")
    return file.getvalue()


def _between(one: tuple[float, ...], other: tuple[float, ...], share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0, 1)
    return (1 - share) * np.array(one) + share * np.array(other)
