"""What is asked of a photo, and what is done to it before the network and behind it.

When that is done, and beside what else, is the engine's.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from jaxcolor import hints, image_io
from jaxcolor.controls import UNTOUCHED, Controls
from jaxcolor.hints import Finder, Hint
from jaxcolor.image_io import Format, PhotoError, Source, TooLarge

if TYPE_CHECKING:
    import numpy as np

    from jaxcolor.image_io import Photo
    from jaxcolor.predict.ahead import Needs

# A photo of that many pixels is decoded without asking how large it is; a larger one is refused by
# its header and tried again when there is room for it.
_FIRST_TRY = 4_000_000


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is asked of a photo.

    Attributes:
      model: the name of one of the engine's colorizers.
      controls: how the colours are wished.
      format: as `save_photo` takes it.
      frame: as `open_photo` takes it.
      prepare: is called with the photo when it is read; gives it back, or raises why it fails.
      hints: is called with the photo's height and width; gives the colours that the user knows, or
        raises why there are none. None: there are none.
    """

    model: str
    controls: Controls = UNTOUCHED
    format: str | None = None
    frame: int | None = None
    prepare: Callable[[Photo], Photo] | None = None
    hints: Finder | None = None


class GivenUp(Exception):
    """Nobody waits for the photo any more."""


class Job:
    """A photo on its way.

    Attributes:
      wish: what is asked of it.
      done: has a result when all is done that was asked, or raises; the rest is known by then.
      photo: as long as it is needed; None before it is decoded.
      size: height and width in pixels.
      hints: the colours that the user knows.
      needs: programs; None while its colorizer is not there.
      begun: when its turn came, by `time.monotonic`; None: it never did.
      held: pixels that it has of the engine's room.
    """

    painted = True  # at its full size, too
    size: tuple[int, int]
    hints: tuple[Hint, ...] = ()
    begun: float | None = None

    def __init__(self, wish: Wish):
        self.wish = wish
        self.photo: Photo | None = None
        self.needs: Needs = None  # type: ignore[assignment]
        self.held = 0
        self.given_up = False
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()  # who stops waiting does not cancel it

    def give_up(self) -> None:
        """Tells the threads that nobody waits any more; they stop at the next opportunity."""
        self.given_up = True

    def check(self) -> None:
        """Raises `GivenUp` where nobody waits any more."""
        if self.given_up:
            raise GivenUp

    def finish(self, photo: Photo, small: np.ndarray) -> None:
        """Makes of the small colours what is asked."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Keeps nothing but what became of it."""
        self.photo = None

    def _find_hints(self) -> None:
        if self.wish.hints is not None:
            self.hints = hints.check(self.wish.hints(self.size), self.size)


class FileJob(Job):
    """A file that becomes a file.

    Attributes:
      format: of the target.
      warnings: what of the photo could not be read, or not be kept in the format.
    """

    format: Format
    warnings: tuple[str, ...] = ()

    def __init__(self, source: Source, target: Source, wish: Wish):
        super().__init__(wish)
        self._source, self._target = source, target

    def first_try(self, limit: int) -> int:
        """Pixels that it needs room for at first, where `limit` is the most that a photo has."""
        return min(_FIRST_TRY, limit) if self._readable_again() else limit

    def _readable_again(self) -> bool:
        return isinstance(self._source, (str, os.PathLike)) or self._source.seekable()

    def open(self, limit: int, make_room: Callable[[int], None]) -> Photo:
        """The photo, decoded; it has the room of its first try.

        Args:
          limit: the most pixels that it may have.
          make_room: waits for room for so many pixels, instead of those of the first try.

        Raises:
          PhotoError: it cannot be read, or not be written as wished.
          HintError: a hint cannot be.
        """
        photo = self._read(limit, make_room)
        self._source, self.size, self.warnings = "", photo.size, photo.warnings
        self.format = image_io.check_writable(self._target, photo, format=self.wish.format)
        self._find_hints()
        return photo

    def _read(self, limit: int, make_room: Callable[[int], None]) -> Photo:
        source, wish = image_io.fetched(self._source), self.wish
        read = functools.partial(image_io.open_photo, source, frame=wish.frame)
        try:
            photo = read(max_pixels=self.held)
        except PhotoError as error:
            refusal = error.refusal
            if not (isinstance(refusal, TooLarge) and self._readable_again()):
                raise
            if refusal.width * refusal.height <= limit:
                make_room(refusal.width * refusal.height)
            # One that is too large is refused again, by words that tell the limit.
            photo = read(max_pixels=limit)
        return photo if wish.prepare is None else wish.prepare(photo)

    def finish(self, photo: Photo, small: np.ndarray) -> None:
        """Paints the photo, and writes it strip by strip if its format allows it."""
        for program in (self.needs.painting, self.needs.hints):
            if program is not None:
                program.result()
        strips = self._painted(photo, small)
        self.warnings += image_io.save_photo(self._target, photo, strips, format=self.wish.format)

    def _painted(self, photo: Photo, small: np.ndarray) -> Iterator[np.ndarray]:
        from jaxcolor.predict import stages

        for strip in stages.paint(photo.pixels, small, self.wish.controls, self.hints):
            self.check()
            yield strip

    def let_go(self) -> None:
        """Keeps nothing but what became of it."""
        super().let_go()
        self._source = ""


class PictureJob(Job):
    """A picture of which the small colours alone are asked, as those of a film.

    Attributes:
      small: Lab of the small picture, when it is done.
      controls: likewise: what is left of the wished ones to paint it with.
    """

    painted = False
    small: np.ndarray
    controls: Controls

    def __init__(self, pixels: np.ndarray, wish: Wish):
        super().__init__(wish)
        self.photo = image_io.Photo(pixels)
        self.size = self.photo.size
        self._find_hints()

    def finish(self, photo: Photo, small: np.ndarray) -> None:
        """Spreads the hints, if there are any."""
        from jaxcolor.predict import stages

        self.small, self.controls = small, self.wish.controls
        if self.hints:
            self.small, self.controls = stages.with_hints(
                photo.pixels, small, self.wish.controls, self.hints
            )
