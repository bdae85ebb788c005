"""Makes the pictures of the page in docs/images: empty, a result, colours by hand, an error.

python scripts/screenshots.py -o docs/images

Needs a Chromium or Chrome of the system, and `pip install -e '.[test]'` for Playwright.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from load_api import served
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright

EXAMPLES = Path(__file__).parents[1] / "examples"
# Quiet ones: no look for updates, no account, no sandbox where root runs it.
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_LETTER = FilePayload(name="letter.txt", mimeType="text/plain", buffer=b"Dear all, " * 99)
# Where, which colour, and how far it reaches: sky, water, sand, and the box on the boat.
_HINTS = (
    (0.62, 0.15, "#8fb4d8", ""),
    (0.74, 0.7, "#5c6f7c", ""),
    (0.5, 0.9, "#a98c66", ""),
    (0.335, 0.765, "#8c2f22", "0.04"),
)
_SCREENS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1200, "height": 860}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}


def find_chromium() -> str | None:
    """The system's browser that the pages are looked at with."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


@contextlib.contextmanager
def browser(*flags: str) -> Iterator[Browser]:
    """A headless Chromium with a fresh profile.

    Raises:
      FileNotFoundError: the system has none.
    """
    executable = find_chromium()
    if executable is None:
        raise FileNotFoundError("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=executable, args=[*_FLAGS, *flags])
        yield found
        found.close()


def wait_until_done(page: Page) -> None:
    """Returns when the photo that is shown has its colours."""
    expect(page.locator("#status")).to_contain_text("Ready", timeout=300_000)
    expect(page.locator("#colour")).to_be_visible(timeout=300_000)


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(output: Path) -> None:
    """Look at the page as a newcomer sees it."""
    with served() as (url, _), browser() as chromium:
        for screen, options in _SCREENS.items():
            page = chromium.new_context(**options).new_page()
            page.goto(url, wait_until="networkidle")
            _save(page, output / f"page-empty-{screen}.jpg")
            page.set_input_files("#files", EXAMPLES / "black-canyon-1871.jpg")
            wait_until_done(page)
            _save(page, output / f"page-result-{screen}.jpg")
            _colour_by_hand(page)
            _save(page, output / f"page-hints-{screen}.jpg")
            page.goto(url, wait_until="networkidle")
            page.set_input_files("#files", files=_LETTER)
            expect(page.locator("#refusals li")).to_be_visible()
            _save(page, output / f"page-error-{screen}.jpg")


def _colour_by_hand(page: Page) -> None:
    """Hints for the canyon's photo, the palette of the first one open."""
    page.get_by_role("radio", name="Your colours").check(force=True)
    for x, y, colour, reach in _HINTS:
        box = page.locator("#dots").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.select_option("#reach", reach)
        page.fill("#typed", colour)
        page.keyboard.press("Enter")
    page.locator(".dot").first.click()
    expect(page.locator("#automatic")).to_be_enabled(timeout=300_000)
    wait_until_done(page)


def _save(page: Page, path: Path) -> None:
    page.wait_for_timeout(400)  # pictures fade in
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.thumbnail((900, 900))
    image.save(path, quality=80, optimize=True)
    click.echo(f"{path}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
