"""The three steps from a picture to its colours, for whoever does them side by side.

`shrink` what the network shall see, `run_network` on several views at once, `paint` each picture in
the colours that came back. What needs compiling can be compiled ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxcolor import image_io
from jaxcolor.controls import UNTOUCHED, Controls
from jaxcolor.hints import Hint
from jaxcolor.models.colorizer import Params
from jaxcolor.predict import framing, pure, spread, strips
from jaxcolor.predict.spread import grid_for
from jaxcolor.predict.view import Shape, View, answer_shape, shape_for, shapes

__all__ = [
    "KINDS",
    "View",
    "answer_shape",
    "check",
    "compile_hints",
    "compile_network",
    "compile_painting",
    "grid_for",
    "kind_of",
    "paint",
    "run_network",
    "shape_for",
    "shapes",
    "shrink",
    "with_hints",
]

Kind: TypeAlias = tuple[int, np.dtype[Any]]  # channels, and the type of their numbers
# Those of pictures of 8 and of 16 bits: painting each is a program of its own.
KINDS: tuple[Kind, ...] = tuple(
    (channels, np.dtype(dtype)) for channels in (1, 3) for dtype in (np.uint8, np.uint16)
)


def shrink(params: Params, pixels: np.ndarray) -> View:
    """What the network shall see of a picture.

    Args:
      params: from `jaxcolor.load`.
      pixels: as `colorize` takes an array of NumPy.

    Raises:
      TypeError, ValueError: as `colorize`.
    """
    pixels = _checked(pixels)
    height, width, _ = pixels.shape
    shape = shape_for(params, (height, width))
    whole = strips.shrink(pixels, shape)
    if not params.config.prediction.fitted:
        return View(whole, whole)
    box = framing.content(whole)
    seen = whole if box.is_all else strips.shrink(pixels, shape, box)
    return View(whole, seen, *framing.back_matrices(shape, box))


def run_network(
    params: Params, views: Sequence[View], *, batch_size: int
) -> list[Float[np.ndarray, "s t 3"]]:
    """All that needs the network.

    Args:
      params: from `jaxcolor.load`.
      views: of `shrink` with the same `params`; of one shape, at least one and up to `batch_size`.
      batch_size: what the network's batch is filled up to.

    Returns:
      Lab for each view: the picture small, in the network's colours.
    """
    filled = [*views, *(jax.tree.map(np.zeros_like, views[0]),) * (batch_size - len(views))]
    batch = jax.tree.map(lambda *parts: np.stack(parts), *filled)
    answers = pure.predict(*pure.on_device((params, batch)))
    return list(jax.device_get(answers)[: len(views)])


def paint(
    pixels: np.ndarray,
    small: Float[np.ndarray, "s t 3"],
    controls: Controls = UNTOUCHED,
    hints: Sequence[Hint] = (),
) -> Iterator[np.ndarray]:
    """The picture in its colours, without the network.

    Args:
      pixels: the picture; it must not change before the last rows are out.
      small: what `run_network` gave for it.
      controls: the user's.
      hints: likewise.

    Returns:
      Strips (rows, W, 3) of the picture's type, from the top.

    Raises:
      TypeError, ValueError: as `colorize`, and at once, before the first strip is asked for.
    """
    controls.check()
    pixels = _checked(pixels)
    if hints:
        small, controls = with_hints(pixels, small, controls, hints)
    return strips.paint(pixels, small, controls)


def with_hints(
    pixels: np.ndarray,
    small: Float[np.ndarray, "s t 3"],
    controls: Controls,
    hints: Sequence[Hint],
) -> tuple[Float[np.ndarray, "p q 3"], Controls]:
    """The small picture with the colours of the hints, and the controls that are left for `paint`.

    Args:
      pixels: the picture.
      small: what `run_network` gave for it.
      controls: the user's; they saturate all but the hints' colours.
      hints: likewise; at least one.
    """
    pixels = _checked(pixels)
    size = pixels.shape[:2]
    placed = spread.spots(hints, size)
    grid = grid_for(small.shape[:2], size)
    guide = None if grid == small.shape[:2] else strips.shrink(pixels, grid)
    controls = jax.tree.map(np.float32, jax.device_get(controls))
    arguments = small, guide, placed, controls, np.array(size, np.float32)
    return jax.device_get(pure.with_hints(*pure.on_device(arguments)))


# -- ahead of it -----------------------------------------------------------------------------------


def compile_network(params: Params, shape: Shape, *, batch_size: int) -> None:
    """Compiles what `run_network` needs for views of that shape, which then finds it done."""
    whole = jax.ShapeDtypeStruct((batch_size, *shape), np.float32)
    view = View(whole, whole)
    if params.config.prediction.fitted:
        sides = (jax.ShapeDtypeStruct((batch_size, side, side), np.float32) for side in shape)
        view = View(whole, whole, *sides)
    pure.predict.compile(params, view)


def kind_of(pixels: np.ndarray) -> Kind:
    """Pictures of one kind are painted by one program."""
    return 1 if pixels.ndim == 2 else pixels.shape[2], strips.native(pixels.dtype)


def compile_painting(shape: Shape, kind: Kind) -> None:
    """Compiles what `paint` needs for pictures of that kind, and colours of that shape."""
    channels, dtype = kind
    pixels = np.zeros((1, 1, channels), dtype)
    for _ in strips.paint(pixels, np.zeros((*shape, 3), np.float32), UNTOUCHED):
        pass  # one piece, as all of them are


def compile_hints(shape: Shape, grid: Shape) -> None:
    """Compiles what `paint` needs for hints, beside `compile_painting` of their grid.

    Args:
      shape: of the colours.
      grid: of `grid_for`.
    """
    guide = None if grid == shape else np.zeros(grid, np.float32)
    placed, size = spread.spots((), grid), np.array(grid, np.float32)
    small = np.zeros((*shape, 3), np.float32)
    pure.with_hints(*pure.on_device((small, guide, placed, UNTOUCHED, size)))


# -- what is a picture -----------------------------------------------------------------------------


def check(image: np.ndarray | jax.Array) -> None:
    """Refuses arrays that are none, as far as type and shape tell it.

    Raises:
      TypeError: numbers of another type.
      ValueError: a shape that is none of a picture.
    """
    dtype = strips.native(image.dtype)
    if dtype not in (np.uint8, np.uint16) and not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"a picture is uint8, uint16 or float in [0, 1], not {image.dtype}")
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)) or 0 in image.shape:
        raise ValueError(f"a picture is (H, W), (H, W, 1) or (H, W, 3), not {image.shape}")


def _checked(pixels: np.ndarray) -> np.ndarray:
    """A NumPy picture as (H, W, 1 or 3)."""
    if not isinstance(pixels, np.ndarray):
        raise TypeError(f"a picture is an array or a Pillow image, not {type(pixels).__name__}")
    check(pixels)
    if pixels.dtype.kind != "u":
        image_io.check_floats(pixels)
    return pixels if pixels.ndim == 3 else pixels[..., None]
