"""What the network sees of a photo: its lightness, small, in one of few shapes.

Each shape is a program of its own: photos of one shape go through the network together.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from jaxcolor.models.colorizer import NETWORKS, Params

Shape: TypeAlias = tuple[int, int]  # height and width


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A photo as the network sees it.

    Attributes:
      lightness: L in [0, 100], of one of `shapes`.
    """

    lightness: Float[np.ndarray, "h w"]

    @property
    def shape(self) -> Shape:
        """Height and width: views of one shape fit into one batch."""
        height, width = self.lightness.shape
        return height, width


def shapes(params: Params) -> tuple[Shape, ...]:
    """The shapes that the colorizer sees photos in, the most frequent one first."""
    side = params.config.input_size
    return ((side, side),)


def shape_for(params: Params, size: tuple[int, int]) -> Shape:
    """The one of `shapes` in which it sees a photo of this height and width.

    A photo is squashed to it, and its chroma stretched back.
    """
    return shapes(params)[0]


def answer_shape(params: Params, shape: Shape) -> Shape:
    """The shape of the colours that it gives for a view of that shape."""
    config = params.config
    return shape if NETWORKS[config.network].FOLLOWS_INPUT else (config.size, config.size)
