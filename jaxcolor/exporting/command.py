"""`jaxcolor export`: a colorizer -> a file for programs without JAX.

Nothing that is slow to import stands at the top: the command line imports this module for `--help`.
"""

from __future__ import annotations

from pathlib import Path

import click

from jaxcolor import startup
from jaxcolor.controls import SIZE, WEIGHTS

_FORMATS = {".onnx": "onnx", ".stablehlo": "stablehlo"}
_FOLDER = "saved-model"


@click.command()
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the file goes; of a SavedModel, the folder.",
)
@click.option(
    "--weights",
    metavar="NAME|FILE",
    help=WEIGHTS,
)
@click.option(
    "--format",
    type=click.Choice([*_FORMATS.values(), _FOLDER]),
    help="ONNX, what jax.export reads, or what TensorFlow reads.  [default: what the suffix says,"
    f" {' or '.join(_FORMATS)}]",
)
@click.option(
    "--part",
    type=click.Choice(["whole", "network"]),
    default="whole",
    show_default=True,
    help="All between L and ab, or the network alone.",
)
@click.option("--half", is_flag=True, help="Weights and computation in float16; ONNX only.")
@click.option("--size", type=int, help=f"{SIZE}  [default: what the weights were trained for]")
@startup.collector_at_rest()
def export(
    output: Path, weights: str | None, format: str | None, part: str, half: bool, size: int | None
) -> None:
    """Write a colorizer for programs without JAX: small lightness in, small chroma out.

    The file says in its metadata what its numbers mean.
    """
    format = format or _FORMATS.get(output.suffix.lower())
    if format is None:
        raise click.UsageError(f"{output}: name it {' or '.join(_FORMATS)}, or use --format")
    if half and format != "onnx":
        raise click.UsageError("--half: only ONNX files have it")
    from jaxcolor import exporting, load
    from jaxcolor.atomic import open_whole

    try:
        params = load(weights).with_size(size)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    try:
        if format == _FOLDER:
            exporting.save_model(output, params, part=part)
        else:
            data = (
                exporting.to_onnx(params, part=part, half=half)
                if format == "onnx"
                else exporting.to_stablehlo(params, part=part)
            )
            with open_whole(output) as file:
                file.write(data)
    except ModuleNotFoundError as error:
        extra = "train" if format == _FOLDER else "export"
        message = f"{format} needs further packages ({error.name}): pip install 'jaxcolor[{extra}]'"
        raise click.UsageError(message) from None
    except exporting.NotExportable as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{output}: cannot be written ({error.strerror})") from None
    click.echo(str(output))
