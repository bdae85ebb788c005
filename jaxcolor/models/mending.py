"""What age did to a photo, undone on the small copy that the network sees, and nowhere else.

A vignette leads the network to night skies, scratches and specks to textures that are none. Neither
needs learning: corners that are all four darker than the middle are brightened, and thin bright or
dark structures in smooth surroundings are filled with what lies beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxcolor.color import L_MAX

MIDDLE = 50.0  # L that has about zero as its logarithm
BLACK = 0.1  # of it, added before the logarithm, so that black places do not decide alone
MOST_VIGNETTE = 1.5  # a corner is brightened by e to that power at most
THIN = 3  # samples; a window of opening and closing, in which no structure of 1 or 2 fits
AROUND = 9  # samples; the window whose roughness is measured
STANDS_OUT = 4.0  # L by which a scratch differs from its surroundings, at least, beside
ROUGHNESS = 7.0  # so many times what structures of the opposite kind do there
SURE = 2.0  # L more, and all of it is taken for a scratch


def mended(lightness: Float[Array, "b h w"]) -> Float[Array, "b h w"]:
    """L of small photos in [0, 100] -> L without vignette, scratches and specks."""
    return _without_scratches(_without_vignette(lightness))


def _without_vignette(lightness: Array) -> Array:
    """L over what a vignette has left of it: 1 in the middle, falling with the squared radius.

    How far it falls is fitted to log L in each quadrant. The quadrant that falls least decides: a
    vignette darkens all four corners, a dark wood in one of them is a dark wood.
    """
    row, column = (np.linspace(-1, 1, side, dtype=np.float32) for side in lightness.shape[1:])
    radius: Any = (row[:, None] ** 2 + column**2) / 2  # 1 in the corners
    halves = _halves(len(row)), _halves(len(column)).T
    centred = radius - radius.mean()  # float32 has no digits to spare
    count = halves[0] @ np.ones_like(radius) @ halves[1]
    mean = halves[0] @ centred @ halves[1] / count
    spread = halves[0] @ centred**2 @ halves[1] - count * mean**2

    def by_quadrant(maps: Array) -> Array:
        precise = lax.Precision.HIGHEST
        return jnp.einsum("ih,bhw,wj->bij", halves[0], maps, halves[1], precision=precise)

    light = jnp.log(lightness / MIDDLE + BLACK)
    moments = by_quadrant(centred[None] * light) - mean[None] * by_quadrant(light)
    slope = jnp.max(moments / spread[None], axis=(1, 2))
    fall = 1 - jnp.exp(jnp.clip(slope, -MOST_VIGNETTE, 0.0))
    return jnp.clip(lightness / (1 - fall[:, None, None] * radius[None]), 0.0, L_MAX)


def _halves(length: int) -> np.ndarray:
    """Which places are of either half: (2, length)."""
    first = np.arange(length) < (length + 1) // 2
    return np.stack([first, ~first]).astype(np.float32)


def _without_scratches(lightness: Array) -> Array:
    """Morphological opening removes what is thin and bright, closing what is thin and dark.

    A texture has both. So what is of one kind must stand out from how much there is of the other.
    """
    opened = _largest(_smallest(lightness))
    closed = _smallest(_largest(lightness))
    bright, dark = lightness - opened, closed - lightness
    return lightness - bright * _share(bright, dark) + dark * _share(dark, bright)


def _share(kind: Array, opposite: Array) -> Array:
    """How much of what is thin is taken for damage, in [0, 1]."""
    around = _window(opposite, 0.0, lax.add, AROUND) / AROUND**2
    return jnp.clip((kind - ROUGHNESS * around - STANDS_OUT) / SURE, 0.0, 1.0)


def _largest(x: Array) -> Array:
    return _window(x, -np.inf, lax.max, THIN)


def _smallest(x: Array) -> Array:
    return _window(x, np.inf, lax.min, THIN)


def _window(x: Array, start: float, operation: Callable[..., Any], size: int) -> Array:
    """Over squares of samples, as far as they lie in the picture; rows and columns in turn."""
    for window in ((1, size, 1), (1, 1, size)):
        x = lax.reduce_window(x, np.float32(start), operation, window, (1, 1, 1), "SAME")
    return x
