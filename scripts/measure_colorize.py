"""Measures what `colorize` does with the full-size picture; docs/refine.md holds the figures.

python scripts/measure_colorize.py chroma            # how well known chroma is enlarged
python scripts/measure_colorize.py files             # how much of L each format of files keeps
python scripts/measure_colorize.py pictures 12 100   # time and peak memory, by megapixels
"""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import numpy as np

FREE = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle")  # inside scikit-image
SIZES = (224, 112, 64)
EDGES = 0.1  # the share of pixels that counts as near an edge: those of the steepest L

FULL_COLOUR = {"subsampling": "4:4:4"}
# Settings of Pillow's encoders beside those that `save_photo` uses.
ALTERNATIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG, quality 95": ("JPEG", {"quality": 95, **FULL_COLOUR}),
    "JPEG, quality 98": ("JPEG", {"quality": 98, **FULL_COLOUR}),
    "JPEG, quality 99": ("JPEG", {"quality": 99, **FULL_COLOUR}),
    "AVIF, quality 95": ("AVIF", {"quality": 95, "speed": 8, **FULL_COLOUR}),
    "AVIF, quality 98": ("AVIF", {"quality": 98, "speed": 8, **FULL_COLOUR}),
}
# JPEG's steps for luma, beside those of quality 95 for chroma: a quality's, or one for all.
LUMA: dict[str, int | list[int]] = {
    "quality 97": 97,
    "quality 98": 98,
    "quality 99": 99,
    "steps of 2": [2] * 64,
}
OFF_GRID = (slice(3, None), slice(5, None))

# In a process of its own, as a user's: reading, colorizing, writing. Each is run once before on a
# small picture, so that compiling is not in the times. VmHWM is the peak of this process alone.
PICTURE = """
import json, sys, time
import numpy as np
import jaxcolor
from jaxcolor import image_io, predict
params = jaxcolor.load()
for rows in predict.colorize_rows(params, np.zeros((600, 600), np.uint16)):
    pass
times = [time.perf_counter()]
photo = image_io.open_photo(sys.argv[1])
times.append(time.perf_counter())
for rows in predict.colorize_rows(params, photo.pixels):
    pass
times.append(time.perf_counter())
image_io.save_photo(sys.argv[2], photo, predict.colorize_rows(params, photo.pixels))
times.append(time.perf_counter())
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps([*np.diff(times), int(peak) / 1e6]))
"""


@click.group()
def main() -> None:
    """Measure one kind of work."""


