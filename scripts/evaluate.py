"""Measures a colorizer on a folder of colour photos; docs/evaluation.md says what the figures mean.

python scripts/evaluate.py --weights lite --data PHOTOS/val --out results/lite
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from PIL import Image
from sheet import Row, save_sheet
from tqdm import tqdm

from jaxcolor.controls import SIZE
from jaxcolor.hints import CAPACITY

if TYPE_CHECKING:
    from jaxcolor import Params
    from jaxcolor.evaluation import Score, Summary, Trial
    from jaxcolor.image_io import PhotoError

SHEET = "sheet.png"
ON_SHEET = 4  # photos of each: best, median, worst
FIGURES = ("psnr", "ssim", "ciede2000", "colourfulness")  # of a photo, beside raw accuracy

# A line of the table: its name, the figure, how it is written, and how the gain is.
TABLE = (
    ("PSNR (dB)", "psnr", "{:.2f}", "{psnr:+.2f}"),
    ("SSIM", "ssim", "{:.4f}", "{ssim:+.4f}"),
    ("CIEDE2000", "ciede2000", "{:.2f}", "{ciede2000_percent:.1f} % lower"),
    ("colourfulness", "colourfulness", "{:.1f}", "{colourfulness_percent:.1f} % of the truth's"),
    ("dCF", "dcf", "{:.1f}", ""),
    ("AuC", "auc", "{:.4f}", "{auc:+.4f}"),
    ("AuC rebalanced", "auc_rebalanced", "{:.4f}", "{auc_rebalanced:+.4f}"),
)


class EvaluationError(click.ClickException):
    """A user's mistake: one line on stderr, exit code 2."""

    exit_code = 2


@click.command()
@click.option("--weights", help="A shipped name or a .safetensors file.  [default: the best]")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="A folder, nested or flat."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help=f"A folder for metrics.json, photos.csv and {SHEET}.",
)
@click.option("--size", type=int, help=f"{SIZE}  [default: the weights' own]")
@click.option("--saturation", type=float, help="What the chroma is multiplied by.  [default: 1]")
@click.option(
    "--refine", type=float, help="How closely colours follow edges, from 0 to 1.  [default: 1]"
)
@click.option(
    "--robust",
    is_flag=True,
    help="Measure instead how far colours move when a photo fades, is framed, scratched, cropped.",
)
@click.option(
    "--hints",
    type=click.IntRange(1, CAPACITY),
    help="Measure instead what so many hints of the true colours bring to each photo.",
)
def main(
    weights: str | None,
    data: Path,
    out: Path | None,
    size: int | None,
    saturation: float | None,
    refine: float | None,
    robust: bool,
    hints: int | None,
) -> None:
    """Print the figures of the colorized pictures beside those of the grey ones.

    A photo that cannot be read is named, counted and passed over. The exit code is 2 when nothing
    could be measured.
    """
    controls = {"saturation": saturation, "refine": refine}
    options = {name: value for name, value in controls.items() if value is not None}
    photos = _find_photos(data, out)
    params, identity = _load(weights, size)
    _check(params, options)
    if robust:
        _print_distances(params, photos, options)
        return
    if hints is not None:
        _print_hinted(params, photos, hints, options)
        return
    try:
        report = _evaluate(params, photos, data, out, {"weights": identity, "options": options})
    except OSError as error:  # a photo's would be a PhotoError
        raise EvaluationError(f"{out}: cannot be written ({error.strerror or error})") from None
    _print(report)


def _find_photos(data: Path, out: Path | None) -> list[Path]:
    from jaxcolor import image_io

    if not data.is_dir():
        raise EvaluationError(f"{data}: {'not a' if data.exists() else 'no such'} folder")
    sheet = out and out / SHEET  # of an earlier run, if the results lie among the photos
    photos = sorted(
        path
        for path in data.rglob("*")
        if path.suffix.lower() in image_io.PHOTO_SUFFIXES
        and not any(map(image_io.is_passed_over, path.relative_to(data).parts))
        and path.is_file()
        and path != sheet
    )
    if not photos:
        raise EvaluationError(f"{data}: no photo in it")
    return photos


