"""Tests of colours by hand on the page, whoever makes them: with the server, and without one."""

from __future__ import annotations

from browsing import point, put
from playwright.sync_api import Page, expect

__all__ = [
    "test_a_place_without_a_colour_is_no_hint",
    "test_everything_has_a_name",
    "test_the_divider_is_as_before",
]


def test_a_place_without_a_colour_is_no_hint(page: Page) -> None:
    page.mouse.click(*point(page, 0.5, 0.5))
    expect(page.locator(".dot.fresh")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".dot")).to_have_count(0)
    page.mouse.click(*point(page, 0.5, 0.5))
    page.fill("#typed", "reddish")
    page.keyboard.press("Enter")
    problem = "document.getElementById('typed').validationMessage"
    assert page.evaluate(problem).startswith("No such colour")
    expect(page.locator("#palette")).to_be_visible()
    page.mouse.click(*point(page, 0.1, 0.1))  # another place instead
    expect(page.locator(".dot")).to_have_count(1)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_the_divider_is_as_before(page: Page) -> None:
    put(page, 0.5, 0.5, "red")
    page.get_by_role("radio", name="Compare").check(force=True)
    expect(page.locator(".dot")).to_be_hidden()
    page.mouse.click(*(point_of_picture(page, 0.8, 0.2)))
    assert abs(float(page.input_value("#split")) - 80) <= 2
    expect(page.locator("#palette")).to_be_hidden()
    expect(page.locator("#hint-count")).to_have_text("1")


def point_of_picture(page: Page, x: float, y: float) -> tuple[float, float]:
    box = page.locator("#pictures").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def test_everything_has_a_name(page: Page) -> None:
    put(page, 0.34, 0.2, "red")
    page.mouse.click(*point(page, 0.34, 0.2))
    tree = page.locator("#work").aria_snapshot()
    for line in (
        'radio "Compare"',
        'radio "Your colours 1" [checked]',
        'button "Undo"',
        'button "Hint 1, red, 34 % across, 20 % down"',
        'dialog "Hint 1"',
        'radio "Automatic"',
        'radio "Grey"',
        'radio "Leave as is"',
        'textbox "A colour\'s name or number"',
        'button "Take from photo"',
        'button "Save hints"',
        'button "Load hints"',
        '- status: "Hint 1: red"',
    ):
        assert line in tree, tree
