"""What is done to a decoded photo: the crop, the mirror, and the grey of an old photo.

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
_MAX_FADING = 0.25  # of black and of white, each towards the other
_MAX_BLUR = 1.2  # pixels, standard deviation
_MAX_GRAIN = 0.06  # standard deviation, of the range from black to white
_MAX_GAMMA = 0.5  # powers of two, up and down
_MAX_CONTRAST = 0.5  # powers of two, up and down
_JPEG_QUALITY = (40, 95)

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
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(rgb),
        bounding_boxes=tf.zeros((1, 0, 4)),
        seed=seed,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(min_area, 1.0),
        use_image_if_no_bounding_boxes=True,
    )
    crop = _resize(tf.ensure_shape(tf.slice(rgb, begin, extent), (None, None, 3)), size)
    return tf.image.stateless_random_flip_left_right(crop, seed + 1)


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

    In the order in which it happens to a picture: a soft lens, a film between panchromatic and
    orthochromatic, its gamma and contrast, grain (strongest in the middle tones), fading of black
    and white, JPEG. Each has a strength of its own at random, from nearly nothing up. A model of
    our own, made of what is commonly known about film; not calibrated against any.

    Args:
      rgb: uint8 (S, S, 3).
      seed: int64 (2,).

    Returns:
      uint8 (S, S)
    """
    seeds = tf.random.split(seed, 2)
    film, blur, gamma, contrast, grain, black, white, quality = tf.unstack(
        tf.random.stateless_uniform((8,), seeds[0])
    )
    light = _mix(rgb, _PANCHROMATIC + film * (_ORTHOCHROMATIC - _PANCHROMATIC))
    tone = _to_srgb(_blur(light, blur * _MAX_BLUR))
    tone = tone ** (2.0 ** ((2 * gamma - 1) * _MAX_GAMMA))
    steepness = 2.0 ** ((2 * contrast - 1) * _MAX_CONTRAST)
    tone = tf.clip_by_value(0.5 + (tone - 0.5) * steepness, 0.0, 1.0)
    noise = tf.random.stateless_normal(tf.shape(tone), seeds[1])
    tone += grain * _MAX_GRAIN * 4 * tone * (1 - tone) * noise
    darkest, brightest = black * _MAX_FADING, 1 - white * _MAX_FADING
    pixels = _to_bytes(darkest + tone * (brightest - darkest))
    low, high = _JPEG_QUALITY
    jpeg_quality = low + tf.cast(quality * (high - low + 1), tf.int32)
    scanned = tf.image.adjust_jpeg_quality(pixels[..., None], jpeg_quality)[..., 0]
    return tf.ensure_shape(scanned, rgb.shape[:2])


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
