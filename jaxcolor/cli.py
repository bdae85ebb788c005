"""The command line: `jaxcolor colorize | models`.

Nothing that is slow to import stands at the top: `--help` and `--version` answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jaxcolor import __version__

if TYPE_CHECKING:
    from jaxcolor.models.colorizer import Params

_SOME_FAILED = 1
_NOTHING_DONE = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jaxcolor")
def main() -> None:
    """Gives grey photographs their colours back."""


@main.command()
@click.argument(
    "photos", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PHOTO..."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER",
    help="A file for one photo (the suffix is the format), a folder for several."
    "  [default: NAME.color.png beside each photo]",
)
@click.option(
    "--weights", metavar="NAME|FILE", help="One of `jaxcolor models`, or a .safetensors file."
)
def colorize(photos: Sequence[Path], output: str | None, weights: str | None) -> None:
    """Colorize each PHOTO.

    The exit code is 0 when all photos are done, 1 when some of them failed (each is named), and 2
    when nothing could be done.
    """
    jobs = list(zip(photos, _targets(photos, output), strict=True))
    params = _load(weights)
    failures = list(_colorize_all(params, jobs))
    if failures:
        sys.exit(_NOTHING_DONE if len(failures) == len(jobs) else _SOME_FAILED)


@main.command()
def models() -> None:
    """List the weights that come with jaxcolor, the default first."""
    from jaxcolor import weights

    for name in weights.available_models():
        config = weights.describe(name)
        click.echo(f"{name}\t{config.backbone}\t{config.size}x{config.size}")


def _targets(photos: Sequence[Path], output: str | None) -> list[Path]:
    """Where each photo's result goes; refuses what would overwrite a photo or another result."""
    if output is None:
        targets = [photo.with_name(_result_name(photo)) for photo in photos]
    elif len(photos) > 1 or output.endswith("/") or Path(output).is_dir():
        folder = _make_folder(Path(output))
        targets = [folder / _result_name(photo) for photo in photos]
    else:
        targets = [_named_file(Path(output))]

    sources = {photo.resolve() for photo in photos}
    taken: dict[Path, Path] = {}
    for photo, target in zip(photos, targets, strict=True):
        if target.resolve() in sources:
            raise click.UsageError(f"{target}: is one of the photos; choose another -o")
        other = taken.setdefault(target.resolve(), photo)
        if other is not photo:
            raise click.UsageError(f"{other} and {photo} would both become {target}")
    return targets


def _make_folder(folder: Path) -> Path:
    from jaxcolor import image_io

    if folder.suffix.lower() in image_io.SUFFIXES and not folder.is_dir():
        raise click.UsageError(f"{folder}: for several photos, -o names a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{folder}: cannot be made ({error.strerror})") from None
    return folder


def _named_file(file: Path) -> Path:
    from jaxcolor import image_io

    try:
        image_io.format_of(file)
    except image_io.PhotoError as error:
        raise click.UsageError(f"{error}, or end the name with / for a folder") from None
    return file


def _result_name(photo: Path) -> str:
    return f"{photo.stem}.color.png"


def _load(weights: str | None) -> Params:
    # XLA says at every use of its own cache that this machine might be another one (jax issue
    # 38445). Read when JAX is first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax

    import jaxcolor
    from jaxcolor.fetch import cache_dir

    # Compiling takes longer than colorizing: the second run finds it done.
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))
    try:
        return jaxcolor.load(weights)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def _colorize_all(params: Params, jobs: Sequence[tuple[Path, Path]]) -> Iterator[Path]:
    """Does every job, says what went where, and yields the photos that failed."""
    from tqdm import tqdm

    import jaxcolor
    from jaxcolor import image_io

    with tqdm(total=len(jobs), unit="photo", disable=None) as bar:
        for photo, target in jobs:
            try:
                image_io.write(target, jaxcolor.colorize(params, image_io.read(photo)))
                bar.write(f"{photo} -> {target}", file=sys.stdout)
            except ValueError as error:
                named = isinstance(error, image_io.PhotoError)
                bar.write(f"jaxcolor: {error if named else f'{photo}: {error}'}", file=sys.stderr)
                yield photo
            bar.update()
