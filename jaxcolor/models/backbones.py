"""The pretrained networks that a colorizer builds on, and what they see of a photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcolor import color
from jaxcolor.models.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
)
from jaxcolor.models.inception_resnet_v2 import InceptionResNetV2
from jaxcolor.models.interfaces import Backbone

BACKBONES: Mapping[str, type[Backbone]] = {
    "efficientnet_lite0": EfficientNetLite0,
    "efficientnet_lite1": EfficientNetLite1,
    "efficientnet_lite2": EfficientNetLite2,
    "inception_resnet_v2": InceptionResNetV2,
}


def grey_view(
    backbone: type[Backbone], lightness: Float[Array, "b h w 1"], dtype: Any
) -> Float[Array, "b h w 3"]:
    """The grey picture (a = b = 0, back to sRGB) as the backbone takes it, never the colours.

    Args:
      backbone: who looks at it.
      lightness: L / 50 - 1.
      dtype: what the backbone computes in; the view is made in float32.
    """
    grey = color.lightness_to_grey(color.network_to_lightness(lightness))  # sRGB in [0, 1]
    rgb = jnp.broadcast_to(grey, (*grey.shape[:-1], 3))
    return backbone.preprocess(rgb).astype(dtype)


def resize(x: Float[Array, "b h w c"], size: int | tuple[int, int]) -> Float[Array, "b h2 w2 c"]:
    """Linear; averages when it makes smaller, and gives `x` itself at its own size.

    Args:
      x: pictures or maps.
      size: (height, width), or the side of a square; in pixels.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if x.shape[1:3] == (height, width):
        return x
    return jax.image.resize(x, (x.shape[0], height, width, x.shape[-1]), "linear")
