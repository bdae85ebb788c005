"""A photo file of any kind -> a small JPEG in sRGB, without TensorFlow or JAX.

`prepare` runs it in processes of its own, which start quickly and may be ended by what they read.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcolor import image_io

# What makes a photo of no use for training; `decode` says the same of photos that it reads.
MIN_SIDE = 32  # pixels
MIN_SPREAD = 1.0  # mean difference of a photo's channels, of 255; a greyer photo has no colours
SPREAD_SAMPLES = 128  # rows and columns, at least, that the difference is taken from

Outcome: TypeAlias = bytes | str  # a JPEG, or why there is none

QUALITY = 95  # of the JPEGs, whose chroma is as large as their luma: it is what is learned


def small_jpeg(path: str | os.PathLike[str], short_side: int) -> bytes:
    """Reads a photo and makes it small.

    Args:
      path: of whatever `image_io.open_photo` reads; upright, in sRGB and 8 bits afterwards,
        transparency gone.
      short_side: in pixels, of the result; a photo that is smaller stays as large as it is.

    Raises:
      ValueError: it cannot be read, or is of no use; one line that does not name the file.
    """
    try:
        photo = image_io.open_photo(path)
        if missing := image_io.cut_short_line(photo.warnings):  # grey is no colour to learn
            raise image_io.PhotoError(f"{image_io.name_of(path)}: {missing}")
        pixels = photo.pixels
    except image_io.PhotoError as error:
        raise ValueError(str(error.refusal or error)) from None
    picture = image_io.from_pixels(pixels, None).convert("RGB")
    width, height = picture.size
    if min(width, height) < MIN_SIDE:
        raise ValueError(f"tiny ({width}x{height})")
    scale = short_side / min(width, height)
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    if spread(np.asarray(picture)) < MIN_SPREAD:
        raise ValueError("grey")
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, subsampling="4:4:4")
    return file.getvalue()


def spread(rgb: UInt8[np.ndarray, "h w 3"]) -> float:
    """The mean difference between the largest and the smallest channel, of 255."""
    stride = max(min(rgb.shape[:2]) // SPREAD_SAMPLES, 1)
    some = rgb[::stride, ::stride].astype(np.float32)
    return float((some.max(axis=-1) - some.min(axis=-1)).mean())


# -- In a process of its own -----------------------------------------------------------------------


def begin_process() -> None:
    """Ctrl-C is the parent's to answer; without a parent there is nothing more to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def outcome(path: bytes, short_side: int) -> Outcome:
    """What becomes of a photo: `small_jpeg`, or why it is left out."""
    try:
        return small_jpeg(os.fsdecode(path), short_side)
    except ValueError as error:
        return str(error)
