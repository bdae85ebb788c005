"""A grey photo in, the same photo in colour out: one, or many of mixed sizes.

The photo's own lightness is never resized and never passes through the network: a small copy of it
does, and the chroma that comes back is enlarged and joined to it.

Arrays of NumPy and Pillow images are worked on in square tiles of one shape, so that one compiled
program serves every size of photo. JAX arrays go through one pure function of static shape, which
can stand inside `jit`, `vmap` and sharded programs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from PIL import Image

from jaxcolor import color, image_io
from jaxcolor.models.colorizer import Params, forward

Picture = TypeVar("Picture", np.ndarray, jax.Array, Image.Image)

_TILE = 512  # pixels; the square that the full-size picture is worked on in
_SLACK = 1e-3  # how far floats may lie outside [0, 1]: resizing overshoots a little


def colorize(params: Params, image: Picture) -> Picture:
    """Gives a photo its colours.

    Args:
      params: from `jaxcolor.load`.
      image: (H, W), (H, W, 1) or (H, W, 3) of NumPy or JAX, uint8, uint16 or float in [0, 1]; or a
        Pillow image. sRGB; any size from 1x1. A colour picture is greyed first.

    Returns:
      RGB of the same kind, type and size: (H, W, 3), or a Pillow image of mode RGB (RGBA if the
      photo had transparency; always 8 bits, as Pillow has no deeper RGB). Its lightness is the
      photo's.

    Raises:
      TypeError: not a picture, or of another type of number.
      ValueError: a shape that is none of a picture, or floats outside [0, 1].
    """
    if isinstance(image, jax.Array):
        _check(image)
        return _colorize_array(params, image)
    return colorize_batch(params, [image], batch_size=1)[0]


def colorize_batch(
    params: Params, images: Iterable[Picture], *, batch_size: int = 8
) -> list[Picture]:
    """Gives many photos of any sizes their colours, `batch_size` at once through the network.

    The network's shape is always that of a whole batch, the last one is filled up: nothing is
    compiled again from photo to photo.

    Args:
      params: from `jaxcolor.load`.
      images: as `colorize` takes them; kinds, types and sizes may be mixed.
      batch_size: photos in one pass of the network.

    Returns:
      A list of what `colorize` would give for each.

    Raises:
      TypeError, ValueError: as `colorize`; and for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: {batch_size} is not positive")
    return [
        painted
        for group in _groups(images, batch_size)
        for painted in _colorize_group(params, group, batch_size)
    ]


def resize_matrix(size: int, new_size: int) -> np.ndarray:
    """The matrix (new_size, size) of linear resizing, which averages when it makes smaller.

    Each row is a triangle around the place of its new pixel in the old row, as wide as the larger
    of the two pixels, cut at the border and made to sum to one.
    """
    scale = size / new_size
    centres = (np.arange(new_size) + 0.5) * scale - 0.5
    distance = np.abs(centres[:, None] - np.arange(size)) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _groups(images: Iterable[Any], count: int) -> Iterator[list[Any]]:
    group: list[Any] = []
    for image in images:
        group.append(image)
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group


def _colorize_group(params: Params, group: list[Any], batch_size: int) -> Iterator[Any]:
    side = params.config.input_size
    photos = [_pixels(image) for image in group]
    small = np.zeros((batch_size, side, side), np.float32)
    for i, (pixels, _) in enumerate(photos):
        small[i] = _shrink(pixels, side)
    chroma = _predict(params, small)  # (batch_size, size, size, 2)
    for i, (image, (pixels, alpha)) in enumerate(zip(group, photos, strict=True)):
        rgb = _paint(pixels, chroma[i])
        if isinstance(image, Image.Image):
            yield image_io.from_pixels(rgb, alpha)
        else:
            yield jnp.asarray(rgb) if isinstance(image, jax.Array) else rgb


def _pixels(image: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, 1 or 3) pixels and alpha of any picture that `colorize` takes."""
    alpha = None
    if isinstance(image, Image.Image):
        image, alpha = image_io.to_pixels(image)
    elif isinstance(image, jax.Array):
        image = np.asarray(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"a picture is an array or a Pillow image, not {type(image).__name__}")
    _check(image)
    if image.dtype.kind not in "u" and not (
        image.min() >= -_SLACK and image.max() <= 1 + _SLACK  # NaN fails both
    ):
        low, high = float(image.min()), float(image.max())
        raise ValueError(f"floats must lie in [0, 1]; these lie in [{low:g}, {high:g}]")
    return image if image.ndim == 3 else image[..., None], alpha


def _check(image: np.ndarray | jax.Array) -> None:
    if image.dtype not in (np.uint8, np.uint16) and not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(f"a picture is uint8, uint16 or float in [0, 1], not {image.dtype}")
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)) or 0 in image.shape:
        raise ValueError(f"a picture is (H, W), (H, W, 1) or (H, W, 3), not {image.shape}")


# -- the pure parts --------------------------------------------------------------------------------


@jax.jit
def _predict(params: Params, lightness: Float[Array, "b h w"]) -> Float[Array, "b s s 2"]:
    """L in [0, 100] -> ab at the network's size."""
    scaled = color.lightness_to_network(lightness[..., None])
    return color.network_to_ab(forward(params.config, params.variables, scaled))


