"""Puts a training run's weights into the package, under a name, with what is known of them.

Several runs' weights, where each run went on from the one before, are averaged: the mean of such
weights is steadier than each of them (Wortsman et al. 2022, "Model soups", arXiv 2203.05482).

python scripts/release_weights.py runs/t1/weights.safetensors runs/t2/weights.safetensors pyramid \
    --saturation 1.17 --size 224 --mirrored --border 6 --told "corpus=5,697 photos, MODEL_CARD.md"
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from jaxcolor.controls import SIZE

MOST_BYTES = 25_000_000  # of a file: all of them are installed by everybody
BYTES_A_VALUE = 2  # `weights.save` writes 16-bit floats


@click.command()
@click.argument(
    "weights",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.argument("name")
@click.option(
    "--saturation",
    type=float,
    default=1.0,
    show_default=True,
    help="What prediction multiplies the chroma by: see docs/evaluation.md.",
)
@click.option("--size", type=int, help=f"{SIZE}  [default: that of training]")
@click.option("--mirrored", is_flag=True, help="Average over the photo and its mirror image.")
@click.option("--fitted", is_flag=True, help="In a shape near the photo's, without its margin.")
@click.option("--border", type=int, default=0, help="Samples of the rim, coloured from inside.")
@click.option(
    "--told", multiple=True, metavar="KEY=TEXT", help="More for the file's header: corpus, hours."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Instead of the package's own.")
def main(
    weights: tuple[Path, ...],
    name: str,
    saturation: float,
    size: int | None,
    mirrored: bool,
    fitted: bool,
    border: int,
    told: tuple[str, ...],
    folder: Path | None,
) -> None:
    """Write the mean of WEIGHTS as NAME.safetensors, with what it says of prediction set."""
    import jax
    import numpy as np

    from jaxcolor import weights as files

    words: dict[str, Any] = dict(item.split("=", 1) for item in told if "=" in item)
    if len(words) < len(told):
        raise click.UsageError("--told: write KEY=TEXT")
    target = (folder or Path(files.__file__).parent / "weights") / f"{name}.safetensors"
    try:
        header = files.read_header(weights[0]) if len(weights) == 1 else {}
        params, *others = (files.load(file).with_size(size) for file in weights)
        config = params.config.predicting(
            saturation=saturation, mirrored=mirrored, fitted=fitted, border=border
        )
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    shapes = jax.tree.map(np.shape, params.variables)
    for file, other in zip(weights[1:], others, strict=True):
        if jax.tree.map(np.shape, other.variables) != shapes:
            raise click.UsageError(f"{file}: is of another network than {weights[0]}")
    trees = [one.variables for one in (params, *others)]
    variables = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *trees)
    size = BYTES_A_VALUE * sum(leaf.size for leaf in jax.tree.leaves(variables))
    if size > MOST_BYTES:
        raise click.UsageError(f"{weights[0]}: {size:,} bytes; at most {MOST_BYTES:,} are shipped")
    words |= {key: header[key] for key in ("step", "commit", "squared_error") if key in header}
    params = dataclasses.replace(params, config=config, variables=variables)
    try:
        files.save_params(target, params, **words)
    except OSError as error:
        raise click.UsageError(f"{target}: cannot be written ({error.strerror})") from None
    click.echo(f"{target}: {target.stat().st_size:,} bytes, {config}")


if __name__ == "__main__":
    main()
