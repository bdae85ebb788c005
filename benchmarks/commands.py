"""The works that can be measured, each a command of `scripts/benchmark.py`."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks import measure
from benchmarks.data import data
from benchmarks.measure import Row, Worker, alternate, whole_process, whole_processes
from benchmarks.port import port

KERAS = ("tensorflow", "jax")
OURS = "jaxcolor"


@click.group()
@click.option("--json", "file", type=click.Path(path_type=Path), help="Add the figures to a file.")
@click.option("--repeats", default=5, show_default=True, help="Runs of each side.")
@click.pass_context
def main(context: click.Context, file: Path | None, repeats: int) -> None:
    """Measure one kind of WORK, beside other ways to do it where there are any.

    Runs alternate between the sides; printed are medians, and ours divided by theirs.
    """
    context.obj = file, repeats


def command(function: Callable[..., Iterator[list[Row]]]) -> click.Command:
    """A command that yields rows, work by work."""

    @functools.wraps(function)
    def run(**options: Any) -> None:
        file, repeats = click.get_current_context().obj
        most = measure.ceiling() if function.__name__ in ("predict", "train", "scale") else None
        for rows in function(repeats=repeats, **options):
            measure.report(rows, file, most)

    return main.command(function.__name__)(run)


def profiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the option to see where our time goes."""
    return click.option(
        "--profile", is_flag=True, help="Instead: which of XLA's operations our time goes into."
    )(function)


def _ours(*arguments: object) -> Callable[[], Worker]:
    return lambda: Worker("ours", *map(str, arguments))


def _keras(backend: str, *arguments: object) -> Callable[[], Worker]:
    return lambda: Worker("peers.keras_worker", *map(str, arguments), KERAS_BACKEND=backend)


def _torch(*arguments: object) -> dict[str, Callable[[], Worker]]:
    if importlib.util.find_spec("torch") is None:
        return {}
    return {"PyTorch": lambda: Worker("peers.torch_worker", *map(str, arguments))}


def _onnx(batch: int) -> dict[str, Callable[[], Worker]]:
    """The default network in ONNX Runtime, as our command exports it."""
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")):
        return {}

    def worker() -> Worker:
        with tempfile.TemporaryDirectory() as folder:
            model = _exported(Path(folder, "colorizer.onnx"))
            return Worker("peers.onnx_worker", str(model), "224", str(batch))

    return {"ONNX Runtime": worker}


def _exported(model: Path, *options: str) -> Path:
    """The default network as our command exports it."""
    words = [sys.executable, "-m", "jaxcolor", "export", *options, "-o", str(model)]
    subprocess.run(words, cwd=measure.ROOT, check=True, stdout=subprocess.DEVNULL)
    return model


def _opencv(photos: Path, folder: Path) -> dict[str, Callable[[], list[str]]]:
    """OpenCV with ONNX Runtime, on the default network as our command exports it."""
    if any(importlib.util.find_spec(name) is None for name in ("cv2", "onnx", "onnxruntime")):
        return {}
    model = _exported(folder / "colorizer.onnx")
    words = [sys.executable, "-m", "benchmarks.peers.opencv_onnx", str(model), str(photos)]
    result = folder / ("opencv" + photos.suffix)
    return {"OpenCV, ONNX Runtime": lambda: [*words, str(result)]}


def _show_profile(*arguments: object) -> None:
    words = [sys.executable, "-m", "benchmarks.ours", *map(str, arguments), "--profile"]
    subprocess.run(words, cwd=measure.ROOT, env=measure.quiet_environment(), check=True)


@command
@click.option("--which", type=click.Choice(["default", "base", "empty"]), multiple=True)
@click.option("--megapixels", default=12.0, show_default=True)
@click.option(
    "--beside",
    type=click.Choice(["keras", "opencv"]),
    multiple=True,
    default=("keras", "opencv"),
    show_default=True,
)
def cold(
    which: tuple[str, ...], megapixels: float, beside: tuple[str, ...], repeats: int
) -> Iterator[list[Row]]:
    """A whole process: one photo, from file to file, against a Keras script.

    Also against one with OpenCV and ONNX Runtime, of the default network, where these are
    installed. `default` and `base` (Inception-ResNet-v2, random weights) find the programs of an
    earlier run in the cache, `empty` is the first run ever.
    """
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.jpg")
        write_photo(photo, megapixels)
        theirs = [sys.executable, "-m", "benchmarks.peers.keras_colorize", str(photo)]
        theirs.append(str(Path(folder, "theirs.jpg")))
        for name in which or ("default", "base", "empty"):
            work = f"cold {name}, {megapixels:g} MP"
            ours = _colorize(photo, Path(folder, "ours.jpg"))
            if name == "base":
                ours += ["--weights", str(_random_base(Path(folder, "base.safetensors")))]
            cache = Path(folder, "cache")
            with _cache_at(cache):
                whole_process(ours)  # fills the cache

                prepare = functools.partial(_empty, cache) if name == "empty" else list
                sides = {OURS: _prepared(ours, prepare)}
                if "keras" in beside:
                    sides["Keras (TensorFlow)"] = lambda: theirs
                if "opencv" in beside and name != "base":
                    sides |= _opencv(photo, Path(folder))
                yield whole_processes(work, sides, repeats)


