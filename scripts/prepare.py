"""Makes a data set of small photos for training, out of photos of any kind.

python scripts/prepare.py PHOTOS --out data/album
python scripts/train.py --config=configs/lite.py --workdir=runs/lite --config.photos=tfds:data/album

Killed and started again it goes on where it was, and ends with the same bytes.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from jaxcolor import startup


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The data set's folder; its name is the data set's.",
)
@click.option("--short-side", default=256, show_default=True, help="Of the pictures, in pixels.")
@click.option("--processes", type=click.IntRange(1), help="That read photos.  [default: all cores]")
def main(photos: Path, out: Path, short_side: int, processes: int | None) -> None:
    """Make a data set of all photos in the folder PHOTOS and below it.

    JPEG, PNG, TIFF, WebP, HEIC, AVIF and whatever else `jaxcolor colorize` reads; upright and in
    sRGB. Photos that are damaged, grey or tiny are named and left out.
    """
    with startup.collector_at_rest():
        from jaxcolor.training.input.prepare import prepare

    logging.basicConfig(format="%(message)s")
    try:
        with logging_redirect_tqdm(), tqdm(unit=" photos", disable=None) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            made = prepare(
                photos, out, short_side=short_side, processes=processes, progress=progress
            )
    except (ValueError, OSError) as error:
        sys.exit(f"prepare: {error}")
    there = "already there" if made.was_there else "done"
    click.echo(
        f"{there}: {made.count} photos in {made.folder}, {len(made.left_out)} left out. "
        f"Train on them with --config.photos=tfds:{made.folder.parent}"
    )


if __name__ == "__main__":
    main()
