"""The address that a server listens on: taken before the slow parts are loaded."""

from __future__ import annotations

import socket

from jaxcolor.web.settings import Settings


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
