"""A request of `/v1/colorize` from its first byte to its photo."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from starlette.requests import Request

from jaxcolor.image_io import PhotoError
from jaxcolor.web import problem
from jaxcolor.web.door import Visit
from jaxcolor.web.engine import Coloured, Engine, Job, Wish
from jaxcolor.web.problem import Problem
from jaxcolor.web.settings import Settings


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
    job = engine.submit(content, wish)
    del content
    try:
        return await _first(job, request, left())
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


async def _first(job: Job, request: Request, seconds: float) -> Coloured | None:
    """The result, or None if the client goes away before it is there."""
    result = asyncio.wrap_future(job.done)
    gone = asyncio.ensure_future(request.receive())  # the next that can come is the end
    try:
        done, _ = await asyncio.wait(
            (result, gone), timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        gone.cancel()
    if result in done:
        return result.result()
    # Nobody will look at it; that it fails with `GivenUp` is no news.
    result.add_done_callback(lambda future: future.cancelled() or future.exception())
    if gone in done:
        return None
    raise TimeoutError
