"""How near a colorized picture is to the true one, and how colourful it is.

Pictures are uint8 sRGB of (H, W, 3); what compares colours takes their Lab, from `picture_to_lab`,
so that it is computed once. Maps are float32; what is summed over a picture is summed in float64 or
in whole numbers.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64, Int64

from jaxcolor import color

Picture = np.ndarray  # uint8 (H, W, 3): what is none is refused
Lab = Float32[np.ndarray, "h w 3"]

_PEAK = 255

# Wang et al. 2004, section III.C: the window, and the constants that keep quotients finite.
_WINDOW = 11
_SIGMA = 1.5
_C1 = (0.01 * _PEAK) ** 2
_C2 = (0.03 * _PEAK) ** 2

_TURN = 2 * math.pi
# CIEDE2000 takes another mean of two hues when they lie more than half a turn apart; what float32
# loses of the angles must not decide that for opposite ones.
_HALF_TURN = math.pi + 1e-6

# Raw accuracy: the farthest distance, and the grid of ab that colours are counted on.
_FARTHEST = 150.0
_BIN = 10.0  # of ab
_REACH = 11  # bins on either side of zero's: sRGB's ab lies within 110
_BINS = (2 * _REACH + 1) ** 2
_BINS_OF_SRGB = 261  # those that any of the 16,777,216 8-bit colours falls into


def psnr(picture: Picture, truth: Picture) -> float:
    """Peak signal-to-noise ratio over all pixels and channels, in dB; infinite for equal pictures.

    Raises:
      ValueError: the pictures are not uint8 (H, W, 3) of one shape.
    """
    _check(picture, truth)
    error = np.mean(np.square(picture.astype(np.float64) - truth))
    return 10 * math.log10(_PEAK**2 / error) if error else math.inf


def ssim(picture: Picture, truth: Picture) -> float:
    """Structural similarity in [-1, 1] of Wang, Bovik, Sheikh, Simoncelli 2004.

    A Gaussian window of 11x11 with sigma 1.5, variances of the population, at every place where the
    whole window fits; the mean over places and channels.

    Raises:
      ValueError: as `psnr`; or a side is shorter than 11 pixels.
    """
    _check(picture, truth)
    if min(truth.shape[:2]) < _WINDOW:
        raise ValueError(f"ssim of {truth.shape}: both sides need {_WINDOW} pixels or more")
    return _mean(_ssim_map(*_moments(picture, truth)))


def colourfulness(picture: Picture) -> float:
    """How colourful people find a picture: Hasler and Suesstrunk 2003, their third metric.

    Of rg = R - G and yb = (R + G) / 2 - B, signed, on 0..255:
    sqrt(var rg + var yb) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2). A grey picture has 0.

    Raises:
      ValueError: as `psnr`.
    """
    _check(picture, picture)
    red, green, blue = np.moveaxis(picture.astype(np.int32), -1, 0)
    rg, twice_yb = red - green, red + green - 2 * blue
    spread = math.hypot(np.std(rg), np.std(twice_yb) / 2)
    return spread + 0.3 * math.hypot(np.mean(rg), np.mean(twice_yb) / 2)


def picture_to_lab(picture: Picture) -> Lab:
    """The picture's CIE Lab, for the functions below.

    Raises:
      ValueError: as `psnr`.
    """
    _check(picture, picture)
    return np.stack(_lab_planes(picture), axis=-1)


def mean_chroma(lab: Lab) -> float:
    """Mean over the pixels of CIE chroma, the length of ab."""
    return _mean(np.hypot(lab[..., 1], lab[..., 2]))


def mean_ciede2000(lab: Lab, truth: Lab) -> float:
    """Mean over the pixels of `ciede2000`."""
    return _mean(ciede2000(lab, truth))


@jax.jit
def ciede2000(
    lab: Float[Array, "... 3"] | np.ndarray, other: Float[Array, "... 3"] | np.ndarray
) -> Float[Array, "..."]:
    """The CIEDE2000 difference of each pair of colours, with kL = kC = kH = 1.

    Sharma, Wu, Dalal: The CIEDE2000 Color-Difference Formula, 2005. The numbers at the lines are
    those of its equations.

    Args:
      lab: L in [0, 100], a, b.
      other: the colours to compare with; the order does not matter.
    """
    l1, a1, b1 = _planes(lab)
    l2, a2, b2 = _planes(other)
    g = 0.5 * (1 - _seventh((jnp.hypot(a1, b1) + jnp.hypot(a2, b2)) / 2))  # 2, 3, 4
    a1, a2 = (1 + g) * a1, (1 + g) * a2  # 5
    c1, c2 = jnp.hypot(a1, b1), jnp.hypot(a2, b2)  # 6
    h1, h2 = _turned(jnp.arctan2(b1, a1)), _turned(jnp.arctan2(b2, a2))  # 7

    dl, dc, dh = l2 - l1, c2 - c1, h2 - h1  # 8, 9
    dh = jnp.where(jnp.abs(dh) > _HALF_TURN, dh - _TURN * jnp.sign(dh), dh)  # 10
    distance_h = 2 * jnp.sqrt(c1 * c2) * jnp.sin(dh / 2)  # 11

    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2  # 12, 13
    mean_h = _turned(h1 + dh / 2)  # 14; beside grey any will do, as distance_h is 0
    t = (
        1
        - 0.17 * jnp.cos(mean_h - math.radians(30))
        + 0.24 * jnp.cos(2 * mean_h)
        + 0.32 * jnp.cos(3 * mean_h + math.radians(6))
        - 0.20 * jnp.cos(4 * mean_h - math.radians(63))
    )  # 15
    near_blue = jnp.exp(-jnp.square((mean_h - math.radians(275)) / math.radians(25)))
    rotation = -2 * _seventh(mean_c) * jnp.sin(math.radians(60) * near_blue)  # 16, 17, 21
    off_middle = jnp.square(mean_l - 50)
    dl = dl / (1 + 0.015 * off_middle / jnp.sqrt(20 + off_middle))  # 18
    dc = dc / (1 + 0.045 * mean_c)  # 19
    dh = distance_h / (1 + 0.015 * mean_c * t)  # 20
    return jnp.sqrt(jnp.maximum(dl * dl + dc * dc + dh * dh + rotation * dc * dh, 0.0))  # 22


@dataclasses.dataclass(frozen=True)
class RawAccuracy:
    """Raw accuracy (AuC) of any number of pictures (by itself of none): Zhang, Isola, Efros 2016.

    The share of pixels whose ab lies within t of the truth's, integrated over t from 0 to 150 and
    divided by 150. A pixel at distance d counts from t = d on, so the integral is
    1 - mean(min(d, 150)) / 150: two sums for each colour are all that has to be kept.

    Attributes:
      pixels: how many pixels of the truth fall into each bin of 10x10 ab.
      distances: the sum of min(d, 150) over them.
    """

    pixels: Int64[np.ndarray, " bins"] = dataclasses.field(
        default_factory=lambda: np.zeros(_BINS, np.int64)
    )
    distances: Float64[np.ndarray, " bins"] = dataclasses.field(
        default_factory=lambda: np.zeros(_BINS)
    )

    def __add__(self, other: RawAccuracy) -> RawAccuracy:
        return RawAccuracy(self.pixels + other.pixels, self.distances + other.distances)

    @property
    def plain(self) -> float:
        """In [0, 1]; every pixel counts the same, so the many nearly grey ones decide."""
        return float(1 - self.distances.sum() / (_FARTHEST * self.pixels.sum()))

    def rebalanced(self, uniform: float = 0.5) -> float:
        """In [0, 1]; rare colours count more.

        A pixel weighs 1 / ((1 - uniform) p + uniform / Q), equation 4 of the paper, where p is the
        frequency of its true colour's bin and Q the number of bins. The paper takes p from
        ImageNet and uniform = 0. Here p is the frequency in the pictures summed, where a colour may
        be that of a few pixels; uniform = 0.5, the paper's for training, keeps those from weighing
        as much as a sky. So this figure compares colorizers on the same photos only.
        """
        seen = self.pixels > 0
        frequency = self.pixels[seen] / self.pixels.sum()
        weight = frequency / ((1 - uniform) * frequency + uniform / _BINS_OF_SRGB)
        distance = self.distances[seen] / self.pixels[seen]
        return float(1 - np.average(distance, weights=weight) / _FARTHEST)


def raw_accuracy(lab: Lab, truth: Lab) -> RawAccuracy:
    """One picture's raw accuracy, to be added to that of others."""
    offset = lab[..., 1:] - truth[..., 1:]
    distance = np.minimum(np.hypot(offset[..., 0], offset[..., 1]), _FARTHEST)
    row, column = np.rint(truth[..., 1:].reshape(-1, 2).T / _BIN).astype(np.int64) + _REACH
    bins = row * (2 * _REACH + 1) + column
    return RawAccuracy(
        np.bincount(bins, minlength=_BINS), np.bincount(bins, distance.ravel(), minlength=_BINS)
    )


