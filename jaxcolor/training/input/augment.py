"""What is done to a decoded photo: the crop, the mirror, the grey of an old photo, a margin.

All of it is stateless: the same seed gives the same pixels.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxcolor import color
from jaxcolor.training.host_tensorflow import tf

# How much a film answers to linear red, green and blue: round numbers of our own, after what is
# commonly known. Panchromatic film answers to all of them, more to blue than the eye does;
# orthochromatic film (most plates and films before the 1920s) to green and blue and hardly to red,
# so that lips and brick come out nearly black.
_PANCHROMATIC = np.array([0.30, 0.40, 0.30], np.float32)
_ORTHOCHROMATIC = np.array([0.02, 0.50, 0.48], np.float32)

# How far an old photo may go. In the five scans of 1865 to 1929 in examples/, the darkest hundredth
# ends at 10 to 32 % of the range and the brightest begins at 73 to 94 %; the others were chosen by
# eye, beside these.
_MAX_FADING = 0.35  # of black and of white, each towards the other
_MAX_BLUR = 1.2  # pixels, standard deviation
_MAX_GRAIN = 0.06  # standard deviation, of the range from black to white
_MAX_GAMMA = 0.5  # powers of two, up and down
_MAX_CONTRAST = 0.5  # powers of two, up and down
_MAX_VIGNETTE = 0.75  # of the tone, lost in the corners
_SCRATCHES = 10
_SPECKS = 50
_MAX_HALFTONE = 0.2  # of the range from black to white
_HALFTONE_PERIODS = (2.0, 6.0)  # pixels
_JPEG_QUALITY = (40, 95)

_MAX_MARGIN = 0.15  # of the picture's side, at each side
_MARGIN_LEVELS = np.array([[235, 255], [90, 210], [0, 30]], np.float32)  # white, grey, black

_MIN_INNER = 0.9  # of the sides, for a part of a part

_CURVE_STEPS = 1 << 16  # the steepest of them is a twentieth of an 8-bit step


def random_crop(rgb: tf.Tensor, size: int, min_area: float, seed: tf.Tensor) -> tf.Tensor:
    """A random part of a photo, resized to a square and perhaps mirrored.

    Args:
      rgb: uint8 (H, W, 3).
      size: of the result, pixels.
      min_area: the least share of the photo's area that the part may hold.
      seed: int64 (2,).

    Returns:
      uint8 (size, size, 3)
    """
    begin, extent = _random_part(rgb, min_area, seed)
    crop = _cut(rgb, begin, extent, size)
    return tf.where(_is_mirrored(seed), crop[:, ::-1], crop)


def inner_crop(
    rgb: tf.Tensor, size: int, min_area: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Most of what `random_crop` shows with the same arguments, a little larger.

    Args:
      rgb: uint8 (H, W, 3).
      size: of the result, pixels.
      min_area: as `random_crop` takes it.
      seed: likewise.

    Returns:
      uint8 (size, size, 3), and its place in the other: top, left, height and width as shares of
      the sides, float32 (4,).
    """
    begin, extent = _random_part(rgb, min_area, seed)
    side, top, left = tf.unstack(tf.random.stateless_uniform((3,), seed + 4))
    whole = tf.cast(extent, tf.float32)
    inner = tf.maximum(tf.round(whole * (1 - (1 - _MIN_INNER) * side)), 1)
    skipped = tf.round(tf.stack([top, left]) * (whole - inner))
    crop = _cut(rgb, begin + tf.cast(skipped, tf.int32), tf.cast(inner, tf.int32), size)
    mirrored = _is_mirrored(seed)
    there = skipped / whole
    share = inner / whole
    from_left = tf.where(mirrored, 1 - there[1] - share[1], there[1])
    place = tf.stack([there[0], from_left, share[0], share[1]])
    return tf.where(mirrored, crop[:, ::-1], crop), place