def _load(name: str | None, size: int | None) -> tuple[Params, dict[str, Any]]:
    """The colorizer, and what tells it from others."""
    from jaxcolor import weights

    name = name or weights.available_models()[0]
    try:
        params = weights.load(name).with_size(size)
    except (OSError, ValueError) as error:
        raise EvaluationError(str(error)) from None
    checksum = weights.sha256(weights.locate(name))
    return params, {"name": name, "sha256": checksum, "config": params.config.to_json()}


def _check(params: Params, options: dict[str, Any]) -> None:
    """Has `colorize_batch` look at what it will be told, before any work is done."""
    from jaxcolor import colorize_batch

    try:
        colorize_batch(params, [], **options)
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def _evaluate(
    params: Params, photos: list[Path], data: Path, out: Path | None, setting: dict[str, Any]
) -> dict[str, Any]:
    """Measures all photos, writes the results to `out`, and returns what metrics.json holds."""
    from jaxcolor import evaluation

    options = setting["options"]
    with _photo_table(out, data) as add_line:
        results = evaluation.evaluate(params, photos, **options)
        summary, ranked = _measure(
            tqdm(results, total=len(photos), unit="photo", disable=None), add_line
        )
        counts = _counts(len(photos), summary)
        if not summary.counted:
            raise EvaluationError(f"{data}: no photo with anything to colour ({_in_words(counts)})")
        report = {**_versions(), "data": str(data), **setting, "photos": counts, **summary.means()}
        if out is not None:
            picked = evaluation.best_median_worst(ranked, ON_SHEET)
            trials = evaluation.colorized(params, [photo for _, photo in picked], **options)
            rows = [_row(label, trial) for (label, _), trial in zip(picked, trials, strict=True)]
            save_sheet(out / SHEET, rows, ("grey", "colorized", "truth"))
            _save_json(out / "metrics.json", report)
    return report


def _measure(
    bar: tqdm[Score | PhotoError], add_line: Callable[[Score], None]
) -> tuple[Summary, list[tuple[float, Path]]]:
    """The means, and every counted photo with its gain."""
    from jaxcolor import evaluation

    summary = evaluation.Summary()
    ranked = []
    for result in bar:
        if not isinstance(result, evaluation.Score):
            bar.write(f"evaluate: {result}", file=sys.stderr)
            continue
        summary.add(result)
        add_line(result)
        if result.counts:
            ranked.append((result.gain, result.photo))
    return summary, ranked


def _print_distances(params: Params, photos: list[Path], options: dict[str, Any]) -> None:
    """The table of `jaxcolor.robustness`."""
    from jaxcolor import image_io, robustness

    each = []
    for one in tqdm(
        robustness.distances(params, photos, **options),
        total=len(photos),
        unit="photo",
        disable=None,
    ):
        if isinstance(one, image_io.PhotoError):
            click.echo(f"evaluate: {one}", err=True)
        else:
            each.append(one)
    try:
        means = robustness.means(each)
    except ValueError as error:
        raise EvaluationError(str(error)) from None
    click.echo(f"{len(each)} photos: mean distance of ab between clean and damaged")
    for name, distance in means.items():
        click.echo(f"{name:28}{distance:6.2f}")


def _print_hinted(params: Params, photos: list[Path], count: int, options: dict[str, Any]) -> None:
    """What hints bring: means over the photos with something to colour."""
    from jaxcolor import evaluation, image_io

    each = []
    for one in tqdm(
        evaluation.hinted(params, photos, count, **options),
        total=len(photos),
        unit="photo",
        disable=None,
    ):
        if isinstance(one, image_io.PhotoError):
            click.echo(f"evaluate: {one}", err=True)
        elif one.chroma >= evaluation.LEAST_CHROMA:
            each.append(one)
    if not each:
        raise EvaluationError("no photo with anything to colour")
    click.echo(f"{len(each)} photos with {count} hints each, of the true colours")
    for name, words, number in (
        ("gain", "PSNR above the automatic result (dB)", "{:+.2f}"),
        ("distance", "distance of ab at the hints", "{:.2f}"),
        ("moved", "share of pixels whose ab moved by 2 or more", "{:.2f}"),
    ):
        mean = sum(getattr(one, name) for one in each) / len(each)
        click.echo(f"{words:45}{number.format(mean):>8}")


