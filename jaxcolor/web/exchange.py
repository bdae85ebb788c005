"""A request of `/v1/colorize` from its first byte to the last one of its answer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jaxcolor.engine import Engine
from jaxcolor.image_io import Format, PhotoError
from jaxcolor.jobs import Job, Wish
from jaxcolor.web import problem
from jaxcolor.web.admission import Visit
from jaxcolor.web.problem import Problem
from jaxcolor.web.settings import Settings

_BLOCK = 1 << 18  # bytes handed to the network at once


@dataclasses.dataclass(frozen=True)
class Coloured:
    """A photo in its colours.

    Attributes:
      content: the file.
      format: what it is.
      size: height and width in pixels.
      warnings: what of the photo could not be read, or not be kept in the format.
    """

    content: bytes
    format: Format
    size: tuple[int, int]
    warnings: tuple[str, ...]


async def coloured(
    request: Request,
    visit: Visit,
    engine: Engine,
    wish: Wish,
    settings: Settings,
    started: float,
) -> Coloured | None:
    """The photo of a request in its colours; None if the client went away."""

    def left() -> float:
        return settings.seconds - (time.monotonic() - started)

    try:
        content = await asyncio.wait_for(_body(request, visit, settings.max_bytes), left())
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            "slow-upload",
            f"The photo did not arrive within {settings.seconds:g} seconds.",
        ) from None
    if content is None:
        return None
    target = io.BytesIO()
    job = engine.submit(io.BytesIO(content), target, wish)
    del content
    try:
        if not await _is_done(job, request, left()):
            return None
        return Coloured(target.getvalue(), job.format, job.size, job.warnings)
    except PhotoError as error:
        raise problem.of_photo(error, settings.max_pixels) from None
    except TimeoutError:
        raise Problem(
            HTTPStatus.GATEWAY_TIMEOUT,
            "too-slow",
            f"The photo took longer than the {settings.seconds:g} seconds that this server gives"
            " to each. A smaller one, or fewer at once, may succeed.",
        ) from None
    finally:
        job.give_up()  # whatever became of it, nobody waits any more
        visit.unload()


async def _body(request: Request, visit: Visit, max_bytes: int) -> bytes | None:
    """The photo as it was sent, or None if the client went away.

    Raises:
      Problem: it is a form, or too large: then the rest is not read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "form",
            "Send the photo itself as the request's body, not a form:"
            " curl --data-binary @photo.jpg.",
        )
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise problem.too_many_bytes(max_bytes)
    blocks: list[bytes] = []
    count = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return None
        if block := message.get("body", b""):
            count += len(block)
            if count > max_bytes:
                raise problem.too_many_bytes(max_bytes)
            visit.load(len(block))
            blocks.append(block)
        if not message.get("more_body", False):
            break
    return b"".join(blocks)


async def _is_done(job: Job, request: Request, seconds: float) -> bool:
    """Waits for the result; False if the client goes away before it is there."""
    result = asyncio.wrap_future(job.done)
    gone = asyncio.ensure_future(request.receive())  # the next that can come is the end
    try:
        done, _ = await asyncio.wait(
            (result, gone), timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        gone.cancel()
    if result in done:
        result.result()
        return True
    # Nobody will look at it; that it fails with `GivenUp` is no news.
    result.add_done_callback(lambda future: future.cancelled() or future.exception())
    if gone in done:
        return False
    raise TimeoutError


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
