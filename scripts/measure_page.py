"""Measures how soon the page shows a colour that was chosen on it.

python scripts/measure_page.py               # on this machine, in the system's Chromium
python scripts/measure_page.py --megapixels 50

A server is started for it. The time is from the choice of a colour in the palette until the photo
that has it is on the screen: the page's pause, the request, and the browser's work.
"""

from __future__ import annotations

import io
import statistics

import click
import httpx
from load_api import figures, served
from PIL import Image
from playwright.sync_api import FilePayload, Page, ViewportSize
from screenshots import EXAMPLES, browser, wait_until_done

_SCREEN = ViewportSize(width=1920, height=1080)
_CHOOSE = """number => new Promise((done) => {
    const start = performance.now();
    const said = () => done((performance.now() - start) / 1000);
    document.getElementById("colour").addEventListener("load", said, { once: true });
    document.querySelectorAll("#ring input")[number].click();
})"""


@click.command()
@click.option("--megapixels", default=12.0, show_default=True, help="Of the photo.")
@click.option("--times", default=9, show_default=True, help="Colours that are chosen.")
def main(megapixels: float, times: int) -> None:
    """Choose one colour after another, and wait for each."""
    with served("--weights", "pyramid") as (url, _), browser() as chromium:
        page = chromium.new_page(screen=_SCREEN, viewport=_SCREEN)
        page.goto(url)
        page.set_input_files("#files", files=[_photo(megapixels)])
        wait_until_done(page)
        page.get_by_role("radio", name="Your colours").check(force=True)
        page.locator("#dots").click()
        page.locator("#automatic:enabled").wait_for()
        _chosen(page, url, 0)  # compiles
        seconds, processor = zip(*(_chosen(page, url, i + 1) for i in range(times)), strict=True)
        width, height = page.evaluate("[colour.naturalWidth, colour.naturalHeight]")
    click.echo(
        f"{megapixels:g} megapixels, shown as {width} x {height}:"
        f" median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s;"
        f" the server's processor time {statistics.median(processor):.2f} s"
    )


def _photo(megapixels: float) -> FilePayload:
    """The canyon of 1871, enlarged."""
    image = Image.open(EXAMPLES / "black-canyon-1871.jpg").convert("L")
    scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    file = io.BytesIO()
    image.resize((round(image.width * scale), round(image.height * scale))).save(file, "JPEG")
    return FilePayload(name="canyon.jpg", mimeType="image/jpeg", buffer=file.getvalue())


def _chosen(page: Page, url: str, number: int) -> tuple[float, float]:
    """Chooses a colour: seconds until it is seen, and processor time of the server."""
    with httpx.Client(base_url=url) as client:
        before = figures(client)["process_cpu_seconds_total"]
        seconds: float = page.evaluate(_CHOOSE, number)
        return seconds, figures(client)["process_cpu_seconds_total"] - before


if __name__ == "__main__":
    main()
