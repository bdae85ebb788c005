"""How well colours hold when a photo fades, is framed, scratched, cropped or scanned in brown.

A photo's grey is damaged in one way at a time, at a strength that real old photos have, and
colourized again: d is the mean distance of ab between the colours of the clean photo and those of
the damaged one, at the same places. A colorizer that sees the scene and not the print has a small
d. Nothing here trains a network; what training shows it is `training.input.augment`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from jaxcolor import evaluation, image_io, metrics
from jaxcolor.models.colorizer import Params
from jaxcolor.predict import colorize_batch


class Variant(NamedTuple):
    """A photo in one bad state.

    Attributes:
      picture: uint8 (h, w) or (h, w, 3).
      inside: where the photo lies in the picture.
      of: which part of the clean photo that is.
    """

    picture: np.ndarray
    inside: tuple[slice, slice]
    of: tuple[slice, slice]


_WHOLE = (slice(None), slice(None))

# How far from the truth a strip of 8:1 is, coloured alone, and the same part of the whole photo.
STRIP, WITHIN = "8:1 strip, from the truth", "the same, within its photo"


def variants(grey: np.ndarray, seed: int = 0) -> dict[str, Variant]:
    """A clean grey photo, uint8 (h, w) -> its bad states by name, in the order of reports.

    Args:
      grey: the photo.
      seed: of grain, dust and scratches.
    """
    clean = grey / 255.0
    rng = np.random.default_rng(seed)
    made = {
        **{f"contrast x{scale}": _print(0.5 + (clean - 0.5) * scale) for scale in (0.8, 0.5, 0.35)},
        "blacks faded by 0.3": _print(0.3 + 0.7 * clean),
        **{f"exposure {step:+d}": _print(clean + step / 255) for step in (15, -15)},
        **{f"gamma {power}": _print(clean**power) for power in (0.8, 1.25)},
        "vignette to 0.3": _print(clean * (1 - 0.7 * _squared_radius(*grey.shape))),
        "10 scratches, 50 specks": _print(_scratched(clean, rng)),
        "grain 0.04": _print(clean + 0.04 * rng.standard_normal(grey.shape)),
        "blur of 1 pixel": _blurred(grey),
        "halftone": _print(clean + 0.1 * _halftone(*grey.shape)),
        "sepia": _toned(clean, (1.0, 0.93, 0.82)),
        "cyanotype": _toned(clean, (0.75, 0.9, 1.0)),
    }
    states = {name: Variant(picture, _WHOLE, _WHOLE) for name, picture in made.items()}
    for level, name in ((255, "white"), (128, "grey"), (0, "black")):
        states[f"margin of 12 %, {name}"] = _framed(grey, 0.12, level)
    states["crop to 95 %"] = _cropped(grey, 0.95)
    return states


def distances(
    params: Params, photos: Iterable[Path], *, batch_size: int = 8, **options: Any
) -> Iterator[Mapping[str, float] | image_io.PhotoError]:
    """Measures the d of each variant, photo by photo.

    Args:
      params: from `jaxcolor.load`.
      photos: files, in any order; each is cut to its central square as in `evaluation`.
      batch_size: pictures in one pass of the network.
      options: what else `colorize_batch` shall be told.

    Yields:
      {variant: d in units of Lab's ab} for each photo, and what `STRIP` and `WITHIN` say; or the
      error of one that cannot be read.
    """
    for photo in photos:
        try:
            square = evaluation.central_square(evaluation.read_rgb(photo))
        except image_io.PhotoError as error:
            yield error
            continue
        grey = evaluation.grey_of(square)[..., 0]
        states = variants(grey)
        rows = _strip(*grey.shape)
        pictures = [grey, grey[rows], *(state.picture for state in states.values())]
        painted = colorize_batch(params, pictures, batch_size=batch_size, **options)
        truth, clean, strip, *others = map(_ab, [square, *painted])
        yield {
            **{
                name: _distance(other[state.inside], clean[state.of])
                for (name, state), other in zip(states.items(), others, strict=True)
            },
            STRIP: _distance(strip, truth[rows]),
            WITHIN: _distance(clean[rows], truth[rows]),
        }


def means(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean d of each variant over photos.

    Raises:
      ValueError: there is no photo.
    """
    if not each:
        raise ValueError("no photo could be read")
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def _ab(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(metrics.picture_to_lab(rgb))[..., 1:]


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other, axis=-1).mean())


def _strip(height: int, width: int) -> slice:
    """The rows in the middle that are an eighth as high as wide."""
    rows = max(1, width // 8)
    return slice((height - rows) // 2, (height - rows) // 2 + rows)


def _print(tone: np.ndarray) -> np.ndarray:
    """[0, 1], what lies beyond cut off -> uint8."""
    return np.rint(np.clip(tone, 0, 1) * 255).astype(np.uint8)


def _toned(tone: np.ndarray, paper: tuple[float, float, float]) -> np.ndarray:
    """A print whose white is `paper`, and whose blacks have turned half as far."""
    dark = 0.1 * np.asarray(paper)
    return _print(dark + tone[..., None] * (np.asarray(paper) - dark))


def _squared_radius(height: int, width: int) -> np.ndarray:
    """0 in the middle, 1 in the corners."""
    row = (2 * np.arange(height) + 1) / height - 1
    column = (2 * np.arange(width) + 1) / width - 1
    return np.asarray((row[:, None] ** 2 + column**2) / 2)


def _scratched(tone: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ten white scratches across the picture and fifty specks of two pixels, white and black."""
    tone = tone.copy()
    height, width = tone.shape
    for _ in range(10):
        top, bottom = rng.integers(0, width, 2)
        columns = np.rint(np.linspace(top, bottom, height)).astype(int)
        tone[np.arange(height), columns] = 0.95
    for i in range(50):
        row, column = rng.integers(0, height - 1), rng.integers(0, width - 1)
        tone[row : row + 2, column : column + 2] = 0.05 if i % 2 else 0.95
    return tone


def _halftone(height: int, width: int) -> np.ndarray:
    """Dots four pixels apart, in rows turned by 45 degrees, from -1 to 1."""
    row, column = np.arange(height)[:, None], np.arange(width)
    scale = np.pi / 2 / np.sqrt(2)
    return np.asarray(np.sin(scale * (row + column)) * np.sin(scale * (row - column)))


def _blurred(grey: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(grey).filter(ImageFilter.GaussianBlur(1.0)))


def _framed(grey: np.ndarray, share: float, level: int) -> Variant:
    widths = [round(share * length) for length in grey.shape]
    framed = np.pad(grey, [(width, width) for width in widths], constant_values=level)
    rows, columns = (
        slice(width, width + length) for width, length in zip(widths, grey.shape, strict=True)
    )
    return Variant(framed, (rows, columns), _WHOLE)


def _cropped(grey: np.ndarray, share: float) -> Variant:
    cuts = [round(length * (1 - share) / 2) for length in grey.shape]
    rows, columns = (slice(cut, length - cut) for cut, length in zip(cuts, grey.shape, strict=True))
    return Variant(grey[rows, columns], _WHOLE, (rows, columns))