# Three programs, not one: XLA would compute anew, at every place of the window and for every
# channel of Lab, what goes into them (70 and 5 times slower on a CPU).


@jax.jit
def _moments(picture: Array, truth: Array) -> list[Float[Array, "h w 3"]]:
    """Means of x, y, x^2, y^2, xy in the window's columns."""
    # Around zero: float32 then loses least in the variances, which are differences of squares.
    x, y = (pixels.astype(jnp.float32) - _PEAK / 2 for pixels in (picture, truth))
    return [_blur(moment, axis=0) for moment in (x, y, x * x, y * y, x * y)]


@jax.jit
def _ssim_map(*moments: Float[Array, "h w 3"]) -> Float[Array, "h w2 3"]:
    x, y, xx, yy, xy = (_blur(moment, axis=1) for moment in moments)
    contrast = (2 * (xy - x * y) + _C2) / ((xx - x * x) + (yy - y * y) + _C2)
    x, y = x + _PEAK / 2, y + _PEAK / 2
    return contrast * (2 * x * y + _C1) / (x * x + y * y + _C1)


def _blur(x: Array, axis: int) -> Array:
    """The Gaussian window's weighted mean along one axis, wherever the window fits."""
    places = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-(places**2) / (2 * _SIGMA**2))
    length = x.shape[axis] - _WINDOW + 1
    parts = [jax.lax.slice_in_dim(x, i, i + length, axis=axis) for i in range(_WINDOW)]
    return sum(
        (float(w) * part for w, part in zip(window / window.sum(), parts, strict=True)),
        start=jnp.zeros_like(parts[0]),
    )