def _random_part(rgb: tf.Tensor, min_area: float, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where a part begins, and how long its sides are: int32 (2,), rows and columns."""
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(rgb),
        bounding_boxes=tf.zeros((1, 0, 4)),
        seed=seed,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(min_area, 1.0),
        use_image_if_no_bounding_boxes=True,
    )
    return begin[:2], extent[:2]


def _is_mirrored(seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform((), seed + 1) < 0.5


def _cut(rgb: tf.Tensor, begin: tf.Tensor, extent: tf.Tensor, size: int) -> tf.Tensor:
    end = begin + extent
    part = rgb[begin[0] : end[0], begin[1] : end[1]]
    return _resize(tf.ensure_shape(part, (None, None, 3)), size)


def central_square(rgb: tf.Tensor, size: int) -> tf.Tensor:
    """The largest square in the middle of uint8 (H, W, 3), resized to (size, size, 3)."""
    side = tf.reduce_min(tf.shape(rgb)[:2])
    return _resize(tf.image.resize_with_crop_or_pad(rgb, side, side), size)


def grey_or_aged(rgb: tf.Tensor, aging: float, seed: tf.Tensor) -> tf.Tensor:
    """The grey that the network is to see: that of an old photo, for a share of the photos.

    Args:
      rgb: uint8 (S, S, 3).
      aging: the share, in [0, 1].
      seed: int64 (2,).

    Returns:
      uint8 (S, S)
    """
    seeds = tf.random.split(seed, 2)
    chance = tf.random.stateless_uniform((), seeds[0])
    return tf.cond(chance < aging, lambda: aged_grey(rgb, seeds[1]), lambda: exact_grey(rgb))


@tf.function(autograph=False)  # traced once for each size
def exact_grey(rgb: tf.Tensor) -> tf.Tensor:
    """uint8 RGB -> the grey of the same CIE L, as `color.py` has it: lightness_to_grey of it."""
    _, luminance, _ = _color_tables()
    return _to_bytes(_to_srgb(_mix(rgb, tf.constant(luminance))))


@tf.function(autograph=False)
def aged_grey(rgb: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A photo as an old print of it might have been scanned.

    In the order in which it happens to a picture: a soft lens that is darker towards its corners, a
    film between panchromatic and orthochromatic, its gamma and contrast, grain (strongest in the
    middle tones), the dots of a halftone, fading of black and white, scratches and specks, JPEG.
    Each is left out by half of the photos, and has a strength of its own at random in the others. A
    model of our own, made of what is commonly known about film; not calibrated against any.

    Args:
      rgb: uint8 (S, S, 3).
      seed: int64 (2,).

    Returns:
      uint8 (S, S)
    """
    seeds = tf.random.split(seed, 5)
    film, blur, vignette, gamma, contrast, grain, dots, black, white, damage, quality = tf.unstack(
        tf.maximum(2 * tf.random.stateless_uniform((11,), seeds[0]) - 1, 0)
    )
    up_or_down = tf.sign(tf.random.stateless_normal((2,), seeds[1]))
    light = _mix(rgb, _PANCHROMATIC + film * (_ORTHOCHROMATIC - _PANCHROMATIC))
    tone = _to_srgb(_blur(light, blur * _MAX_BLUR))
    tone *= 1 - vignette * _MAX_VIGNETTE * _squared_radius(rgb.shape[0])
    tone = tone ** (2.0 ** (up_or_down[0] * gamma * _MAX_GAMMA))
    steepness = 2.0 ** (up_or_down[1] * contrast * _MAX_CONTRAST)
    tone = tf.clip_by_value(0.5 + (tone - 0.5) * steepness, 0.0, 1.0)
    noise = tf.random.stateless_normal(tf.shape(tone), seeds[2])
    tone += grain * _MAX_GRAIN * 4 * tone * (1 - tone) * noise
    tone += dots * _MAX_HALFTONE * _halftone(rgb.shape[0], seeds[3])
    darkest, brightest = black * _MAX_FADING, 1 - white * _MAX_FADING
    tone = darkest + tf.clip_by_value(tone, 0.0, 1.0) * (brightest - darkest)
    pixels = _to_bytes(_damaged(tone, damage, seeds[4]))
    low, high = _JPEG_QUALITY
    jpeg_quality = high - tf.cast(quality * (high - low), tf.int32)
    scanned = tf.image.adjust_jpeg_quality(pixels[..., None], jpeg_quality)[..., 0]
    return tf.ensure_shape(scanned, rgb.shape[:2])


def framed(pictures: tuple[tf.Tensor, ...], share: float, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Pictures of one photo with one margin round them, for a share of the photos.

    The margin is white, grey or black, with a little noise; up to 15 % at each side, none at some.

    Args:
      pictures: uint8 (S, S) or (S, S, 3) each.
      share: of the photos that get one, in [0, 1].
      seed: int64 (2,).
    """
    size = pictures[0].shape[0]
    seeds = tf.random.split(seed, 4)
    chance, kind, level = tf.unstack(tf.random.stateless_uniform((3,), seeds[0]))
    ends = tf.maximum(1.3 * tf.random.stateless_uniform((4,), seeds[1]) - 0.3, 0) * _MAX_MARGIN
    place = (tf.range(size, dtype=tf.float32) + 0.5) / size
    outside = (place[:, None] < ends[0]) | (place[:, None] > 1 - ends[1])
    outside |= (place < ends[2]) | (place > 1 - ends[3])
    outside &= chance < share
    low, high = tf.unstack(tf.gather(_MARGIN_LEVELS, tf.cast(kind * len(_MARGIN_LEVELS), tf.int32)))
    noise = tf.random.stateless_normal((size, size), seeds[2])
    margin = tf.clip_by_value(tf.round(low + level * (high - low) + noise), 0, 255)
    margin = tf.cast(margin, tf.uint8)

    def of(picture: tf.Tensor) -> tf.Tensor:
        if picture.shape.rank == 2:
            return tf.where(outside, margin, picture)
        return tf.where(outside[..., None], margin[..., None], picture)

    return tuple(of(picture) for picture in pictures)


def sometimes_colourless(rgb: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """A picture of something that has no colour in the place of a share of the photos.

    A flat surface, a ramp, a page of print, or the photo's own outlines as a drawing.

    Args:
      rgb: uint8 (S, S, 3).
      share: in [0, 1].
      seed: int64 (2,).

    Returns:
      uint8 (S, S, 3)
    """
    seeds = tf.random.split(seed, 2)
    chance = tf.random.stateless_uniform((), seeds[0])
    return tf.cond(chance < share, lambda: _colourless(rgb, seeds[1]), lambda: rgb)


@tf.function(autograph=False)
def _colourless(rgb: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    size = rgb.shape[0]
    seeds = tf.random.split(seed, 4)
    one, other, angle, pitch, noise, kind = tf.unstack(tf.random.stateless_uniform((6,), seeds[0]))
    row, column = _places(size)

    def ramp(height: tf.Tensor) -> tf.Tensor:
        turn = 2 * np.pi * angle
        along = 0.5 + 0.5 * (tf.cos(turn) * row + tf.sin(turn) * column)
        return one + height * (along - 0.5)

    def page() -> tf.Tensor:
        lines = tf.cast(tf.math.floormod(row * size / 2, 5 + 7 * pitch) < 3 + 3 * pitch, tf.float32)
        letters = tf.random.stateless_uniform((size, size // 2 + 1), seeds[1]) < 0.55
        letters = tf.repeat(tf.cast(letters, tf.float32), 2, axis=1)[:, :size]
        return 0.75 + 0.25 * one - (0.4 + 0.35 * other) * lines * letters

    def drawing() -> tf.Tensor:
        tone = _to_srgb(_mix(rgb, _PANCHROMATIC))
        steps = tf.abs(tone[1:, :-1] - tone[:-1, :-1]) + tf.abs(tone[:-1, 1:] - tone[:-1, :-1])
        return 0.8 + 0.2 * one - (2 + 4 * other) * tf.pad(steps, ((0, 1), (0, 1)))

    made = (lambda: ramp(tf.zeros(())), lambda: ramp(2 * other - 1), page, drawing)
    tone = tf.switch_case(tf.cast(kind * len(made), tf.int32), made)
    tone += 0.02 * noise * tf.random.stateless_normal((size, size), seeds[2])
    return tf.repeat(_to_bytes(tone)[..., None], 3, axis=-1)


def _places(size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the pixels of a square lie: rows (S, 1) and columns (1, S), from -1 to 1."""
    place = (2 * tf.range(size, dtype=tf.float32) + 1) / size - 1
    return place[:, None], place[None, :]


def _squared_radius(size: int) -> tf.Tensor:
    """0 in the middle, 1 in the corners: (S, S)."""
    row, column = _places(size)
    return (row**2 + column**2) / 2


def _halftone(size: int, seed: tf.Tensor) -> tf.Tensor:
    """A turned grid of round dots, from -1 to 1: (S, S)."""
    angle, period, phase = tf.unstack(tf.random.stateless_uniform((3,), seed))
    low, high = _HALFTONE_PERIODS
    row, column = _places(size)
    scale = np.pi * size / (low + period * (high - low))
    along = tf.cos(np.pi * angle) * row + tf.sin(np.pi * angle) * column
    across = tf.cos(np.pi * angle) * column - tf.sin(np.pi * angle) * row
    return tf.sin(scale * along + 7 * phase) * tf.sin(scale * across)


def _damaged(tone: tf.Tensor, strength: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Scratches across the picture and specks on it, white or black, fewer with less strength."""
    size = tone.shape[0]
    seeds = tf.random.split(seed, 3)
    place, lean, width, colour, there = tf.unstack(
        tf.random.stateless_uniform((5, _SCRATCHES, 1, 1), seeds[0])
    )
    row, column = _places(size)
    distance = tf.abs(column - (2 * place - 1) - (lean - 0.5) * row) * (size / 2)
    hit = (distance < 0.4 + 0.8 * width) & (there < strength)
    tone = tf.where(tf.reduce_any(hit & (colour < 0.5), axis=0), 0.05, tone)
    tone = tf.where(tf.reduce_any(hit & (colour >= 0.5), axis=0), 0.95, tone)
    spots = tf.random.stateless_uniform((2, _SPECKS), seeds[1], 0, size, tf.int32)
    kept = tf.random.stateless_uniform((_SPECKS,), seeds[2]) < strength
    for first, level in ((0, 0.05), (1, 0.95)):
        chosen = tf.transpose(spots)[first::2]
        on = tf.scatter_nd(chosen, tf.cast(kept[first::2], tf.float32), (size, size))
        grown = tf.nn.max_pool2d(on[None, ..., None], 2, 1, "SAME")[0, ..., 0]
        tone = tf.where(grown > 0, level, tone)
    return tone


def _resize(rgb: tf.Tensor, size: int) -> tf.Tensor:
    resized = tf.image.resize(rgb, (size, size), antialias=True)
    pixels = tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)
    return tf.ensure_shape(pixels, (size, size, 3))


def _mix(rgb: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """uint8 sRGB -> linear light (S, S), the channels weighted by their shares."""
    linear, _, _ = _color_tables()
    return tf.reduce_sum(tf.gather(linear, tf.cast(rgb, tf.int32)) * shares, axis=-1)


def _blur(light: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """A Gaussian blur of (S, S)."""
    # As two matrix products: at these sizes several times faster than TensorFlow's convolution.
    place = tf.range(light.shape[0], dtype=tf.float32)
    distance = place[:, None] - place[None, :]
    weights = tf.exp(-0.5 * (distance / tf.maximum(sigma, 0.01)) ** 2)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    return weights @ light @ tf.transpose(weights)


def _to_srgb(light: tf.Tensor) -> tf.Tensor:
    """Linear light -> sRGB in [0, 1]."""
    _, _, curve = _color_tables()
    place = tf.cast(tf.round(tf.clip_by_value(light, 0.0, 1.0) * _CURVE_STEPS), tf.int32)
    return tf.gather(curve, place)


def _to_bytes(tone: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.clip_by_value(tone, 0.0, 1.0) * 255), tf.uint8)


@functools.cache
def _color_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `color.py` says, as tables that TensorFlow can look up.

    Returns:
      The linear light of each byte (256,), the luminance of linear red, green and blue (3,), and
      the sRGB value of linear light in equal steps from 0 to 1.
    """

    def tables() -> tuple[jax.Array, jax.Array, jax.Array]:
        primaries = color.lightness_to_grey(color.rgb_to_lightness(jnp.eye(3)))
        return (
            color.srgb_to_linear(jnp.arange(256) / 255),
            color.srgb_to_linear(primaries),
            color.linear_to_srgb(jnp.arange(_CURVE_STEPS + 1) / _CURVE_STEPS),
        )

    with jax.transfer_guard("allow"):  # a training loop may forbid what is not explicit
        return jax.device_get(jax.jit(tables)())
