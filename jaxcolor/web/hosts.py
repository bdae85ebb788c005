"""What is looked at before anything else: by which name the server is called, and from where.

A page of any site may send requests to a server on the visitor's own machine. The browser does not
let it read the answers, unless the site's name is made to mean 127.0.0.1 (DNS rebinding): so only
known names are answered. And it may not make this machine work: so requests that change or compute
something are not taken from foreign pages, which browsers tell by `Origin`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jaxcolor.web.problem import MEDIA_TYPE, Problem

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
# Everything that a page may load comes from here; pictures also from the page itself.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, host: str, names: Iterable[str], cors: Iterable[str]):
        """Puts itself around `app`.

        Args:
          app: the application.
          host: the address that the server listens on. Where that is not this machine alone, the
            server is meant to be called by names that are not known here, and any is answered.
          names: further names that it is called by.
          cors: origins of pages that may use it.
        """
        self._app, self._cors = app, frozenset(cors)
        self._names = frozenset({*_LOCAL, host, *names})
        self._any_name = not _is_loopback(host) and not names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope["method"], Headers(scope=scope))
        except Problem as problem:
            answer = JSONResponse(problem.to_json(), problem.status, media_type=MEDIA_TYPE)
            await answer(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._any_name and _without_port(host) not in self._names:
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "unknown-name",
                "This server is not known by that name. Its owner can make it known:"
                " jaxcolor serve --name NAME.",
            )
        origin = headers.get("origin")
        if method in ("GET", "HEAD", "OPTIONS") or origin is None or origin in self._cors:
            return
        if origin.partition("://")[2] != host:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "foreign-page",
                "Pages of other sites may not use this server. Its owner can let one:"
                " jaxcolor serve --cors ORIGIN.",
            )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
