"""Heads: what a network's last layer means, and how chroma is read from it.

`regression` is Deep Koalarization's: two channels, tanh, ab / 110. `classification` is that of
"Colorful Image Colorization" (Zhang, Isola, Efros 2016, arXiv 1603.08511): one logit for each of
313 colours, read by the annealed mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcolor import color

BIN = 10  # the grid of ab that the colours lie on
TEMPERATURE = 0.38  # of the annealed mean: section 2.3
# For a = -90, -80 .. 100 the first and the last b: the 313 grid points of the paper's own list
# (`pts_in_hull.npy`, as OpenCV's colorization sample prints it).
_ROWS = (
    *((50, 90), (20, 90), (0, 90), (-20, 90), (-30, 100), (-40, 100), (-50, 100), (-50, 100)),
    *((-60, 100), (-70, 100), (-80, 90), (-80, 90), (-90, 90), (-100, 90), (-100, 80)),
    *((-110, 80), (-110, 80), (-110, 70), (-110, 70), (-90, 0)),
)
BINS = np.array(
    [
        (a, b)
        for a, (first, last) in zip(range(-90, 101, BIN), _ROWS, strict=True)
        for b in range(first, last + 1, BIN)
    ],
    np.float32,
)  # (313, 2) ab


class Head(NamedTuple):
    """How chroma is read.

    Attributes:
      channels: of the network's last layer.
      decode: that layer (B, h, w, channels) -> ab / 110 in [-1, 1], (B, h, w, 2).
      is_distribution: whether the layer describes a distribution of colours, which losses are given
        as it is; otherwise they are given the chroma.
    """

    channels: int
    decode: Callable[[Array], Array]
    is_distribution: bool = False


def annealed_mean(
    logits: Float[Array, "*b 313"], temperature: float = TEMPERATURE
) -> Float[Array, "*b 2"]:
    """The mean colour of the sharpened distribution, as ab / 110: arXiv 1603.08511, equation 5.

    The temperature goes from 0, the most likely colour, to 1, the plain mean.
    """
    probabilities = jax.nn.softmax(logits / temperature, axis=-1)
    return color.ab_to_network(probabilities @ jnp.asarray(BINS, probabilities.dtype))


HEADS: Mapping[str, Head] = {
    "regression": Head(2, jnp.tanh),
    "classification": Head(len(BINS), annealed_mean, is_distribution=True),
}
