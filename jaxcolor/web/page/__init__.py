"""The page: static files, which use the API as anybody would.

Nothing in them is from elsewhere, and the server's Content-Security-Policy makes the browser hold
them to that. What differs between servers stands in the page as `data-` attributes, as does what
`jaxcolor.hints` owns; its sliders are made of `jaxcolor.controls`. `make static` in a clone makes a
folder of the same files that needs no server.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from pathlib import Path
from string import Template

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from jaxcolor import hints, image_io
from jaxcolor.controls import CONTROLS, Control
from jaxcolor.image_io import Format
from jaxcolor.web.settings import Settings

STATIC = Path(__file__).with_name("static")
_STEPS = 20  # of a slider, from 0 to 1
_SLIDER = Template(Path(__file__).with_name("slider.html").read_text(encoding="utf-8"))

_HINTS = {
    "most": hints.CAPACITY,
    "neutral": hints.NEUTRAL,
    "keep": hints.KEEP,
    "suffix": hints.SUFFIX,
}


def mount(app: FastAPI, settings: Settings) -> None:
    """Adds the page at `/` and its files below `/static/`."""
    text = rendered(settings.max_bytes)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(text)

    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def rendered(
    max_bytes: int,
    *,
    accept: Iterable[str] = image_io.PHOTO_SUFFIXES,
    formats: Iterable[Format] = image_io.WRITTEN,
    head: str = "",
    script: str = 'type="module"',
    privacy: str = "Photos are worked on by this server alone, in memory, and not kept.",
) -> str:
    """The page's HTML.

    Args:
      max_bytes: of a photo's file.
      accept: what the dialog offers: suffixes or media types.
      formats: of results.
      head: what its head holds beside.
      script: the attributes of the element that loads it.
      privacy: who sees the photos.
    """
    formats = tuple(formats)
    return Template((STATIC / "index.html").read_text(encoding="utf-8")).substitute(
        max_bytes=max_bytes,
        max_megabytes=f"{max_bytes / (1 << 20):.4g}",
        accept=html.escape(",".join(accept)),
        kinds=", ".join(format.title for format in formats),
        formats="".join(
            f'<option value="{format.suffixes[0][1:]}">{format.title}</option>'
            for format in formats
        ),
        controls="".join(map(_slider, CONTROLS)),
        hints=html.escape(json.dumps(_HINTS)),
        suffixes=html.escape(json.dumps({f.media_type: f.suffixes for f in formats})),
        head=head,
        script=script,
        privacy=privacy,
    )


def _slider(control: Control) -> str:
    return _SLIDER.substitute(
        name=control.name,
        label=html.escape(control.label),
        sentence=html.escape(control.sentence.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")),
        least=f"{control.least:g}",
        most=f"{control.most_on_page:g}",
        default=f"{control.default:g}",
        step=f"{1 / _STEPS:g}",
    )
