"""The colours that the user knows, spread over the small picture along its edges.

What is spread is the *offset* between a hint's colour and the automatic one at its place, so that
the rest of the photo stays as the network has it. A cell's distance from a hint is geodesic: the
cheapest path over the cells, where a step costs by its length and by the square of the change of
lightness along it (Yatziv, Sapiro: "Fast image and video colorization using chrominance blending",
IEEE Transactions on Image Processing 15(5), 2006). A cell takes the offsets of its two nearest
hints, and none beyond the distance of 1. `docs/hints.md` has the figures behind the constants.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcolor import color
from jaxcolor.hints import CAPACITY, KEEP, NEUTRAL, Hint, check
from jaxcolor.predict import framing

# What a step of a path costs is measured in the photo's long side, so that it does not hang on
# the grid: PER_LENGTH * length + change of L ** 2 / (length * EDGE * contrast ** 2).
PER_LENGTH = 0.35
EDGE = 10_000.0
_CONTRAST = 20.0  # standard deviation of L of a photo of which EDGE is true
_LEAST_CONTRAST = 2.0  # L; below it there is grain alone

_PLATEAU = 0.3  # the distance up to which an offset stays whole
# A large offset carries some of the automatic colour away with it: the share is at most _REPLACES,
# and half of it at an offset of _HALF. So a hint of the colour that is there changes nothing, and
# a red dress has not the blotches of the brown one.
_REPLACES = 0.7
_HALF = 8.0

_MOST = 1 << 16  # the distance of 1, as a whole number: sums of these do not hang on their order
_LABELS = 128  # a distance and the number of its hint share one int32
_FAR = np.int32(_MOST * _LABELS)  # no hint

FINE = 40_000  # cells: a coarser answer of the network is made finer first
_SIZE = 224  # the square of which the finer grid has the area

assert CAPACITY <= _LABELS


class Spots(NamedTuple):
    """Hints as arrays of a fixed length; of NumPy or JAX.

    Attributes:
      place: y and x as shares of the photo's height and width; those that are none are outside.
      rgb: sRGB in [0, 1].
      radius: as a share of the long side; infinite where there is no limit.
      neutral: 1 for those that take all colour away, else 0.
      keep: 1 for those that keep what is there, else 0.
    """

    place: Float[Any, "n 2"]
    rgb: Float[Any, "n 3"]
    radius: Float[Any, " n"]
    neutral: Float[Any, " n"]
    keep: Float[Any, " n"]


def spots(hints: Iterable[Hint], size: tuple[int, ...]) -> Spots:
    """The hints of a photo of this height and width, in an order that is not the user's.

    Raises:
      HintError: one lies outside of the photo, or there are too many.
    """
    height, width = size
    lines = sorted(
        (*hint.placed((height, width)), *hint.rgb, hint.colour == NEUTRAL, hint.colour == KEEP)
        for hint in check(hints, (height, width))
    )
    none = (-9.0, -9.0, np.inf, 0, 0, 0, False, False)
    table = np.array([*lines, *[none] * (CAPACITY - len(lines))], np.float32)
    return Spots(table[:, :2], table[:, 3:6] / 255, table[:, 2], table[:, 6], table[:, 7])


def grid_for(answer: tuple[int, int], photo: tuple[int, int]) -> tuple[int, int]:
    """Where the offsets are spread: the shape of the network's answer, or a finer one."""
    if answer[0] * answer[1] >= FINE:
        return answer
    return framing.shape_for(*photo, _SIZE, 32)


