"""How good a colorizer is on colour photos, beside doing nothing at all.

The protocol and what each figure means stand in docs/evaluation.md. Photos stream through: what is
kept of them are sums.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps

from jaxcolor import color, image_io, metrics
from jaxcolor.hints import Hint
from jaxcolor.metrics import Lab, Picture, RawAccuracy
from jaxcolor.models.colorizer import Params
from jaxcolor.predict import colorize_batch

PROTOCOL = 2  # another number whenever the same pictures would get other figures
SIZE = 256  # pixels: the usual size of published figures
LEAST_CHROMA = 4.0  # of Lab's ab, on average: below it there is nothing to colour in a photo

_AVERAGED = ("psnr", "ssim", "ciede2000", "colourfulness")  # over photos; accuracy over pixels
_MEASURED = ("prediction", "grey")

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Trial:
    """A photo's central square, what the colorizer saw of it, and what it made of that.

    Attributes:
      photo: the file.
      truth, grey, prediction: uint8 RGB (256, 256, 3).
    """

    photo: Path
    truth: Picture
    grey: Picture
    prediction: Picture


@dataclasses.dataclass(frozen=True)
class Hinted:
    """What hints of the true colours brought a photo.

    Attributes:
      photo: the file.
      chroma: the truth's mean CIE chroma.
      gain: PSNR above that of the automatic result, dB.
      distance: mean distance of ab between the hints and the result at their places.
      moved: the share of pixels whose ab is another by 2 or more than in the automatic result.
    """

    photo: Path
    chroma: float
    gain: float
    distance: float
    moved: float


@dataclasses.dataclass(frozen=True)
class Figures:
    """One picture against the truth; `jaxcolor.metrics` says what the figures are."""

    psnr: float
    ssim: float
    ciede2000: float
    colourfulness: float
    accuracy: RawAccuracy


@dataclasses.dataclass(frozen=True)
class Score:
    """One photo's figures.

    Attributes:
      photo: the file.
      chroma: the truth's mean CIE chroma.
      colourfulness: the truth's.
      prediction: figures of the colorized picture.
      grey: those of the grey picture, the baseline.
    """

    photo: Path
    chroma: float
    colourfulness: float
    prediction: Figures
    grey: Figures

    @property
    def counts(self) -> bool:
        """Whether there was something to colour; only then the photo enters the means."""
        return self.chroma >= LEAST_CHROMA

    @property
    def gain(self) -> float:
        """PSNR above that of the grey picture, dB."""
        return self.prediction.psnr - self.grey.psnr


def evaluate(
    params: Params, photos: Iterable[Path], *, batch_size: int = 8, **options: Any
) -> Iterator[Score | image_io.PhotoError]:
    """Measures a colorizer photo by photo; `Summary` takes the means.

    Args:
      params: from `jaxcolor.load`.
      photos: files, in any order.
      batch_size: photos in one pass of the network.
      options: what else `colorize_batch` shall be told.

    Yields:
      A score for each photo, or the error of one that cannot be read.
    """
    for trial in colorized(params, photos, batch_size=batch_size, **options):
        yield score(trial) if isinstance(trial, Trial) else trial


def hinted(
    params: Params, photos: Iterable[Path], count: int, *, batch_size: int = 8, **options: Any
) -> Iterator[Hinted | image_io.PhotoError]:
    """Measures what hints of the true colours bring, beside the automatic result.

    Args:
      params: from `jaxcolor.load`.
      photos: files, in any order.
      count: hints of each photo: the true mean colour of 7x7 pixels at random places, which hang on
        the picture alone.
      batch_size: photos in one pass of the network.
      options: what else `colorize_batch` shall be told.
    """
    for trial in colorized(params, photos, batch_size=batch_size, **options):
        if not isinstance(trial, Trial):
            yield trial
            continue
        hints = true_hints(trial.truth, count)
        (picture,) = colorize_batch(params, [trial.grey], batch_size=1, hints=[hints], **options)
        truth, before, after = (
            metrics.picture_to_lab(p) for p in (trial.truth, trial.prediction, picture)
        )
        there = np.array([after[int(hint.y), int(hint.x), 1:] for hint in hints])
        wished = color.rgb_to_lab(np.array([hint.rgb for hint in hints], np.float32) / 255)[:, 1:]
        moved = np.linalg.norm(np.asarray(after - before)[..., 1:], axis=-1)
        yield Hinted(
            photo=trial.photo,
            chroma=metrics.mean_chroma(truth),
            gain=metrics.psnr(picture, trial.truth) - metrics.psnr(trial.prediction, trial.truth),
            distance=float(np.linalg.norm(there - np.asarray(wished), axis=1).mean()),
            moved=float((moved >= 2).mean()),
        )


def true_hints(truth: Picture, count: int) -> list[Hint]:
    """The mean colour of 7x7 pixels, those at the border's rim repeated, at random places."""
    height, width, _ = truth.shape
    wide = np.pad(truth, ((3, 3), (3, 3), (0, 0)), mode="edge")
    random = np.random.default_rng([count, *truth[::64, ::64].ravel()])
    places = zip(random.integers(0, height, count), random.integers(0, width, count), strict=True)
    hints = []
    for y, x in places:
        red, green, blue = np.rint(wide[y : y + 7, x : x + 7].mean(axis=(0, 1))).astype(int)
        hints.append(Hint(int(x), int(y), (int(red), int(green), int(blue))))
    return hints


