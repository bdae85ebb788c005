"""A photo on its way to the client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_BLOCK = 1 << 18  # bytes handed to the network at once


class Photograph(Response):
    """Bytes that are sent block by block, within a time limit.

    A client that stops reading would keep them in memory for ever.
    """

    def __init__(
        self,
        content: bytes,
        headers: Mapping[str, str],
        seconds: float,
        at_the_end: Callable[[], object],
    ):
        super().__init__(content, headers=headers)
        self._seconds, self._at_the_end = seconds, at_the_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        try:
            with contextlib.suppress(TimeoutError):  # uvicorn closes what was not completed
                await asyncio.wait_for(self._send(send), self._seconds)
        finally:
            self._at_the_end()

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        content = memoryview(self.body)
        for first in range(0, max(1, len(content)), _BLOCK):
            block = bytes(content[first : first + _BLOCK])
            more = first + _BLOCK < len(content)
            await send({"type": "http.response.body", "body": block, "more_body": more})
