"""Prediction as pure functions: of a whole picture, and of the parts that tiles are made with."""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcolor import color
from jaxcolor.models.colorizer import Params, forward
from jaxcolor.refine import Taps, averaging, enlarge, resize_matrix, taps

Control: TypeAlias = float | Float[Array, ""]

_MOST_CHROMA = 200.0  # sRGB ends at 134; whatever saturation makes of it, the gamut can be searched


@jax.jit
def colorize(params: Params, image: Array, saturation: Control, refine: Control) -> Array:
    """A picture (H, W), (H, W, 1) or (H, W, 3) of uint8, uint16 or float -> RGB of its type."""
    lightness = to_lightness(image if image.ndim == 3 else image[..., None])
    height, width = lightness.shape
    side = params.config.input_size
    seen = shrink_part(lightness, resize_matrix(height, side), resize_matrix(width, side))
    (small,) = predict(params, seen[None])
    size = small.shape[0]
    small = prepare(small, averaging(size, height), averaging(size, width), saturation)
    return paint(lightness, small, taps(size, height), taps(size, width), refine, image.dtype)


@jax.jit
def to_lightness(pixels: Array) -> Float[Array, "h w"]:
    """Pixels (h, w, 1 or 3) of uint8, uint16 or float in [0, 1] -> L."""
    if pixels.dtype in (np.uint8, np.uint16):
        unit = pixels.astype(jnp.float32) / np.iinfo(pixels.dtype).max
    else:
        unit = pixels.astype(jnp.float32).clip(0, 1)
    if pixels.shape[-1] == 1:
        return color.grey_to_lightness(unit[..., 0])
    return color.rgb_to_lightness(unit)


@jax.jit
def shrink_part(
    lightness: Float[Array, "h w"], rows: Float[Array, "s h"], columns: Float[Array, "s w"]
) -> Float[Array, "s s"]:
    """What a part of the picture adds to the small L of the whole."""
    return _matmul("ih,hw,jw->ij", rows, lightness, columns)


@jax.jit
def predict(params: Params, lightness: Float[Array, "b h h"]) -> Float[Array, "b s s 3"]:
    """L at the network's input size -> Lab at the size of its answer."""
    ab = color.network_to_ab(_chroma(params, color.lightness_to_network(lightness[..., None])))
    ab = _from_inside(ab, params.config.prediction.border) * params.config.prediction.saturation
    matrix = resize_matrix(lightness.shape[1], ab.shape[1])
    guide = _matmul("ih,bhw,jw->bij", matrix, lightness, matrix)
    return jnp.concatenate([guide[..., None], ab], axis=-1)


def _chroma(params: Params, scaled: Float[Array, "b h h 1"]) -> Float[Array, "b s s 2"]:
    """L / 50 - 1 -> ab / 110; the mean over both mirror images, if the config says so."""
    if not params.config.prediction.mirrored:
        return forward(params.config, params.variables, scaled)
    both = jnp.concatenate([scaled, scaled[:, :, ::-1]])
    one, other = jnp.split(forward(params.config, params.variables, both), 2)
    return (one + other[:, :, ::-1]) / 2


def _from_inside(ab: Float[Array, "b s s 2"], border: int) -> Float[Array, "b s s 2"]:
    """The samples of the rim get the chroma of the nearest one that is no part of it."""
    inside = ab[:, border : ab.shape[1] - border, border : ab.shape[2] - border]
    return jnp.pad(inside, ((0, 0), (border, border), (border, border), (0, 0)), mode="edge")


@jax.jit
def prepare(
    small: Float[Array, "s s 3"],
    rows: Float[Array, "s s"],
    columns: Float[Array, "s s"],
    saturation: Control,
) -> Float[Array, "s s 3"]:
    """The small picture as `paint` takes it: saturated, and averaged for a picture still smaller.

    Args:
      small: Lab.
      rows: `refine.averaging` to the picture's height.
      columns: and to its width.
      saturation: what ab is multiplied by.
    """
    averaged = _matmul("is,stc,jt->ijc", rows, small, columns)
    ab = averaged[..., 1:] * saturation
    chroma = jnp.linalg.norm(ab, axis=-1, keepdims=True)
    ab = ab * (_MOST_CHROMA / jnp.maximum(chroma, _MOST_CHROMA))
    return jnp.concatenate([averaged[..., :1], ab], axis=-1)


@functools.partial(jax.jit, static_argnames="dtype")
def paint(
    lightness: Float[Array, "h w"],
    small: Float[Array, "s s 3"],
    rows: Taps,
    columns: Taps,
    refine: Control,
    dtype: Any,
) -> Array:
    """L of a part of the picture, joined by the chroma that belongs there -> RGB (h, w, 3)."""
    ab = enlarge(small, lightness, rows, columns, refine)
    rgb = color.lab_to_rgb(jnp.concatenate([lightness[..., None], ab], axis=-1))
    if dtype in (np.uint8, np.uint16):
        rgb = rgb * np.iinfo(dtype).max + 0.5
    return rgb.astype(dtype)


def _matmul(subscripts: str, *operands: Array | np.ndarray) -> Array:
    # Full precision: by default GPU and TPU would round L and ab to 10 bits or fewer.
    return jnp.einsum(subscripts, *operands, precision=jax.lax.Precision.HIGHEST)
