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

BACKBONES: Mapping[str, type[Any]] = {
    "efficientnet_lite0": EfficientNetLite0,
    "efficientnet_lite1": EfficientNetLite1,
    "efficientnet_lite2": EfficientNetLite2,
    "inception_resnet_v2": InceptionResNetV2,
}


def grey_view(
    name: str, lightness: Float[Array, "b h w 1"], size: int, dtype: Any
) -> Float[Array, "b s s 3"]:
    """The grey picture (a = b = 0, back to sRGB) as the backbone takes it, never the colours.

    Args:
      name: a key of `BACKBONES`.
      lightness: L / 50 - 1, of any size.
      size: of the view, pixels.
      dtype: what the backbone computes in; the view is made in float32.
    """
    seen = resize(lightness, size)
    grey = color.lightness_to_grey(color.network_to_lightness(seen))  # sRGB in [0, 1]
    rgb = jnp.broadcast_to(grey, (*grey.shape[:-1], 3))
    return jnp.asarray(BACKBONES[name].preprocess(rgb), dtype)


def resize(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b s s c"]:
    """Linear; averages when it makes smaller, and gives `x` itself at its own size."""
    if x.shape[1:3] == (size, size):
        return x
    return jax.image.resize(x, (x.shape[0], size, size, x.shape[-1]), "linear")
