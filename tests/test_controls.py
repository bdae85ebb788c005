"""Each control's range and default have one owner; every door tells and holds them."""

from __future__ import annotations

import asyncio
import math
import re
from pathlib import Path

import click
import httpx
import jax
import jax.numpy as jnp
import pytest

import jaxcolor
from jaxcolor.cli import main
from jaxcolor.controls import CONTROLS, UNTOUCHED, Control, Controls
from jaxcolor.web.api import make_app
from jaxcolor.web.settings import Settings

PACKAGE = Path(jaxcolor.__file__).parent


@pytest.fixture(scope="module")
def served() -> dict[str, httpx.Response]:
    """What the server says before anything is started."""
    app = make_app({"none": None}, Settings())  # type: ignore[dict-item]

    async def ask() -> dict[str, httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return {path: await client.get(path) for path in ("/", "/openapi.json")}

    return asyncio.run(ask())


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_every_door_tells_what_the_owner_says(served, control: Control) -> None:
    assert isinstance(main, click.Group)
    (option,) = [p for p in main.commands["colorize"].params if p.name == control.name]
    assert isinstance(option, click.Option)
    assert isinstance(option.type, click.FloatRange)
    assert (option.default, option.help) == (control.default, control.sentence)
    assert option.type.min == control.least
    assert option.type.max == (control.most if control.most < math.inf else None)

    paths = served["/openapi.json"].json()["paths"]
    (told,) = [p for p in paths["/v1/colorize"]["post"]["parameters"] if p["name"] == control.name]
    assert told["description"] == control.sentence
    schema = told["schema"]
    assert (schema["default"], schema["minimum"]) == (control.default, control.least)
    assert schema["maximum"] == control.most_served

    (slider,) = re.findall(rf'<input id="{control.name}" [^>]*>', served["/"].text)
    given = dict(re.findall(r'(\w+)="([^"]*)"', slider))
    assert float(given["min"]) == control.least
    assert float(given["max"]) == control.most_on_page <= control.most_served
    assert float(given["value"]) == control.default


def test_no_door_spells_out_a_control() -> None:
    """Nor its name, but for grey: that is saturation 0."""
    doors = [PACKAGE / "cli.py", *PACKAGE.glob("album/*.py"), *PACKAGE.glob("web/**/*.py")]
    doors += [*PACKAGE.glob("web/**/*.js"), *PACKAGE.glob("web/**/*.html")]
    assert len(doors) > 15
    names = "|".join(control.name for control in CONTROLS)
    for door in doors:
        text = door.read_text().replace("{ ...options, saturation: 0 }", "")
        assert not re.search(rf"\b({names})\b", text), door


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_value_out_of_range_is_refused_by_name(control: Control) -> None:
    for value in (control.least, control.default, control.most_served):
        Controls(**{control.name: value}).check()
    for value in (control.least - 0.1, math.nan, math.inf, -math.inf, jnp.float32(-1)):
        with pytest.raises(ValueError, match=f"^{control.name}: .* is not "):
            Controls(**{control.name: value}).check()


def test_controls_are_a_pytree() -> None:
    jaxcolor.Controls(saturation=0.5)  # `jaxcolor.predict` makes it one
    leaves, tree = jax.tree.flatten(UNTOUCHED)
    assert leaves == [control.default for control in CONTROLS]
    assert jax.tree.unflatten(tree, leaves) == UNTOUCHED

    @jax.jit
    def traced(controls: Controls) -> jax.Array:
        controls.check()  # nothing is known of what is traced
        return controls.saturation * 2

    assert traced(Controls(saturation=-1.5)) == -3


def test_controls_are_taken_out_of_options() -> None:
    options = {"format": "png", "saturation": 0.5}
    assert Controls.taken_from(options) == Controls(saturation=0.5)
    assert options == {"format": "png"}
