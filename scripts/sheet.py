"""Puts photos beside what the colorizer makes of them, on one picture.

python scripts/sheet.py examples/*.jpg -o docs/images/examples.jpg
"""

from __future__ import annotations

from pathlib import Path

import click
from PIL import Image, ImageOps

GAP = 8  # pixels


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--weights", help="A shipped name or a .safetensors file.  [default: the best]")
@click.option("--width", default=480, show_default=True, help="Of each picture, in pixels.")
def main(photos: tuple[Path, ...], output: Path, weights: str | None, width: int) -> None:
    """Write one picture with a row for each of PHOTOS: as the network sees it, and colorized."""
    import jaxcolor
    from jaxcolor import image_io

    try:
        params = jaxcolor.load(weights)
        rows = []
        for photo in photos:
            grey = ImageOps.grayscale(image_io.read(photo))
            pair = (grey.convert("RGB"), jaxcolor.colorize(params, grey))
            height = round(width * grey.height / grey.width)
            rows.append([picture.resize((width, height)) for picture in pair])
        image_io.write(output, _sheet(rows, width))
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def _sheet(rows: list[list[Image.Image]], width: int) -> Image.Image:
    height = sum(row[0].height + GAP for row in rows) - GAP
    sheet = Image.new("RGB", (2 * width + GAP, height), "white")
    top = 0
    for row in rows:
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * (width + GAP), top))
        top += row[0].height + GAP
    return sheet


if __name__ == "__main__":
    main()
