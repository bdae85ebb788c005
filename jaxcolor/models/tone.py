"""The range of lightness that a network sees: every photo's own is stretched to the same one.

A faded print, an underexposed one and a good one of the same scene differ in black and white point
first of all. Brought to one range they look alike, and get the same colours.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

PERCENTILES = (1.0, 99.0)  # of the lightness: dust and scratches are fewer pixels than that
RANGE = (5.0, 95.0)  # L that these become
LEAST = 15.0  # L between them: a flat surface stays flat, its grain is not made a picture


def stretched(lightness: Float[Array, "b h w"]) -> Float[Array, "b h w"]:
    """L of small photos in [0, 100] -> the same with one black and one white point for all."""
    # All samples, and not every other one: a mirror image must have the same.
    ordered = jnp.sort(lightness.reshape(lightness.shape[0], -1), axis=-1)
    low, high = (
        ordered[:, round((ordered.shape[-1] - 1) * percent / 100)] for percent in PERCENTILES
    )
    gain = (RANGE[1] - RANGE[0]) / jnp.maximum(high - low, LEAST)
    middle = (low + high) / 2
    centred = (lightness - middle[:, None, None]) * gain[:, None, None]
    return jnp.clip(centred + sum(RANGE) / 2, 0.0, 100.0)
