"""The input: photos -> batches of uint8 crops for training and validation.

The order of the training photos and what is done to each are functions of (seed, step) alone, so
the step number is the whole state of the input: a run that starts again at step n sees what it
would have seen. Lab is made on the device (`step.py`), so that a batch travels as bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from jaxcolor.training.host_tensorflow import tf
from jaxcolor.training.input import augment, decode
from jaxcolor.training.input.photos import Photos
from jaxcolor.training.input.sources import open_photos

__all__ = ["NO_PHOTO", "Batch", "Photos", "open_photos", "training_batches", "validation_batches"]

ATTEMPTS = 16  # photos in a row that may be passed over
NO_PHOTO = -1  # the index in rows that only fill up a batch

Batch = Mapping[str, np.ndarray]

_ROWS = ("rgb", "photo", "grey", "place")  # what a batch may have
_WHOLE = (0.0, 0.0, 1.0, 1.0)  # a place: all of it

_AHEAD = 2  # batches that are made before they are asked for


def training_batches(
    photos: Photos,
    *,
    size: int,
    batch: int,
    first_step: int,
    seed: int,
    min_area: float,
    aging: float = 0.0,
    margins: float = 0.0,
    colourless: float = 0.0,
    consistency: float = 0.0,
    process: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Endless batches of random crops, from `first_step` on.

    Every epoch is a permutation of the photos; a batch may straddle two epochs. A photo that is
    damaged, grey or tiny is named once in the log, and another one, chosen at random, takes its
    place; the others stay where they were.

    Args:
      photos: from `open_photos`.
      size: of the square crops, pixels.
      batch: photos in a step, over all processes.
      first_step: how many steps are done already.
      seed: of order, crops and aging.
      min_area: the least share of a photo's area that a crop may hold.
      aging: the share of the photos, in [0, 1], whose grey is made to look like that of an old
        photo (`augment.aged_grey`); the others' is the exact grey of the same CIE L.
      margins: the share, in [0, 1], that gets a margin of no colour (`augment.framed`).
      colourless: the share, in [0, 1], whose place a picture of something without colour takes
        (`augment.sometimes_colourless`).
      consistency: of `losses.with_consistency`. If it is positive, every photo has two rows, one
        behind the other: a random crop, and most of that crop (`augment.inner_crop`).
      process: this process' index, and how many there are; each reads its own part of a batch.

    Returns:
      An iterator of {"rgb": uint8 (b, size, size, 3), "photo": int64 (b,)} with b = batch /
      processes, where "photo" is the index of the photo that a row really shows; "grey": uint8 (b,
      size, size) if `aging` > 0; and "place": float32 (b, 4) if `consistency` > 0, where a row's
      picture lies in that of the photo's first row, as `augment.inner_crop` tells it. Raises
      ValueError where `ATTEMPTS` photos in a row had to be passed over.

    Raises:
      ValueError: one of the shares is not in [0, 1], or there is no whole number of pairs.
    """
    for name, share in (("aging", aging), ("margins", margins), ("colourless", colourless)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name}: {share} is not in [0, 1]")
    index, count = process
    local = batch // count
    rows_each = 2 if consistency else 1
    if local % rows_each:
        raise ValueError(f"batch: {local} rows of a process are no whole pairs")

    def chosen(position: tf.Tensor, attempt: tf.Tensor) -> tf.Tensor:
        """The photo at a position of the endless order; each attempt is another permutation."""
        epoch = position // len(photos)
        order = tf.cast(tf.stack([tf.constant(seed, tf.int64), epoch, attempt]), tf.uint32)
        return tf.random_index_shuffle(position % len(photos), order, len(photos) - 1)

    def crop(position: tf.Tensor, attempt: tf.Tensor) -> dict[str, tf.Tensor]:
        photo = chosen(position // rows_each, attempt)
        rgb = decode.decode_usable(photos.encoded(photo))
        random = tf.stack([tf.constant(seed, tf.int64), position // rows_each])
        arguments = rgb, size, min_area, random
        place = {}
        if consistency:
            rgb, place["place"] = tf.cond(
                position % 2 == 0,
                lambda: (augment.random_crop(*arguments), tf.constant(_WHOLE)),
                lambda: augment.inner_crop(*arguments),
            )
        else:
            rgb = augment.random_crop(*arguments)
        if colourless:
            rgb = augment.sometimes_colourless(rgb, colourless, random + 2)
        pictures = {"rgb": rgb}
        if aging:
            pictures["grey"] = augment.grey_or_aged(rgb, aging, random)
        if margins:
            framed = augment.framed(tuple(pictures.values()), margins, random + 3)
            pictures = dict(zip(pictures, framed, strict=True))
        return {**pictures, **place, "photo": photo, "position": position, "attempt": attempt}

    def first_usable(position: tf.Tensor) -> tf.data.Dataset:
        attempts = tf.data.Dataset.range(ATTEMPTS).map(lambda attempt: crop(position, attempt))
        return _first(attempts, position=position, attempt=tf.constant(ATTEMPTS, tf.int64))

    def mine(step: tf.Tensor) -> tf.data.Dataset:
        start = step * batch + index * local
        return tf.data.Dataset.range(start, start + local)

    def rows() -> Iterator[Batch]:
        for group in _numpy(crops.batch(local, drop_remainder=True)):
            for position, attempt in zip(group["position"], group["attempt"], strict=True):
                for k in range(attempt):
                    _pass_over(photos, int(chosen(position // rows_each, k)))
                if attempt == ATTEMPTS:
                    raise ValueError(f"photos: {ATTEMPTS} in a row are of no use: see the log")
            yield {name: group[name] for name in _ROWS if name in group}

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    crops = _in_parallel(steps.flat_map(mine), first_usable)
    return rows()


def validation_batches(
    photos: Photos, *, size: int, batch: int, process: tuple[int, int] = (0, 1)
) -> Iterator[Batch]:
    """Every photo once, its central square; the last batches are filled up with a mask of zeros.

    All processes give the same number of batches. A photo that is damaged, grey or tiny is named in
    the log, once for all validations, and masked.

    Args:
      photos: from `open_photos`.
      size: of the squares, pixels.
      batch: photos in a batch, over all processes.
      process: this process' index, and how many there are.

    Yields:
      {"rgb": uint8 (b, size, size, 3), "mask": float32 (b,), "photo": int64 (b,)} with b = batch /
      processes; "photo" is the photo's index, `NO_PHOTO` where a row only fills up the batch.
    """
    index, count = process
    local = batch // count
    rounds = -(-len(photos) // batch)
    order = np.full(rounds * batch, NO_PHOTO, np.int64)
    order[: len(photos)] = np.arange(len(photos))
    # (rounds, count, local): every round is one global batch, of which this process has a row
    mine = order.reshape(rounds, count, local)[:, index].ravel()

    def square(photo: tf.Tensor) -> dict[str, tf.Tensor]:
        rgb = augment.central_square(decode.decode_usable(photos.encoded(photo)), size)
        return {"rgb": rgb, "photo": photo, "usable": True}

    def square_or_nothing(photo: tf.Tensor) -> tf.data.Dataset:
        exists = tf.cast(photo != NO_PHOTO, tf.int64)
        whole = tf.data.Dataset.from_tensors(photo).take(exists).map(square)
        return _first(whole, photo=photo, usable=False)

    squares = _in_parallel(tf.data.Dataset.from_tensor_slices(mine), square_or_nothing)
    for group in _numpy(squares.batch(local)):
        for photo in group["photo"][~group["usable"] & (group["photo"] != NO_PHOTO)]:
            _pass_over(photos, int(photo))
        mask = group["usable"].astype(np.float32)
        yield {"rgb": group["rgb"], "mask": mask, "photo": group["photo"]}


def _first(rows: tf.data.Dataset, **otherwise: tf.Tensor) -> tf.data.Dataset:
    """The first row that can be made, or one of zeros but for what is said of it."""
    zeros = {name: tf.zeros(spec.shape, spec.dtype) for name, spec in rows.element_spec.items()}
    nothing = tf.data.Dataset.from_tensors({**zeros, **otherwise})
    return rows.ignore_errors().concatenate(nothing).take(1)


def _pass_over(photos: Photos, index: int) -> None:
    photos.pass_over(index, lambda: decode.fault(photos, index))


def _in_parallel(dataset: tf.data.Dataset, work: Callable[..., tf.data.Dataset]) -> tf.data.Dataset:
    """One element for each, in order."""
    threads = processors()
    return dataset.interleave(
        work, cycle_length=threads, num_parallel_calls=threads, deterministic=True
    )


def _numpy(batches: tf.data.Dataset) -> Iterator[Batch]:
    options = tf.data.Options()
    options.deterministic = True
    # The tuner sleeps for up to a minute, and whoever drops the iterator now and then waits for it
    # to wake up. It would also enlarge the buffers as long as there is memory.
    options.autotune.enabled = False
    options.threading.private_threadpool_size = processors()
    options.threading.max_intra_op_parallelism = 1  # one photo is no work for several
    return iter(batches.with_options(options).prefetch(_AHEAD).as_numpy_iterator())


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
