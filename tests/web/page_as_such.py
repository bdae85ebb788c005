"""Tests of the page, whoever makes the colours: with the server, and without one.

The module that imports them has the fixtures `page`, `url`, `chromium`, `is_right` and `most`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from browsing import chroma, drop, jpeg, picture, screenshots, tabs
from PIL import Image
from playwright.sync_api import Browser, Page, expect

__all__ = [
    "test_an_example_on_a_phone",
    "test_dropped_compared_turned_downloaded",
    "test_everything_has_a_name_and_can_be_reached_by_keyboard",
    "test_refusals_are_understood",
    "test_several_by_dialog_and_a_format",
]

# Of a result, its photo and the saturation that was wished: asserts that it is what it should be.
IsRight: TypeAlias = Callable[[bytes, bytes, float], None]


@pytest.mark.slow
def test_dropped_compared_turned_downloaded(page: Page, is_right: IsRight) -> None:
    photo = jpeg()
    drop(page, photo)
    screenshots.wait_until_done(page)
    seen = picture(page)
    left, right = seen[:, 20 : seen.shape[1] // 2 - 30], seen[:, seen.shape[1] // 2 + 30 : -20]
    assert chroma(left) < 1 < 3 < chroma(right)

    # The divider: by keyboard, and by hand.
    page.focus("#split")
    page.keyboard.press("Home")
    whole = picture(page)
    assert chroma(whole[:, 40 : seen.shape[1] // 2 - 30]) > 3
    box = page.locator("#pictures").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 30)
    assert abs(float(page.input_value("#split")) - 80) <= 2
    page.focus("#split")
    page.keyboard.press("Home")

    # Saturation, by keyboard.
    page.focus("#saturation")
    before = page.get_attribute("#colour", "src") or ""
    page.keyboard.press("End")
    expect(page.locator("#saturation-value")).to_have_text("2.00")
    expect(page.locator("#colour")).not_to_have_attribute("src", before)
    screenshots.wait_until_done(page)
    assert chroma(picture(page)) > 1.4 * chroma(whole)

    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "harbour.color.jpg"
    content = Path(download.value.path()).read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        assert (image.size, image.format, image.info["dpi"]) == ((300, 200), "JPEG", (300, 300))
        assert image.getexif()[0x010E] == "the harbour"
    is_right(content, photo["buffer"], 2.0)
    expect(page.locator("#saved")).to_contain_text("harbour.color.jpg, 300")


def test_several_by_dialog_and_a_format(page: Page) -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#drop")
    chooser.value.set_files(files=[jpeg("one.jpg", 200), jpeg("two.jpeg", 250)])
    expect(page.locator("#photos img[src]")).to_have_count(2)
    expect(page.locator("#name")).to_have_text("one.jpg")
    page.get_by_role("button", name="two.jpeg").click()
    expect(page.locator("#name")).to_have_text("two.jpeg")
    page.select_option("#format", "png")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "two.color.png"
    with Image.open(download.value.path()) as image:
        assert (image.format, image.size) == ("PNG", (250, 200))


def huge_png() -> bytes:
    """A whole PNG of 3 GB of pixels in some megabytes."""
    side, block = 32_000, 32_000_000
    packer = zlib.compressobj(9, wbits=-15)
    zeros = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    count = side * (1 + 3 * side)  # each row begins with the number of its filter
    end = zlib.compressobj(9, wbits=-15)
    rest = end.compress(bytes(count % block)) + end.flush()
    adler = struct.pack(">HH", count % 65521, 1)  # of so many zeros
    data = b"\x78\xda" + zeros * (count // block) + rest + adler

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content)
        for kind, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "letter.txt": (lambda: b"Dear all, " * 50, "The file is not a photo."),
    "huge.png": (huge_png, "has 32,000 x 32,000 pixels"),
    "half.jpg": (lambda: jpeg()["buffer"][:900], "The photo cannot be read"),
}


def test_refusals_are_understood(page: Page, tmp_path: Path, most: str) -> None:
    for name, (content, words) in REFUSED.items():
        (tmp_path / name).write_bytes(content())
        page.set_input_files("#files", tmp_path / name)
        message = page.get_by_role("alert").get_by_role("listitem").filter(has_text=name)
        expect(message).to_contain_text(words)
        if name == "huge.png":
            expect(message).to_contain_text(most)
        page.get_by_role("button", name=f"Dismiss: {name}").click()
        expect(message).to_have_count(0)
    expect(page.locator("#examples")).to_be_visible()  # and the page is as before


def test_an_example_on_a_phone(url: str, chromium: Browser) -> None:
    screen = {"width": 360, "height": 740}
    with tabs(chromium, viewport=screen, is_mobile=True, has_touch=True) as context:
        page = context.new_page()
        page.goto(url)
        assert fits(page)
        page.get_by_role("button", name="Boats in a river").tap()
        screenshots.wait_until_done(page)
        drop(page, {"name": "a-long-name-" * 9 + ".txt", "mimeType": "", "buffer": b"no photo"})
        expect(page.locator("#refusals li")).to_be_visible()
        assert fits(page)


def fits(page: Page) -> bool:
    wide = page.evaluate("document.documentElement.scrollWidth")
    return bool(wide <= page.evaluate("innerWidth") <= 360)


def test_everything_has_a_name_and_can_be_reached_by_keyboard(page: Page) -> None:
    drop(page, jpeg())
    screenshots.wait_until_done(page)
    reached = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    wanted = [
        "files",
        "mode-compare",
        "split",
        "saturation",
        "refine",
        "model",
        "format",
        "download",
    ]
    assert reached[: len(wanted)] == wanted
    tree = page.locator("body").aria_snapshot()
    for line in (
        '- heading "jaxcolor" [level=1]',
        'slider "Grey to the left, colour to the right of"',
        'slider "Saturation"',
        'slider "Refinement"',
        'combobox "Model"',
        'combobox "Save as"',
        'img "harbour.jpg in colour"',
        'button "Download full size"',
        "- status: Ready",
    ):
        assert line in tree, tree