def colorized(
    params: Params, photos: Iterable[Path], *, batch_size: int = 8, **options: Any
) -> Iterator[Trial | image_io.PhotoError]:
    """The pictures that `evaluate` compares: grey copies through the `colorize_batch` of users."""
    squares: list[tuple[Path, Picture]] = []
    for photo in photos:
        try:
            squares.append((photo, central_square(read_rgb(photo))))
        except image_io.PhotoError as error:
            yield error
        if len(squares) == batch_size:
            yield from _colorized_group(params, squares, batch_size, options)
            squares = []
    if squares:
        yield from _colorized_group(params, squares, batch_size, options)


def _colorized_group(
    params: Params,
    squares: Sequence[tuple[Path, Picture]],
    batch_size: int,
    options: Mapping[str, Any],
) -> Iterator[Trial]:
    greys = [grey_of(square) for _, square in squares]
    predictions = colorize_batch(params, greys, batch_size=batch_size, **options)
    for (photo, truth), grey, prediction in zip(squares, greys, predictions, strict=True):
        yield Trial(photo, truth, grey, prediction)


def score(trial: Trial) -> Score:
    """The figures of one photo's pictures."""
    truth = metrics.picture_to_lab(trial.truth)
    return Score(
        photo=trial.photo,
        chroma=metrics.mean_chroma(truth),
        colourfulness=metrics.colourfulness(trial.truth),
        prediction=_figures(trial.prediction, trial.truth, truth),
        grey=_figures(trial.grey, trial.truth, truth),
    )


def _figures(picture: Picture, truth: Picture, truth_lab: Lab) -> Figures:
    """Those of a picture against the truth, which is given in RGB and in Lab."""
    lab = metrics.picture_to_lab(picture)
    return Figures(
        psnr=metrics.psnr(picture, truth),
        ssim=metrics.ssim(picture, truth),
        ciede2000=metrics.mean_ciede2000(lab, truth_lab),
        colourfulness=metrics.colourfulness(picture),
        accuracy=metrics.raw_accuracy(lab, truth_lab),
    )


class Summary:
    """Means over photos, in memory that does not grow with them.

    Attributes:
      counted: photos in the means.
      nothing_to_colour: photos left out of them, as good as grey themselves.
    """

    def __init__(self) -> None:
        self.counted = 0
        self.nothing_to_colour = 0
        self._truth = np.zeros(2)  # sums of chroma and colourfulness
        self._sums = {kind: np.zeros(len(_AVERAGED)) for kind in _MEASURED}
        self._accuracy = {kind: RawAccuracy() for kind in _MEASURED}

    def add(self, score: Score) -> None:
        """Takes one more photo in."""
        if not score.counts:
            self.nothing_to_colour += 1
            return
        self.counted += 1
        self._truth += score.chroma, score.colourfulness
        for kind in _MEASURED:
            figures: Figures = getattr(score, kind)
            self._sums[kind] += [getattr(figures, name) for name in _AVERAGED]
            self._accuracy[kind] += figures.accuracy

    def means(self) -> dict[str, dict[str, float]]:
        """The figures of the protocol, by kind of picture: prediction, grey, truth; and the gain.

        Raises:
          ValueError: no photo counted.
        """
        if not self.counted:
            raise ValueError("no photo with anything to colour")
        chroma, colourfulness = (self._truth / self.counted).tolist()
        means: dict[str, dict[str, float]] = {}
        for kind in _MEASURED:
            figures = dict(zip(_AVERAGED, (self._sums[kind] / self.counted).tolist(), strict=True))
            figures["dcf"] = abs(figures["colourfulness"] - colourfulness)
            figures["auc"] = self._accuracy[kind].plain
            figures["auc_rebalanced"] = self._accuracy[kind].rebalanced()
            means[kind] = figures
        ours, grey = (means[kind] for kind in _MEASURED)
        means["truth"] = {"chroma": chroma, "colourfulness": colourfulness}
        means["gain"] = {
            **{name: ours[name] - grey[name] for name in ("psnr", "ssim", "auc", "auc_rebalanced")},
            "ciede2000_percent": 100 * (1 - ours["ciede2000"] / grey["ciede2000"]),
            "colourfulness_percent": 100 * ours["colourfulness"] / colourfulness,
        }
        return means


def best_median_worst(ranked: Iterable[tuple[float, Item]], each: int) -> list[tuple[str, Item]]:
    """Labels `each` of the highest, the middle and the lowest; fewer where there are too few."""
    items = [item for _, item in sorted(ranked, key=operator.itemgetter(0), reverse=True)]
    each = max(1, min(each, len(items) // 3))
    middle = (len(items) - each) // 2
    starts = {"best": 0, "median": middle, "worst": len(items) - each}
    return [
        (label, item) for label, start in starts.items() for item in items[start : start + each]
    ]


def read_rgb(photo: Path) -> Image.Image:
    """A photo as people see it: upright sRGB of 8 bits a channel, without its transparency.

    Of an animation or a file with several pages it is the first picture.

    Raises:
      PhotoError: it cannot be read; names it.
    """
    pixels = image_io.open_photo(photo, frame=0).pixels
    return image_io.from_pixels(pixels, None).convert("RGB")


def central_square(image: Image.Image) -> Picture:
    """The picture's largest central square at 256x256."""
    return np.asarray(ImageOps.fit(image, (SIZE, SIZE), Image.Resampling.LANCZOS))


def grey_of(rgb: Picture) -> Picture:
    """The grey of the same L at every pixel, as three equal channels."""
    grey = color.lightness_to_grey(color.rgb_to_lightness(jnp.asarray(rgb, jnp.float32) / 255))
    return np.repeat(np.rint(np.asarray(grey) * 255).astype(np.uint8)[..., None], 3, axis=-1)
