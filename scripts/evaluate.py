"""Measures a colorizer on a folder of colour photos.

python scripts/evaluate.py --weights lite --data PHOTOS/val
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm


@click.command()
@click.option("--weights", help="A shipped name or a .safetensors file.  [default: the best]")
@click.option(
    "--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--size", type=int, help="The network's square, instead of the weights' own.")
def main(weights: str | None, data: Path, size: int | None) -> None:
    """Print mean PSNR of the colorized and of the grey pictures."""
    import jaxcolor
    from jaxcolor import evaluation, image_io

    photos = sorted(p for p in data.rglob("*") if p.suffix.lower() in image_io.SUFFIXES)
    if not photos:
        raise click.UsageError(f"{data}: no photo in it")
    try:
        params = jaxcolor.load(weights)
        if size is not None:
            config = dataclasses.replace(params.config, size=size)
            params = dataclasses.replace(params, config=config)
        scores = list(tqdm(evaluation.evaluate(params, photos), total=len(photos), disable=None))
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    ours = np.mean([score.psnr for score in scores])
    grey = np.mean([score.grey_psnr for score in scores])
    click.echo(f"{len(scores)} photos  PSNR {ours:.2f} dB  grey {grey:.2f} dB  {ours - grey:+.2f}")


if __name__ == "__main__":
    main()
