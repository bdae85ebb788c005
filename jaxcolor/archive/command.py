"""`jaxcolor archive`: photos by the million -> colours, on the workers of Ray.

Nothing that is slow to import stands at the top: the command line imports this module for `--help`.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxcolor import commands, image_io, interrupts
from jaxcolor.controls import Controls

if TYPE_CHECKING:
    from jaxcolor.archive.report import Report
    from jaxcolor.storage import Address

_SECONDS = 600.0


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="TARGET",
    help="The folder of results, a path or an address.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Of a Ray cluster, or auto for the one that this machine belongs to.  [default: one of"
    " this machine, as long as the command runs]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="At most so many.  [default: what has room when the run begins]",
)
@click.option(
    "--cores-per-worker",
    "cores",
    type=click.IntRange(min=1),
    help="Processors of each worker.  [default: 1 on a cluster, all on this machine]",
)
@click.option(
    "--gpus-per-worker",
    "gpus",
    type=click.FloatRange(min=0, max=1),
    callback=commands.finite,
    help="GPUs of each worker, or a part of one.  [default: 1 where there are any]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=_SECONDS,
    show_default=True,
    callback=commands.finite,
    help="A photo at which a worker stands still for so long has failed.",
)
@click.option(
    "--report",
    metavar="FOLDER",
    help="A path or an address: gets Parquet files with one line for each photo, while the run"
    " goes on.",
)
@commands.format_option
@commands.with_controls
@commands.size_option
@click.option(
    "--weights",
    metavar="NAME|FILE",
    help="One of `jaxcolor models`, or a .safetensors file that all machines have.",
)
@commands.frame_option
@commands.max_pixels_option
def archive(
    sources: Sequence[str],
    output: str,
    address: str | None,
    workers: int | None,
    cores: int | None,
    gpus: float | None,
    report: str | None,
    **options: Any,
) -> None:
    """Colorize archives of any size, on one machine or on a cluster of Ray.

    A SOURCE is a folder with all that is in it, a photo, or a manifest: a .csv or .parquet file
    with a column "address" and, as one likes, "target" and controls. All may be paths or
    addresses; on a cluster, paths that all machines have. Results that are there already are left
    alone: a run that was interrupted, or lost machines, goes on when the same command is given
    again.

    The exit code is 0 when all photos are done, 1 when some of them failed (each is named), and 2
    when nothing could be done.
    """
    try:
        from jaxcolor.archive import names, plan, run
        from jaxcolor.archive import report as reports
        from jaxcolor.archive.progress import Progress
        from jaxcolor.archive.worker import Order
    except ModuleNotFoundError as error:
        needed = f"archive needs further packages ({error.name}): pip install 'jaxcolor[ray]'"
        raise click.UsageError(needed) from None
    interrupts.heed_sigterm()
    if options["format"] is not None:
        try:
            image_io.named(options["format"])
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    places = [_place(source) for source in sources]
    target = _folder(output)
    controls = Controls.taken_from(options)
    order = Order(target, controls=controls, **commands.given(options))
    told = reports.Report(None if report is None else _folder(report))
    cluster = run.Cluster(address, workers, cores, gpus)
    with contextlib.ExitStack() as stack:
        left = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jaxcolor-"))) / "left"
        interrupted, deaths = False, 0
        try:
            plan.remove_leftovers(target)
            found = names.names(places, avoided=target)
            counts = plan.plan(found, target, order.format, left, told)
            _tell_settled(told, counts.unread)
            if counts.left:
                with run.started(cluster), Progress(counts.left) as progress:
                    work = run.Run(left, order, cluster)
                    interrupts.heed_sigterm()  # Ray has its own way
                    for lines in work.lines():
                        progress.add(lines)
                        for line in lines:
                            told.add(line)
                    deaths = work.deaths()
        except KeyboardInterrupt:
            interrupted = True
        except (plan.PlanError, run.RunError) as error:
            told.flush()
            raise click.UsageError(str(error)) from None
        with interrupts.undisturbed():
            told.flush()
            if interrupted or deaths:
                plan.remove_leftovers(target)
    if interrupted:
        commands.end_interrupted()
    commands.end(told.counts, unread=counts.unread)


def _place(text: str) -> Path | Address:
    from jaxcolor import storage
    from jaxcolor.album import PlanError, somewhere

    if storage.is_address(text) and (package := storage.missing_package()):
        raise click.UsageError(
            f"addresses need further packages ({package}): pip install 'jaxcolor[cloud]'"
        )
    try:
        return somewhere(text)
    except PlanError as error:
        raise click.UsageError(str(error)) from None


def _folder(text: str) -> Path | Address:
    """A folder by its path or address, whether the address ends with a slash or not."""
    place = _place(text)
    if isinstance(place, Path):
        if place.exists() and not place.is_dir():
            raise click.UsageError(f"{text}: is a file, not a folder")
        return place.absolute()
    return place if place.is_dir() else _place(f"{text}/")


def _tell_settled(report: Report, unread: int) -> None:
    """Says what is known before anything is done."""
    if there := report.counts["skipped"] - unread:
        click.echo(f"{there} results are already there")
    if unread:
        click.echo(f"jaxcolor: {unread} files are of kinds that are not read", err=True)
    if failed := report.counts["failed"]:
        click.echo(f"jaxcolor: {failed} photos have no place for their results", err=True)
