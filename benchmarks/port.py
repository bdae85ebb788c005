"""Porting Inception-ResNet-v2."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from benchmarks import measure


@click.option(
    "--source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keras's .h5 file.  [default: one of the same layout, with random weights]",
)
def port(source: Path | None) -> None:
    """Time and peak memory of porting Inception-ResNet-v2, as a process."""
    with tempfile.TemporaryDirectory() as folder:
        if source is None:
            source = Path(folder, "random.h5")
            _write_random_keras_file(source)
        out = Path(folder, "ported.safetensors")
        command = [sys.executable, "-m", "jaxcolor", "port", "inception_resnet_v2"]
        run = measure.whole_process(
            [*command, "--source", str(source.resolve()), "--out", str(out)]
        )
        size = source.stat().st_size / 1e6
        click.echo(f"{size:.0f} MB: {run.seconds:.1f} s, peak {run.megabytes / 1000:.2f} GB")


def _write_random_keras_file(path: Path) -> None:
    """The legacy layout, from our own table of the order: for speed, not for proof."""
    import h5py
    import numpy as np
    from flax.traverse_util import flatten_dict

    from jaxcolor.porting.inception_resnet_v2 import declared_variables, keras_order

    shapes = {name: leaf.shape for name, leaf in flatten_dict(declared_variables()).items()}
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        names = []
        for number, slot in enumerate(keras_order()):
            names.append(f"layer_{number}")
            group = file.create_group(names[-1])
            group.attrs["weight_names"] = [leaf for _, leaf in slot.leaves]
            for collection, leaf in slot.leaves:
                shape = shapes[(collection, *slot.module, leaf)]
                shape = shape if slot.block is None else shape[1:]
                group[leaf] = rng.random(shape, np.float32)
        file.attrs["layer_names"] = names
