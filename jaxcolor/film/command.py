"""`jaxcolor film`: a grey film -> the same in colours that hold from frame to frame.

Nothing that is slow to import stands at the top: the command line imports this module for `--help`.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxcolor import commands, hints, interrupts
from jaxcolor.controls import Controls
from jaxcolor.film.choices import CODECS, CRF, MOST_CRF, SUFFIXES

if TYPE_CHECKING:
    from jaxcolor.film.reading import Film
    from jaxcolor.film.run import Wish
    from jaxcolor.models.colorizer import Params

_PACKAGES = {"av": "av", "cv2": "opencv-python-headless"}
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d+)?)")


def _seconds(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = _CLOCK.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value} is neither seconds nor H:M:S.")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


@click.command()
@click.argument("film", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Where the film goes: {', '.join(SUFFIXES)}.",
)
@commands.with_controls
@click.option(
    "--hints",
    "hints_file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Colours that you know: JSON, as of a photo, each hint with a time in seconds. It holds"
    " for its scene, and moves with it.",
)
@click.option(
    "--codec",
    type=click.Choice(list(CODECS)),
    default="h264",
    show_default=True,
    help="; ".join(f"{name}: {', '.join(codec.suffixes)}" for name, codec in CODECS.items()) + ".",
)
@click.option(
    "--crf",
    type=click.IntRange(0, MOST_CRF),
    default=CRF,
    show_default=True,
    help="How much H.264 may lose; 0 is nothing.",
)
@click.option("--start", callback=_seconds, metavar="TIME", help="Where to begin: S, M:S or H:M:S.")
@click.option("--end", callback=_seconds, metavar="TIME", help="Where to end.")
@click.option(
    "--interlaced",
    type=click.Choice(["deinterlace", "refuse"]),
    default="deinterlace",
    show_default=True,
    help="What to do with a film whose frames are of two times.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep what is done when the run is ended, and take up what an earlier one has kept.",
)
@commands.size_option
@commands.weights_option
def film(
    film: Path,
    output: Path,
    hints_file: Path | None,
    codec: str,
    crf: int,
    start: float | None,
    end: float | None,
    interlaced: str,
    resume: bool,
    size: int | None,
    weights: str | None,
    **options: Any,
) -> None:
    """Colorize a FILM.

    Its brightness stays as it is, and so do sound, subtitles, chapters and the times of its frames.
    The colours are carried along the motion, so that they do not flicker.
    """
    for module, package in _PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise click.UsageError(
                f"film needs further packages ({package}): pip install 'jaxcolor[film]'"
            )
    interrupts.heed_sigterm()
    commands.set_up_jax()
    from jaxcolor.film import reading, run, writing

    try:
        known = hints.read(hints_file, film=True) if hints_file else ()
        wish = run.Wish(Controls.taken_from(options), known, codec, crf, start or 0.0, end, resume)
        facts = reading.probed(film)
        if output.exists() and output.samefile(film):
            raise reading.FilmError(f"{output}: is the film itself")
        target = writing.planned(facts, output, codec, crf)
        if facts.interlaced and interlaced == "refuse":
            raise reading.FilmError(f"{film}: is interlaced (--interlaced deinterlace takes it)")
        lines = [*facts.warnings, *writing.unfit(facts, target)]
        if facts.interlaced:
            lines.append("it is interlaced: each frame is made of one time (bwdif)")
        for line in lines:
            click.echo(f"jaxcolor: {film}: {line}", err=True)
        count = _with_bar(commands.load(weights, size), facts, output, wish)
    except (reading.FilmError, hints.HintError) as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:
        goes_on = ": the same command goes on where this one stopped" if resume else ""
        click.echo(f"interrupted{goes_on}", err=True)
        sys.exit(commands.INTERRUPTED)
    click.echo(f"{film} -> {output} ({count} frames)")


def _with_bar(params: Params, facts: Film, output: Path, wish: Wish) -> int:
    from tqdm import tqdm

    from jaxcolor.film import run

    total = _expected(facts, wish)
    with tqdm(total=total, unit=" frames", disable=None) as bar:

        def tell(line: str) -> None:
            bar.write(f"jaxcolor: {facts.path}: {line}", file=sys.stderr)

        return run.colorize(params, facts, output, wish, tell=tell, progress=bar.update)


def _expected(facts: Film, wish: Wish) -> int | None:
    if not facts.count:
        return None
    last = facts.count if wish.end is None else min(facts.count, round(wish.end * facts.rate))
    return max(0, last - round(wish.start * facts.rate))
