"""`Photo` and its colours -> a file, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import itertools
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from jaxcolor.atomic import open_whole
from jaxcolor.image_io import formats, modes, pillow_writing
from jaxcolor.image_io.errors import PhotoError, Place, Refused, Source, name_of
from jaxcolor.image_io.formats import Format
from jaxcolor.image_io.metadata.fitting import fitting
from jaxcolor.image_io.photo import Photo
from jaxcolor.image_io.png import writing as png_writing
from jaxcolor.image_io.tiff import writing as tiff_writing

_STREAMED = {"PNG": png_writing.write, "TIFF": tiff_writing.write}
_STRIP = 1 << 20  # pixels of a whole picture that are handed on at once
_BLOCK = 1 << 20  # bytes of a result that are handed on at once

Rgb = np.ndarray | Iterable[np.ndarray]


def save_photo(
    target: Source, photo: Photo, rgb: Rgb, *, format: str | None = None
) -> tuple[str, ...]:
    """Writes a photo's colours with all that the photo carries beside its pixels.

    PNG and TIFF are written with 16 bits if `rgb` has more than 8, and in strips: no second copy of
    the picture is made. The bytes do not depend on the height of the strips.

    Args:
      target: a path or a place; the file appears whole or not at all. Or a file that is open for
        writing bytes, a pipe included; after an error a regular file or a `BytesIO` is as long as
        before.
      photo: from `open_photo`: gives transparency and metadata.
      rgb: (H, W, 3) of uint8, uint16 or float in [0, 1]; whole, or in strips from the top, each an
        array that is not written to again.
      format: as `formats.named` takes it. None: what the path's suffix says, or for an open file
        the photo's own format, PNG where that cannot be written.

    Returns:
      What the format cannot hold and is lost, bits of each channel among it, a line each.

    Raises:
      PhotoError: the format is not known, cannot hold the photo's size or transparency, or the
        file cannot be written.
      AlreadyThere: as `Place.open_whole`.
      ValueError: the strips are not the photo's size.
    """
    wanted = check_writable(target, photo, format=format)
    metadata, left_out = fitting(photo.metadata, wanted)
    dtype, given, strips = _strips(photo, rgb, wanted)
    left_out = (*_shallower(photo.pixels.dtype, given, dtype, wanted), *left_out)
    channels = 3 if photo.alpha is None or not wanted.alpha else 4
    encode = _STREAMED.get(wanted.name) or functools.partial(pillow_writing.write, wanted)
    try:
        with _whole(target) as file:
            encode(file, strips, (*photo.size, channels), dtype, metadata)
    except Refused as refused:
        raise PhotoError(f"{name_of(target)}: {refused}") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise PhotoError(f"{name_of(target)}: cannot be written ({reason})") from None
    return left_out


def check_writable(target: Source, photo: Photo, *, format: str | None = None) -> Format:
    """The format that `save_photo` would write, known before the work is done.

    Raises:
      PhotoError: as `save_photo`, as far as it can be told without the colours.
    """
    if format is not None:
        try:
            wanted = formats.named(format)
        except ValueError as error:
            raise PhotoError(f"{name_of(target)}: {error}") from None
    elif isinstance(target, (str, os.PathLike)):
        wanted = formats.format_of(target)
    else:
        wanted = formats.own_format(photo.metadata.format)
    height, width = photo.size
    if max(height, width) > wanted.max_side:
        raise PhotoError(
            f"{name_of(target)}: {wanted.name} holds at most {wanted.max_side} pixels a side,"
            f" not {width}x{height}; name it .png"
        )
    if wanted.max_pixels is not None and height * width > wanted.max_pixels:
        raise PhotoError(
            f"{name_of(target)}: too large for {wanted.name}, which takes too much memory to write"
            f" above {wanted.max_pixels:,} pixels; name it .png"
        )
    if not wanted.alpha and photo.alpha is not None and not _is_opaque(photo.alpha):
        raise PhotoError(
            f"{name_of(target)}: {wanted.name} cannot hold the photo's transparency; name it .png"
        )
    return wanted


def _is_opaque(alpha: np.ndarray) -> bool:
    return bool(alpha.min() == (1 if alpha.dtype == np.float32 else np.iinfo(alpha.dtype).max))


@contextlib.contextmanager
def _whole(target: Source) -> Iterator[BinaryIO]:
    """A file to write and to seek in, that becomes the target when all is well."""
    if isinstance(target, Place):
        with target.open_whole() as file:
            yield file
    elif isinstance(target, (str, os.PathLike)):
        with open_whole(target) as file:
            yield file
    elif type(target) is io.BytesIO and not target.getbuffer() and not target.tell():
        try:  # a server's way: nothing of a photo goes to a disk
            yield target
            target.seek(0, os.SEEK_END)
        except BaseException:
            target.seek(0)
            target.truncate()
            raise
    else:
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            _hand_on(file, target)


def _hand_on(file: BinaryIO, target: BinaryIO) -> None:
    """Copies a file to the end; after an error nothing of it is left where that can be helped."""
    target.flush()
    # Not by way of its buffer: what could not be written would wait there, to be tried once more
    # when the program ends.
    raw = target.raw if isinstance(target, io.BufferedWriter) else target
    with _cut_back(target):
        while block := memoryview(file.read(_BLOCK)):
            while block:
                written = raw.write(block)
                if written is None and isinstance(raw, io.RawIOBase):
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                block = block[len(block) if written is None else written :]
        target.flush()


@contextlib.contextmanager
def _cut_back(target: BinaryIO) -> Iterator[None]:
    """After an error makes a regular file as long as before; pipes and terminals cannot be."""
    try:
        number = target.fileno()
        before = os.fstat(number)
        place = os.lseek(number, 0, os.SEEK_CUR) if stat.S_ISREG(before.st_mode) else None
    except (AttributeError, OSError):  # no descriptor; io.UnsupportedOperation is an OSError
        place = None
    try:
        yield
    except BaseException:
        if place is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(number, before.st_size)
                os.lseek(number, place, os.SEEK_SET)
        raise


def _shallower(
    photo: np.dtype, given: np.dtype, written: np.dtype, format: Format
) -> tuple[str, ...]:
    """A line about bits that the photo has, and its colours have, and the file has not."""
    bits = 8 * min(photo.itemsize, given.itemsize)
    if bits == 8 or written.itemsize > 1:  # 16 bits hold all that floats of a photo say
        return ()
    return (f"{format.name} cannot hold its {bits} bits a channel: they become 8",)


def _strips(
    photo: Photo, rgb: Rgb, format: Format
) -> tuple[np.dtype, np.dtype, Iterator[np.ndarray]]:
    """The type that is written, the colours' own type, and the colours as they are written."""
    height, width = photo.size
    if isinstance(rgb, np.ndarray):
        rows = max(1, _STRIP // width)
        rgb = [rgb[top : top + rows] for top in range(0, len(rgb), rows)]
    given = iter(rgb)
    first = next(given, np.empty((0, width, 3), np.uint8))
    depth = np.uint16 if format.deep and first.dtype != np.uint8 else np.uint8
    alpha = photo.alpha if format.alpha else None

    def finished() -> Iterator[np.ndarray]:
        top = 0
        for strip in itertools.chain([first], given):
            if strip.shape[1:] != (width, 3) or top + len(strip) > height:
                raise ValueError(f"{strip.shape} after {top} rows is no part of {height}x{width}")
            out = modes.to_depth(strip, depth)
            if alpha is not None:
                cover = modes.to_depth(alpha[top : top + len(strip)], depth)
                out = np.concatenate([out, cover[..., None]], axis=-1)
            yield out
            top += len(strip)
        if top != height:
            raise ValueError(f"{top} rows of {height}")

    return np.dtype(depth), first.dtype, finished()