@main.command()
@click.argument("photos", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--size", "sizes", type=int, multiple=True, default=SIZES, show_default=True)
@click.option("--floor", type=float, help="Another than FLOOR of refine.py.")
@click.option("--range", "range_", type=float, help="Another than RANGE of refine.py.")
def chroma(
    photos: tuple[Path, ...], sizes: tuple[int, ...], floor: float | None, range_: float | None
) -> None:
    """Enlarge the true ab of colour PHOTOS from SIZE x SIZE, and compare it with what it was.

    Without PHOTOS: five free ones. Each photo is made small as `colorize` makes it, its ab by
    plain averaging. PSNR is that of ab over a range of 220; near edges it is the root mean square
    error of ab on the tenth of the pixels where L is steepest. All are means over the photos.
    """
    from jaxcolor import refine

    refine.FLOOR = refine.FLOOR if floor is None else floor
    refine.RANGE = refine.RANGE if range_ is None else range_
    labs = [_to_lab(rgb) for rgb in (map(_read, photos) if photos else _free_photos())]
    for size in sizes:
        plain, refined = (
            np.mean([_figures(lab, size, strength) for lab in labs], axis=0)
            for strength in (0.0, 1.0)
        )
        click.echo(
            f"{size}: PSNR bilinear {plain[0]:.2f}, joint bilateral {refined[0]:.2f} dB; "
            f"near edges bilinear {plain[1]:.2f}, joint bilateral {refined[1]:.2f}"
        )


@main.command()
@click.argument("photos", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def files(photos: tuple[Path, ...]) -> None:
    """Colorize PHOTOS (without them: five free ones), and compare L in each file with the photo's.

    Three rows and five columns are cut off first: most photos were JPEGs once, and writing one on
    its own grid of 8x8 again flatters. Printed: the mean of |L of the file - L of the photo|, that
    of the worst photo, the share of pixels within 1, that of the worst photo, bits a pixel.
    """
    import jaxcolor

    params = jaxcolor.load("lite")  # the figures shall not change with the default
    measured: dict[str, list[tuple[float, float, float]]] = {}
    for photo in map(_read, photos) if photos else _free_photos():
        pixels = photo[OFF_GRID]
        rgb = jaxcolor.colorize(params, pixels)
        truth = _to_lab(pixels)[..., 0]
        for name, data in _encoded(rgb):
            error = np.abs(_to_lab(_read(io.BytesIO(data)))[..., 0] - truth)
            bits = 8 * len(data) / truth.size
            measured.setdefault(name, []).append((error.mean(), (error <= 1).mean(), bits))
    for name, figures in measured.items():
        means, shares, sizes = np.transpose(figures)
        click.echo(
            f"{name}: mean {means.mean():.3f}, worst {means.max():.3f}; within 1 "
            f"{shares.mean():.2%}, worst {shares.min():.2%}; {sizes.mean():.2f} bits a pixel"
        )


def _encoded(rgb: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """The picture as files, by the name of how it was written."""
    from PIL import Image

    from jaxcolor import image_io

    def saved(format: str, options: dict[str, Any]) -> bytes:
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, format, **options)
        return file.getvalue()

    for name, (format, options) in ALTERNATIVES.items():
        yield name, saved(format, options)
    for name, luma in LUMA.items():
        steps = luma if isinstance(luma, list) else _tables(luma)[0]
        options = {"qtables": [steps, _tables(95)[1]], **FULL_COLOUR}
        yield f"JPEG, luma of {name}, chroma of quality 95", saved("JPEG", options)
    for name in image_io.NAMES:
        file = io.BytesIO()
        image_io.save_photo(file, image_io.Photo(rgb), rgb, format=name)
        yield f"{name}, as it is written", file.getvalue()


def _tables(quality: int) -> list[list[int]]:
    """JPEG's tables of quantization: luma's and chroma's."""
    from PIL import Image, JpegImagePlugin

    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    file.seek(0)
    tables = JpegImagePlugin.JpegImageFile(file).quantization
    return [tables[0], tables[1]]


@main.command()
@click.argument("megapixels", nargs=-1, type=float, required=True)
@click.option("--repeats", default=3, show_default=True)
@click.option("--format", default="tif", show_default=True, help="Of the result.")
def pictures(megapixels: tuple[float, ...], repeats: int, format: str) -> None:
    """Read, colorize and write a grey TIFF of 16 bits and so many MEGAPIXELS; medians, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        files = [_write_picture(Path(folder, f"{number}.tif"), number) for number in megapixels]
        out = Path(folder, f"colour.{format}")
        rounds = [[_measured(file, out) for file in files] for _ in range(repeats)]
    for number, runs in zip(megapixels, zip(*rounds, strict=True), strict=True):
        read, work, whole, peak = (statistics.median(part) for part in zip(*runs, strict=True))
        click.echo(
            f"{number:g} megapixels: reading {read:.1f} s, colorizing {work:.1f} s "
            f"({1000 * work / number:.0f} ms a megapixel), the same while writing {whole:.1f} s; "
            f"peak {peak:.2f} GB"
        )


def _figures(lab: np.ndarray, size: int, strength: float) -> tuple[float, float]:
    """PSNR of the enlarged ab, and its error near edges."""
    import jax
    import jax.numpy as jnp

    from jaxcolor import refine

    height, width, _ = lab.shape
    lightness, truth = lab[..., 0], lab[..., 1:]
    seen = refine.resize_matrix(height, size) @ lightness @ refine.resize_matrix(width, size).T
    small = np.stack([seen, *(_averaged(truth[..., i], size) for i in range(2))], axis=-1)
    places = refine.taps(size, height), refine.taps(size, width)
    enlarge = jax.jit(refine.enlarge)
    ab = enlarge(jnp.asarray(small), jnp.asarray(lightness), *places, strength)
    error = np.square(np.asarray(ab) - truth).mean(axis=-1)
    steepness = np.hypot(*np.gradient(lightness))
    near = steepness >= np.quantile(steepness, 1 - EDGES)
    return 10 * np.log10(220**2 / error.mean()), np.sqrt(error[near].mean())


def _averaged(plane: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BOX))


def _to_lab(rgb: np.ndarray) -> np.ndarray:
    import jax

    from jaxcolor import color

    return np.asarray(jax.jit(color.rgb_to_lab)(rgb / np.float32(255)))


def _read(photo: Path | BinaryIO) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(photo).convert("RGB"))


def _free_photos() -> Iterator[np.ndarray]:
    import skimage.data

    for name in FREE:
        loaded: Any = getattr(skimage.data, name)()
        yield loaded[0] if isinstance(loaded, tuple) else loaded  # the left one of a stereo pair


def _write_picture(file: Path, megapixels: float) -> Path:
    """A landscape of soft blots, with grain."""
    from PIL import Image

    rng = np.random.default_rng(0)
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = int(megapixels * 1e6 / height)
    blots = Image.fromarray(rng.uniform(5000, 60000, (9, 12)).astype(np.float32))
    soft = np.array(blots.resize((width, height), Image.Resampling.BICUBIC))
    for row in soft:
        row += rng.normal(0, 500, width)
    Image.fromarray(soft.clip(0, 65535).astype(np.uint16)).save(file)
    return file


def _measured(file: Path, out: Path) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", PICTURE, str(file), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


if __name__ == "__main__":
    main()
