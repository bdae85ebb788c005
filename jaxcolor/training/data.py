"""Photos for training and validation: files -> batches of uint8 RGB crops.

The order of the training photos and what is done to each are functions of (seed, step) alone, so
the step number is the whole state of the input: a run that starts again at step n sees what it
would have seen. Lab is made on the device (`step.py`), so that a batch travels as bytes.

The only module that imports TensorFlow, which never sees an accelerator.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

tf.config.set_visible_devices([], "GPU")
tf.config.set_visible_devices([], "TPU")

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MIN_SIDE = 32  # pixels; a smaller photo is passed over
MIN_SPREAD = 1.0  # mean difference of a photo's channels, of 255; a greyer photo is passed over
ATTEMPTS = 16  # photos in a row that may be passed over

Batch = Mapping[str, np.ndarray]

_LOG = logging.getLogger(__name__)


def list_photos(source: str) -> list[str]:
    """The photos that `folder:PATH` names, nested or flat, in an order that every host agrees on.

    Raises:
      ValueError: the source is of no known kind, there is no such folder, or no photo in it.
    """
    kind, _, place = source.partition(":")
    if kind != "folder" or not place:
        raise ValueError(f"source {source!r}: write it as folder:PATH")
    root = Path(place).expanduser()
    if not root.is_dir():
        raise ValueError(f"source {source!r}: there is no folder {root}")
    photos = sorted(str(p) for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not photos:
        raise ValueError(f"source {source!r}: no photo in it ({', '.join(SUFFIXES)})")
    return photos


def training_batches(
    photos: list[str],
    *,
    size: int,
    batch: int,
    first_step: int,
    seed: int,
    min_area: float,
    process: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Endless batches of random crops, from `first_step` on.

    Every epoch is a permutation of the photos; a batch may straddle two epochs. A photo that is
    damaged, grey or tiny is named once in the log, and another one, chosen at random, takes its
    place; the others stay where they were.

    Args:
      photos: the files.
      size: of the square crops, pixels.
      batch: photos in a step, over all processes.
      first_step: the step that the first batch is for.
      seed: of order and crops.
      min_area: the least share of a photo's area that a crop may hold.
      process: this process' index, and how many there are; each reads its own part of a batch.

    Yields:
      {"rgb": uint8 (batch / processes, size, size, 3)}

    Raises:
      ValueError: `ATTEMPTS` photos in a row had to be passed over.
    """
    index, count = process
    local = batch // count
    files = tf.constant(photos)

    def chosen(position: tf.Tensor, attempt: tf.Tensor) -> tf.Tensor:
        """The photo at a position of the endless order; each attempt is another permutation."""
        epoch = position // len(photos)
        order = tf.cast(tf.stack([tf.constant(seed, tf.int64), epoch, attempt]), tf.uint32)
        return tf.random_index_shuffle(position % len(photos), order, len(photos) - 1)

    def crop(position: tf.Tensor, attempt: tf.Tensor) -> dict[str, tf.Tensor]:
        rgb = _read_usable(tf.gather(files, chosen(position, attempt)))
        rgb = _random_crop(rgb, size, min_area, tf.stack([seed, position]))
        return {"rgb": rgb, "position": position, "attempt": attempt}

    def first_usable(position: tf.Tensor) -> tf.data.Dataset:
        attempts = tf.data.Dataset.range(ATTEMPTS).map(lambda attempt: crop(position, attempt))
        rgb = tf.zeros((size, size, 3), tf.uint8)
        none = {"rgb": rgb, "position": position, "attempt": tf.constant(ATTEMPTS, tf.int64)}
        return attempts.ignore_errors().concatenate(tf.data.Dataset.from_tensors(none)).take(1)

    def mine(step: tf.Tensor) -> tf.data.Dataset:
        start = step * batch + index * local
        return tf.data.Dataset.range(start, start + local)

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    crops = _in_parallel(steps.flat_map(mine), first_usable)
    told: set[str] = set()
    for group in _numpy(crops.batch(local, drop_remainder=True)):
        for position, attempt in zip(group["position"], group["attempt"], strict=True):
            passed_over = [photos[int(chosen(position, k))] for k in range(attempt)]
            _tell(passed_over, told)
            if attempt == ATTEMPTS:
                raise ValueError(f"photos: {ATTEMPTS} in a row are of no use: see the log")
        yield {"rgb": group["rgb"]}


