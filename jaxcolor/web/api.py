"""The HTTP API: its routes, and the document that describes them."""

# No `from __future__ import annotations`: FastAPI reads the annotations of nested functions.

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any

import pydantic
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from jaxcolor import __version__
from jaxcolor.controls import Controls
from jaxcolor.engine import Engine
from jaxcolor.hints import Hint, HintError, from_json
from jaxcolor.jobs import Wish
from jaxcolor.models.colorizer import Params
from jaxcolor.web import exchange, page, problem
from jaxcolor.web.admission import Door
from jaxcolor.web.document import (
    MEDIA_TYPES,
    PHOTO_IN,
    PHOTO_OUT,
    REFUSALS,
    Health,
    Model,
    Models,
    options,
    refusals,
)
from jaxcolor.web.exchange import Coloured, Photograph
from jaxcolor.web.hosts import Guard
from jaxcolor.web.metrics import Metrics
from jaxcolor.web.preview import fit
from jaxcolor.web.problem import Problem
from jaxcolor.web.settings import Settings

_CLIENT_WENT_AWAY = 499  # nginx's number for it; only metrics see it


def make_app(models: Mapping[str, Params], settings: Settings) -> FastAPI:
    """The application.

    Args:
      models: colorizers by name, the default one first.
      settings: how it is set up.

    Returns:
      What uvicorn runs; `state.door` and `state.engine` are its insides.
    """
    metrics = Metrics()
    engine = Engine(settings.engine, metrics.observe)
    door = Door(settings.queue, settings.held_bytes)
    metrics.watch("requests_inside", "Requests worked on or waiting.", lambda: door.inside)
    metrics.watch("held_pixels", "Decoded pixels in memory.", lambda: engine.room.taken)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start(models, everything=True)
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
    _tell_problems(app, metrics)
    names = tuple(models)
    made = options(names)

    @app.post(
        "/v1/colorize",
        response_class=Response,
        responses=PHOTO_OUT | refusals(*REFUSALS),
        openapi_extra=PHOTO_IN,
        summary="A photo in, the same photo in colour out",
        name="colorize",
    )
    async def answer(request: Request, given: Annotated[made, Query()]) -> Response:  # type: ignore[valid-type]
        """Size, format, depth, transparency and metadata are the photo's own."""
        started = time.monotonic()
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
        try:
            wish = _wish(given)
            with contextlib.ExitStack() as stack:
                visit = stack.enter_context(door.enter())
                result = await exchange.coloured(request, visit, engine, wish, settings, started)
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

    @app.get("/v1/models", responses=refusals(421), summary="The colorizers that are served")
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
            **refusals(421),
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
            **refusals(421),
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
            expose_headers=[*PHOTO_OUT[200]["headers"], "Retry-After"],
        )
    app.add_middleware(Guard, host=settings.host, names=settings.names, cors=settings.cors)
    return app


def _wish(given: pydantic.BaseModel) -> Wish:
    values = given.model_dump()
    side = values.pop("fit")
    prepare = None if side is None else functools.partial(fit, side)
    hints = _hints(values.pop("hints"))
    return Wish(
        controls=Controls.taken_from(values),
        prepare=prepare,
        hints=None if not hints else lambda _: hints,
        **values,
    )


def _hints(text: str | None) -> tuple[Hint, ...]:
    if text is None:
        return ()
    try:
        return from_json(text, shares=True)
    except HintError as error:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        raise Problem(status, "wrong-option", f"hints: {error}.", "hints") from None


def _headers(result: Coloured, wish: Wish) -> dict[str, str]:
    height, width = result.size
    headers = {
        "Content-Type": MEDIA_TYPES[result.format.name],
        "Jaxcolor-Model": wish.model,
        "Jaxcolor-Size": f"{width}x{height}",
    }
    if result.warnings:
        headers["Jaxcolor-Warnings"] = json.dumps(result.warnings)  # ASCII
    return headers


# -- problems --------------------------------------------------------------------------------------


def _tell_problems(app: FastAPI, metrics: Metrics) -> None:
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
        metrics.requests.labels(str(int(status))).inc()  # only /v1/colorize has options
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
