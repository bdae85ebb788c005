"""What the network sees of a photo: its lightness, small, in one of few shapes.

Each shape is a program of its own: photos of one shape go through the network together.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from jaxtyping import Float

from jaxcolor.models.colorizer import NETWORKS, Params
from jaxcolor.predict import framing

Shape: TypeAlias = tuple[int, int]  # height and width


class View(NamedTuple):
    """A photo as the network sees it, or a batch of such; of NumPy or JAX.

    Attributes:
      whole: L in [0, 100] of the whole photo, of the photo's shape.
      seen: L of what lies inside of its margin, of the same shape: what the network is given.
      rows: the matrix that puts rows of the network's answer where they belong in the whole, with
        zeros for a margin; None: the network sees the whole.
      columns: likewise.
    """

    whole: Float[Any, "*b h w"]
    seen: Float[Any, "*b h w"]
    rows: Float[Any, "*b h h"] | None = None
    columns: Float[Any, "*b w w"] | None = None

    @property
    def shape(self) -> Shape:
        """Height and width: views of one shape fit into one batch."""
        height, width = self.whole.shape[-2:]
        return height, width


def shapes(params: Params) -> tuple[Shape, ...]:
    """The shapes in which the colorizer sees most photos; `shape_for` may give others."""
    if not params.config.prediction.fitted:
        side = params.config.input_size
        return ((side, side),)
    return tuple(shape_for(params, size) for size in ((2, 3), (3, 4)))


def shape_for(params: Params, size: tuple[int, int]) -> Shape:
    """The shape in which it sees a photo of this height and width.

    A photo is squashed to it, and its chroma stretched back.
    """
    if not params.config.prediction.fitted:
        return shapes(params)[0]
    config = params.config
    return framing.shape_for(*size, config.size, NETWORKS[config.network].MULTIPLE)


def answer_shape(params: Params, shape: Shape) -> Shape:
    """The shape of the colours that it gives for a view of that shape."""
    config = params.config
    return shape if NETWORKS[config.network].FOLLOWS_INPUT else (config.size, config.size)
