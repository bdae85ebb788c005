"""The page in a browser: what its test modules share."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import skimage.color
import tiny_network
from patience import HANG
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, expect

TESTS = Path(__file__).parents[1]
SCRIPTS = TESTS.parent / "scripts"


def script(name: str) -> ModuleType:
    """scripts/NAME.py as a module."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


load_api, screenshots = script("load_api"), script("screenshots")
expect.set_options(timeout=1000 * HANG)
# (weights file) -> a server that colours by the tiny network: see `load_api.served`.
served = functools.partial(load_api.served, "--weights", program=(str(tiny_network.COMMAND),))


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """The system's browser; without one the test is skipped, and fails where it must be there."""
    if screenshots.find_chromium() is None:
        reason = "no Chromium on this machine: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with screenshots.browser(*flags) as browser:
        yield browser


@contextlib.contextmanager
def tabs(chromium: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A browser's window, with nothing stored."""
    with contextlib.closing(chromium.new_context(**options)) as made:
        made.set_default_timeout(1000 * HANG)
        yield made


def jpeg(name: str = "harbour.jpg", width: int = 300) -> FilePayload:
    """A photo with metadata, as a file that is dropped."""
    exif = Image.Exif()
    exif[0x010E] = "the harbour"
    rng = np.random.default_rng(width)
    soft = Image.fromarray(rng.integers(0, 256, (7, 9), np.uint8)).resize((width, 200))
    file = io.BytesIO()
    soft.save(file, "JPEG", exif=exif, dpi=(300, 300), quality=90)
    return {"name": name, "mimeType": "image/jpeg", "buffer": file.getvalue()}


def drop(page: Page, *files: FilePayload) -> None:
    """As a hand that lets files go over the page."""
    given = [[list(file["buffer"]), file["name"], file["mimeType"]] for file in files]
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [bytes, name, type] of files)
                transfer.items.add(new File([new Uint8Array(bytes)], name, {type}));
            return transfer;
        }""",
        given,
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": transfer})


def picture(page: Page) -> np.ndarray:
    """What is seen of the photo."""
    page.evaluate(
        """async () => {
            await Promise.allSettled([...document.images].map(each => each.decode()));
            await Promise.allSettled(document.getAnimations().map(each => each.finished));
        }"""
    )
    return np.asarray(Image.open(io.BytesIO(page.locator("#pictures").screenshot())).convert("RGB"))


def chroma(pixels: np.ndarray) -> float:
    return float(np.ptp(pixels.astype(int), axis=-1).mean())


def begin(page: Page, name: str = "harbour.jpg", width: int = 300) -> None:
    drop(page, jpeg(name, width))
    screenshots.wait_until_done(page)
    page.get_by_role("radio", name="Your colours").check(force=True)


def point(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where on the screen a place of the photo is."""
    box = page.locator("#dots").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def put(page: Page, x: float, y: float, colour: str) -> None:
    """Clicks a place, types its colour and closes the palette."""
    page.mouse.click(*point(page, x, y))
    page.fill("#typed", colour)
    page.keyboard.press("Enter")
    expect(page.locator("#palette")).to_be_hidden()


def lab(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(skimage.color.rgb2lab(rgb / 255))


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def labels(page: Page) -> list[str]:
    found: list[str] = page.locator(".dot").evaluate_all("all => all.map(each => each.ariaLabel)")
    return found
