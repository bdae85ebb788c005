"""What docs/hints.md says of hints, beside scripts/evaluate.py: what they leave alone, their time.

python scripts/measure_hints.py contained PHOTOS...
python scripts/measure_hints.py seconds
python scripts/measure_hints.py picture examples/airplane-1929.jpg --hint 0.3,0.5=red -o out.jpg
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from PIL import Image, ImageDraw
from sheet import GAP

from jaxcolor import hints

PHOTO = Path("examples/march-pastoral-1888.jpg")
LEVELS = 60  # of the flood
LEAST, MOST = 0.01, 0.4  # area of a region, as a share of the photo's
DEEP = 8  # pixels of 256 from the region's middle to its rim, at least
RIM = 3  # pixels of 256 around the region that are the edge itself


@click.group()
def main() -> None:
    """Measure hints."""


class Region(NamedTuple):
    """What the strongest closed edge of a photo is round, with its holes, and its middle."""

    inside: np.ndarray
    y: int
    x: int


def region(lightness: np.ndarray) -> Region | None:
    """Floods the photo by its steepness: that of L, blurred by 2 pixels.

    From the highest level down, the first at which a basin of a middling area stands alone: every
    way out of it is at least as steep as that level, and no other such basin's edge is higher.
    """
    from scipy import ndimage

    steep = ndimage.gaussian_gradient_magnitude(lightness, 2.0, mode="nearest")
    for level in np.geomspace(0.3, steep.max(), LEVELS)[::-1]:
        basins, count = ndimage.label(steep < level)
        for number in range(1, count + 1):
            inside = basins == number
            if not LEAST <= inside.mean() <= MOST:
                continue
            depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
            if depth.max() >= DEEP:
                y, x = np.unravel_index(depth.argmax(), depth.shape)
                return Region(ndimage.binary_fill_holes(inside), int(y), int(x))
    return None


@main.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def contained(photos: tuple[Path, ...]) -> None:
    """How far strong red goes beyond the strongest closed edge around it."""
    from scipy import ndimage

    import jaxcolor
    from jaxcolor import evaluation, metrics

    params = jaxcolor.load()
    shares = []
    for photo in photos:
        grey = evaluation.grey_of(evaluation.central_square(evaluation.read_rgb(photo)))
        found = region(np.asarray(metrics.picture_to_lab(grey))[..., 0])
        if found is None:
            click.echo(f"{photo}: no region with a closed edge", err=True)
            continue
        hint = jaxcolor.Hint(found.x, found.y, "red")
        plain, red = (
            metrics.picture_to_lab(jaxcolor.colorize(params, grey, hints=some))[..., 1:]
            for some in ([], [hint])
        )
        moved = np.linalg.norm(np.asarray(red - plain), axis=-1)
        beyond = ~ndimage.binary_dilation(found.inside, iterations=RIM)
        shares.append((moved[beyond] < 2).mean())
    enough = np.mean(np.array(shares) >= 0.9)
    click.echo(f"{len(shares)} photos: beyond the edge ab moves by less than 2 in")
    click.echo(f"{100 * np.mean(shares):.1f} % of the pixels, and")
    click.echo(f"in 90 % of the pixels or more of {100 * enough:.0f} % of the photos")


@main.command()
@click.option("--photo", type=click.Path(path_type=Path, exists=True), default=PHOTO)
@click.option("--repeats", default=10, show_default=True)
def seconds(photo: Path, repeats: int) -> None:
    """The time of hints alone, at the default size, compiled."""
    import jax

    import jaxcolor
    from jaxcolor.controls import UNTOUCHED
    from jaxcolor.predict import pure, spread, stages

    params = jaxcolor.load()
    pixels = np.asarray(Image.open(photo).convert("L"))
    (small,) = stages.run_network(params, [stages.shrink(params, pixels)], batch_size=1)
    random = np.random.default_rng(0)
    size = np.array(pixels.shape, np.float32)
    click.echo(f"{small.shape[0]}x{small.shape[1]} cells; seconds of the processor, of the clock")
    for count in (1, 10, 100):
        places = random.random((count, 2)).tolist()
        some = [jaxcolor.Hint(x, y, (200, 40, 40)) for x, y in places]

        def spread_out(some: list[jaxcolor.Hint] = some) -> None:
            placed = spread.spots(some, pixels.shape)
            arguments = pure.on_device((small, None, placed, UNTOUCHED, size))
            jax.device_get(pure.with_hints(*arguments))

        spread_out()
        work, clock = time.process_time(), time.perf_counter()
        for _ in range(repeats):
            spread_out()
        work, clock = time.process_time() - work, time.perf_counter() - clock
        click.echo(f"{count:4} hints  {work / repeats:.3f}  {clock / repeats:.3f}")


@main.command()
@click.argument("photo", type=click.Path(path_type=Path, exists=True))
@click.option("--hint", "texts", multiple=True, required=True, metavar="X,Y[,RADIUS]=COLOUR")
@click.option("--width", default=380, show_default=True, help="Of each of the two, in pixels.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def picture(photo: Path, texts: tuple[str, ...], width: int, output: Path) -> None:
    """The automatic colours beside those with hints, which are drawn as dots."""
    import jaxcolor
    from jaxcolor import evaluation

    params = jaxcolor.load()
    grey = evaluation.read_rgb(photo).convert("L")
    some = [hints.from_text(text) for text in texts]
    height = round(width * grey.height / grey.width)
    pictures = [
        jaxcolor.colorize(params, grey, hints=wished).resize((width, height))
        for wished in ([], some)
    ]
    draw = ImageDraw.Draw(pictures[1])
    for hint in some:
        y, x, _ = hint.placed((grey.height, grey.width))
        dot = [x * width - 5, y * height - 5, x * width + 5, y * height + 5]
        draw.ellipse(dot, fill=hint.rgb, outline="white", width=2)
    both = Image.new("RGB", (2 * width + GAP, height), "white")
    for i, one in enumerate(pictures):
        both.paste(one, (i * (width + GAP), 0))
    both.save(output, quality=82)


if __name__ == "__main__":
    main()
