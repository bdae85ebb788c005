"""sRGB <-> CIE Lab, the network's scales, and the gamut.

The one owner of every colour constant. All functions are pointwise over the last axis, take any
leading dimensions, compute in float32, and are safe under `jit`, `grad` and `vmap`.

sRGB is IEC 61966-2-1 in [0, 1]; Lab is CIE 1976 under D65 (2 degree observer), L in [0, 100]. Over
the sRGB gamut a lies in [-86.2, 98.2] and b in [-107.9, 94.5]. Matrix and white are those of
scikit-image, so that figures can be compared with it.
"""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

T = TypeVar("T", Array, np.ndarray)

L_MAX = 100.0
AB_SCALE = 110.0  # the network's output is ab / 110, so that tanh reaches all of sRGB's ab

_RGB_TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_TO_CONE = _RGB_TO_XYZ / _WHITE[:, None]  # linear RGB -> XYZ / white
_FROM_CONE = np.linalg.inv(_TO_CONE)

DELTA = 6 / 29  # CIE 15: below delta^3 the cube root becomes a line
SLOPE = 1 / (3 * DELTA**2)
OFFSET = 4 / 29

# sRGB's transfer curve: up to its knee, in linear light, a line; then a power.
LINE = 12.92
LINEAR_KNEE = 0.0031308
POWER = 2.4
RAISED = 0.055

# What R', G' and B' add to a film's luma: ITU-R BT.601, BT.709 and BT.2020.
LUMA = {
    "bt601": (0.299, 0.587, 0.114),
    "bt709": (0.2126, 0.7152, 0.0722),
    "bt2020": (0.2627, 0.6780, 0.0593),
}
_LUMA_STEPS = 3  # of the search for a lightness; colours of all the gamut come back to 0.0015

# How far outside [0, 1] a linear component may lie and still count as in gamut: float32's error of
# a round trip, a third of an 8-bit step at black.
_GAMUT_SLACK = 1e-4
_BISECTIONS = 12  # chroma to 1/4096 of itself
_RUN, _RUNS = 32, 512  # pixels that are searched together if one of them must be; so many at once


def srgb_to_linear(srgb: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Undoes the sRGB transfer curve: [0, 1] -> linear light in [0, 1]."""
    srgb = jnp.asarray(srgb, jnp.float32)
    steep = srgb > 0.04045
    power = _power((jnp.where(steep, srgb, 1.0) + RAISED) / (1 + RAISED), POWER)
    return jnp.where(steep, power, srgb / LINE)


def linear_to_srgb(linear: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Applies the sRGB transfer curve: linear light in [0, 1] -> [0, 1]."""
    linear = jnp.asarray(linear, jnp.float32)
    steep = linear > LINEAR_KNEE
    # The inner `where` keeps the gradient of the branch not taken finite (at black it is infinite).
    power = (1 + RAISED) * _power(jnp.where(steep, linear, 1.0), 1 / POWER) - RAISED
    return jnp.where(steep, power, linear * LINE)


def rgb_to_lab(rgb: Float[ArrayLike, "... 3"]) -> Float[Array, "... 3"]:
    """Converts sRGB in [0, 1] to Lab."""
    fx, fy, fz = (_f(t) for t in _mix(_TO_CONE, _channels(srgb_to_linear(rgb))))
    return jnp.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], axis=-1)


def rgb_to_lightness(rgb: Float[ArrayLike, "... 3"]) -> Float[Array, "..."]:
    """Converts sRGB in [0, 1] to L in [0, 100], a third of the work of `rgb_to_lab`."""
    (y,) = _mix(_TO_CONE[1:2], _channels(srgb_to_linear(rgb)))
    return 116 * _f(y) - 16


