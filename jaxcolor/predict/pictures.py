"""`colorize` and its forms: of one picture in memory, of many, and strip by strip."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxcolor import image_io
from jaxcolor.controls import Controls, Value
from jaxcolor.hints import Hint
from jaxcolor.image_io import Photo
from jaxcolor.models.colorizer import Params
from jaxcolor.predict import pure, spread, stages, strips

Picture = TypeVar("Picture", np.ndarray, jax.Array, Image.Image)


def colorize(
    params: Params,
    image: Picture,
    *,
    hints: Sequence[Hint] = (),
    saturation: Value = Controls.saturation,
    refine: Value = Controls.refine,
    size: int | None = None,
) -> Picture:
    """Gives a photo its colours.

    A JAX array goes through one pure function, which may stand inside `jit`, `vmap`, `grad`,
    `jax.export` (params among the arguments) and sharded programs. Two things it cannot do:
    forward-mode derivatives (`jax.jvp`, `jax.jacfwd`) along photo or params, as some layers'
    gradients are written by hand (along the controls they are there), and symbolic height and width
    in `jax.export`, as what a picture needs is chosen by its shape.

    Args:
      params: from `jaxcolor.load`.
      image: (H, W), (H, W, 1) or (H, W, 3) of NumPy or JAX, uint8, uint16 or float in [0, 1], in
        sRGB, any size from 1x1, in any order of bytes. Or a Pillow image: what its `info` says is
        done, it is turned upright and converted to sRGB. A colour picture is greyed first.
      hints: the colours that the user knows, up to `jaxcolor.hints.CAPACITY`; their order does not
        matter. Static under `jit`.
      saturation: see `Controls`.
      refine: see `Controls`.
      size: see `controls.SIZE`. None: what the weights say. Static under `jit`.

    Returns:
      RGB of the same kind, type and size: (H, W, 3), NumPy's in the machine's own order of bytes;
      or a Pillow image of mode RGB (RGBA if the photo had transparency; always 8 bits, as Pillow
      has no deeper RGB), upright, whose `info` has what the photo said about itself, made to fit
      (`image_io.to_pillow`): `out.save(path, exif=out.info.get("exif"))`. Its lightness is the
      photo's.

    Warns:
      UserWarning: a Pillow image's profile or metadata is damaged, and left out.

    Raises:
      TypeError: not a picture, or of another type of number; a size that is no whole number.
      ValueError: a shape that is none of a picture; floats outside [0, 1]; a control out of range;
        a size that is no multiple of what the network needs; a hint outside of the picture.
    """
    controls = Controls(saturation=saturation, refine=refine)
    if isinstance(image, jax.Array):
        stages.check(image)
        controls.check()
        placed = spread.spots(hints, image.shape[:2]) if hints else None
        arguments = params.with_size(size), image, controls, placed
        return pure.colorize_array(*pure.on_device(arguments))
    return _colorized(params.with_size(size), [image], 1, controls, [hints])[0]


def colorize_batch(
    params: Params,
    images: Iterable[Picture],
    *,
    batch_size: int = 8,
    hints: Iterable[Sequence[Hint]] | None = None,
    saturation: Value = Controls.saturation,
    refine: Value = Controls.refine,
    size: int | None = None,
) -> list[Picture]:
    """Gives many photos of any sizes their colours, `batch_size` at once through the network.

    The network's shape is always that of a whole batch, the last one is filled up: nothing is
    compiled again from photo to photo.

    Args:
      params: from `jaxcolor.load`.
      images: as `colorize` takes them; kinds, types and sizes may be mixed.
      batch_size: photos in one pass of the network.
      hints: those of each photo, in the photos' order. None: there are none.
      saturation: see `Controls`.
      refine: see `Controls`.
      size: see `colorize`.

    Returns:
      A list of what `colorize` would give for each.

    Raises:
      TypeError, ValueError: as `colorize`; for a batch size below 1; and where there are hints for
        more or fewer photos than there are.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: {batch_size} is not positive")
    controls = Controls(saturation=saturation, refine=refine)
    return _colorized(params.with_size(size), images, batch_size, controls, hints)


