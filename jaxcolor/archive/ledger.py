"""What is in work, kept where a worker's end does not reach it.

Ray gives a packet whose worker has died to another one, without end. So that a photo that kills its
worker does not go round for ever, each packet is entered here before it is begun, and crossed out
when it is done: who finds it entered already knows that somebody has died of it, or near it.
"""

from __future__ import annotations

from typing import NamedTuple


class Past(NamedTuple):
    """What is known of a piece of work that is begun.

    Attributes:
      deaths: how often it was begun before, and never ended.
      overdue: whether it took too long.
    """

    deaths: int = 0
    overdue: bool = False


class Ledger:
    """Pieces of work that are begun and not ended."""

    def __init__(self) -> None:
        self._begun: dict[str, Past] = {}
        self._deaths = 0

    def begin(self, piece: str) -> Past:
        """Enters a piece of work, and tells its past."""
        past = self._begun.get(piece, Past())
        self._begun[piece] = past._replace(deaths=past.deaths + 1)
        self._deaths += bool(past.deaths)
        return past

    def overdue(self, piece: str) -> None:
        """Notes that a piece takes too long, for which its worker ends now."""
        self._begun[piece] = self._begun.get(piece, Past())._replace(overdue=True)

    def end(self, piece: str) -> None:
        """Crosses a piece of work out."""
        self._begun.pop(piece, None)

    def deaths(self) -> int:
        """How often work was begun again."""
        return self._deaths
