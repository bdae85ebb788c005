"""The range of lightness that a network sees: black and white point moved towards one pair.

A faded print, an underexposed one and a good one of the same scene differ in black and white point
first of all. Brought to one range they would look alike, and get the same colours; but how bright a
scene is by itself says something of its colours, too. So a photo whose points are far apart goes a
part of the way, and one that has faded, whose own tell little, all of it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

PERCENTILES = (1.0, 99.0)  # of the lightness: dust and scratches are fewer pixels than that
RANGE = (5.0, 95.0)  # L that these are moved towards
SHARE = 0.65  # of the way there, for a photo whose points are far apart
FADED, WHOLE = 40.0, 75.0  # L between them: up to the first all of the way, from the second SHARE
LEAST = 15.0  # L between them: a flat surface stays flat, its grain is not made a picture


def stretched(lightness: Float[Array, "b h w"]) -> Float[Array, "b h w"]:
    """L of small photos in [0, 100] -> the same with black and white points nearer to one pair."""
    # All samples, and not every other one: a mirror image must have the same.
    samples = lightness.reshape(lightness.shape[0], -1)
    low, high = (
        _ranked(samples, round((samples.shape[1] - 1) * percent / 100)) for percent in PERCENTILES
    )
    whole = jnp.clip((high - low - FADED) / (WHOLE - FADED), 0.0, 1.0)
    share = 1 - (1 - SHARE) * whole
    black, white = (end + share * (to - end) for end, to in zip((low, high), RANGE, strict=True))
    gain = (white - black) / jnp.maximum(high - low, LEAST)
    centred = (lightness - (low + high)[:, None, None] / 2) * gain[:, None, None]
    return jnp.clip(centred + (black + white)[:, None, None] / 2, 0.0, 100.0)


def _ranked(samples: Float[Array, "b n"], rank: int) -> Float[Array, " b"]:
    """What stands at a rank, from 0, when each row's numbers are sorted.

    Found bit by bit, from the highest, by counting. On a CPU, XLA takes fifteen times as long to
    sort them.
    """
    bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(samples), jnp.int32)
    keys = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # whole numbers in the order of the samples

    def largest(found: Array, candidate: Array) -> Array:
        below = jnp.sum(keys < candidate[:, None], axis=1, dtype=jnp.int32)
        return jnp.where(below <= rank, candidate, found)

    zero = jnp.zeros_like(keys[:, 0])
    found = jax.lax.fori_loop(
        0,
        31,
        lambda step, found: largest(found, found | (1 << (30 - step))),
        largest(jnp.full_like(zero, np.iinfo(np.int32).min), zero),
    )
    place = jnp.argmax(keys == found[:, None], axis=1)  # the sample itself has a derivative
    return jnp.take_along_axis(samples, place[:, None], axis=1)[:, 0]
