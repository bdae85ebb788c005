"""The HTTP API: its routes, and the document that describes them."""

# No `from __future__ import annotations`: FastAPI reads the annotations of nested functions.

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

import pydantic
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from jaxcolor import __version__, image_io
from jaxcolor.image_io import PhotoError
from jaxcolor.models.colorizer import Params
from jaxcolor.web import page, problem
from jaxcolor.web.door import Door, Visit
from jaxcolor.web.engine import Coloured, Engine, Job, Wish
from jaxcolor.web.guard import Guard
from jaxcolor.web.metrics import Metrics
from jaxcolor.web.problem import Problem
from jaxcolor.web.sending import Photograph
from jaxcolor.web.settings import Settings

_CLIENT_WENT_AWAY = 499  # nginx's number for it; only metrics see it
_MAX_SATURATION = 100.0
_MEDIA_TYPES = {
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}


class Options(pydantic.BaseModel):
    """How a photo is coloured; `model` is added when the served ones are known."""

    model_config = pydantic.ConfigDict(extra="forbid")

    saturation: Annotated[
        float,
        pydantic.Field(
            ge=0,
            le=_MAX_SATURATION,
            allow_inf_nan=False,
            description="How vivid the colours are: 1 as the model gives them, 0 grey.",
        ),
    ] = 1.0
    refine: Annotated[
        float,
        pydantic.Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="How closely colours follow the photo's edges.",
        ),
    ] = 1.0
    format: Annotated[
        Literal[image_io.NAMES] | None,  # type: ignore[valid-type]  # the names are those of image_io
        pydantic.Field(
            description="Of the result. Without it: the photo's own, or PNG where that is not"
            " written."
        ),
    ] = None
    frame: Annotated[
        int | None,
        pydantic.Field(
            ge=0,
            le=99_999,
            description="Which picture of an animation or of a file with several pages, from 0.",
        ),
    ] = None
    fit: Annotated[
        int | None,
        pydantic.Field(
            ge=16,
            le=8192,
            description="For a preview: the result has at most so many pixels in width and in"
            " height, 8 bits, and no metadata. Without it: the photo's own size.",
        ),
    ] = None


class Model(pydantic.BaseModel):
    """A colorizer.

    Attributes:
      name: as the option `model` takes it.
      network: what it is built of.
      backbone: the pretrained part.
      size: the square that it works on, in pixels.
    """

    name: str
    network: str
    backbone: str
    size: int


class Models(pydantic.BaseModel):
    """The colorizers that are served, and the one that is used where none is named."""

    default: str
    models: list[Model]


class Health(pydantic.BaseModel):
    """Whether the server takes photos."""

    status: Literal["ready", "starting", "stopping"]
    version: str


class ProblemBody(pydantic.BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str
    title: str
    status: int
    code: Annotated[str, pydantic.Field(description="A word for programs.")]
    detail: Annotated[str, pydantic.Field(description="A sentence for people.")]
    field: Annotated[str, pydantic.Field(description="The option that is to blame.")] = ""


_REFUSALS = {
    403: "A page of another site asks.",
    408: "The photo did not arrive in time.",
    413: "Too many bytes, or too many pixels: found before anything is decoded.",
    415: "Not a photo of a kind that is read, or a form instead of a photo.",
    421: "The server is not known by the name in `Host`.",
    422: "An option that does not exist or is out of range; a photo that is damaged, holds several"
    " pictures, or cannot be written in the format that is asked for.",
    429: "The queue is full.",
    503: "The server is stopping.",
    504: "It took longer than the server's time limit.",
}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    schema = ProblemBody.model_json_schema()
    return {
        status: {
            "description": _REFUSALS[status],
            "content": {problem.MEDIA_TYPE: {"schema": schema}},
            **({"headers": _RETRY} if status in (429, 503) else {}),
        }
        for status in statuses
    }


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PHOTO_IN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The photo's bytes, as they lie in its file. Whatever type is named: the"
        " bytes say what it is.",
        "content": {"image/*": _BINARY, "application/octet-stream": _BINARY},
    }
}
_PHOTO_OUT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The photo in colour.",
        "content": dict.fromkeys(_MEDIA_TYPES.values(), _BINARY),
        "headers": {
            "Jaxcolor-Model": {"schema": {"type": "string"}, "description": "What coloured it."},
            "Jaxcolor-Size": {"schema": {"type": "string"}, "description": "WIDTHxHEIGHT."},
            "Jaxcolor-Warnings": {
                "schema": {"type": "string"},
                "description": "A JSON array: what of the photo could not be read or kept.",
            },
        },
    }
}