def _counts(found: int, summary: Summary) -> dict[str, int]:
    left_out = summary.nothing_to_colour
    damaged = found - summary.counted - left_out
    return {
        "found": found,
        "counted": summary.counted,
        "nothing_to_colour": left_out,
        "damaged": damaged,
    }


def _versions() -> dict[str, Any]:
    import jax

    import jaxcolor
    from jaxcolor import evaluation

    return {
        "protocol": {
            "version": evaluation.PROTOCOL,
            "size": evaluation.SIZE,
            "least_chroma": evaluation.LEAST_CHROMA,
        },
        "jaxcolor": jaxcolor.__version__,
        "jax": jax.__version__,
    }


# -- what is written -------------------------------------------------------------------------------


@contextlib.contextmanager
def _photo_table(out: Path | None, data: Path) -> Iterator[Callable[[Score], None]]:
    """Opens photos.csv in `out`, if there is one, and gives what adds a photo's line to it."""
    if out is None:
        yield lambda score: None
        return
    from jaxcolor.atomic import open_whole

    out.mkdir(parents=True, exist_ok=True)
    with open_whole(out / "photos.csv") as file:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        writer: csv.DictWriter[str] | None = None

        def add_line(score: Score) -> None:
            nonlocal writer
            line = _line(score, data)
            if writer is None:
                writer = csv.DictWriter(text, line)
                writer.writeheader()
            writer.writerow(line)

        yield add_line
        text.detach()  # flushed, and left open for `open_whole`


def _line(score: Score, data: Path) -> dict[str, object]:
    """A photo's line of photos.csv."""
    photo = score.photo.relative_to(data)
    figures = {
        "psnr_gain": score.gain,
        "truth_chroma": score.chroma,
        "truth_colourfulness": score.colourfulness,
    }
    for prefix, measured in (("", score.prediction), ("grey_", score.grey)):
        figures |= {prefix + name: getattr(measured, name) for name in FIGURES}
        figures[f"{prefix}auc"] = measured.accuracy.plain
    return {
        "photo": photo.as_posix(),
        "group": photo.parts[0] if len(photo.parts) > 1 else "",
        "counted": int(score.counts),
        **{name: f"{value:.6g}" for name, value in figures.items()},
    }


def _row(label: str, trial: Trial | PhotoError) -> Row:
    """A photo's row of the sheet."""
    from jaxcolor import evaluation

    if not isinstance(trial, evaluation.Trial):
        raise trial
    score = evaluation.score(trial)
    psnr = f"PSNR {score.prediction.psnr:.2f} dB, grey {score.grey.psnr:.2f} ({score.gain:+.2f})"
    pictures = (trial.grey, trial.prediction, trial.truth)
    return Row(
        [Image.fromarray(picture) for picture in pictures],
        f"{label}: {trial.photo.name[-60:]}   {psnr}",
    )


def _save_json(path: Path, report: dict[str, Any]) -> None:
    from jaxcolor.atomic import open_whole

    with open_whole(path) as file:
        file.write(json.dumps(report, indent=2).encode() + b"\n")


def _print(report: dict[str, Any]) -> None:
    click.echo(_in_words(report["photos"]))
    click.echo(f"{'':16}{'colorized':>10}{'grey':>10}{'truth':>10}  gain")
    for name, key, number, gain in TABLE:
        cells = [
            number.format(report[kind][key]) if key in report[kind] else ""
            for kind in ("prediction", "grey", "truth")
        ]
        line = f"{name:16}" + "".join(f"{cell:>10}" for cell in cells)
        click.echo(f"{line}  {gain.format(**report['gain'])}".rstrip())


def _in_words(counts: dict[str, int]) -> str:
    return (
        f"{counts['found']} photos: {counts['counted']} counted, "
        f"{counts['nothing_to_colour']} with nothing to colour, {counts['damaged']} damaged"
    )


if __name__ == "__main__":
    main()
