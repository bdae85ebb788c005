"""The 3x3 convolution that encoder and decoder are made of."""

from __future__ import annotations

import flax.linen as nn
from jax.nn.initializers import Initializer, he_normal

HE_NORMAL = he_normal()


def convolution(
    filters: int, stride: int = 1, *, name: str, kernel_init: Initializer = HE_NORMAL
) -> nn.Conv:
    """A 3x3 convolution as the seed's tables mean it: 'same', biased; by default for a ReLU."""
    return nn.Conv(filters, (3, 3), stride, padding="SAME", kernel_init=kernel_init, name=name)
