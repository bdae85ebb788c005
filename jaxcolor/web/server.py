"""Takes an address, and serves there until it is told to stop.

The slow parts are loaded in `make`: that an address is another's is said before.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from jaxcolor.web.settings import Settings

if TYPE_CHECKING:
    from jaxcolor.models.colorizer import Params

_LINGER = 0.5  # seconds that late requests are told of the end instead of finding a closed door
_KEEP_ALIVE = 20  # seconds


class NotStarted(RuntimeError):
    """The server could not begin; the message is one line."""


def bind(settings: Settings) -> socket.socket:
    """Takes the address that the server will listen on.

    Raises:
      NotStarted: it is another's, or not this machine's.
    """
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()  # who comes while the colorizers are loaded waits
    except OSError as error:
        reason = error.strerror or str(error)
        raise NotStarted(f"{host}:{port}: cannot be listened on ({reason})") from None
    return listener


def address(listener: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def make(models: Mapping[str, Params], settings: Settings) -> uvicorn.Server:
    """What `run` runs; loads the slow parts.

    Args:
      models: colorizers by name, the default one first.
      settings: how the server is set up.
    """
    from jaxcolor.web.api import make_app

    config = uvicorn.Config(
        make_app(models, settings),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE,
    )
    return _Server(config)


def run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serves until SIGTERM or Ctrl-C; then finishes what is in flight.

    Args:
      server: from `make`.
      listener: from `bind`.

    Raises:
      NotStarted: the colorizers could not be made ready.
    """
    server.run(sockets=[listener])
    if failure := server.config.app.state.engine.failure:  # type: ignore[union-attr]
        raise NotStarted(f"the colorizers cannot be made ready: {failure}")


class _Server(uvicorn.Server):
    """uvicorn that goes on listening, to say that it stops, until all is answered."""

    _stopping_since: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._stopping_since is not None and sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
        self._door.closed = True
        self._stopping_since = self._stopping_since or time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        if self._state.engine.failure:
            self.should_exit = True
        if self._stopping_since is not None and not self._door.inside:
            lingered = time.monotonic() - self._stopping_since > _LINGER
            self.should_exit = self.should_exit or lingered
        return await super().on_tick(counter)

    @property
    def _state(self):  # type: ignore[no-untyped-def]
        return self.config.app.state  # type: ignore[union-attr]

    @property
    def _door(self):  # type: ignore[no-untyped-def]
        return self._state.door
