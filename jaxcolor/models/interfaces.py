"""What every backbone and every network tells of itself: a new one is one class and its name.

Its name stands in `backbones.BACKBONES` or `colorizer.NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Backbone(nn.Module):
    """A pretrained network that a colorizer builds on: `preprocess`ed RGB in, logits (B, 1000) out.

    Class attributes:
      input_size: the square that it was trained on, in pixels.
      endpoint_scales: the maps that a pyramid stands on, "stride2" .. "stride32" at 1/2 .. 1/32 of
        the input, with the root mean square of each on grey photos; none: no pyramid stands on it.

    Attributes:
      include_top: with the classifier; without it a dict of the maps is given instead of logits,
        with "pooled", a vector (B, channels) of the whole picture.
    """

    include_top: bool = True

    input_size: ClassVar[int]
    endpoint_scales: ClassVar[Mapping[str, float]] = MappingProxyType({})

    @classmethod
    def parts(cls) -> tuple[str, ...]:
        """The parts from the input to the output, as the variables name them.

        Training may tune the last of them; none: it can only be frozen.
        """
        return ()

    @staticmethod
    def preprocess(rgb: Float[Array, "*b h w 3"]) -> Float[Array, "*b h w 3"]:
        """Brings sRGB in [0, 1] to the scale that the weights were trained on."""
        raise NotImplementedError


class Network(nn.Module, kw_only=True):
    """A colorizer's network: L / 50 - 1 -> what a head reads chroma from, at half of the size.

    Class attributes:
      MULTIPLE: what height and width are multiples of.
      FOLLOWS_INPUT: whether its size is that of its input, square or not; otherwise it is a square
        of the attribute `size`, and the input of any size.
      NEEDS_MAPS: whether its backbone must have maps for a pyramid.

    Attributes:
      backbone_name: the pretrained part; a key of `BACKBONES`.
      channels: of the output.
      dtype: what is computed in.
      dropout: while training, the share of channels that some layers do without.
    """

    MULTIPLE: ClassVar[int]
    FOLLOWS_INPUT: ClassVar[bool]
    NEEDS_MAPS: ClassVar[bool] = False

    backbone_name: str
    channels: int
    dtype: Any = jnp.float32
    dropout: float = 0.0

    @classmethod
    def input_size(cls, backbone: type[Backbone], size: int) -> int:
        """The square that a photo's lightness is best brought to, to be coloured at `size`."""
        return size

    def check_sides(self, lightness: Float[Array, "b h w 1"]) -> None:
        """Raises a ValueError if a side is no multiple of `MULTIPLE`."""
        _, height, width, _ = lightness.shape
        if height % self.MULTIPLE or width % self.MULTIPLE:
            raise ValueError(
                f"lightness is {height}x{width}: both must be multiples of {self.MULTIPLE}"
            )

    @staticmethod
    def enlarge(chroma: Float[Array, "b h w 2"]) -> Float[Array, "b 2*h 2*w 2"]:
        """The last doubling, of the chroma that the head has read."""
        raise NotImplementedError