@jax.jit
def spread(
    small: Float[Array, "s t 3"], hints: Spots, photo: Float[Array, "2"]
) -> Float[Array, "s t 3"]:
    """The small picture with the colours of the hints.

    Args:
      small: Lab, with the automatic colours.
      hints: of `spots`.
      photo: its height and width.
    """
    lightness, ab = small[..., 0], small[..., 1:]
    rows, columns = (_touched(hints.place[:, i], lightness.shape[i]) for i in (0, 1))
    numbers = jnp.arange(len(hints.rgb), dtype=jnp.int32)[:, None, None]
    seeds = jnp.where(rows[:, :, None] & columns[:, None, :], numbers, _FAR)
    costs = _costs(jax.lax.stop_gradient(lightness), photo)
    nearest = _relaxed(seeds.min(axis=0), costs)
    second = _second(nearest, costs)
    own, replaced = _offsets(hints, rows.astype(np.float32), columns.astype(np.float32), ab)
    middles = tuple((jnp.arange(n, dtype=jnp.float32) + 0.5) / n for n in lightness.shape)
    (first, w), (other, v) = (_reached(key, hints, middles, photo) for key in (nearest, second))
    near, far = (jnp.maximum(_distance(key), 1e-6) for key in (nearest, second))
    # Equal shares on the line where both are equally near, and all of its own at a hint.
    share = (near / far) ** 2 / 2
    w, v = w * (1 - share * v), v * (1 - (1 - share) * w)
    w, v = w[..., None], v[..., None]
    changed = w * own[first] + v * own[other]
    kept = 1 - w * replaced[first][..., None] - v * replaced[other][..., None]
    return jnp.concatenate([lightness[..., None], ab * kept + changed], axis=-1)


# -- distances -------------------------------------------------------------------------------------

# Steps to a cell: from above it, the left, above left, above right; and those backwards.
_HALF_OF_STEPS = ((1, 0), (0, 1), (1, 1), (1, -1))
_STEPS = (*_HALF_OF_STEPS, *((-dy, -dx) for dy, dx in _HALF_OF_STEPS))

Costs: TypeAlias = tuple[Int[Array, "s t"], ...]  # of each of the steps, at the cell it leads to


def _costs(lightness: Float[Array, "s t"], photo: Float[Array, "2"]) -> Costs:
    """What the steps cost, in units of a key; none leads out of the grid."""
    calm = _blurred(_blurred(lightness))
    height, width = lightness.shape
    lengths = photo / (np.array([height, width], np.float32) * photo.max())
    contrast = jnp.maximum(jnp.std(lightness), _LEAST_CONTRAST) / _CONTRAST
    edge = EDGE * contrast**2

    def cost(dy: int, dx: int) -> Array:
        length = jnp.hypot(dy * lengths[0], dx * lengths[1])
        change = calm - _moved(calm, dy, dx, np.float32(1e6))
        cost = PER_LENGTH * length + change * change / (length * edge)
        return jnp.round(jnp.minimum(cost, 1.0) * _MOST).astype(jnp.int32) * _LABELS

    one_way = [cost(dy, dx) for dy, dx in _HALF_OF_STEPS]
    other = [_moved(plane, -dy, -dx) for plane, (dy, dx) in zip(one_way, _STEPS, strict=False)]
    return (*one_way, *other)


def _blurred(plane: Float[Array, "s t"]) -> Float[Array, "s t"]:
    """By the binomial of 5, each way: standard deviation 1."""
    for axis in (0, 1):
        size = plane.shape[axis]
        wide = jnp.pad(plane, [(2, 2) if i == axis else (0, 0) for i in (0, 1)], mode="edge")
        cut = [jax.lax.slice_in_dim(wide, i, i + size, axis=axis) for i in range(5)]
        # Those that a mirror exchanges are added first: so it changes nothing else.
        plane = ((cut[0] + cut[4]) + 4 * (cut[1] + cut[3]) + 6 * cut[2]) / 16
    return plane


def _moved(plane: Array, dy: int, dx: int, fill: Any = _FAR) -> Array:
    """At each cell what the plane has at the cell that the step comes from."""
    sides = ((dy, -dy, 0), (dx, -dx, 0))
    return jax.lax.pad(plane, jnp.asarray(fill, plane.dtype), sides)


def _second(nearest: Int[Array, "s t"], costs: Costs) -> Int[Array, "s t"]:
    """The second nearest seed of each cell.

    It comes from a neighbour whose nearest one is another, or is the second of one whose nearest
    is the same.
    """
    start = jnp.full(nearest.shape, _FAR, jnp.int32)
    within = []
    for cost, step in zip(costs, _STEPS, strict=True):
        theirs = _moved(nearest, *step)
        other = _label(theirs) != _label(nearest)
        start = jnp.minimum(start, jnp.where(other, theirs + cost, _FAR))
        within.append(jnp.where(other, _FAR, cost))
    return _relaxed(start, tuple(within))


