"""How calm a film's colours are, and how true: clips of known motion, made from photos.

    python scripts/measure_film.py ../shared/photos/val [--clips 10] [--weights NAME|FILE]
    python scripts/measure_film.py ../shared/photos/val --speed 480x640
    python scripts/measure_film.py ../shared/photos/val --drift [--clips 4]
    python scripts/measure_film.py examples --clip docs/images/film.webp

Each clip is 48 frames of one photo's lightness: a pan, a zoom, a shaken camera, one at rest, or an
object that crosses; all with grain that is drawn anew and an exposure that wobbles by 4 %. The
colours of its frames are compared along the motion that made them: frame by frame, and fused.

With --speed it prints the CPU time of a frame of that size: of each step by itself, and of whole
runs as they are and frame by frame, without what holds the colours. With --drift it prints how far
the common tint wanders along the motion of scenes of 288 frames, in which light slowly comes and
goes. With --clip it writes a moving picture of a pan: grey, frame by frame, and as it comes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import av
import cv2
import jax.numpy as jnp
import numpy as np
from PIL import Image

import jaxcolor
from jaxcolor import color, image_io
from jaxcolor.controls import UNTOUCHED
from jaxcolor.film import fusion, reading, run, scenes, writing
from jaxcolor.predict import planes, stages

FRAMES = 48
SIZE = (240, 320)  # of the frames
KINDS = ("pan", "zoom", "shake", "still", "crossing")
EXPOSURE = 0.04
GRAIN = 4.0  # of 255
SLOW = 0.2  # of exposure, over a long scene
EVERY = 6  # of a long scene's frames one is looked at
EDGES = 0.1  # the share of the picture that counts as strong colour edges


class Layer(NamedTuple):
    """Something that moves as one: where each of its frames' pixels lies in its photo.

    Attributes:
      places: (T, 2, 3), the affine map from a frame's pixels to the photo's.
      masks: (T, H, W), which pixels of the frames are of it.
    """

    places: np.ndarray
    masks: np.ndarray


def make(
    kind: str, photo: np.ndarray, other: np.ndarray, seed: int, slow: float = 0.0
) -> tuple[np.ndarray, list[Layer]]:
    """A clip (T, H, W) of uint8, and what moves in it.

    Args:
      kind: one of KINDS.
      photo: (h, w) uint8.
      other: likewise; what crosses is cut from it.
      seed: of grain and exposure.
      slow: how much brighter, and then darker, it slowly becomes.
    """
    rng = np.random.default_rng(seed)
    places = np.stack([_camera(kind, t / (FRAMES - 1), photo.shape, rng) for t in range(FRAMES)])
    height, width = SIZE
    frames = [_seen(photo, place) for place in places]
    masks = np.ones((FRAMES, height, width), bool)
    layers = [Layer(places, masks)]
    if kind == "crossing":
        side = height // 3
        patch = np.array(
            [
                [[1, 0, 40.0 - (-side + (width + side) * t / FRAMES)], [0, 1, 40.0 - height / 3]]
                for t in range(FRAMES)
            ]
        )
        mask = np.zeros_like(masks)
        rows, columns = np.indices(SIZE)
        for t in range(FRAMES):
            x, y = columns + patch[t, 0, 2] - 40, rows + patch[t, 1, 2] - 40
            mask[t] = (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 2) ** 2
            frames[t] = np.where(mask[t], _seen(other, patch[t]), frames[t])
        layers = [Layer(places, ~mask), Layer(patch, mask)]
    clip = np.stack(frames).astype(np.float32)
    light = 1 - slow + slow * np.sin(2 * np.pi * np.arange(FRAMES) / FRAMES)
    clip *= light[:, None, None].astype(np.float32)
    clip *= 1 + EXPOSURE * rng.uniform(-1, 1, (FRAMES, 1, 1))
    clip += rng.normal(0, GRAIN, clip.shape)
    return clip.round().clip(0, 255).astype(np.uint8), layers


def _camera(kind: str, t: float, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    height, width = SIZE
    scale = 0.8 * min(size[0] / height, size[1] / width)
    if kind == "zoom":
        scale *= 1 - 0.35 * t
    x, y = (size[1] - width * scale) / 2, (size[0] - height * scale) / 2
    if kind == "pan":
        x, y = (size[1] - width * scale) * t, (size[0] - height * scale) * (0.2 + 0.4 * t)
    if kind == "shake":
        x, y = x + rng.normal(0, 3), y + rng.normal(0, 3)
    return np.array([[scale, 0, x], [0, scale, y]])


def _seen(photo: np.ndarray, place: np.ndarray) -> np.ndarray:
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(photo, place, SIZE[::-1], flags=how, borderMode=cv2.BORDER_REFLECT)


def coloured(params: jaxcolor.Params, clip: np.ndarray) -> list[np.ndarray]:
    """Lab of each frame, small, by itself."""
    views = [stages.shrink(params, frame) for frame in clip]
    return [
        small
        for i in range(0, len(views), 8)
        for small in stages.run_network(params, views[i : i + 8], batch_size=8)
    ]


def fused(clip: np.ndarray, own: list[np.ndarray]) -> list[np.ndarray]:
    """The same, as `jaxcolor film` has them."""
    shape = own[0].shape[:2]
    thin = (scenes.thinned(frame.astype(np.uint16) * 257, shape) for frame in clip)
    seen = list(scenes.watched(thin))
    assert [watched.opens for watched in seen].index(True, 0) == 0
    if sum(watched.opens for watched in seen) > 1:
        print("a cut was found where there is none")
    given = ((lab, one.there, one.back, None) for lab, one in zip(own, seen, strict=True))
    return [lab for lab, _ in fusion.fused(given)]


class Figures(NamedTuple):
    """What is measured of a clip's colours; all in units of ab.

    Attributes:
      flicker: mean distance between neighbouring frames, along the true motion.
      off: mean distance to the mean, along the true motion, of the frames coloured by themselves.
      edges: likewise, at strong colour edges of that mean.
      chroma: mean.
      changed: mean distance to the frames coloured by themselves.
    """

    flicker: float
    off: float
    edges: float
    chroma: float
    changed: float


def measure(labs: list[np.ndarray], own: list[np.ndarray], layers: list[Layer]) -> Figures:
    """Figures of a clip.

    Args:
      labs: the colours to be measured.
      own: those of the frames by themselves.
      layers: what moves.
    """
    ab, by_itself = (np.stack(some)[..., 1:] for some in (labs, own))
    steps, offs, at_edges = [], [], []
    for layer in layers:
        there, masks = _laid(by_itself, layer)
        mean = np.nansum(np.where(masks[..., None], there, 0), axis=0)
        mean = mean / np.maximum(masks.sum(axis=0), 1)[..., None]
        often = masks.sum(axis=0) >= FRAMES // 4
        calm = cv2.GaussianBlur(mean.astype(np.float32), (0, 0), 1)
        slope = np.hypot(*np.gradient(calm, axis=(0, 1))).sum(axis=-1)
        inner = cv2.erode(often.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        strong = inner & (slope > np.quantile(slope[inner], 1 - EDGES))
        laid, _ = _laid(ab, layer)
        distance = np.linalg.norm(laid - mean, axis=-1)
        offs.append(distance[masks & often])
        at_edges.append(distance[masks & strong])
        both = masks[1:] & masks[:-1]
        steps.append(np.linalg.norm(laid[1:] - laid[:-1], axis=-1)[both])
    return Figures(
        float(np.concatenate(steps).mean()),
        float(np.concatenate(offs).mean()),
        float(np.concatenate(at_edges).mean()),
        float(np.linalg.norm(ab, axis=-1).mean()),
        float(np.linalg.norm(ab - by_itself, axis=-1).mean()),
    )


def _laid(ab: np.ndarray, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Each frame's colours where they lie in the photo, and whether something lies there."""
    count, rows, columns, _ = ab.shape
    height, width = SIZE
    ends = np.array([[0, 0, 1], [width, height, 1]]).T
    corners = np.concatenate([place @ ends for place in layer.places], axis=1)
    low, high = corners.min(axis=1), corners.max(axis=1)
    scale = np.median(layer.places[:, 0, 0]) * width / columns  # photo's pixels to a cell
    across, down = np.ceil((high - low) / scale).astype(int)
    y, x = np.indices((down, across), dtype=np.float32)
    places = np.stack([x * scale + low[0], y * scale + low[1]])
    laid = np.empty((count, down, across, 2), np.float32)
    masks = np.empty((count, down, across), bool)
    for t, place in enumerate(layer.places):
        u = (places[0] - place[0, 2]) / place[0, 0]
        v = (places[1] - place[1, 2]) / place[1, 1]
        mask = cv2.erode(layer.masks[t].astype(np.uint8), np.ones((9, 9), np.uint8))
        there = cv2.remap(mask, u.astype(np.float32), v.astype(np.float32), cv2.INTER_NEAREST)
        masks[t] = (there > 0) & (u > 2) & (v > 2) & (u < width - 3) & (v < height - 3)
        u, v = (u + 0.5) * columns / width - 0.5, (v + 0.5) * rows / height - 0.5
        laid[t] = cv2.remap(ab[t], u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    return laid, masks


def clips(folder: Path, count: int) -> Iterator[tuple[str, str, np.ndarray, list[Layer]]]:
    """Kinds in turn, each of another photo."""
    names = _photos(folder)
    names = names[:: max(1, len(names) // (count + 1))]
    greys = [_grey(name) for name in names]
    for i in range(count):
        kind = KINDS[i % len(KINDS)]
        clip, layers = make(kind, greys[i], greys[(i + 1) % len(greys)], i)
        yield kind, names[i].stem, clip, layers


def _photos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png", ".webp"))


def _grey(name: Path) -> np.ndarray:
    pixels = image_io.open_photo(name).pixels
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


# -- long scenes -----------------------------------------------------------------------------------


def print_drift(params: jaxcolor.Params, folder: Path, count: int) -> None:
    """How far the common tint of a long scene's frames wanders, of which one in EVERY is seen."""
    names = _photos(folder)
    names = names[:: max(1, len(names) // count)]
    reach = round(fusion.REACH / EVERY)
    print(f"{'':36} each   mean of {2 * fusion.REACH + 1}   running mean   without motion")
    for i in range(count):
        kind, photo = ("still", "pan")[i % 2], _grey(names[i])
        for slow in (0.0, SLOW):
            clip, (layer, *_) = make(kind, photo, photo, i, slow)
            own = coloured(params, clip)
            tints = _tints(own, layer)
            windows = [tints[max(0, t - reach) : t + reach + 1] for t in range(FRAMES)]
            fused = np.stack([window.mean(axis=0) for window in windows])
            running = np.stack([tints[: t + reach + 1].mean(axis=0) for t in range(FRAMES)])
            plain = np.stack([lab[..., 1:].mean(axis=(0, 1)) for lab in own])
            figures = [_wander(some) for some in (tints, fused, running, plain)]
            what = f"{kind:5} {names[i].stem[:18]:18} {'light ' if slow else 'steady'}"
            print(f"{what:32} " + "  ".join(f"{f:9.2f}" for f in figures), flush=True)


def _tints(own: list[np.ndarray], layer: Layer) -> np.ndarray:
    """Of each frame the mean distance of ab from the mean along the motion, as a vector."""
    laid, masks = _laid(np.stack(own)[..., 1:], layer)
    mean = np.where(masks[..., None], laid, 0).sum(axis=0)
    mean /= np.maximum(masks.sum(axis=0), 1)[..., None]
    often = masks.sum(axis=0) >= FRAMES // 4
    away = (some - mean for some in laid)
    return np.stack([one[mask & often].mean(axis=0) for one, mask in zip(away, masks, strict=True)])


def _wander(tints: np.ndarray) -> float:
    """The largest distance between two of them."""
    return float(np.linalg.norm(tints[:, None] - tints[None], axis=-1).max())


# -- to look at ------------------------------------------------------------------------------------


def save_clip(params: jaxcolor.Params, photo: np.ndarray, path: Path) -> None:
    """A pan, three times side by side: grey, frame by frame, fused."""
    clip, _ = make("pan", photo, photo, 0)
    own = coloured(params, clip)
    calm = fused(clip, own)
    encoding = planes.Encoding(8, True, "bt709", 1, 1)
    pictures = []
    for frame, *labs in list(zip(clip, own, calm, strict=True))[::2]:
        parts = [np.repeat(frame[..., None], 3, axis=2)]
        for lab in labs:
            chroma = planes.paint_chroma(frame, lab, UNTOUCHED, encoding).astype(np.float32)
            cbcr = (np.moveaxis(chroma, 0, -1) - 128) / 255
            rgb = color.cbcr_to_rgb(
                jnp.asarray(frame, np.float32) / 255, jnp.asarray(cbcr), "bt709"
            )
            parts.append(np.asarray(rgb * 255 + 0.5).clip(0, 255).astype(np.uint8))
        wide = np.hstack(
            [cv2.resize(part, (200, 150), interpolation=cv2.INTER_AREA) for part in parts]
        )
        pictures.append(Image.fromarray(wide))
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=80, loop=0, quality=40, method=6)


# -- time ------------------------------------------------------------------------------------------


def print_speed(params: jaxcolor.Params, photo: np.ndarray, size: tuple[int, int]) -> None:
    """CPU time of a frame, by steps and of whole runs."""
    with tempfile.TemporaryDirectory() as name:
        path, target = Path(name) / "a.mp4", Path(name) / "b.mp4"
        _save(path, [_seen_at(photo, size, t / FRAMES) for t in range(FRAMES)])
        film = reading.probed(path)
        steps = list(_steps(params, film, target))
        for what, spent in steps:
            print(f"{what:40} {1000 * spent / FRAMES:7.1f} ms")

        def whole() -> None:
            run.colorize(params, film, target, run.Wish())

        def by_themselves() -> None:
            with (
                mock.patch.object(fusion, "fused", lambda scene: ((g[0], g[3]) for g in scene)),
                mock.patch.object(scenes, "watched", _unwatched),
            ):
                whole()

        whole()  # compiles
        fused, alone = (_cpu(work) for work in (whole, by_themselves))
        print(f"{'a whole run':40} {1000 * fused / FRAMES:7.1f} ms")
        print(f"{'a whole run, frame by frame':40} {1000 * alone / FRAMES:7.1f} ms")
        print(f"{'ratio':40} {fused / alone:7.2f}")


def _steps(
    params: jaxcolor.Params, film: reading.Film, target: Path
) -> Iterator[tuple[str, float]]:
    frames = list(reading.frames(film))
    yield "reading, twice", 2 * _cpu(lambda: list(reading.frames(film)))
    greys = [planes.to_grey(frame.luma, film.encoding) for frame in frames]
    views = [stages.shrink(params, grey) for grey in greys]
    yield "making small", _cpu(lambda: [stages.shrink(params, grey) for grey in greys])

    def network() -> list[np.ndarray]:
        some = (views[i : i + 8] for i in range(0, len(views), 8))
        return [lab for part in some for lab in stages.run_network(params, part, batch_size=8)]

    labs = network()
    yield "network", _cpu(network)
    thin = [scenes.thinned(grey, labs[0].shape[:2]) for grey in greys]
    seen = list(scenes.watched(thin))
    yield "motion and scenes", _cpu(lambda: list(scenes.watched(thin)))
    given = [(lab, one.there, one.back, None) for lab, one in zip(labs, seen, strict=True)]
    yield "fusion", _cpu(lambda: list(fusion.fused(given)))
    plan = writing.planned(film, target, "h264", 18)

    def painted() -> list[np.ndarray]:
        both = zip(frames, labs, strict=True)
        return [planes.paint_chroma(f.luma, lab, UNTOUCHED, plan.encoding) for f, lab in both]

    chroma = painted()
    yield "painting", _cpu(painted)

    def encoded() -> None:
        encoder = writing.Encoder(film, plan)
        for frame, of_it in zip(frames, chroma, strict=True):
            encoder.encode(frame.pts, frame.duration, frame.luma, of_it)
        encoder.end()

    yield "encoding", _cpu(encoded)


def _unwatched(frames: Iterator[np.ndarray]) -> Iterator[scenes.Watched]:
    for number, thin in enumerate(frames):
        yield scenes.Watched(thin, number == 0, None, None)


def _cpu(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _seen_at(photo: np.ndarray, size: tuple[int, int], t: float) -> np.ndarray:
    scale = 0.8 * min(photo.shape[0] / size[0], photo.shape[1] / size[1])
    x, y = (photo.shape[1] - size[1] * scale) * t, (photo.shape[0] - size[0] * scale) * 0.5
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    frame = cv2.warpAffine(photo, np.array([[scale, 0, x], [0, scale, y]]), size[::-1], flags=how)
    grain = np.random.default_rng(int(t * FRAMES)).normal(0, GRAIN, size)
    return (16 + 219 / 255 * (frame + grain).clip(0, 255)).astype(np.uint8)


def _save(path: Path, lumas: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=25)
        stream.height, stream.width = lumas[0].shape
        stream.codec_context.time_base = Fraction(1, 25)
        for number, luma in enumerate(lumas):
            grey = np.full((luma.shape[0] * 3 // 2, luma.shape[1]), 128, np.uint8)
            grey[: luma.shape[0]] = luma
            frame = av.VideoFrame.from_ndarray(grey, format="yuv420p")
            frame.pts = number
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))


def main() -> None:
    """Prints a line for each clip, and the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--weights")
    parser.add_argument("--speed", metavar="HxW")
    parser.add_argument("--drift", action="store_true")
    parser.add_argument("--clip", type=Path, metavar="FILE")
    options = parser.parse_args()
    params = jaxcolor.load(options.weights)
    if options.clip:
        save_clip(params, _grey(_photos(options.photos)[3]), options.clip)
        return
    if options.speed:
        height, width = map(int, options.speed.split("x"))
        print_speed(params, _grey(_photos(options.photos)[0]), (height, width))
        return
    if options.drift:
        print_drift(params, options.photos, options.clips)
        return
    lines = []
    print(f"{'':44}  flicker     off   edges  chroma changed")
    for kind, name, clip, layers in clips(options.photos, options.clips):
        own = coloured(params, clip)
        start = time.process_time()
        labs = fused(clip, own)
        seconds = (time.process_time() - start) / len(clip)
        both = measure(own, own, layers), measure(labs, own, layers)
        lines.append(both)
        for what, figures in zip(("frame by frame", "fused"), both, strict=True):
            print(f"{kind:9} {name[:18]:18} {what:15}  " + "  ".join(f"{f:6.3f}" for f in figures))
        print(f"{'':44}  {seconds * 1000:.0f} ms of CPU a frame")
        sys.stdout.flush()
    mean = np.mean(lines, axis=0)
    for what, figures in zip(("frame by frame", "fused"), mean, strict=True):
        print(f"{'mean':28} {what:15}  " + "  ".join(f"{f:6.3f}" for f in figures))
    print(f"{'ratio':44}  " + "  ".join(f"{f:6.3f}" for f in mean[1][:4] / mean[0][:4]))


if __name__ == "__main__":
    main()
