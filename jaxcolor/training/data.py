"""Photos for training and validation: files -> batches of uint8 RGB crops.

The order of the training photos and what is done to each are functions of (seed, step) alone, so
the step number is the whole state of the input: a run that starts again at step n sees what it
would have seen. Lab is made on the device (`step.py`), so that a batch travels as bytes.

The only module that imports TensorFlow, which never sees an accelerator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

tf.config.set_visible_devices([], "GPU")
tf.config.set_visible_devices([], "TPU")

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")

Batch = Mapping[str, np.ndarray]


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

    Every epoch is a permutation of the photos; a batch may straddle two epochs.

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
    """
    index, count = process
    local = batch // count

    def one(position: tf.Tensor) -> dict[str, tf.Tensor]:
        epoch = position // len(photos)
        order = tf.cast(tf.stack([tf.constant(seed, tf.int64), epoch, 0]), tf.uint32)
        chosen = tf.random_index_shuffle(position % len(photos), order, len(photos) - 1)
        rgb = _decode(tf.gather(files, chosen))
        return {"rgb": _random_crop(rgb, size, min_area, tf.stack([seed, position]))}

    def mine(step: tf.Tensor) -> tf.data.Dataset:
        start = step * batch + index * local
        return tf.data.Dataset.range(start, start + local)

    files = tf.constant(photos)
    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    crops = steps.flat_map(mine).map(one, num_parallel_calls=tf.data.AUTOTUNE)
    return _numpy(crops.batch(local, drop_remainder=True))


def validation_batches(
    photos: list[str], *, size: int, batch: int, process: tuple[int, int] = (0, 1)
) -> Iterator[Batch]:
    """Every photo once, its central square; the last batches are filled up with a mask of zeros.

    All processes give the same number of batches.

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

    def one(file: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        rgb = _decode(file)
        shape = tf.shape(rgb)
        side = tf.minimum(shape[0], shape[1])
        square = tf.image.resize_with_crop_or_pad(rgb, side, side)
        return {"rgb": _resize(square, size), "mask": tf.cast(mask, tf.float32)}

    crops = tf.data.Dataset.from_tensor_slices(tuple(part))
    return _numpy(crops.map(one, num_parallel_calls=tf.data.AUTOTUNE).batch(local))


def _decode(file: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(tf.io.read_file(file), channels=3, expand_animations=False)


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
