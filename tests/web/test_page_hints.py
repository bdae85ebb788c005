"""The colours that a user of the page knows: dots, palette, pipette, keyboard, files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import browsing
import httpx
import numpy as np
import pytest
from browsing import (
    begin,
    drop,
    jpeg,
    lab,
    labels,
    point,
    put,
    rgb,
    screenshots,
    served,
    tabs,
)
from page_with_hints import *  # noqa: F403  # those of its tests that need no server
from patience import HANG
from PIL import Image
from playwright.sync_api import Browser, Page, Request, expect

import jaxcolor

Hint = dict[str, Any]


@pytest.fixture(scope="module")
def url(tiny_file: Path) -> Iterator[str]:
    with served(str(tiny_file)) as (url, _):
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing.chromium() as browser:
        yield browser


@pytest.fixture
def empty(url: str, chromium: Browser) -> Iterator[Page]:
    with tabs(chromium, viewport={"width": 1000, "height": 800}) as made:
        page = made.new_page()
        page.goto(url)
        yield page


@pytest.fixture
def page(empty: Page) -> Page:
    """The page with a photo, ready for colours."""
    begin(empty)
    return empty


def sent(request: Request) -> list[Hint]:
    """The hints that go with a request."""
    given = parse_qs(urlsplit(request.url).query).get("hints", ["[]"])
    hints: list[Hint] = json.loads(given[0])
    return hints


def colours(request: Request) -> list[str]:
    return [hint["colour"] for hint in sent(request)]


def asks(*wanted: str, first: Callable[[Hint], bool] = lambda _: True) -> Any:
    """Whether a request is for a preview with hints of these colours, the first one as said.

    A page that is quick asks for what was so before, too.
    """

    def is_it(request: Request) -> bool:
        hints = sent(request) if "fit=" in request.url else []
        return [hint["colour"] for hint in hints] == [*wanted] and first(hints[0])

    return is_it


def at(x: float, y: float) -> Callable[[Hint], bool]:
    """Whether a hint is there."""
    return lambda hint: abs(hint["x"] - x) < 0.01 > abs(hint["y"] - y)


def pixel(page: Page, x: float, y: float, picture: str = "colour") -> np.ndarray:
    """A colour of a preview, as the page sees it: RGB from 0 to 255."""
    code = """async ([id, x, y]) => {
        const {sample} = await import("/static/sample.js");
        const picture = document.getElementById(id);
        await picture.decode();  // until then the one before is drawn
        return sample(picture, {x, y});
    }"""
    return np.array(page.evaluate(code, [picture, x, y]))


# -- arithmetic ------------------------------------------------------------------------------------


def run_lab(page: Page, call: str, values: Any) -> Any:
    return page.evaluate(f'values => import("/static/lab.js").then(lab => {call})', values)


def test_the_arithmetic_is_scikit_images_and_ours(empty: Page) -> None:
    rng = np.random.default_rng(0)
    given = np.concatenate([rng.integers(0, 256, (500, 3)), np.eye(3, dtype=int) * 255])
    found = np.array(run_lab(empty, "values.map(lab.rgbToLab)", given.tolist()))
    assert np.abs(found - lab(given)).max() < 1e-3
    # Far out of the gamut, too: chroma is lost until it fits, and L is kept.
    wide = rng.uniform([0, -130, -130], [100, 130, 130], (500, 3))
    found = np.array(run_lab(empty, "values.map(lab.labToRgb)", wide.tolist()))
    expected = 255 * np.asarray(jaxcolor.color.lab_to_rgb(wide.astype(np.float32)))
    assert np.abs(found - expected).max() < 0.5


def test_the_palette_is_of_the_photos_lightness_and_within_the_gamut(empty: Page) -> None:
    for lightness in (3, 20, 50, 75, 97):
        rows = run_lab(empty, "lab.plausible(values)", lightness)
        seen = lab(np.array([[rgb(each["colour"]) for each in row] for row in rows]))
        assert np.abs(seen[..., 0] - lightness).max() < 1
        assert (np.diff(np.hypot(seen[..., 1], seen[..., 2]), axis=0) > 0).all()
        for row in rows:
            assert len({each["name"] for each in row}) == len(row)


def test_colours_have_the_names_that_people_give_them(empty: Page) -> None:
    names = {
        **{"#ff0000": "red", "#8b4513": "brown", "#ffff00": "yellow", "#2e8b57": "green"},
        **{"#0000ff": "blue", "#000080": "dark blue", "#87ceeb": "sky blue", "#ffc0cb": "pink"},
        **{"#800080": "purple", "#c0c0c0": "light grey", "#ffffff": "white", "#000000": "black"},
    }
    assert run_lab(empty, "values.map(lab.nameOf)", list(names)) == list(names.values())
    read = {"red": "#ff0000", " #A03020": "#a03020", "a03020": "#a03020", "#fff": "#ffffff"}
    unread = {"black": "#000000", "reddish": None, "": None, "transparent": None, "#12345": None}
    table = read | unread
    assert run_lab(empty, "values.map(lab.parsed)", list(table)) == list(table.values())


# -- click, colour, drag ---------------------------------------------------------------------------


def test_a_click_a_colour_and_the_download(page: Page, url: str) -> None:
    page.mouse.click(*point(page, 0.3, 0.6))
    expect(page.get_by_role("dialog", name="Which colour is it here?")).to_be_visible()
    expect(page.locator("#automatic")).to_be_enabled()
    place = page.locator(".dot").evaluate("({style}) => [style.left, style.top].map(parseFloat)")
    automatic = pixel(page, place[0] / 100, place[1] / 100)
    assert np.abs(rgb(page.input_value("#automatic")) - automatic).max() <= 1
    ring = page.locator("#ring input")
    shades = [rgb(value) for value in ring.evaluate_all("all => all.map(each => each.value)")]
    grey = lab(pixel(page, 0.3, 0.6, "grey"))[0]
    assert np.abs(lab(np.array(shades))[:, 0] - grey).max() < 1
    # One colour after another is tried, and the photo follows.
    for swatch in (ring.nth(21), ring.nth(13)):
        with page.expect_request(asks(swatch.input_value())):
            swatch.click()
    screenshots.wait_until_done(page)
    wanted = rgb(ring.nth(13).input_value())
    page.get_by_role("button", name="Done").click()
    assert np.linalg.norm((lab(pixel(page, 0.3, 0.6)) - lab(wanted))[1:]) < 4
    assert labels(page)[0].startswith("Hint 1, ")
    assert labels(page)[0].endswith(", 30 % across, 60 % down")

    with page.expect_download() as download, page.expect_request("**/v1/colorize?**") as request:
        page.click("#download")
    (hint,) = sent(request.value)
    assert hint["colour"] == page.locator(".dot").evaluate(
        "each => each.style.getPropertyValue('--swatch')"
    )
    content = Path(download.value.path()).read_bytes()
    answer = httpx.post(
        f"{url}v1/colorize",
        params={"hints": json.dumps([hint])},
        content=jpeg()["buffer"],
        timeout=HANG,
    )
    assert content == answer.content


def test_dragged_changed_undone_removed(page: Page) -> None:
    put(page, 0.2, 0.2, "red")
    put(page, 0.7, 0.7, "#3060a0")
    page.mouse.move(*point(page, 0.2, 0.2))
    page.mouse.down()
    page.mouse.move(*point(page, 0.3, 0.3), steps=3)
    with page.expect_request(asks("#ff0000", "#3060a0", first=at(0.4, 0.5))) as request:
        page.mouse.move(*point(page, 0.4, 0.5), steps=3)
        page.mouse.up()
    assert at(0.7, 0.7)(sent(request.value)[1])
    expect(page.locator("#palette")).to_be_hidden()  # the end of a drag is no click

    page.mouse.click(*point(page, 0.4, 0.5))
    expect(page.get_by_role("dialog", name="Hint 1")).to_be_visible()
    page.locator("#neutral").check()
    page.locator("#keep").check()
    near = asks("keep", "#3060a0", first=lambda hint: hint.get("radius") == 0.1)
    with page.expect_request(near) as request:
        page.select_option("#reach", "0.1")
    assert "radius" not in sent(request.value)[1]
    page.get_by_role("button", name="Done").click()
    assert "left as it is, 40 % across, 50 % down" in labels(page)[0]

    page.keyboard.press("Control+z")  # what was chosen in one palette is one step
    assert "red, 40 %" in labels(page)[0]
    page.keyboard.press("Control+z")
    assert "red, 20 %" in labels(page)[0]
    page.keyboard.press("Control+Shift+z")
    page.get_by_role("button", name="Redo").click()
    assert "left as it is, 40 %" in labels(page)[0]
    expect(page.get_by_role("button", name="Redo")).to_be_disabled()

    page.mouse.click(*point(page, 0.4, 0.5))
    with page.expect_request(asks("#3060a0")):
        page.get_by_role("button", name="Remove", exact=True).click()
    assert [label.split(",")[0] for label in labels(page)] == ["Hint 1"]
    page.get_by_role("button", name="Remove all").click()
    assert labels(page) == []
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+y")
    assert len(labels(page)) == 1
    for _ in range(9):
        page.get_by_role("button", name="Undo").click(force=True)
    assert labels(page) == []


def test_the_pipette_takes_what_is_seen(page: Page) -> None:
    with page.expect_request(asks("#ff0000")):
        put(page, 0.2, 0.5, "red")
    screenshots.wait_until_done(page)
    seen = pixel(page, 0.8, 0.3)
    page.mouse.click(*point(page, 0.2, 0.5))
    page.get_by_role("button", name="Take from photo").click()
    expect(page.locator("#palette")).to_be_hidden()
    page.mouse.move(*point(page, 0.8, 0.3))
    expect(page.locator("#lens")).to_be_visible()
    with page.expect_request(lambda request: "hints" in request.url) as request:
        page.mouse.click(*point(page, 0.8, 0.3))
    (hint,) = sent(request.value)
    assert np.abs(rgb(hint["colour"]) - seen).max() < 8  # a pixel of the screen is some of it
    assert (hint["x"], hint["y"]) == pytest.approx((0.2, 0.5), abs=0.01)
    expect(page.get_by_role("dialog", name="Hint 1")).to_be_visible()
    page.get_by_role("button", name="Take from photo").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Hint 1")).to_be_visible()
    assert page.input_value("#typed") == hint["colour"]


# -- the keyboard alone ----------------------------------------------------------------------------


def test_by_keyboard_alone(url: str, chromium: Browser) -> None:
    with tabs(chromium) as context:
        page = context.new_page()
        page.goto(url)
        drop(page, jpeg())
        screenshots.wait_until_done(page)
        press = page.keyboard.press

        def focused(what: str = "id") -> str:
            found: str = page.evaluate(f"document.activeElement.{what}")
            return found

        page.focus("#files")
        press("Tab")
        press("ArrowRight")
        assert focused() == "mode-hints"
        while focused() != "aim":
            press("Tab")
        for _ in range(3):
            press("ArrowLeft")
        press("Shift+ArrowUp")
        assert focused("ariaLabel") == "Put a hint at 47 % across, 45 % down"
        expect(page.locator("#hint-said")).to_have_text("47 % across, 45 % down")
        press("Enter")
        expect(page.locator("#automatic")).to_be_enabled()
        assert focused() == "neutral"
        press("ArrowRight")
        press("ArrowRight")  # the first of the ring
        press("ArrowDown")
        first = page.locator("#ring input").nth(12)
        expect(first).to_be_checked()
        colour = first.input_value()
        with page.expect_request(asks(colour)):
            press("Enter")
        expect(page.locator("#palette")).to_be_hidden()
        expect(page.locator("#hint-said")).to_contain_text("Hint 1: ")
        assert focused("ariaLabel").startswith("Hint 1, ")

        step = asks(colour, first=lambda hint: hint["x"] == 0.49)
        with page.expect_request(step):
            press("ArrowRight")
            press("ArrowRight")
        assert focused("ariaLabel").endswith("49 % across, 45 % down")
        back = asks(colour, first=lambda hint: hint["x"] == 0.47)
        with page.expect_request(back):
            press("Control+z")  # steps of one dot are one
        assert focused("ariaLabel").endswith("47 % across, 45 % down")
        screenshots.wait_until_done(page)  # or the photo changes under the pipette

        press("Enter")
        while focused() != "pipette":
            press("Tab")
        press("Enter")
        assert focused("ariaLabel").startswith("Take the colour at 47 %")
        press("Shift+ArrowRight")
        seen = pixel(page, 0.52, 0.45)
        press("Enter")
        expect(page.locator("#palette")).to_be_visible()
        assert np.abs(rgb(page.input_value("#typed")) - seen).max() <= 1
        press("Escape")
        assert focused("ariaLabel").startswith("Hint 1, ")
        press("Delete")
        assert focused() == "aim"
        assert labels(page) == []
        expect(page.locator("#hint-said")).to_have_text("Hint 1 removed")


# -- files, photos, tabs ---------------------------------------------------------------------------


def test_saved_and_loaded(page: Page, tmp_path: Path) -> None:
    put(page, 0.25, 0.5, "#a03020")
    page.mouse.click(*point(page, 0.75, 0.5))
    page.locator("#keep").check()
    page.get_by_role("button", name="Done").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save hints").click()
    assert download.value.suggested_filename == "harbour.hints.json"
    saved = json.loads(Path(download.value.path()).read_text())
    assert [hint["colour"] for hint in saved] == ["#a03020", "keep"]
    assert [(hint["x"], hint["y"]) for hint in saved] == [
        pytest.approx((x, 0.5), abs=0.01) for x in (0.25, 0.75)
    ]
    page.get_by_role("button", name="Remove all").click()
    file = tmp_path / "harbour.hints.json"
    file.write_text(json.dumps([*saved, {"x": 0, "y": 0.9, "colour": [0, 0, 128], "radius": 0.2}]))
    with page.expect_request(asks("#a03020", "keep", "#000080")) as request:
        page.set_input_files("#load-hints", file)
    assert sent(request.value)[:2] == saved
    assert sent(request.value)[2]["radius"] == 0.2
    page.keyboard.press("Control+z")
    assert labels(page) == []
    with page.expect_request(asks("neutral")):
        content = json.dumps({"hints": [{"x": 0.5, "y": 0.5, "colour": "neutral"}]}).encode()
        drop(page, {"name": "other.json", "mimeType": "", "buffer": content})


BAD = {
    "no JSON": "it is not JSON",
    '{"x": 1}': "it has no list",
    '[{"x": 2, "y": 0.5, "colour": "red"}]': "Hint 1: x and y must be shares",
    '[{"x": "0.5", "y": 0.5, "colour": "red"}]': "Hint 1: x and y must be shares",
    '[{"x": 30, "y": 40, "colour": "red"}]': "Hint 1: x and y count pixels",
    '[{"x": 0.5, "y": 0.5, "colour": "reddish"}]': "Hint 1: “reddish” is no colour",
    '[{"x": 0.5, "y": 0.5, "colour": "red", "radius": 2}]': "Hint 1: radius must be a share",
    "[null]": "Hint 1: x and y must be shares",
}


def test_a_wrong_file_is_told_in_words_and_changes_nothing(page: Page, tmp_path: Path) -> None:
    put(page, 0.5, 0.5, "red")
    most = json.loads(page.locator("body").get_attribute("data-hints") or "")["most"]
    many = json.dumps([{"x": 0.5, "y": 0.5, "colour": "red"}] * (most + 1))
    file = tmp_path / "wrong.hints.json"
    for content, words in (BAD | {many: f"It has {most + 1} hints; at most {most}"}).items():
        file.write_text(content)
        page.set_input_files("#load-hints", file)
        message = page.get_by_role("alert").get_by_role("listitem")
        expect(message).to_contain_text(words)
        page.get_by_role("button", name="Dismiss").click()
        assert len(labels(page)) == 1
    # So many as there may be are taken, and no more can be added.
    file.write_text(json.dumps(json.loads(many)[1:]))
    page.set_input_files("#load-hints", file)
    expect(page.locator(".dot")).to_have_count(most)
    page.mouse.click(*point(page, 0.1, 0.1))
    expect(page.locator("#hint-said")).to_have_text(f"A photo has at most {most} hints.")
    with page.expect_response(lambda answer: len(sent(answer.request)) == most) as answer:
        page.locator(".dot").first.focus()
        page.keyboard.press("Shift+ArrowUp")
    assert answer.value.status == 200


def test_hints_belong_to_their_photo(page: Page) -> None:
    put(page, 0.5, 0.5, "red")
    begin(page, "street.jpg", 260)
    assert labels(page) == []
    put(page, 0.25, 0.5, "green")
    assert len(labels(page)) == 1
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")  # no step of the other photo
    page.get_by_role("button", name="harbour.jpg").click()
    assert labels(page) == ["Hint 1, red, 50 % across, 50 % down"]
    page.get_by_role("button", name="street.jpg").click()
    page.keyboard.press("Control+y")
    assert labels(page) == ["Hint 1, leaf green, 25 % across, 50 % down"]
    with page.expect_request(asks_in_full("#ff0000")), page.expect_request(asks_in_full("#008000")):
        page.get_by_role("button", name="Download all").click()


def asks_in_full(colour: str) -> Any:
    return lambda request: "fit=" not in request.url and colours(request) == [colour]


def test_two_tabs_do_not_know_of_each_other(url: str, chromium: Browser) -> None:
    with tabs(chromium) as context:
        both = [context.new_page() for _ in range(2)]
        for tab in both:
            tab.goto(url)
            begin(tab)
        for tab, colour, sent_as in zip(both, ("red", "navy"), ("#ff0000", "#000080"), strict=True):
            with tab.expect_request(asks(sent_as)):
                put(tab, 0.5, 0.5, colour)
        for tab, colour in zip(both, ("red", "dark blue"), strict=True):
            screenshots.wait_until_done(tab)
            assert labels(tab) == [f"Hint 1, {colour}, 50 % across, 50 % down"]
        red, blue = (lab(pixel(tab, 0.5, 0.5)) for tab in both)
        assert red[2] > 5 > -5 > blue[2]


def test_on_a_phone(url: str, chromium: Browser) -> None:
    screen = {"width": 360, "height": 740}
    with tabs(chromium, viewport=screen, is_mobile=True, has_touch=True) as context:
        page = context.new_page()
        page.goto(url)
        begin(page, "tall.jpg", 150)
        page.touchscreen.tap(*point(page, 0.4, 0.9))
        palette = page.locator("#palette")
        expect(palette).to_be_visible()
        expect(page.locator("#automatic")).to_be_enabled()
        box, dot = palette.bounding_box(), page.locator(".dot").bounding_box()
        assert box is not None
        assert dot is not None
        assert (box["x"], box["width"], round(box["y"] + box["height"])) == (0, 360, 740)
        assert dot["y"] + dot["height"] <= box["y"]
        sides = "all => all.flatMap(({offsetWidth, offsetHeight}) => [offsetWidth, offsetHeight])"
        assert min(page.locator("#palette [type=radio]").evaluate_all(sides)) >= 24
        with page.expect_request(lambda request: len(sent(request)) == 1):
            page.locator("#ring input").nth(20).tap()
        page.get_by_role("button", name="Done").tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_fifty_megapixels_travel_once(empty: Page, tmp_path: Path) -> None:
    """The hints' previews are made of the small grey one."""
    page, file = empty, tmp_path / "huge.jpg"
    rng = np.random.default_rng(0)
    grain = Image.fromarray(rng.integers(60, 200, (250, 250), np.uint8))
    tile = np.asarray(grain.resize((1000, 1000), Image.Resampling.BICUBIC))
    Image.fromarray(np.tile(tile, (5, 10))).save(file, "JPEG")
    page.set_input_files("#files", file)
    screenshots.wait_until_done(page)
    page.get_by_role("radio", name="Your colours").check(force=True)
    with page.expect_request(asks("#ff0000")) as request:
        put(page, 0.5, 0.5, "red")
    screenshots.wait_until_done(page)
    assert 10_000 < 4 * int(request.value.all_headers()["content-length"]) < file.stat().st_size
    with page.expect_download() as download, page.expect_request(asks_in_full("#ff0000")):
        page.click("#download")
    with Image.open(download.value.path()) as image:
        assert image.size == (10_000, 5000)