def validation_batches(
    photos: list[str], *, size: int, batch: int, process: tuple[int, int] = (0, 1)
) -> Iterator[Batch]:
    """Every photo once, its central square; the last batches are filled up with a mask of zeros.

    All processes give the same number of batches. A photo that is damaged, grey or tiny is named in
    the log and masked.

    Yields:
      {"rgb": uint8 (batch / processes, size, size, 3), "mask": float32 (batch / processes,)}
    """
    index, count = process
    local = batch // count
    rounds = -(-len(photos) // batch)
    real = np.arange(rounds * batch) < len(photos)
    files = np.where(real, np.resize(photos, rounds * batch), photos[0])
    # (rounds, count, local): every round is one global batch, of which this process has a row
    part = [a.reshape(rounds, count, local)[:, index].ravel() for a in (files, real)]

    def square(file: tf.Tensor, is_real: tf.Tensor) -> dict[str, tf.Tensor]:
        rgb = _read_usable(file)
        side = tf.reduce_min(tf.shape(rgb)[:2])
        rgb = _resize(tf.image.resize_with_crop_or_pad(rgb, side, side), size)
        return {"rgb": rgb, "file": file, "real": is_real, "usable": True}

    def square_or_nothing(file: tf.Tensor, is_real: tf.Tensor) -> tf.data.Dataset:
        whole = tf.data.Dataset.from_tensors((file, is_real)).map(square).ignore_errors()
        rgb = tf.zeros((size, size, 3), tf.uint8)
        nothing = {"rgb": rgb, "file": file, "real": is_real, "usable": False}
        return whole.concatenate(tf.data.Dataset.from_tensors(nothing)).take(1)

    squares = _in_parallel(tf.data.Dataset.from_tensor_slices(tuple(part)), square_or_nothing)
    told: set[str] = set()
    for group in _numpy(squares.batch(local)):
        _tell([file.decode() for file in group["file"][~group["usable"]]], told)
        yield {"rgb": group["rgb"], "mask": (group["real"] & group["usable"]).astype(np.float32)}


def _read(file: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(tf.io.read_file(file), channels=3, expand_animations=False)


def _read_usable(file: tf.Tensor) -> tf.Tensor:
    """uint8 RGB of a photo; an error for one that is damaged, tiny or grey."""
    rgb = _read(file)
    checks = [
        tf.debugging.assert_greater_equal(tf.reduce_min(tf.shape(rgb)[:2]), MIN_SIDE),
        tf.debugging.assert_greater_equal(_spread(rgb), MIN_SPREAD),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(rgb)


def _spread(rgb: tf.Tensor) -> tf.Tensor:
    channels = tf.cast(rgb, tf.float32)
    return tf.reduce_mean(tf.reduce_max(channels, axis=-1) - tf.reduce_min(channels, axis=-1))


def _tell(files: list[str], told: set[str]) -> None:
    """Says once of each file why it is passed over."""
    for file in files:
        if file in told:
            continue
        told.add(file)
        try:
            height, width, _ = _read(file).shape
            small = min(height, width) < MIN_SIDE
            reason = f"tiny ({width}x{height})" if small else "grey"
        except tf.errors.OpError:
            reason = "damaged, or not a photo"
        _LOG.warning("passed over: %s: %s", file, reason)


def _in_parallel(dataset: tf.data.Dataset, work: Callable[..., tf.data.Dataset]) -> tf.data.Dataset:
    """One element for each, in order."""
    return dataset.interleave(
        work, cycle_length=tf.data.AUTOTUNE, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def _random_crop(rgb: tf.Tensor, size: int, min_area: float, seed: tf.Tensor) -> tf.Tensor:
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(rgb),
        bounding_boxes=tf.zeros((1, 0, 4)),
        seed=seed,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(min_area, 1.0),
        use_image_if_no_bounding_boxes=True,
    )
    crop = _resize(tf.slice(rgb, begin, extent), size)
    return tf.image.stateless_random_flip_left_right(crop, seed + 1)


def _resize(rgb: tf.Tensor, size: int) -> tf.Tensor:
    resized = tf.image.resize(rgb, (size, size), antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def _numpy(batches: tf.data.Dataset) -> Iterator[Batch]:
    options = tf.data.Options()
    options.deterministic = True
    return iter(batches.with_options(options).prefetch(2).as_numpy_iterator())