def colorize_rows(
    params: Params,
    pixels: np.ndarray,
    *,
    hints: Sequence[Hint] = (),
    saturation: Value = Controls.saturation,
    refine: Value = Controls.refine,
    size: int | None = None,
) -> Iterator[np.ndarray]:
    """`colorize` of a NumPy array, some rows at a time: for pictures too large to hold twice.

    Args:
      params: from `jaxcolor.load`.
      pixels: as `colorize` takes an array; it must not change before the last rows are out.
      hints: see `colorize`.
      saturation: see `Controls`.
      refine: see `Controls`.
      size: see `colorize`.

    Returns:
      Strips (rows, W, 3) of the picture's type, from the top: together, what `colorize` gives.

    Raises:
      TypeError, ValueError: as `colorize`, and at once, before the first strip is asked for.
    """
    controls = Controls(saturation=saturation, refine=refine)
    controls.check()
    params = params.with_size(size)
    (small,) = stages.run_network(params, [stages.shrink(params, pixels)], batch_size=1)
    return stages.paint(pixels, small, controls, hints)


def _colorized(
    params: Params,
    images: Iterable[Picture],
    batch_size: int,
    controls: Controls,
    hints: Iterable[Sequence[Hint]] | None,
) -> list[Picture]:
    controls.check()
    done: list[Picture] = []
    waiting = (
        zip(images, itertools.repeat(())) if hints is None else zip(images, hints, strict=True)
    )
    while group := list(itertools.islice(waiting, batch_size)):
        some, wishes = zip(*group, strict=True)
        photos = list(map(_photo, some))  # no comprehension, whose frame a warning would count
        colours = _colours(params, [photo.pixels for photo in photos], batch_size)
        for image, wished, photo, small in zip(some, wishes, photos, colours, strict=True):
            painted = stages.paint(photo.pixels, small, controls, wished)
            done.append(_like(image, photo, _joined(painted, photo.pixels)))
    return done


def _colours(
    params: Params, pictures: Sequence[np.ndarray], batch_size: int
) -> list[Float[np.ndarray, "s t 3"]]:
    """What the network gives for each: those that it sees in one shape at once."""
    views = [stages.shrink(params, pixels) for pixels in pictures]
    colours: dict[int, np.ndarray] = {}
    for shape in dict.fromkeys(view.shape for view in views):
        places = [i for i, view in enumerate(views) if view.shape == shape]
        fitting = [views[i] for i in places]
        answers = stages.run_network(params, fitting, batch_size=batch_size)
        colours |= dict(zip(places, answers, strict=True))
    return [colours[i] for i in range(len(views))]


def _photo(image: Any) -> Photo:
    """Any picture that `colorize` takes, with what a Pillow image carries beside its pixels."""
    if not isinstance(image, Image.Image):
        return Photo(jax.device_get(image) if isinstance(image, jax.Array) else image)
    photo = image_io.from_pillow(image)
    for line in photo.warnings:
        warnings.warn(f"the photo: {line}", stacklevel=4)  # at the call of `colorize`
    return photo


def _joined(painted: Iterator[np.ndarray], pixels: np.ndarray) -> np.ndarray:
    rgb = np.empty((*pixels.shape[:2], 3), strips.native(pixels.dtype))
    top = 0
    for strip in painted:
        rgb[top : top + len(strip)] = strip
        top += len(strip)
    return rgb


def _like(image: Any, photo: Photo, rgb: np.ndarray) -> Any:
    """The result as the same kind of thing that the picture was."""
    if isinstance(image, Image.Image):
        return image_io.to_pillow(photo, rgb)
    return jax.device_put(rgb) if isinstance(image, jax.Array) else rgb
