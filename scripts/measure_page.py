"""Measures how soon the page shows a colour that was chosen on it.

python scripts/measure_page.py               # on this machine, in the system's Chromium
python scripts/measure_page.py --megapixels 50
python scripts/measure_page.py --static build/static             # the page without a server
python scripts/measure_page.py --static build/static --compare   # its colours beside the package's

A server is started for the first two. The time is from the choice of a colour in the palette until
the photo that has it is on the screen: the page's pause, the request, and the browser's work.
Without a server it is from the choice of the photo to its preview, and from the button to the file;
processor time is that of all the browser's processes.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from pathlib import Path

import click
import httpx
import numpy as np
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
@click.option(
    "--static",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Instead: a folder of scripts/static_page.py.",
)
@click.option(
    "--compare", is_flag=True, help="Of that: how far its colours are from the package's."
)
def main(megapixels: float, times: int, static: Path | None, compare: bool) -> None:
    """Choose one colour after another, and wait for each."""
    if static is not None:
        _without_server(static, megapixels, compare)
        return
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


def _without_server(folder: Path, megapixels: float, compare: bool) -> None:
    photo = _photo(megapixels)
    with browser() as chromium, tempfile.TemporaryDirectory() as made:
        page = chromium.new_context(offline=True, screen=_SCREEN, viewport=_SCREEN).new_page()
        page.goto((folder / "index.html").resolve().as_uri())
        page.locator("#model option").first.wait_for(state="attached")  # it is loaded
        start = time.perf_counter(), _processor()
        page.set_input_files("#files", files=[photo])
        wait_until_done(page)
        seen = time.perf_counter(), _processor()
        with page.expect_download(timeout=300_000) as download:
            page.click("#download")
        result = Path(made, "result.jpg")
        download.value.save_as(result)
        end = time.perf_counter(), _processor()
        click.echo(
            f"{megapixels:g} megapixels: seen after {seen[0] - start[0]:.1f} s"
            f" ({seen[1] - start[1]:.1f} s of a processor), then in full size after"
            f" {end[0] - seen[0]:.1f} s ({end[1] - seen[1]:.1f} s of a processor)"
        )
        if compare:
            _compare(Image.open(io.BytesIO(photo["buffer"])), Image.open(result))


def _compare(photo: Image.Image, result: Image.Image) -> None:
    import jaxcolor

    own = jaxcolor.colorize(jaxcolor.load(), photo)
    found, expected, grey = (
        np.asarray(jaxcolor.color.rgb_to_lab(np.asarray(image.convert("RGB")) / np.float32(255)))
        for image in (result, own, photo)
    )
    ab = np.linalg.norm((found - expected)[..., 1:], axis=-1)
    lightness = np.abs(found - grey)[..., 0]
    click.echo(f"ab: mean distance {ab.mean():.2f}, 99 % within {np.quantile(ab, 0.99):.2f}")
    click.echo(f"L: mean difference from the photo {lightness.mean():.2f}")


def _processor() -> float:
    """Seconds of a processor that processes started from here have taken; Linux."""
    parents, seconds = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended
        number = int(file.parent.name)
        parents[number] = int(fields[1])
        seconds[number] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    ours = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(seconds.get(number, 0.0) for number in ours - {os.getpid()})


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
