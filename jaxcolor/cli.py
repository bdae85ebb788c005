"""The command line: `jaxcolor archive | colorize | export | film | models | port | serve`.

Nothing that is slow to import stands at the top: `--help` and `--version` answer at once.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import re
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxcolor import __version__, commands, engine, hints, hub, image_io, interrupts, startup
from jaxcolor.archive.command import archive
from jaxcolor.controls import Controls
from jaxcolor.exporting.command import export
from jaxcolor.film.command import film
from jaxcolor.porting.command import port
from jaxcolor.web.settings import Settings as ServerSettings

if TYPE_CHECKING:
    from jaxcolor.album import Job, Outcome
    from jaxcolor.hints import Finder, Hint
    from jaxcolor.image_io import Source
    from jaxcolor.models.colorizer import Params
    from jaxcolor.storage import Address


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jaxcolor")
def main() -> None:
    """Gives grey photographs their colours back."""


main.add_command(archive)
main.add_command(export)
main.add_command(film)
main.add_command(port)


def _places(
    _context: click.Context, _argument: click.Parameter, values: Sequence[str]
) -> list[Path | Address]:
    from jaxcolor import album

    try:
        return [album.somewhere(value) for value in values]
    except album.PlanError as error:
        raise click.UsageError(str(error)) from None


def _shard(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", value)
    number, of = map(int, match.groups()) if match else (0, 0)
    if number >= of:
        raise click.BadParameter(f"{value} is not I/N with I from 0 to N - 1.")
    return number, of


def _hints(
    _context: click.Context, _option: click.Parameter, values: Sequence[str]
) -> tuple[Hint, ...]:
    try:
        return hints.check(map(hints.from_text, values))
    except hints.HintError as error:
        raise click.BadParameter(str(error)) from None


_jobs = click.option(
    "--jobs",
    "threads",
    type=click.IntRange(min=1),
    default=engine.Settings.threads,
    show_default="one per processor",
    help="Photos read and written in parallel.",
)


@main.command("colorize")
@click.argument("photos", nargs=-1, required=True, callback=_places, metavar="PHOTO|FOLDER|-...")
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER|-",
    help="A file for one photo (the suffix is the format), a folder for several, - for standard"
    " output.  [default: NAME.color.SUFFIX beside each photo]",
)
@click.option("-r", "--recursive", is_flag=True, help="Enter the folders in a FOLDER.")
@click.option(
    "--shard",
    callback=_shard,
    metavar="I/N",
    help="Do only the photos whose names fall into part I of N, from 0: one part on each of N"
    " machines.",
)
@click.option(
    "--overwrite/--skip-existing",
    default=None,
    help="Make results that are already there anew, or leave them.  [default: leave them; a FILE"
    " named by -o is made anew]",
)
@commands.format_option
@click.option(
    "--hint",
    "places",
    multiple=True,
    metavar="X,Y[,RADIUS]=COLOUR",
    callback=_hints,
    help=f"{hints.SENTENCE} Whole numbers are pixels, others shares of the photo from 0 to 1. May"
    " be given several times, for one photo.",
)
@click.option(
    "--hints",
    "hints_file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Hints of one photo: JSON, or a PNG of its size that is transparent but for strokes."
    f"  [default: NAME{hints.SUFFIX} beside each photo, if there is one]",
)
@commands.with_controls
@commands.size_option
@commands.weights_option
@commands.frame_option
@commands.max_pixels_option
@_jobs
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A JSON file with one line per photo: done, skipped, or failed and why.",
)
def colorize_photos(
    photos: Sequence[Path | Address],
    output: str | None,
    recursive: bool,
    shard: tuple[int, int] | None,
    overwrite: bool | None,
    format: str | None,
    weights: str | None,
    size: int | None,
    report: Path | None,
    frame: int | None,
    places: tuple[Hint, ...],
    hints_file: Path | None,
    **options: Any,
) -> None:
    """Colorize each PHOTO, and the photos in each FOLDER.

    A FOLDER's tree is mirrored in that of -o. A run that was interrupted goes on where it stopped
    when the same command is given again. "-" is standard input, or output.

    The exit code is 0 when all photos are done, 1 when some of them failed (each is named), and 2
    when nothing could be done. Photos of kinds that are not read are told of, and are no failures.
    """
    wake_collector = click.get_current_context().with_resource(startup.collector_at_rest())
    from jaxcolor import album

    interrupts.heed_sigterm()
    jobs = _plan(photos, output, recursive=recursive, format=format, shard=shard)
    _check_report(report, jobs)
    found = _finder(places, hints_file, jobs)
    outcomes, left = _sorted_out(jobs, overwrite=overwrite)
    _tell_settled(outcomes)
    controls = Controls.taken_from(options)
    if sum(not job.unread for job in jobs) == 1:
        options["batch"] = 1  # there never will be more
    settings = engine.Settings(**commands.given(options))
    load = functools.partial(commands.load, weights, size)
    untold: list[Outcome] = []
    done = album.colorize_files(
        load, left, settings, controls, frame=frame, hints=found, left=untold
    )
    interrupted = False
    try:
        with contextlib.closing(_told(done, len(left))) as telling:
            for outcome in telling:
                wake_collector()
                outcomes.append(outcome)
    except KeyboardInterrupt:
        interrupted = True
    with interrupts.undisturbed():
        told = {id(outcome.job) for outcome in outcomes}
        outcomes += [outcome for outcome in untold if id(outcome.job) not in told]
        saved = _save_report(report, outcomes)
    if interrupted:
        commands.end_interrupted()
    _end(outcomes)
    if not saved:
        sys.exit(commands.SOME_FAILED)


@main.command()
@click.option(
    "--installed", is_flag=True, help="All that lie on this machine, each with its size and file."
)
def models(installed: bool) -> None:
    """List the weights that come with jaxcolor, the default first."""
    from jaxcolor import weights

    if installed:
        for name, kind, file in weights.installed():
            click.echo(f"{name}\t{kind}\t{file.stat().st_size / 1e6:.1f} MB\t{file}")
        return
    for name in weights.available_models():
        config = weights.describe(name)
        click.echo(f"{name}\t{config.backbone}\t{config.size}x{config.size}")


@main.command()
@click.option(
    "--host", default=ServerSettings.host, show_default=True, help="The address to listen on."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=ServerSettings.port,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME|FILE",
    help="What to offer, the default first: names of `jaxcolor models`, .safetensors files, or"
    " hf://OWNER/NAME; may be given several times.  [default: all of `jaxcolor models`]",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="A further name that requests may call the server by, as a reverse proxy's.",
)
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="Let that site's pages use the API, as https://photos.example.org.  [default: none]",
)
@click.option(
    "--max-megabytes",
    type=click.IntRange(min=1),
    default=ServerSettings.max_bytes >> 20,
    show_default=True,
    help="Refuse larger files.",
)
@commands.max_pixels_option
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=ServerSettings.queue,
    show_default=True,
    help="Requests worked on or waiting; one more is told to come back.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=ServerSettings.seconds,
    show_default=True,
    callback=commands.finite,
    help="The time limit of a request.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=ServerSettings.batch,
    show_default=True,
    help="Photos in a pass of the network; more suits a GPU.",
)
@_jobs
def serve(weights: Sequence[str], max_megabytes: int, open_page: bool, **options: Any) -> None:
    """Serve a page to drop photos on, and an HTTP API.

    Only this machine can reach it, unless --host says otherwise. Behind another server, tell it
    that one's name with --name. SIGTERM and Ctrl-C let it finish what it has accepted.
    """
    from jaxcolor import web

    if package := web.missing_package():
        raise click.UsageError(
            f"serve needs further packages ({package}): pip install 'jaxcolor[web]'"
        )
    from jaxcolor.web import server

    settings = ServerSettings(max_bytes=max_megabytes << 20, **commands.given(options))
    try:
        with server.bind(settings) as listener:
            served = server.make(_served(weights), settings)
            address = server.address(listener)
            click.echo(f"jaxcolor is at {address} (Ctrl-C stops it)")
            if open_page:
                click.launch(address)
            server.run(served, listener)
    except server.NotStarted as error:
        raise click.UsageError(str(error)) from None


def _served(chosen: Sequence[str]) -> dict[str, Params]:
    """Colorizers by the names that requests call them by, the default one first."""
    commands.set_up_jax()
    from jaxcolor.weights import available_models

    return {_model_name(name): commands.load(name, None) for name in chosen or available_models()}


def _model_name(weights: str) -> str:
    if hub.is_name(weights):
        return weights.removeprefix(hub.SCHEME)
    return Path(weights).stem if weights.endswith(".safetensors") else weights


def _plan(photos: Sequence[Path | Address], output: str | None, **options: Any) -> list[Job]:
    from jaxcolor import album, storage

    places = (*photos, output or "")
    if any(storage.is_address(str(place)) for place in places) and (
        package := storage.missing_package()
    ):
        raise click.UsageError(
            f"addresses need further packages ({package}): pip install 'jaxcolor[cloud]'"
        )
    if shard := options.pop("shard"):
        options["shard"] = album.Shard(*shard)
    try:
        if options["format"] is not None:
            image_io.named(options["format"])
        jobs = album.plan(photos, output, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if (
        jobs
        and output in (None, "-")
        and not isinstance(jobs[0].target, os.PathLike)
        and sys.stdout.isatty()
    ):
        raise click.UsageError("-: standard output is a terminal; send it to a file, or use -o")
    return jobs


def _sorted_out(jobs: Sequence[Job], *, overwrite: bool | None) -> tuple[list[Outcome], list[Job]]:
    from jaxcolor import album

    try:
        return album.sort_out(jobs, overwrite=overwrite)
    except album.PlanError as error:
        raise click.UsageError(str(error)) from None


def _check_report(path: Path | None, jobs: Sequence[Job]) -> None:
    """Refuses at once what would be noticed after hours."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise click.UsageError(f"{path}: cannot be written: there is no folder {path.parent}")
    files = {f.resolve() for job in jobs for f in (job.photo, job.target) if isinstance(f, Path)}
    if path.resolve() in files:
        raise click.UsageError(f"{path}: is a photo, or becomes one; choose another --report")


