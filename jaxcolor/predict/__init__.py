"""A grey photo in, the same photo in colour out: one, or many of mixed sizes.

The photo's own lightness is never resized and never passes through the network: a small copy of it
does, and the chroma that comes back is enlarged along the photo's edges and joined to it.

Arrays of NumPy and Pillow images are worked on in tiles (`tiles.py`), so that one compiled program
serves every size of photo, in little memory. JAX arrays go through one pure function of static
shape (`pure.py`), which can stand inside `jit`, `vmap` and sharded programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxcolor import image_io
from jaxcolor.models.colorizer import Params
from jaxcolor.predict import pure, tiles
from jaxcolor.predict.pure import Control

__all__ = [
    "colorize",
    "colorize_batch",
    "colorize_rows",
    "paint_rows",
    "predict_shrunk",
    "predict_small",
    "shrink",
    "trace_network",
]

Picture = TypeVar("Picture", np.ndarray, jax.Array, Image.Image)
T = TypeVar("T")


def colorize(
    params: Params,
    image: Picture,
    *,
    saturation: Control = 1.0,
    refine: Control = 1.0,
    size: int | None = None,
) -> Picture:
    """Gives a photo its colours.

    Args:
      params: from `jaxcolor.load`.
      image: (H, W), (H, W, 1) or (H, W, 3) of NumPy or JAX, uint8, uint16 or float in [0, 1]; or a
        Pillow image. sRGB; any size from 1x1. A colour picture is greyed first.
      saturation: what the chroma is multiplied by; 0 is grey.
      refine: how closely colours follow the photo's edges: 0, bilinear, to 1 (`docs/refine.md`).
      size: the square that the network works on, in pixels: finer or calmer colour; a multiple as
        `Config.size` wants it. None: what the weights say. Static under `jit`.

    Returns:
      RGB of the same kind, type and size: (H, W, 3), or a Pillow image of mode RGB (RGBA if the
      photo had transparency; always 8 bits, as Pillow has no deeper RGB). Its lightness is the
      photo's.

    Raises:
      TypeError: not a picture, or of another type of number; a size that is no whole number.
      ValueError: a shape that is none of a picture; floats outside [0, 1]; a control out of range.
    """
    if isinstance(image, jax.Array):
        _check(image)
        _check_controls(saturation, refine)
        return pure.colorize(params.with_size(size), image, saturation, refine)
    controls: dict[str, Any] = {"saturation": saturation, "refine": refine, "size": size}
    return colorize_batch(params, [image], batch_size=1, **controls)[0]


def colorize_batch(
    params: Params,
    images: Iterable[Picture],
    *,
    batch_size: int = 8,
    saturation: float = 1.0,
    refine: float = 1.0,
    size: int | None = None,
) -> list[Picture]:
    """Gives many photos of any sizes their colours, `batch_size` at once through the network.

    The network's shape is always that of a whole batch, the last one is filled up: nothing is
    compiled again from photo to photo.

    Args:
      params: from `jaxcolor.load`.
      images: as `colorize` takes them; kinds, types and sizes may be mixed.
      batch_size: photos in one pass of the network.
      saturation: see `colorize`.
      refine: see `colorize`.
      size: see `colorize`.

    Returns:
      A list of what `colorize` would give for each.

    Raises:
      TypeError, ValueError: as `colorize`; and for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: {batch_size} is not positive")
    _check_controls(saturation, refine)
    params = params.with_size(size)
    done: list[Picture] = []
    for group in _groups(images, batch_size):
        photos = [_to_pixels(image) for image in group]
        small = predict_small(params, [pixels for pixels, _ in photos], batch_size=batch_size)
        for image, (pixels, alpha), lab in zip(group, photos, small, strict=True):
            rows = paint_rows(pixels, lab, saturation=saturation, refine=refine)
            done.append(_like(image, _joined(rows, pixels), alpha))
    return done


def colorize_rows(
    params: Params,
    pixels: np.ndarray,
    *,
    saturation: float = 1.0,
    refine: float = 1.0,
    size: int | None = None,
) -> Iterator[np.ndarray]:
    """`colorize` of a NumPy array, some rows at a time: for pictures too large to hold twice.

    Args:
      params: from `jaxcolor.load`.
      pixels: as `colorize` takes an array; it must not change before the last rows are out.
      saturation: see `colorize`.
      refine: see `colorize`.
      size: see `colorize`.

    Returns:
      Strips (rows, W, 3) of the picture's type, from the top: together, what `colorize` gives.

    Raises:
      TypeError, ValueError: as `colorize`, and at once, before the first strip is asked for.
    """
    _check_controls(saturation, refine)
    (small,) = predict_small(params, [pixels], size=size)
    return paint_rows(pixels, small, saturation=saturation, refine=refine)


