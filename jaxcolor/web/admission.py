"""Who is let in: bounds on the requests inside, and on the bytes of their uploads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http import HTTPStatus

from jaxcolor.web.problem import RETRY_AFTER, Problem


class Door:
    """Counts requests in and out; only the event loop's thread passes it."""

    def __init__(self, requests: int, max_bytes: int):
        self._most, self._most_bytes = requests, max_bytes
        self._bytes = 0
        self.inside = 0
        self.closed = False  # the server is stopping: those inside are finished, nobody enters

    @contextlib.contextmanager
    def enter(self) -> Iterator[Visit]:
        """A request's time inside.

        Raises:
          Problem: 429, the queue is full; 503, the server is stopping.
        """
        if self.closed:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "stopping", "The server is stopping. Try later."
            )
        if self.inside >= self._most:
            raise self._busy()
        self.inside += 1
        visit = Visit(self)
        try:
            yield visit
        finally:
            visit.unload()
            self.inside -= 1

    def load(self, count: int) -> None:
        """Makes room for bytes of an upload.

        Raises:
          Problem: 429, uploads fill the memory that they may take.
        """
        if self._bytes + count > self._most_bytes:
            raise self._busy()
        self._bytes += count

    def unload(self, count: int) -> None:
        """Bytes of an upload are no longer in memory."""
        self._bytes -= count

    def _busy(self) -> Problem:
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "busy",
            f"The server is busy with other photos. Try again in {RETRY_AFTER} seconds.",
        )


class Visit:
    """What one request has brought with it."""

    def __init__(self, door: Door):
        self._door, self._bytes = door, 0

    def load(self, count: int) -> None:
        """As `Door.load`, for this request."""
        self._door.load(count)
        self._bytes += count

    def unload(self) -> None:
        """All that it brought is no longer in memory."""
        self._door.unload(self._bytes)
        self._bytes = 0