def _finder(places: tuple[Hint, ...], file: Path | None, jobs: Sequence[Job]) -> Finder | None:
    """What finds the photo's hints, if the user named some; looks at them as far as it can be."""
    if not places and file is None:
        return None
    if sum(not job.unread for job in jobs) > 1:
        raise click.UsageError(
            "--hint and --hints are for one photo; for several, put a file of hints beside each:"
            f" NAME{hints.SUFFIX}"
        )

    def find(size: hints.Size | None) -> tuple[Hint, ...]:
        return hints.check((*places, *(() if file is None else hints.read(file, size))))

    try:
        find(None)
    except hints.HintError as error:
        raise click.UsageError(str(error)) from None
    return find


def _tell_settled(outcomes: Sequence[Outcome]) -> None:
    """Says of which photos the end is known before anything is done."""
    from jaxcolor import album

    there = [o.job for o in outcomes if o.status == "skipped" and not o.job.unread]
    if len(there) == 1:
        click.echo(f"{_name(there[0].target)} is already there (--overwrite makes it anew)")
    elif there:
        click.echo(f"{len(there)} results are already there (--overwrite makes them anew)")
    unread = [Path(str(o.job.photo)) for o in outcomes if o.job.unread]
    if unread:
        click.echo(f"jaxcolor: {album.unread(unread)}", err=True)
    for outcome in outcomes:
        if outcome.status == "failed":
            click.echo(f"jaxcolor: {outcome.reason}", err=True)


