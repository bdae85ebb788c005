"""The 3x3 convolution and the doubling that encoder and decoders are made of."""

from __future__ import annotations

import flax.linen as nn
from jax.nn.initializers import Initializer, he_normal
from jaxtyping import Array, Float

HE_NORMAL = he_normal()


def convolution(
    filters: int,
    stride: int = 1,
    *,
    name: str | None = None,
    kernel_init: Initializer = HE_NORMAL,
) -> nn.Conv:
    """A 3x3 convolution as the seed's tables mean it: 'same', biased; by default for a ReLU."""
    return nn.Conv(filters, (3, 3), stride, padding="SAME", kernel_init=kernel_init, name=name)


def double(x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w c"]:
    """Nearest neighbour, (B, h, w, C) -> (B, 2h, 2w, C)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)