def _colorize(photos: Path, output: Path) -> list[str]:
    """Our command."""
    words = [sys.executable, "-m", "jaxcolor", "colorize", "--overwrite"]
    return [*words, str(photos), "-o", str(output)]


def _prepared(words: list[str], prepare: Callable[[], Any]) -> Callable[[], list[str]]:
    """A command before whose every run something is prepared."""

    def command() -> list[str]:
        prepare()
        return words

    return command


def _empty(cache: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)


@contextmanager
def _cache_at(folder: Path) -> Iterator[None]:
    """A cache of our own for the processes within, so that the user's neither helps nor suffers."""
    os.environ["JAXCOLOR_CACHE"] = str(folder)
    try:
        yield
    finally:
        del os.environ["JAXCOLOR_CACHE"]


def _random_base(path: Path) -> Path:
    """Deep Koalarization's network with random weights, as a file."""
    code = """
import sys
import jax, numpy as np
from jaxcolor import weights
from jaxcolor.models import Config, Params, make_network
config = Config(backbone="inception_resnet_v2")
seen = jax.ShapeDtypeStruct((1, 224, 224, 1), "float32")
shapes = jax.eval_shape(make_network(config).init, jax.random.key(0), seen)
rng = np.random.default_rng(0)
variables = jax.tree.map(lambda leaf: 0.01 * rng.standard_normal(leaf.shape, "f4") ** 2, shapes)
weights.save_params(sys.argv[1], Params(config, variables))
"""
    if not path.exists():
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    return path


@command
@click.argument("which", nargs=-1)
@click.option("--batch", "batches", type=int, multiple=True, default=(8, 1), show_default=True)
@profiled
def predict(
    which: tuple[str, ...], batches: tuple[int, ...], profile: bool, repeats: int
) -> Iterator[list[Row]]:
    """The network alone, small L in, small ab out: WHICH of decoder, base, pyramid, lite.

    `decoder` is base without its backbone. The peers do what `base` does, and `decoder`;
    beside `pyramid`, the default network, its exported file runs in ONNX Runtime, where that is
    installed.
    """
    for name, batch in itertools.product(which or ("decoder", "base", "pyramid", "lite"), batches):
        if name == "decoder":
            ours: tuple[object, ...] = ("encoder_to_decoder", 224, batch)
            work = "decoder"
        else:
            ours, work = ("predict", name, 0, batch), "base"
        if profile:
            _show_profile(*ours)
            continue
        sides = {OURS: _ours(*ours)}
        sides |= {f"Keras {work} ({b})": _keras(b, work, 224, batch) for b in KERAS}
        sides |= _torch("decoder", 224, batch) if name == "decoder" else {}
        sides |= _onnx(batch) if name == "pyramid" else {}
        yield alternate(f"predict {name}, batch {batch}", sides, repeats)


@command
@click.argument("which", nargs=-1)
@profiled
def train(which: tuple[str, ...], profile: bool, repeats: int) -> Iterator[list[Row]]:
    """A step of Deep Koalarization without its backbone, WHICH of 224x8, 128x16 (size, batch)."""
    for pair in which or ("224x8", "128x16"):
        arguments = tuple(map(int, pair.split("x")))
        if profile:
            _show_profile("train", *arguments)
            continue
        sides = {OURS: _ours("train", *arguments)}
        sides |= {f"Keras ({b})": _keras(b, "train", *arguments) for b in KERAS}
        sides |= _torch("train", *arguments)
        size, batch = arguments
        yield alternate(f"train, {size}x{size}, batch {batch}", sides, repeats)


@command
@click.argument("which", nargs=-1)
@profiled
def step(which: tuple[str, ...], profile: bool, repeats: int) -> Iterator[list[Row]]:
    """A whole train step of a recipe: WHICH of NAME,SIZE,BATCH.

    Without any: each recipe at 128 and 224, batch 8, and the pyramid as it was trained.
    """
    default = [f"{name},{size},8" for name in ("lite", "base", "pyramid") for size in (128, 224)]
    for one in which or (*default, "pyramid,160,16"):
        arguments = one.split(",")
        if profile:
            _show_profile("step", *arguments)
            continue
        rows = alternate(f"step {one}", {OURS: _ours("step", *arguments)}, repeats)
        rows[0].note = f"{rows[0].median / int(arguments[2]):.3f} s a photo"
        yield rows