@jax.jit
def _lab_planes(picture: Array) -> list[Float[Array, "h w"]]:
    return _planes(color.rgb_to_lab(picture.astype(jnp.float32) / _PEAK))


def _planes(lab: Array | np.ndarray) -> list[Float[Array, "..."]]:
    return [jnp.asarray(lab[..., i], jnp.float32) for i in range(3)]


def _turned(angle: Array) -> Array:
    """The same angle in [0, 2 pi), of one at most a turn outside."""
    angle = jnp.where(angle < 0, angle + _TURN, angle)
    return jnp.where(angle >= _TURN, angle - _TURN, angle)


def _seventh(chroma: Array) -> Array:
    """sqrt(C^7 / (C^7 + 25^7)), how colourful a colour is for CIEDE2000: 0 to 1."""
    power = (chroma / 25) ** 7
    return jnp.sqrt(power / (power + 1))


def _mean(values: Array | np.ndarray) -> float:
    return float(np.mean(np.asarray(values), dtype=np.float64))


def _check(picture: np.ndarray, truth: np.ndarray) -> None:
    for array in (picture, truth):
        if array.dtype != np.uint8 or array.shape[2:] != (3,) or not array.size:
            raise ValueError(f"{array.dtype} {array.shape}: a picture here is uint8 (H, W, 3)")
    if picture.shape != truth.shape:
        raise ValueError(f"{picture.shape} and {truth.shape}: the pictures are not of one shape")
