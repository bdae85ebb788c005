"""Puts photos beside what the colorizer makes of them, on one picture.

python scripts/sheet.py examples/*.jpg -o docs/images/examples.jpg
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont, ImageOps

GAP = 8  # pixels
TEXT = 14  # pixels


@dataclasses.dataclass(frozen=True)
class Row:
    """Pictures of one size, and what is written above them."""

    pictures: Sequence[Image.Image]
    caption: str = ""


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--weights", help="A shipped name or a .safetensors file.  [default: the best]")
@click.option("--truth", is_flag=True, help="The photo itself beside them, for colour photos.")
@click.option("--width", default=480, show_default=True, help="Of each picture, in pixels.")
def main(
    photos: tuple[Path, ...], output: Path, weights: str | None, truth: bool, width: int
) -> None:
    """Write one picture with a row for each of PHOTOS: as the network sees it, and colorized."""
    import jaxcolor
    from jaxcolor import evaluation

    try:
        params = jaxcolor.load(weights)
        rows = []
        for photo in photos:
            colour = evaluation.read_rgb(photo)
            grey = ImageOps.grayscale(colour)
            pictures = [grey.convert("RGB"), jaxcolor.colorize(params, grey)]
            pictures += [colour] * truth
            height = round(width * grey.height / grey.width)
            rows.append(Row([picture.resize((width, height)) for picture in pictures]))
        save_sheet(output, rows, ("grey", "colorized", "the photo itself") if truth else ())
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def save_sheet(path: Path, rows: Sequence[Row], titles: Sequence[str] = ()) -> None:
    """Writes all rows below one another on white, each under its caption if it has one.

    Args:
      path: where; the suffix is the format.
      rows: from the top down.
      titles: of the columns; stand above the first row.

    Raises:
      PhotoError: the suffix is of no known format, or the file cannot be written.
    """
    import numpy as np

    from jaxcolor import image_io

    blocks = []
    if titles:
        widths = [picture.width for picture in rows[0].pictures]
        blocks.append(_beside([_written(*column) for column in zip(titles, widths, strict=True)]))
    for row in rows:
        pictures = _beside(row.pictures)
        if row.caption:
            blocks.append(_written(row.caption, pictures.width))
        blocks.append(pictures)
    sheet = np.asarray(_below(blocks))
    image_io.save_photo(path, image_io.Photo(sheet), sheet)


def _written(text: str, width: int) -> Image.Image:
    line = Image.new("RGB", (width, TEXT + GAP // 2), "white")
    ImageDraw.Draw(line).text((0, 0), text, "black", ImageFont.load_default(TEXT))
    return line


def _beside(pictures: Sequence[Image.Image]) -> Image.Image:
    width = sum(picture.width + GAP for picture in pictures) - GAP
    row = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + GAP
    return row


def _below(pictures: Sequence[Image.Image]) -> Image.Image:
    height = sum(picture.height + GAP for picture in pictures) - GAP
    column = Image.new("RGB", (max(picture.width for picture in pictures), height), "white")
    top = 0
    for picture in pictures:
        column.paste(picture, (0, top))
        top += picture.height + GAP
    return column


if __name__ == "__main__":
    main()