def predict_small(
    params: Params,
    pictures: Sequence[np.ndarray],
    *,
    size: int | None = None,
    batch_size: int | None = None,
) -> Float[np.ndarray, "b s s 3"]:
    """The first half of `colorize_rows`, for several pictures: all that needs the network.

    Args:
      params: from `jaxcolor.load`.
      pictures: as `colorize` takes arrays of NumPy.
      size: see `colorize`.
      batch_size: what the network's batch is filled up to. None: as many as there are.

    Returns:
      Lab: each picture small, in the network's colours. `paint_rows` takes one of them.

    Raises:
      TypeError, ValueError: as `colorize`.
    """
    params = params.with_size(size)
    shrunk = [shrink(params, pixels) for pixels in pictures]
    return predict_shrunk(params, shrunk, batch_size=batch_size or len(shrunk))


def shrink(params: Params, pixels: np.ndarray) -> Float[np.ndarray, "h h"]:
    """The part of `predict_small` before the network, for one picture: its L, as small as that.

    Args:
      params: tells how small; from `jaxcolor.load`.
      pixels: as `colorize` takes an array.

    Raises:
      TypeError, ValueError: as `colorize`.
    """
    return tiles.shrink(_checked(pixels), params.config.input_size)


def predict_shrunk(
    params: Params, shrunk: Sequence[Float[np.ndarray, "h h"]], *, batch_size: int
) -> Float[np.ndarray, "b s s 3"]:
    """The network's part of `predict_small`.

    Args:
      params: from `jaxcolor.load`.
      shrunk: of `shrink` with the same `params`, up to `batch_size` of them.
      batch_size: what the network's batch is filled up to.
    """
    side = params.config.input_size
    lightness = np.zeros((batch_size, side, side), np.float32)
    for i, one in enumerate(shrunk):
        lightness[i] = one
    return np.asarray(pure.predict(params, lightness))[: len(shrunk)]


def trace_network(params: Params, *, batch_size: int) -> jax.stages.Lowered:
    """What `predict_shrunk` compiles when it is first called.

    `.compile()` does it before, beside other work: `predict_shrunk` finds it done.
    """
    side = params.config.input_size
    return pure.predict.lower(params, jax.ShapeDtypeStruct((batch_size, side, side), np.float32))


def paint_rows(
    pixels: np.ndarray,
    small: Float[np.ndarray, "s s 3"],
    *,
    saturation: float = 1.0,
    refine: float = 1.0,
) -> Iterator[np.ndarray]:
    """The second half of `colorize_rows`: the picture in its colours, without the network.

    Args:
      pixels: the picture; it must not change before the last rows are out.
      small: from `predict_small`.
      saturation: see `colorize`.
      refine: see `colorize`.

    Returns:
      Strips (rows, W, 3) of the picture's type, from the top.

    Raises:
      TypeError, ValueError: as `colorize`, and at once, before the first strip is asked for.
    """
    _check_controls(saturation, refine)
    return tiles.paint(_checked(pixels), small, saturation, refine)


def _groups(images: Iterable[T], count: int) -> Iterator[list[T]]:
    group: list[T] = []
    for image in images:
        group.append(image)
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group


def _to_pixels(image: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha of any picture that `colorize` takes."""
    if isinstance(image, Image.Image):
        return image_io.to_pixels(image)
    return np.asarray(image) if isinstance(image, jax.Array) else image, None


def _joined(strips: Iterator[np.ndarray], pixels: np.ndarray) -> np.ndarray:
    rgb = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    top = 0
    for strip in strips:
        rgb[top : top + len(strip)] = strip
        top += len(strip)
    return rgb


def _like(image: Any, rgb: np.ndarray, alpha: np.ndarray | None) -> Any:
    """The result as the same kind of thing that the picture was."""
    if isinstance(image, Image.Image):
        return image_io.from_pixels(rgb, alpha)
    return jnp.asarray(rgb) if isinstance(image, jax.Array) else rgb


def _checked(pixels: np.ndarray) -> np.ndarray:
    """A NumPy picture as (H, W, 1 or 3)."""
    if not isinstance(pixels, np.ndarray):
        raise TypeError(f"a picture is an array or a Pillow image, not {type(pixels).__name__}")
    _check(pixels)
    if pixels.dtype.kind != "u":
        image_io.check_floats(pixels)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _check(image: np.ndarray | jax.Array) -> None:
    if image.dtype not in (np.uint8, np.uint16) and not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(f"a picture is uint8, uint16 or float in [0, 1], not {image.dtype}")
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)) or 0 in image.shape:
        raise ValueError(f"a picture is (H, W), (H, W, 1) or (H, W, 3), not {image.shape}")


def _check_controls(saturation: Control, refine: Control) -> None:
    # What is traced has no value yet. NaN fails every comparison.
    if not isinstance(saturation, jax.core.Tracer) and not 0 <= saturation < float("inf"):
        raise ValueError(f"saturation: {saturation} is not a number from 0 up")
    if not isinstance(refine, jax.core.Tracer) and not 0 <= refine <= 1:
        raise ValueError(f"refine: {refine} is not between 0 and 1")
