"""Dropout whose masks belong to the photo, not to the device or the batch that it lies in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32


def drop_channels(
    x: Float[Array, "b *hw c"], seeds: UInt32[Array, " b"] | None, layer: int, rate: float
) -> Float[Array, "b *hw c"]:
    """Sets whole channels of each picture to zero and makes up for it in the others.

    Tompson et al. 2015 (arXiv 1411.4280, section 3.2): neighbouring pixels say the same, so
    dropping them one by one takes nothing away.

    Args:
      x: any features.
      seeds: a number for each picture, or None: nothing is dropped.
      layer: the layer's own number, so that its mask differs from the others'.
      rate: the share of the channels, in [0, 1).
    """
    if seeds is None or rate == 0:
        return x

    def kept(seed: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(seed), layer)
        return jax.random.bernoulli(key, 1 - rate, x.shape[-1:])

    mask = jnp.expand_dims(jax.vmap(kept)(seeds), tuple(range(1, x.ndim - 1)))  # (B, 1, 1, C)
    return jnp.where(mask, x / (1 - rate), 0)
