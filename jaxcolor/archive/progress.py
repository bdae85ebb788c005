"""How far a run is: a bar on a terminal, a line a minute in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

import click
from tqdm import tqdm

from jaxcolor.archive.report import Line

_MINUTE = 60.0
_RECENT = 300.0  # seconds in which a worker that lives tells of itself


class Progress:
    """Tells of done and failed photos, of their rate, the time that is left, and of workers."""

    def __init__(self, left: int):
        self._left = left
        self._begun: float | None = None  # when the first photo was done
        self._told = time.monotonic()
        self._workers: dict[str, float] = {}
        self._done, self._failed = 0, 0
        self._on_terminal = sys.stderr.isatty()
        self._bar = tqdm(total=left, unit="photo", disable=not self._on_terminal)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def add(self, lines: list[Line]) -> None:
        """Tells of photos that have ended, and says why some have failed."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = self._told = now
        for line in lines:
            self._workers[line.worker] = now
            self._failed += line.status == "failed"
            if line.status == "failed":
                self._bar.write(f"jaxcolor: {line.reason}", file=sys.stderr)
        self._done += len(lines)
        workers = sum(now - last < _RECENT for last in self._workers.values())
        self._bar.set_postfix_str(f"{self._failed} failed, {workers} workers", refresh=False)
        self._bar.update(len(lines))
        if not self._on_terminal and now > self._told + _MINUTE:
            self._told = now
            rate = self._done / (now - self._begun)
            rest = tqdm.format_interval((self._left - self._done) / rate)
            click.echo(
                f"jaxcolor: {self._done} of {self._left} photos, {self._failed} failed,"
                f" {rate:.1f} a second, {rest} left, {workers} workers",
                err=True,
            )
