"""A photo file of any kind -> `Photo`: decoded, upright, in sRGB."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from jaxcolor.image_io import jpeg, pillow_reading, pnm, psd
from jaxcolor.image_io.errors import (
    Empty,
    PhotoError,
    Place,
    Refused,
    Source,
    name_of,
    no_frame,
    not_chosen,
    one_line,
)
from jaxcolor.image_io.finishing import finished
from jaxcolor.image_io.limits import MAX_PIXELS
from jaxcolor.image_io.photo import Photo, Stored
from jaxcolor.image_io.png import chunks as png_chunks
from jaxcolor.image_io.png import reading as png
from jaxcolor.image_io.tiff import reading as tiff

_MAX_STREAM = 1 << 32  # bytes taken from a pipe


def open_photo(source: Source, *, max_pixels: int = MAX_PIXELS, frame: int | None = None) -> Photo:
    """Reads a photo of any kind.

    JPEG, PNG, TIFF, WebP, BMP, GIF, AVIF, JPEG 2000, PPM, PSD, PCX, QOI, SGI, Sun raster and TGA;
    HEIC with `pip install 'jaxcolor[heif]'`. PNG, TIFF, PPM, PSD, JPEG of 12 bits and lossless, and
    grey JPEG 2000 keep 16 bits; the others have 8, or are read with 8, which is told. So is what is
    missing of a JPEG, PNG, TIFF or PPM that is cut short; less than half of one is refused.

    Args:
      source: a path, a place, or a file that is open for reading bytes, a pipe included.
      max_pixels: larger pictures are refused before they are decoded.
      frame: which picture of an animation or of a file with several pages, from 0. None: the only
        one.

    Raises:
      PhotoError: it is missing, no picture, damaged, cut short, too large, or holds several
        pictures; the message is one line that begins with the file's name.
    """
    name = name_of(source)
    with _naming(name), _binary(source) as file:
        return finished(_stored(file, max_pixels, frame))


def fetched(source: Source) -> Source:
    """A place's content, for who reads it more than once; all other sources as they are.

    Raises:
      PhotoError: it cannot be read.
    """
    if not isinstance(source, Place):
        return source
    with _naming(name_of(source)):
        return source.fetch()


def _stored(file: BinaryIO, max_pixels: int, frame: int | None) -> Stored:
    if frame is not None and frame < 0:
        raise no_frame(frame)
    file.seek(0)
    head = file.read(8)
    if not head:
        raise Empty
    if head[:4] in tiff.SIGNATURES:
        return tiff.read(file, max_pixels, frame)
    if head == png_chunks.SIGNATURE:
        animated = png_chunks.is_animated(file)
        if animated and frame is None:
            raise not_chosen()
        if not frame:  # Pillow has 8 bits only, but can make up the frames of an animation
            return png.read(file, max_pixels)
    if head.startswith(jpeg.SIGNATURE):
        return jpeg.read(file, max_pixels, frame)
    if head.startswith(psd.SIGNATURE):
        return psd.read(file, max_pixels, frame)
    if pnm.is_binary(head) and not frame:
        return pnm.read(file, max_pixels)
    return pillow_reading.read(file, max_pixels, frame)


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turns whatever goes wrong into a `PhotoError` of one line."""
    try:
        yield
    except Refused as error:
        refusal = error
    except FileNotFoundError:
        refusal = Refused("no such file")
    except IsADirectoryError:
        refusal = Refused("a folder, not a photo")
    except PermissionError:
        refusal = Refused("no permission to read it")
    except MemoryError:
        refusal = Refused("too large for this machine's memory")
    # Decoders raise whatever their parsers stumble over.
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        refusal = Refused(one_line(f"damaged or cut short ({said[:200]})"))
        if isinstance(error, OSError) and error.strerror:
            refusal = Refused(f"cannot be read ({error.strerror})")
    else:
        return
    raise PhotoError(f"{name}: {one_line(str(refusal))}", refusal) from None


class _Watched(io.RawIOBase):
    """A file that remembers that it could not be read: parsers take that for a damaged photo.

    Attributes:
      error: the first that came.
    """

    def __init__(self, file: io.RawIOBase):
        self.error: OSError | None = None
        self._file = file
        self.seek, self.tell, self.fileno = file.seek, file.tell, file.fileno  # type: ignore

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        try:
            return self._file.readinto(buffer)
        except OSError as error:
            self.error = self.error or error
            raise


@contextlib.contextmanager
def _binary(source: Source) -> Iterator[BinaryIO]:
    """The source as a file that can be read from any place."""
    if isinstance(source, Place):
        yield source.fetch()
    elif isinstance(source, (str, os.PathLike)):
        kind = Path(source).stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise Refused("a pipe or a device, not a file")  # reading might wait for ever
        with Path(source).open("rb", buffering=0) as file:
            watched = _Watched(file)
            try:
                yield io.BufferedReader(watched)
            finally:
                if watched.error is not None:
                    raise watched.error
    elif source.seekable():
        yield source
    else:
        content = source.read(_MAX_STREAM)
        yield io.BytesIO(content)