def _told(done: Generator[Outcome, None, None], count: int) -> Generator[Outcome, None, None]:
    """Hands the outcomes on, and says of each what went where, or what went wrong."""
    from tqdm import tqdm

    with contextlib.closing(done), tqdm(total=count, unit="photo", disable=None) as bar:
        for outcome in done:
            photo, target = _name(outcome.job.photo), outcome.job.target
            for warning in outcome.warnings:
                bar.write(f"jaxcolor: {photo}: {warning}", file=sys.stderr)
            if outcome.status == "failed":
                bar.write(f"jaxcolor: {outcome.reason}", file=sys.stderr)
            elif isinstance(target, os.PathLike):
                bar.write(f"{photo} -> {_name(target)}{_by_hints(outcome)}", file=sys.stdout)
            bar.update()
            yield outcome


def _by_hints(outcome: Outcome) -> str:
    if not outcome.hints:
        return ""
    count = f"{outcome.hints} hint{'s' if outcome.hints > 1 else ''}"
    file = outcome.hints_file
    return f" ({count})" if file is None else f" ({count} of {_name(file)})"


def _name(file: Source) -> str:
    return image_io.name_of(file)


def _save_report(path: Path | None, outcomes: Sequence[Outcome]) -> bool:
    """Whether it is there, if one is wished; the photos are done, so the run ends as it would."""
    from jaxcolor import album

    if path is None:
        return True
    try:
        album.save_report(path, outcomes)
    except OSError as error:
        click.echo(f"jaxcolor: {path}: cannot be written ({error.strerror})", err=True)
        return False
    return True


def _end(outcomes: Sequence[Outcome]) -> None:
    counts = collections.Counter[str](outcome.status for outcome in outcomes)
    commands.end(counts, unread=sum(outcome.job.unread for outcome in outcomes))
