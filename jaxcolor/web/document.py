"""What the OpenAPI document says beside the routes: options, answers, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pydantic

from jaxcolor import image_io
from jaxcolor.controls import CONTROLS
from jaxcolor.hints import CAPACITY, SENTENCE
from jaxcolor.web import problem

MEDIA_TYPES = {format.name: format.media_type for format in image_io.WRITTEN}


class _Options(pydantic.BaseModel):
    """How a photo is coloured."""

    model_config = pydantic.ConfigDict(extra="forbid")

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
    hints: Annotated[
        str | None,
        pydantic.Field(
            max_length=16_384,
            description=f"{SENTENCE} A JSON array of at most {CAPACITY} such objects:"
            ' `{"x": 0.25, "y": 0.5, "colour": "#a03020", "radius": 0.1}`. x and y are shares of'
            " the upright photo's width and height, radius is one of its long side and may be left"
            " out.",
        ),
    ] = None


def options(models: Sequence[str]) -> type[pydantic.BaseModel]:
    """What can be asked of a photo: `_Options`, the controls, and one of the served colorizers."""
    controls: dict[str, Any] = {
        control.name: (
            float,
            pydantic.Field(
                control.default,
                ge=control.least,
                le=control.most,
                allow_inf_nan=False,
                description=control.sentence,
            ),
        )
        for control in CONTROLS
    }
    model = pydantic.Field(models[0], description="One of those of `/v1/models`.")
    return pydantic.create_model(
        "Options",
        __base__=_Options,
        **controls,
        model=(Literal[tuple(models)], model),  # type: ignore[arg-type]  # known at the start
    )


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


REFUSALS = {
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


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Answers that are no photo, as a route declares them."""
    schema = ProblemBody.model_json_schema()
    return {
        status: {
            "description": REFUSALS[status],
            "content": {problem.MEDIA_TYPE: {"schema": schema}},
            **({"headers": _RETRY} if status in (429, 503) else {}),
        }
        for status in statuses
    }


_BINARY = {"schema": {"type": "string", "format": "binary"}}
PHOTO_IN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The photo's bytes, as they lie in its file. Whatever type is named: the"
        " bytes say what it is.",
        "content": {"image/*": _BINARY, "application/octet-stream": _BINARY},
    }
}
PHOTO_OUT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The photo in colour.",
        "content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY),
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
