"""What several commands have in common: options, how JAX is set up, and how a run ends.

Nothing that is slow to import stands at the top: `--help` needs it.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxcolor import engine, image_io
from jaxcolor.controls import CONTROLS, SIZE, WEIGHTS

if TYPE_CHECKING:
    from jaxcolor.models.colorizer import Params

INTERRUPTED = 130  # what shells give a program that Ctrl-C ended
SOME_FAILED = 1
_NOTHING_DONE = 2


def finite(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Refuses what is no number to work with; a callback of options."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number to work with.")
    return value


def with_controls(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each of the controls."""
    for control in reversed(CONTROLS):
        command = click.option(
            f"--{control.name}",
            type=click.FloatRange(control.least, control.most),
            default=control.default,
            show_default=True,
            callback=finite,
            help=control.sentence,
        )(command)
    return command


size_option = click.option(
    "--size", type=int, help=f"{SIZE}  [default: what the weights were trained for]"
)
weights_option = click.option("--weights", metavar="NAME|FILE", help=WEIGHTS)
format_option = click.option(
    "--format",
    metavar="NAME",
    help=f"Of the results: {image_io.listed(image_io.NAMES, 'or')}.",
)
frame_option = click.option(
    "--frame",
    type=click.IntRange(min=0),
    help="Which picture of an animation or of a file with several pages, from 0.",
)
max_pixels_option = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=engine.Settings.max_pixels,
    show_default=True,
    help="Refuse larger photos.",
)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Without those that are left out: their owners have defaults for them."""
    return {name: value for name, value in options.items() if value is not None}


@functools.cache
def set_up_jax() -> None:
    """What this program wants of JAX, once; before anything imports it."""
    # XLA says at every use of its own cache that this machine might be another one (jax issue
    # 38445). 1 is nobody's wish: JAX sets it when it is imported, and programs hand it on.
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from jaxcolor import compilation
    from jaxcolor.cache import cache_dir

    compilation.cache_in(cache_dir() / "xla")


def load(weights: str | None, size: int | None) -> Params:
    """The colorizer that a command was told to take.

    Raises:
      click.UsageError: it cannot be had.
    """
    set_up_jax()
    import jaxcolor

    try:
        return jaxcolor.load(weights).with_size(size)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def end(counts: Mapping[str, int], *, unread: int) -> None:
    """The last line of a run with several photos, and its exit code.

    Args:
      counts: how many photos are done, skipped and failed.
      unread: how many of those that are skipped are of kinds that are not read.
    """
    total, failed = sum(counts.values()), counts.get("failed", 0)
    if total > 1:
        words = ", ".join(f"{counts.get(s, 0)} {s}" for s in ("done", "skipped", "failed"))
        click.echo(f"{total} photos: {words}")
    if failed:
        sys.exit(_NOTHING_DONE if failed == total - unread else SOME_FAILED)


def end_interrupted() -> None:
    """Says that nothing is lost."""
    click.echo("interrupted: the same command goes on where this one stopped", err=True)
    sys.exit(INTERRUPTED)
