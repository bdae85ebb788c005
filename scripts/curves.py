"""Draws the loss and the validation of training runs, from what TensorBoard reads of them.

python scripts/curves.py runs/pyramid runs/pyramid-fine -o docs/images/training.png

Needs matplotlib, of the extra `dev`. Runs are drawn one behind the other, as each went on from the
weights of the one before.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

SMOOTH = 20  # points of the training loss in one mean


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(runs: tuple[Path, ...], output: Path) -> None:
    """Draw RUNS, work folders of scripts/train.py, one behind the other."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    begin = 0.0
    for run, colour in zip(runs, pyplot.cm.viridis(np.linspace(0, 0.8, len(runs))), strict=True):
        loss, validation = (_series(run, tag) for tag in ("train/loss", "validation/squared_error"))
        smooth = np.convolve(loss[1], np.full(SMOOTH, 1 / SMOOTH), "valid")
        axes.plot(begin + loss[0][SMOOTH - 1 :], smooth, color=colour, alpha=0.5, lw=1)
        axes.plot(begin + validation[0], validation[1], "o-", color=colour, label=run.name)
        begin += loss[0][-1]
    axes.set(xlabel="steps", ylabel="mean squared error of ab / 110")
    axes.set_title("validation (dots) and training loss, smoothed (lines)", fontsize=10)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    try:
        figure.savefig(output, dpi=100)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{output}: cannot be written ({error})") from None


def _series(run: Path, tag: str) -> np.ndarray:
    """Steps and values of a scalar, (2, n)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(run), size_guidance={"tensors": 0})
    events.Reload()
    if tag not in events.Tags()["tensors"]:
        raise click.UsageError(f"{run}: no {tag} in it; is it a work folder of scripts/train.py?")
    points = events.Tensors(tag)
    return np.array([[p.step for p in points], [make_ndarray(p.tensor_proto) for p in points]])


if __name__ == "__main__":
    main()