def make_app(models: Mapping[str, Params], settings: Settings) -> FastAPI:
    """The application.

    Args:
      models: colorizers by name, the default one first.
      settings: how it is set up.

    Returns:
      What uvicorn runs; `state.door` and `state.engine` are its insides.
    """
    metrics = Metrics()
    engine = Engine(models, settings, metrics)
    door = Door(settings.queue, settings.held_bytes)
    metrics.watch("requests_inside", "Requests worked on or waiting.", lambda: door.inside)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        await asyncio.to_thread(engine.close)

    app = FastAPI(
        title="jaxcolor",
        version=__version__,
        summary="Gives grey photographs their colours back.",
        lifespan=lifespan,
        docs_url=None,  # both load programs from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.door, app.state.engine = door, engine
    _tell_problems(app)
    names = tuple(models)
    made = pydantic.create_model(
        "OptionsWithModel",
        __base__=Options,
        model=(
            Literal[names],  # type: ignore[arg-type]  # known when the server starts
            pydantic.Field(names[0], description="One of those of `/v1/models`."),
        ),
    )

    @app.post(
        "/v1/colorize",
        response_class=Response,
        responses=_PHOTO_OUT | _refusals(*_REFUSALS),
        openapi_extra=_PHOTO_IN,
        summary="A photo in, the same photo in colour out",
    )
    async def colorize(request: Request, options: Annotated[made, Query()]) -> Response:  # type: ignore[valid-type]
        """Size, format, depth, transparency and metadata are the photo's own."""
        started = time.monotonic()
        wish = Wish(**options.model_dump())  # type: ignore[attr-defined]
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
        try:
            with contextlib.ExitStack() as stack:
                visit = stack.enter_context(door.enter())
                result = await _coloured(request, visit, engine, wish, settings, started)
                if result is None:
                    status = _CLIENT_WENT_AWAY
                    return Response(status_code=HTTPStatus.BAD_REQUEST)
                status = int(HTTPStatus.OK)
                metrics.seconds.observe(time.monotonic() - started)
                # The visit lasts until the last byte is sent: results take memory, too.
                leave = stack.pop_all().close
            return Photograph(result.content, _headers(result, wish), settings.seconds, leave)
        except Problem as refused:
            status = int(refused.status)
            raise
        finally:
            metrics.requests.labels(str(status)).inc()

    @app.get("/v1/models", responses=_refusals(421), summary="The colorizers that are served")
    async def models_() -> Models:
        """The first is the one that is used where none is named."""
        known = [
            Model(
                name=name,
                network=params.config.network,
                backbone=params.config.backbone,
                size=params.config.size,
            )
            for name, params in models.items()
        ]
        return Models(default=names[0], models=known)

    @app.get(
        "/healthz",
        responses={
            **_refusals(421),
            503: {"model": Health, "description": "Not ready yet, or stopping."},
        },
        summary="Whether the server takes photos",
    )
    async def health(response: Response) -> Health:
        """For load balancers: 200 once everything is loaded and compiled."""
        status: Any = (
            "stopping" if door.closed else "ready" if engine.ready.is_set() else "starting"
        )
        if status != "ready":
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Health(status=status, version=__version__)

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            **_refusals(421),
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        },
        summary="Figures for Prometheus",
    )
    async def figures() -> Response:
        """In Prometheus's text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    page.mount(app, settings)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type"],
            expose_headers=[*_PHOTO_OUT[200]["headers"], "Retry-After"],
        )
    app.add_middleware(Guard, host=settings.host, names=settings.names, cors=settings.cors)
    return app


# -- a request -------------------------------------------------------------------------------------


async def _coloured(
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
      Problem: it is a form, empty, or too large: then the rest is not read.
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
    if not count:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "empty", "The request holds no photo.")
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


def _headers(result: Coloured, wish: Wish) -> dict[str, str]:
    height, width = result.size
    headers = {
        "Content-Type": _MEDIA_TYPES[result.format.name],
        "Jaxcolor-Model": wish.model,
        "Jaxcolor-Size": f"{width}x{height}",
    }
    if result.warnings:
        headers["Jaxcolor-Warnings"] = json.dumps(result.warnings)  # ASCII
    return headers


# -- problems --------------------------------------------------------------------------------------


def _tell_problems(app: FastAPI) -> None:
    """Every refusal has the same form, those of the framework too."""

    def answer(refused: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse(
            refused.to_json(),
            refused.status,
            {**refused.headers, **(headers or {})},
            media_type=problem.MEDIA_TYPE,
        )

    @app.exception_handler(Problem)
    async def of_ours(_: Request, refused: Problem) -> JSONResponse:
        return answer(refused)

    @app.exception_handler(RequestValidationError)
    async def of_options(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = str(first["loc"][-1])
        said = str(first["msg"])
        if first["type"] == "extra_forbidden":
            said = "There is no such option"
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return answer(Problem(status, "wrong-option", f"{field}: {said}.", field))

    @app.exception_handler(HTTPException)
    async def of_routes(_: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        refused = Problem(status, status.name.lower().replace("_", "-"), f"{error.detail}.")
        return answer(refused, error.headers)

    @app.exception_handler(Exception)
    async def of_bugs(_: Request, __: Exception) -> JSONResponse:
        said = "Something went wrong in the server; its log says what."
        return answer(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", said))