def _relaxed(start: Int[Array, "s t"], costs: Costs) -> Int[Array, "s t"]:
    """The nearest seed of each cell: sweeps in four directions, until nothing changes.

    A sweep goes line by line: a cell is reached straight, or from the lower or higher side.
    """
    down, right, falling, rising, up, left, unfalling, unrising = costs
    sweeps = (
        (down, falling, rising),
        (up, unrising, unfalling),
        (right.T, falling.T, unrising.T),
        (left.T, rising.T, unfalling.T),
    )

    def sweep(state: tuple[Array, Array]) -> tuple[Array, Array]:
        before, _ = state
        now = _swept(before, sweeps[0])
        now = _swept(now, sweeps[1], reverse=True)
        now = _swept(now.T, sweeps[2])
        now = _swept(now, sweeps[3], reverse=True).T
        return now, jnp.any(now != before)

    state = start, jnp.any(start < _FAR)
    return jax.lax.while_loop(lambda state: state[1], sweep, state)[0]


def _swept(
    keys: Int[Array, "n m"], costs: tuple[Array, Array, Array], *, reverse: bool = False
) -> Int[Array, "n m"]:
    """Line by line, each from the one before it."""
    wall = jnp.full((1,), _FAR, jnp.int32)

    def line(before: Array, now: tuple[Array, ...]) -> tuple[Array, Array]:
        key, straight, lower, higher = now
        from_lower = jnp.concatenate([wall, before[:-1]]) + lower
        from_higher = jnp.concatenate([before[1:], wall]) + higher
        key = jnp.minimum(jnp.minimum(key, before + straight), jnp.minimum(from_lower, from_higher))
        return key, key

    first = jnp.full(keys.shape[1:], _FAR, jnp.int32)
    return jax.lax.scan(line, first, (keys, *costs), reverse=reverse)[1]


def _label(key: Int[Array, "s t"]) -> Int[Array, "s t"]:
    return key % _LABELS


def _distance(key: Int[Array, "s t"]) -> Float[Array, "s t"]:
    return (key // _LABELS).astype(jnp.float32) / _MOST


# -- what a hint does ------------------------------------------------------------------------------


def _touched(place: Float[Array, " n"], count: int) -> Bool[Array, "n s"]:
    """The line of each hint's cell; both where it lies just between two."""
    middles = jnp.arange(count, dtype=jnp.float32) + 0.5
    return jnp.abs(place[:, None] * count - middles[None]) <= 0.5 + 1e-4


def _offsets(
    hints: Spots,
    rows: Float[Array, "n s"],
    columns: Float[Array, "n t"],
    ab: Float[Array, "s t 2"],
) -> tuple[Float[Array, "n 2"], Float[Array, " n"]]:
    """What each hint adds to the chroma, and which share of the automatic one it takes away.

    Hints of one cell become their mean.
    """
    total = jnp.einsum("ns,nt,stc->nc", rows, columns, ab, precision=jax.lax.Precision.HIGHEST)
    there = total / jnp.maximum(rows.sum(axis=1) * columns.sum(axis=1), 1.0)[:, None]
    lab = color.rgb_to_lab(hints.rgb)
    wished = lab[:, 1:] * (1 - hints.neutral)[:, None]
    wished = jnp.where(hints.keep[:, None] > 0, there, wished)
    square = jnp.sum((wished - there) ** 2, axis=1)
    replaced = jnp.maximum(_REPLACES * square / (square + _HALF**2), hints.neutral)
    return wished - (1 - replaced)[:, None] * there, replaced


def _reached(
    key: Int[Array, "s t"], hints: Spots, middles: tuple[Array, ...], photo: Array
) -> tuple[Int[Array, "s t"], Float[Array, "s t"]]:
    """Of each cell the hint, and the weight of its offset there."""
    label = _label(key)
    far = (_distance(key) - _PLATEAU) / (1 - _PLATEAU)
    y, x = hints.place[label, 0], hints.place[label, 1]
    away = jnp.hypot(
        (middles[0][:, None] - y) * photo[0] / photo.max(),
        (middles[1][None, :] - x) * photo[1] / photo.max(),
    )
    # Whole in the inner half of the radius.
    return label, _falling(far) * _falling(2 * away / hints.radius[label] - 1)


def _falling(t: Float[Array, "s t"]) -> Float[Array, "s t"]:
    """1 up to 0, 0 from 1 on, smooth between."""
    t = jnp.clip(t, 0.0, 1.0)
    return (1 - t) ** 2 * (1 + 2 * t)