@jax.jit
def _colorize_array(params: Params, image: Array) -> Array:
    """`colorize` of a whole JAX array."""
    pixels = _unit(image if image.ndim == 3 else image[..., None])
    height, width, _ = pixels.shape
    side, size = params.config.input_size, params.config.size
    small = _shrink_tile(pixels, resize_matrix(height, side), resize_matrix(width, side))
    (ab,) = _predict(params, small[None])
    rgb = _paint_tile(pixels, ab, resize_matrix(size, height), resize_matrix(size, width))
    return _quantize(rgb, image.dtype)


@jax.jit
def _shrink_tile(
    pixels: Float[Array, "h w c"], rows: Float[Array, "s h"], columns: Float[Array, "s w"]
) -> Float[Array, "s s"]:
    """What a piece of the picture adds to the small L of the whole."""
    return _matmul("ih,hw,jw->ij", rows, _lightness(pixels), columns)


@jax.jit
def _paint_tile(
    pixels: Float[Array, "h w c"],
    ab: Float[Array, "s s 2"],
    rows: Float[Array, "h s"],
    columns: Float[Array, "w s"],
) -> Float[Array, "h w 3"]:
    """L of a piece of the picture, joined by the chroma that belongs there -> RGB in [0, 1]."""
    enlarged = _matmul("hi,ijc,wj->hwc", rows, ab, columns)
    lightness = _lightness(pixels)[..., None]
    return color.lab_to_rgb(jnp.concatenate([lightness, enlarged], axis=-1))


def _lightness(pixels: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    if pixels.shape[-1] == 1:
        return color.grey_to_lightness(pixels[..., 0])
    return color.rgb_to_lightness(pixels)


def _matmul(subscripts: str, *operands: Array | np.ndarray) -> Array:
    # Full precision: by default GPU and TPU would round L and ab to 10 bits or fewer.
    return jnp.einsum(subscripts, *operands, precision=jax.lax.Precision.HIGHEST)


def _unit(pixels: Any) -> Any:
    """Pixels of any type -> float32 in [0, 1]; of NumPy or JAX, as they come."""
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    return pixels.astype(np.float32).clip(0, 1)


def _quantize(rgb: Any, dtype: Any) -> Any:
    """The inverse of `_unit`."""
    if dtype in (np.uint8, np.uint16):
        rgb = rgb * np.iinfo(dtype).max + 0.5
    return rgb.astype(dtype)


# -- the picture in tiles --------------------------------------------------------------------------


def _shrink(pixels: np.ndarray, size: int) -> np.ndarray:
    """L of a picture of any size, at (size, size)."""
    height, width, _ = pixels.shape
    rows, columns = resize_matrix(height, size), resize_matrix(width, size)
    parts = (
        _shrink_tile(_cut(pixels, y, x), _pad(rows[:, y], 1), _pad(columns[:, x], 1))
        for y, x in _tiles(height, width)
    )
    return np.asarray(functools.reduce(jnp.add, parts))


def _paint(pixels: np.ndarray, ab: Array) -> np.ndarray:
    """A picture of any size with its small chroma -> RGB of the picture's type."""
    height, width, _ = pixels.shape
    size = ab.shape[0]
    rows, columns = resize_matrix(size, height), resize_matrix(size, width)
    out = np.empty((height, width, 3), pixels.dtype)
    for y, x in _tiles(height, width):
        rgb = _paint_tile(_cut(pixels, y, x), ab, _pad(rows[y], 0), _pad(columns[x], 0))
        part = out[y, x]
        part[...] = _quantize(np.asarray(rgb)[: part.shape[0], : part.shape[1]], pixels.dtype)
    return out


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            yield slice(top, top + _TILE), slice(left, left + _TILE)


def _cut(pixels: np.ndarray, y: slice, x: slice) -> np.ndarray:
    """A tile of the picture as floats, filled up with black where it reaches over the border."""
    return _pad(_pad(_unit(pixels[y, x]), 0), 1)


def _pad(array: np.ndarray, axis: int) -> np.ndarray:
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, _TILE - array.shape[axis])
    return np.pad(array, widths)
