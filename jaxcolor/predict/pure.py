"""Prediction as pure functions: of a whole picture, and of the pieces of one."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcolor import color
from jaxcolor.compilation import Kept
from jaxcolor.controls import Controls
from jaxcolor.models.colorizer import Params, as_seen, forward
from jaxcolor.predict import framing
from jaxcolor.predict.spread import Spots, grid_for, spread
from jaxcolor.predict.view import Shape, View, shape_for
from jaxcolor.refine import Taps, averaging, enlarge, resize_matrix, taps

_MOST_CHROMA = 200.0  # sRGB ends at 134; whatever saturation makes of it, the gamut can be searched

jax.tree_util.register_dataclass(Controls)


def on_device(tree: Any) -> Any:
    """A pytree with its arrays of NumPy and plain numbers put onto the device, explicitly.

    Plain numbers become float32. What is of JAX already stays where it is, traced or not.
    """
    return jax.tree.map(_put, tree)


def _put(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array):
        return leaf
    return jax.device_put(leaf if isinstance(leaf, np.ndarray) else np.float32(leaf))


@jax.jit
def colorize_array(
    params: Params, image: Array, controls: Controls, hints: Spots | None = None
) -> Array:
    """A picture (H, W), (H, W, 1) or (H, W, 3) of uint8, uint16 or float -> RGB of its type."""
    lightness = to_lightness(image if image.ndim == 3 else image[..., None])
    height, width = lightness.shape
    shape = shape_for(params, (height, width))
    view = _view(params, lightness, shape)
    (small,) = predict(params, jax.tree.map(lambda part: part[None], view))
    controls = jax.tree.map(lambda value: value.astype(jnp.float32), controls)
    if hints is not None:
        rows, columns = grid_for(small.shape[:2], (height, width))
        matrices = resize_matrix(height, rows), resize_matrix(width, columns)
        guide = _shrunk(lightness, *matrices) if (rows, columns) != small.shape[:2] else None
        photo = jnp.array([height, width], jnp.float32)
        small, controls = with_hints(small, guide, hints, controls, photo)
    rows, columns = small.shape[:2]
    small = prepare(small, averaging(rows, height), averaging(columns, width), controls)
    places = taps(rows, height), taps(columns, width)
    return paint_piece(lightness, small, *places, controls, dtype=image.dtype)


@Kept
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


def _shrunk(
    lightness: Float[Array, "h w"],
    rows: Float[Array | np.ndarray, "s h"],
    columns: Float[Array | np.ndarray, "t w"],
) -> Float[Array, "s t"]:
    return _matmul("ih,hw,jw->ij", rows, lightness, columns)


def _view(params: Params, lightness: Float[Array, "h w"], shape: Shape) -> View:
    height, width = lightness.shape
    whole = _shrunk(lightness, resize_matrix(height, shape[0]), resize_matrix(width, shape[1]))
    if not params.config.prediction.fitted:
        return View(whole, whole)
    box = framing.content(whole, jnp)
    rows = resize_matrix(height, shape[0], box.top, box.bottom, jnp)
    columns = resize_matrix(width, shape[1], box.left, box.right, jnp)
    seen = _shrunk(lightness, rows, columns)
    return View(whole, seen, *framing.back_matrices(shape, box, jnp))


@Kept
@jax.jit
def predict(params: Params, views: View) -> Float[Array, "b s t 3"]:
    """A batch of what the network sees -> Lab of the whole photos at the size of its answer."""
    lightness, prediction = views.whole, params.config.prediction
    seen = as_seen(params.config, color.lightness_to_network(views.seen[..., None]))
    ab = color.network_to_ab(_chroma(params, seen))
    ab = _from_inside(ab, prediction.border) * prediction.saturation
    if views.rows is not None and views.columns is not None:
        ab = _matmul("bis,bstc,bjt->bijc", views.rows, ab, views.columns)
    rows, columns = (resize_matrix(lightness.shape[i], ab.shape[i]) for i in (1, 2))
    guide = _matmul("ih,bhw,jw->bij", rows, lightness, columns)
    return jnp.concatenate([guide[..., None], ab], axis=-1)


def _chroma(params: Params, scaled: Float[Array, "b h w 1"]) -> Float[Array, "b s t 2"]:
    """L / 50 - 1 -> ab / 110; the mean over both mirror images, if the config says so."""
    if not params.config.prediction.mirrored:
        return forward(params.config, params.variables, scaled)
    both = jnp.concatenate([scaled, scaled[:, :, ::-1]])
    one, other = jnp.split(forward(params.config, params.variables, both), 2)
    return (one + other[:, :, ::-1]) / 2


def _from_inside(ab: Float[Array, "b s t 2"], border: int) -> Float[Array, "b s t 2"]:
    """The samples of the rim get the chroma of the nearest one that is no part of it."""
    inside = ab[:, border : ab.shape[1] - border, border : ab.shape[2] - border]
    return jnp.pad(inside, ((0, 0), (border, border), (border, border), (0, 0)), mode="edge")


@jax.jit
def with_hints(
    small: Float[Array, "s t 3"],
    guide: Float[Array, "p q"] | None,
    hints: Spots,
    controls: Controls,
    photo: Float[Array, "2"],
) -> tuple[Float[Array, "p q 3"], Controls]:
    """The small picture with the colours of the hints, and the controls that are left to apply.

    Args:
      small: Lab, as the network gives it.
      guide: L of the whole picture in a finer grid, if the hints need one.
      hints: of the picture.
      controls: the user's. The colour of a hint is not to be saturated, so that of the others is
        here.
      photo: the picture's height and width.
    """
    if guide is not None:
        rows, columns = (taps(small.shape[i], guide.shape[i]) for i in (0, 1))
        ab = enlarge(small, guide, rows, columns, controls.refine)
        small = jnp.concatenate([guide[..., None], ab], axis=-1)
    ab = _saturated(small[..., 1:], controls.saturation)
    small = spread(jnp.concatenate([small[..., :1], ab], axis=-1), hints, photo)
    return small, dataclasses.replace(controls, saturation=jnp.ones_like(controls.saturation))


@Kept
@jax.jit
def prepare(
    small: Float[Array, "s t 3"],
    rows: Float[Array, "s s"],
    columns: Float[Array, "t t"],
    controls: Controls,
) -> Float[Array, "s t 3"]:
    """The small picture as `paint_piece` takes it: saturated, and averaged for a smaller picture.

    Args:
      small: Lab.
      rows: `refine.averaging` to the picture's height.
      columns: and to its width.
      controls: of the user; what they do to the small picture is done here.
    """
    averaged = _matmul("is,stc,jt->ijc", rows, small, columns)
    ab = _saturated(averaged[..., 1:], controls.saturation)
    return jnp.concatenate([averaged[..., :1], ab], axis=-1)


def _saturated(ab: Float[Array, "s t 2"], factor: Float[Array, ""]) -> Float[Array, "s t 2"]:
    ab = ab * factor
    # The larger one before the root, whose derivative at 0 is infinite.
    square = jnp.maximum(jnp.sum(ab * ab, axis=-1, keepdims=True), _MOST_CHROMA**2)
    return ab * (_MOST_CHROMA / jnp.sqrt(square))


@Kept
@functools.partial(jax.jit, static_argnames="dtype")
def paint_piece(
    lightness: Float[Array, "h w"],
    small: Float[Array, "s t 3"],
    rows: Taps,
    columns: Taps,
    controls: Controls,
    dtype: Any,
) -> Array:
    """L of a part of the picture, joined by the chroma that belongs there -> RGB (h, w, 3)."""
    ab = enlarge(small, lightness, rows, columns, controls.refine)
    rgb = color.lab_to_rgb(jnp.concatenate([lightness[..., None], ab], axis=-1))
    if dtype in (np.uint8, np.uint16):
        rgb = rgb * np.iinfo(dtype).max + 0.5
    return rgb.astype(dtype)


def _matmul(subscripts: str, *operands: Array | np.ndarray) -> Array:
    # Full precision: by default GPU and TPU would round L and ab to 10 bits or fewer.
    return jnp.einsum(subscripts, *operands, precision=jax.lax.Precision.HIGHEST)