def grey_to_lightness(grey: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """A grey pixel's sRGB value in [0, 1] -> L in [0, 100]; half grey is 53.6, not 50."""
    return 116 * _f(srgb_to_linear(grey)) - 16


def lightness_to_grey(lightness: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """L in [0, 100] -> the sRGB value in [0, 1] of the grey of that lightness."""
    return linear_to_srgb(_f_inverse((jnp.asarray(lightness, jnp.float32) + 16) / 116))


def lab_to_rgb(lab: Float[ArrayLike, "... 3"]) -> Float[Array, "... 3"]:
    """Converts Lab to sRGB in [0, 1], in gamut, L kept.

    A colour outside the sRGB gamut loses chroma along a straight line to the grey of its own
    lightness, until it fits: clipping RGB instead would change L. Colours in gamut are untouched:
    all 16,777,216 8-bit colours survive the round trip exactly.

    Args:
      lab: L in [0, 100]; a and b anything finite.
    """
    lightness, a, b = _channels(jnp.asarray(lab, jnp.float32))
    fy = (jnp.clip(lightness, 0.0, L_MAX) + 16) / 116
    keep = _chroma_in_gamut(*map(jax.lax.stop_gradient, (fy, a, b)))
    linear = _linear_rgb(fy, a * keep, b * keep)
    return jnp.stack([linear_to_srgb(jnp.clip(c, 0.0, 1.0)) for c in linear], axis=-1)


def ab_to_cbcr(
    luma: Float[Array, "..."], ab: Float[Array, "... 2"], matrix: str
) -> Float[Array, "... 2"]:
    """Lab's ab -> a film's Cb and Cr in [-0.5, 0.5], luma kept.

    Luma is no lightness: a red and a grey of one L differ by 0.3 in luma. So the L of which the
    colour has that luma is searched. What lies outside the gamut loses chroma along the straight
    line to the grey of that luma, until it fits.

    Args:
      luma: Y' in [0, 1].
      ab: anything finite.
      matrix: which of `LUMA` the film's numbers are of.
    """
    red, _, blue = LUMA[matrix]
    a, b = ab[..., 0], ab[..., 1]
    aim = grey_to_lightness(luma)

    def nearer(_: Array, lightness: Array) -> Array:
        there = _luma_of(lightness, a, b, matrix)[0]
        return jnp.clip(lightness + aim - grey_to_lightness(there), 0.0, L_MAX)

    # A loop: written out, XLA makes one kernel of the steps, which computes each of them again
    # wherever the next one looks at it, and takes thirty times as long.
    lightness = jax.lax.fori_loop(0, _LUMA_STEPS, nearer, aim)
    there, rgb = _luma_of(lightness, a, b, matrix)
    r, g, b = (c - there for c in rgb)
    # How much of each channel's way from the grey fits, both to 0 and to 1.
    room = [jnp.where(c > 0, 1 - luma, luma) / jnp.maximum(jnp.abs(c), 1e-6) for c in (r, g, b)]
    keep = jnp.clip(jnp.minimum(jnp.minimum(room[0], room[1]), room[2]), 0.0, 1.0)
    return jnp.stack([keep * b / (2 - 2 * blue), keep * r / (2 - 2 * red)], axis=-1)


def cbcr_to_rgb(
    luma: Float[Array, "..."], cbcr: Float[Array, "... 2"], matrix: str
) -> Float[Array, "... 3"]:
    """A film's Y' in [0, 1], Cb and Cr -> R'G'B', which may lie outside [0, 1]."""
    red, green, blue = LUMA[matrix]
    cb, cr = cbcr[..., 0], cbcr[..., 1]
    r, b = luma + (2 - 2 * red) * cr, luma + (2 - 2 * blue) * cb
    return jnp.stack([r, (luma - red * r - blue * b) / green, b], axis=-1)


def lightness_to_network(lightness: Float[T, "..."]) -> Float[T, "..."]:
    """L in [0, 100] -> the network's input in [-1, 1]."""
    return lightness / (L_MAX / 2) - 1


def network_to_lightness(scaled: Float[T, "..."]) -> Float[T, "..."]:
    """The network's input in [-1, 1] -> L in [0, 100]."""
    return (scaled + 1) * (L_MAX / 2)


def ab_to_network(ab: Float[T, "... 2"]) -> Float[T, "... 2"]:
    """Lab's ab -> the network's output in [-1, 1]."""
    return ab / AB_SCALE


def network_to_ab(scaled: Float[T, "... 2"]) -> Float[T, "... 2"]:
    """The network's output in [-1, 1] -> Lab's ab."""
    return scaled * AB_SCALE


def _chroma_in_gamut(fy: Array, a: Array, b: Array) -> Array:
    """The largest factor in [0, 1] by which a and b stay in gamut.

    Most of most photos is in gamut: only the short runs of pixels in which one lies outside are
    searched, some at a time.
    """
    if fy.ndim > 2:
        return jax.vmap(_chroma_in_gamut)(fy, a, b)
    shape = fy.shape
    fy, a, b = (_in_runs(jnp.atleast_2d(x)) for x in (fy, a, b))
    inside = _fits(fy, a, b)
    outside = ~inside.all(axis=1)
    runs = jnp.flatnonzero(outside, size=len(fy), fill_value=0)
    together = min(len(fy), _RUNS)

    def search(state: tuple[Array, Array]) -> tuple[Array, Array]:
        begun, keep = state
        run = jax.lax.dynamic_slice_in_dim(runs, begun, together)
        found = jnp.where(inside[run], 1.0, _bisection(fy[run], a[run], b[run]))
        return begun + together, keep.at[run].set(found)

    count = outside.sum()
    start = (jnp.zeros_like(count), jnp.ones_like(fy))
    _, keep = jax.lax.while_loop(lambda state: state[0] < count, search, start)
    return keep.reshape(shape)


def _in_runs(x: Float[Array, "h w"]) -> Float[Array, "runs length"]:
    """Rows cut into runs, if they are whole ones."""
    length = _RUN if x.shape[1] % _RUN == 0 else x.shape[1]
    # One axis after the other: over a batch that is cut over a mesh JAX reshapes no two at once.
    return x.reshape(len(x), -1, length).reshape(-1, length)


def _bisection(fy: Array, a: Array, b: Array) -> Array:
    """The factor, where it is not 1.

    The line leaves the gamut once, but for the tip at sRGB's yellow (L above 97), where it leaves
    at a quarter of the chroma and touches the gamut again at the tip: beyond it the quarter stays.
    """

    def halve(_: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        low, step = state
        there = low + step
        return jnp.where(_fits(fy, a * there, b * there), there, low), step / 2

    low, _ = jax.lax.fori_loop(0, _BISECTIONS, halve, (jnp.zeros_like(fy), jnp.float32(0.5)))
    return low


def _fits(fy: Array, a: Array, b: Array) -> Array:
    """Whether a colour is in gamut."""
    r, g, b = _linear_rgb(fy, a, b)
    lowest = jnp.minimum(jnp.minimum(r, g), b)
    highest = jnp.maximum(jnp.maximum(r, g), b)
    return (lowest >= -_GAMUT_SLACK) & (highest <= 1 + _GAMUT_SLACK)


def _luma_of(lightness: Array, a: Array, b: Array, matrix: str) -> tuple[Array, list[Array]]:
    """Luma and R'G'B' of a Lab colour; they may lie above 1."""
    linear = _linear_rgb((lightness + 16) / 116, a, b)
    # Not below 0: the search would be thrown about by a curve that is so steep there.
    rgb = [linear_to_srgb(jnp.maximum(c, 0.0)) for c in linear]
    (luma,) = _mix(np.array([LUMA[matrix]]), rgb)
    return luma, rgb


def _linear_rgb(fy: Array, a: Array, b: Array) -> list[Array]:
    cone = [_f_inverse(fy + a / 500), _f_inverse(fy), _f_inverse(fy - b / 200)]
    return _mix(_FROM_CONE, cone)


def _f(t: Array) -> Array:
    steep = t > DELTA**3
    return jnp.where(steep, _power(jnp.where(steep, t, 1.0), 1 / 3), t * SLOPE + OFFSET)


def _power(x: Array, exponent: float) -> Array:
    """A positive number to a power, to 2e-6 of itself.

    On a CPU, XLA computes `exp` and `log` of many numbers at once, `pow` and `cbrt` one by one:
    this is several times as fast as either.
    """
    return jnp.exp(jnp.log(x) * exponent)


def _f_inverse(t: Array) -> Array:
    return jnp.where(t > DELTA, t * t * t, (t - OFFSET) / SLOPE)


def _channels(x: Array) -> list[Array]:
    return [x[..., i] for i in range(3)]


def _mix(matrix: np.ndarray, channels: list[Array]) -> list[Array]:
    # Written out, not a matrix product: on GPU and TPU those run in reduced precision by default,
    # and here three multiplications fuse with what stands around them.
    r, g, b = channels
    return [float(m[0]) * r + float(m[1]) * g + float(m[2]) * b for m in matrix]
