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
from jaxcolor.controls import CONTROLS, SIZE, UNTOUCHED, Control, Controls
from jaxcolor.models import Config
from jaxcolor.models.colorizer import NETWORKS
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
    assert (option.type.min, option.type.max) == (control.least, control.most)

    paths = served["/openapi.json"].json()["paths"]
    (told,) = [p for p in paths["/v1/colorize"]["post"]["parameters"] if p["name"] == control.name]
    assert told["description"] == control.sentence
    schema = told["schema"]
    assert (schema["default"], schema["minimum"]) == (control.default, control.least)
    assert schema["maximum"] == control.most

    (slider,) = re.findall(rf'<input id="{control.name}" [^>]*>', served["/"].text)
    given = dict(re.findall(r'(\w+)="([^"]*)"', slider))
    assert float(given["min"]) == control.least
    assert float(given["max"]) == control.most_on_page <= control.most
    assert float(given["value"]) == control.default


def test_no_door_spells_out_a_control() -> None:
    """Nor its name, but for grey: that is saturation 0."""
    doors = [PACKAGE / "cli.py", *PACKAGE.glob("album/*.py"), *PACKAGE.glob("web/**/*.py")]
    doors += [*PACKAGE.glob("web/**/*.js"), *PACKAGE.glob("web/**/*.html")]
    assert len(doors) > 15
    names = "|".join(control.name for control in CONTROLS)
    for door in doors:
        text = door.read_text().replace("this.fitted({ saturation: 0 }, signal)", "")
        assert not re.search(rf"\b({names})\b", text), door


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_value_out_of_range_is_refused_by_name(control: Control) -> None:
    for value in (control.least, control.default, control.most):
        Controls(**{control.name: value}).check()
    most = control.most + 0.1
    for value in (control.least - 0.1, most, math.nan, math.inf, -math.inf, jnp.float32(-1)):
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


def test_size_is_told_and_refused_alike() -> None:
    assert isinstance(main, click.Group)
    (option,) = [p for p in main.commands["colorize"].params if p.name == "size"]
    assert isinstance(option, click.Option)
    assert option.help is not None
    assert option.help.startswith(SIZE)
    assert not isinstance(option.type, click.IntRange)  # whose range would be another rule
    (suits_every,) = map(int, re.findall(r"\d+", SIZE))
    for name, network in NETWORKS.items():
        assert suits_every % network.MULTIPLE == 0
        config = Config(network=name).predicting(border=3)
        for size in (1, 2, 10):
            assert config.predicting(size=size * suits_every).size == size * suits_every
    for network, size, words in (
        ("pyramid", 300, "multiple of 32, which this network needs: 288 and 320 are"),
        ("pyramid", 31, "multiple of 32, which this network needs: 32 is the smallest"),
        ("pyramid", 0, "multiple of 32, which this network needs: 32 is the smallest"),
        ("fusion", 300, "multiple of 8, which this network needs: 296 and 304 are"),
        ("fusion", -8, "multiple of 8, which this network needs: 8 is the smallest"),
    ):
        with pytest.raises(ValueError, match=f"^size: {size} is not a positive {words}$"):
            Config(network=network).predicting(border=3, size=size)
