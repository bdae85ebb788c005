"""Room for decoded photos: a bound on the pixels that are in memory at once."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable


class Room:
    """Pixels that threads take and give back, first come, first served.

    More than there are can be asked for: then the one who asks gets the whole room, and is alone.
    """

    def __init__(self, pixels: int):
        self._pixels = pixels
        self._taken = 0
        self._waiting: collections.deque[object] = collections.deque()
        self._changed = threading.Condition()

    @property
    def taken(self) -> int:
        """Pixels that are in memory now."""
        return self._taken

    def take(self, pixels: int, given_up: Callable[[], bool]) -> bool:
        """Waits until there is room.

        Args:
          pixels: how many.
          given_up: asked from time to time whether anybody still wants them.

        Returns:
          Whether they were taken.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or not self._fits(pixels):
                    if given_up():
                        return False
                    self._changed.wait(0.1)
                self._taken += pixels
                return True
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def give_back(self, pixels: int) -> None:
        """Lets the next one in."""
        with self._changed:
            self._taken -= pixels
            self._changed.notify_all()

    def _fits(self, pixels: int) -> bool:
        return self._taken + pixels <= self._pixels or self._taken == 0
