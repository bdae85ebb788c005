"""What TensorFlow's decoders do not read of a photo's file: orientation, and WebP's wrapping.

In TensorFlow's own operations: a Python function inside of tf.data can hang a process at its end,
where the input's threads wait for the interpreter and the interpreter for them.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxcolor.training.host_tensorflow import tf

_EXIF_HEAD = 4096  # bytes of a JPEG; EXIF stands at the start
_EXIF_MARK = b"Exif\0\0"
_ORIENTATION = 0x0112  # TIFF 6.0, baseline tags
_MOST_ENTRIES = 64  # of a directory that are looked at

_EVERY_BYTE = [bytes([value]) for value in range(256)]


def is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a file begins as a JPEG does (bool)."""
    return tf.strings.substr(encoded, 0, 2) == b"\xff\xd8"


def jpeg_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The orientation in a JPEG's EXIF, 1 to 8; 1, upright, where there is none (int32).

    EXIF 2.3: behind the mark stands a TIFF file, whose first directory has the orientation.
    """
    head = tf.strings.substr(encoded, 0, _EXIF_HEAD)
    parts = tf.strings.split(head, _EXIF_MARK, maxsplit=1)
    return tf.cond(
        is_jpeg(head) & (tf.shape(parts)[0] == 2), lambda: _tiff_orientation(parts[1]), lambda: 1
    )


def _tiff_orientation(tiff: tf.Tensor) -> tf.Tensor:
    room = tf.zeros(2 + 12 * _MOST_ENTRIES, tf.int32)  # damaged ones may point behind the end
    data = tf.concat([tf.cast(tf.io.decode_raw(tiff, tf.uint8), tf.int32), room], axis=0)
    big = tf.strings.substr(tiff, 0, 2) == b"MM"

    def number(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        return tf.where(big, 256 * first + second, first + 256 * second)

    # The directory's place has 32 bits; all of it that can matter here is in 16.
    place = tf.where(big, number(data[6], data[7]), number(data[4], data[5]))
    place = tf.minimum(place, tf.strings.length(tiff))
    count = tf.minimum(number(data[place], data[place + 1]), _MOST_ENTRIES)
    entries = tf.reshape(data[place + 2 : place + 2 + 12 * count], (-1, 12))
    tags = number(entries[:, 0], entries[:, 1])
    values = number(entries[:, 8], entries[:, 9])
    orientation = tf.reduce_max(tf.where(tags == _ORIENTATION, values, 0))
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, 1)


def turn_upright(rgb: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns a picture (H, W, 3) as its EXIF orientation says."""

    def only(values: tuple[int, ...], change: Callable[[tf.Tensor], tf.Tensor]) -> None:
        nonlocal rgb
        before = rgb
        applies = tf.reduce_any(orientation == tf.constant(values))
        rgb = tf.cond(applies, lambda: change(before), lambda: before)

    only((5, 6, 7, 8), lambda picture: tf.transpose(picture, (1, 0, 2)))
    only((2, 3, 6, 7), lambda picture: picture[:, ::-1])
    only((3, 4, 7, 8), lambda picture: picture[::-1])
    return rgb


def simple_webp(encoded: tf.Tensor) -> tf.Tensor:
    """A WebP of any kind -> one that holds a single picture and nothing else.

    The first frame of an animation, without its transparency if that stands apart. TensorFlow 2.21
    refuses such files when it is asked for RGB, and when it is not, an animation corrupts its
    memory.

    The WebP container (RFC 9649) is a list of chunks, each a name, a size and data of even length.
    """
    end = tf.strings.length(encoded)

    def name(place: tf.Tensor) -> tf.Tensor:
        return tf.strings.substr(encoded, tf.minimum(place, end), 4)

    def size(place: tf.Tensor) -> tf.Tensor:
        digits = tf.strings.substr(encoded, tf.minimum(place + 4, end), 4)
        given = tf.io.decode_raw(digits, tf.int32)[0]  # fails at the end, so every search ends
        given = tf.clip_by_value(given, 0, end)
        return given + given % 2

    def is_no_picture(place: tf.Tensor) -> tf.Tensor:
        return (name(place) != b"VP8 ") & (name(place) != b"VP8L")

    def following(place: tf.Tensor) -> tuple[tf.Tensor]:
        # A frame is a chunk that holds chunks, behind 16 bytes of its own.
        return (place + 8 + tf.where(name(place) == b"ANMF", 16, size(place)),)

    (place,) = tf.while_loop(is_no_picture, following, (tf.constant(12),))
    picture = tf.strings.substr(encoded, place, 8 + size(place))
    total = 4 + tf.strings.length(picture)
    digits = tf.bitwise.right_shift(total, tf.constant([0, 8, 16, 24])) & 255
    length = tf.strings.reduce_join(tf.gather(_EVERY_BYTE, digits))
    return tf.strings.join([b"RIFF", length, b"WEBP", picture])
