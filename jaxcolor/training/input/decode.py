"""Encoded photo -> uint8 RGB, and which photos are of no use."""

from __future__ import annotations

from jaxcolor.training.host_tensorflow import tf
from jaxcolor.training.input import containers
from jaxcolor.training.input.photos import Photos
from jaxcolor.training.input.small import MIN_SIDE, MIN_SPREAD, SPREAD_SAMPLES

_BYTES = [tf.TensorSpec((), tf.string)]  # one trace for all inputs of a process


@tf.function(input_signature=_BYTES, autograph=False)
def decode(encoded: tf.Tensor) -> tf.Tensor:
    """The bytes of a JPEG, PNG, WebP, BMP or GIF -> uint8 RGB (H, W, 3), upright.

    16 bits become 8, palettes their colours, transparency goes, an animation is its first frame, a
    JPEG is turned as its EXIF says. The first bytes tell the kind, not the name of the file. What
    is of no such kind or damaged, or a BMP with a palette, is an error of TensorFlow's.
    """
    head = tf.strings.substr(encoded, 0, 32)
    is_webp = tf.strings.regex_full_match(head, r"RIFF\C{4}WEBP\C*")
    is_bmp = tf.strings.regex_full_match(head, r"BM\C*")
    has_true_colours = tf.strings.regex_full_match(head, r"BM\C{26}(\x18|\x20)\x00\C*")
    # With a palette, TensorFlow takes the indices for pixels.
    readable = tf.debugging.Assert(~is_bmp | has_true_colours, ["a BMP with a palette"])
    with tf.control_dependencies([readable]):
        rgb = tf.case(
            [
                (containers.is_jpeg(encoded), lambda: _decode_jpeg(encoded)),
                (is_webp, lambda: _decode_webp(encoded)),
            ],
            default=lambda: _decode_other(encoded),
        )
    return tf.ensure_shape(rgb, (None, None, 3))


def _decode_webp(encoded: tf.Tensor) -> tf.Tensor:
    simple = containers.simple_webp(encoded)
    return tf.io.decode_image(simple, expand_animations=False)[..., :3]


def _decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    # Without a method TensorFlow takes the fast one, which is up to 8 of 255 beside the exact one.
    rgb = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    return containers.turn_upright(rgb, containers.jpeg_orientation(encoded))


def _decode_other(encoded: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


@tf.function(input_signature=_BYTES, autograph=False)
def decode_usable(encoded: tf.Tensor) -> tf.Tensor:
    """`decode`, which also fails for photos that are tiny or grey."""
    rgb = decode(encoded)
    checks = [
        tf.debugging.assert_greater_equal(tf.reduce_min(tf.shape(rgb)[:2]), MIN_SIDE),
        tf.debugging.assert_greater_equal(_spread(rgb), MIN_SPREAD),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(rgb)


def fault(photos: Photos, index: int) -> str:
    """Why a photo that `decode_usable` failed for is of no use."""
    try:
        encoded = photos.encoded(tf.constant(index, tf.int64))
    except tf.errors.OpError:
        return "cannot be read"
    try:
        rgb = decode(encoded)
    except tf.errors.OpError:
        return "damaged, or not a photo of a kind that is known here"
    height, width, _ = rgb.shape
    if min(height, width) < MIN_SIDE:
        return f"tiny ({width}x{height})"
    if _spread(rgb) < MIN_SPREAD:
        return "grey"
    return "could not be read a moment ago"


def _spread(rgb: tf.Tensor) -> tf.Tensor:
    stride = tf.maximum(tf.reduce_min(tf.shape(rgb)[:2]) // SPREAD_SAMPLES, 1)
    some = rgb[::stride, ::stride]
    difference = tf.reduce_max(some, axis=-1) - tf.reduce_min(some, axis=-1)
    return tf.reduce_mean(tf.cast(difference, tf.float32))
