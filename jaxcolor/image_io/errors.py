"""Why a photo is refused, and how messages call a file."""

from __future__ import annotations

import abc
import os
from contextlib import AbstractContextManager
from typing import BinaryIO, TypeAlias


class Place(os.PathLike[str]):
    """Where a file lies that no path leads to; its text is what messages call it."""

    @abc.abstractmethod
    def fetch(self) -> BinaryIO:
        """The content, to be read from any place in it; its `name` is the place's text.

        Raises:
          OSError: there is none, or it cannot be read.
        """

    @abc.abstractmethod
    def open_whole(self) -> AbstractContextManager[BinaryIO]:
        """As `atomic.open_whole`.

        Raises:
          AlreadyThere: there is a file by now, which is to stay.
          OSError: it cannot be written.
        """


# A file by its path or its place, or one that is open for reading or writing bytes, standard input
# among them.
Source: TypeAlias = str | os.PathLike[str] | BinaryIO


class Refused(ValueError):
    """Why a photo is refused, as long as the file's name is not known."""


class NotAPhoto(Refused):
    """No picture, or one of a kind that is not read."""


class Empty(NotAPhoto):
    """A file without a byte."""

    def __init__(self) -> None:
        super().__init__("empty, not a picture")


class TooLarge(Refused):
    """More pixels than are allowed; found before anything is decoded.

    Attributes:
      width: of the picture, as it is stored.
      height: likewise.
    """

    def __init__(self, width: int, height: int, message: str):
        super().__init__(message)
        self.width, self.height = width, height


class WrongFrame(Refused):
    """A file of several pictures, none of which is chosen; or a choice that is not there."""


class AlreadyThere(Exception):
    """A result that somebody else has written in the meantime, and that stays."""


class PhotoError(ValueError):
    """A photo that cannot be read or written; the message is one line that names the file.

    Attributes:
      refusal: the same without the file's name, where the photo itself is to blame.
    """

    def __init__(self, message: str, refusal: Refused | None = None):
        super().__init__(message)
        self.refusal = refusal


def not_chosen() -> WrongFrame:
    """Why a file of several pictures cannot be read as one."""
    return WrongFrame("holds several pictures: choose one (--frame 0 is the first)")


def no_frame(frame: int) -> WrongFrame:
    """Why a picture that is not there cannot be read."""
    return WrongFrame(f"has no picture with the number {frame} (the first has 0)")


def name_of(source: Source) -> str:
    """How messages call a file; on one line, whatever its name."""
    if isinstance(source, (str, os.PathLike)):
        return one_line(os.fspath(source))
    name = getattr(source, "name", None)
    return one_line(name) if isinstance(name, str) else "the photo"


def one_line(text: str) -> str:
    """Text with what cannot be printed on one line written as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