@command
@click.option("--megapixels", default=12.0, show_default=True)
@profiled
def lab(megapixels: float, profile: bool, repeats: int) -> Iterator[list[Row]]:
    """From sRGB to Lab and back, 8 bits, against scikit-image."""
    if profile:
        _show_profile("lab", megapixels)
        return
    sides = {OURS: _ours("lab", megapixels)}
    sides["scikit-image"] = lambda: Worker("peers.skimage_lab", str(megapixels))
    yield alternate(f"lab, {megapixels:g} MP", sides, repeats)


@command
@click.option("--megapixels", type=float, multiple=True, default=(1, 12, 100), show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 8, 64), show_default=True)
def scale(
    megapixels: tuple[float, ...], batches: tuple[int, ...], repeats: int
) -> Iterator[list[Row]]:
    """Our command by size of photo, time and memory; the default network by size of batch."""
    with tempfile.TemporaryDirectory() as folder, _cache_at(Path(folder, "cache")):
        for size in megapixels:
            photo = Path(folder, "photo.jpg")
            write_photo(photo, size)
            ours = _colorize(photo, Path(folder, "ours.jpg"))
            whole_process(ours)
            sides = {OURS: _prepared(ours, list)}
            yield whole_processes(f"colorize, {size:g} MP", sides, repeats)
    for batch in batches:
        side = {OURS: _ours("predict", "pyramid", 0, batch)}
        yield alternate(f"predict pyramid, batch {batch}", side, repeats)


@command
@click.option("--photos", default=48, show_default=True, help="How many.")
@click.option("--megapixels", default=2.0, show_default=True)
def folder(photos: int, megapixels: float, repeats: int) -> Iterator[list[Row]]:
    """A folder of photos through our command.

    Beside it our command with one thread each to read and to write, and OpenCV with ONNX Runtime,
    where these are installed.
    """
    with tempfile.TemporaryDirectory() as place, _cache_at(Path(place, "cache")):
        album = Path(place, "album")
        album.mkdir()
        for number in range(photos):
            write_photo(album / f"{number}.jpg", megapixels, seed=number)
        ours = _colorize(album, Path(place, "out"))
        whole_process(ours)
        sides: dict[str, Any] = {
            OURS: lambda: ours,
            "jaxcolor --jobs 1": lambda: [*ours, "--jobs", "1"],
            **_opencv(album, Path(place)),
        }
        rows = whole_processes(f"folder, {photos} of {megapixels:g} MP", sides, repeats)
        for row in rows:
            row.note = f"{photos / row.median:.1f} photos/s"
        yield rows


@command
@click.argument("peer", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--size", default=224, show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 8), show_default=True)
def exported(peer: Path, size: int, batches: tuple[int, ...], repeats: int) -> Iterator[list[Row]]:
    """The default network in ONNX Runtime: our file, and one that PyTorch wrote, PEER.

    `benchmarks/peers/torch_pyramid.py` makes that one.
    """
    import numpy as np
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        own = _exported(Path(folder, "ours.onnx"), "--part", "network")
        lightness = np.random.default_rng(0).uniform(-1, 1, (2, 1, size, size)).astype(np.float32)
        both = [
            onnxruntime.InferenceSession(file).run(None, {"lightness": seen})[0]
            for file, seen in ((own, lightness[:, 0]), (peer, lightness))
        ]
        click.echo(f"largest difference of ab / 110: {np.abs(both[0] - both[1]).max():.1e}")
        for batch in batches:

            def side(file: Path, batch: int = batch) -> Callable[[], Worker]:
                arguments = str(file.resolve()), str(size), str(batch)
                return lambda: Worker("peers.onnx_worker", *arguments)

            sides = {OURS: side(own), "PyTorch's": side(peer)}
            yield alternate(f"exported pyramid, batch {batch}", sides, repeats)


main.command("data")(data)
main.command("port")(port)


def write_photo(path: Path, megapixels: float, seed: int = 0) -> None:
    """A grey JPEG with the detail of a scanned photo."""
    import numpy as np
    from PIL import Image

    height, width = (round((megapixels * 1e6 * side) ** 0.5) for side in (3 / 4, 4 / 3))
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (24, 32), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    grain = rng.standard_normal((height, width), np.float32) * 8
    Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=92)
