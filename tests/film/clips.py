"""Small films, made up: what moves in them is known, and what stands beside the frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import skimage.data
from PIL import Image

RATE = Fraction(25)
SIZE = (96, 128)


def ground(seed: int = 0, size: tuple[int, int] = (160, 256)) -> np.ndarray:
    """A grey photo to move over; another for each seed."""
    names = ("astronaut", "coffee", "chelsea")
    pixels = getattr(skimage.data, names[seed % 3])()[:, :: (-1) ** seed]
    return np.asarray(Image.fromarray(pixels).convert("L").resize(size[::-1]))


def pan(count: int, seed: int = 0, size: tuple[int, int] = SIZE, step: int = 2) -> list[np.ndarray]:
    """Luma of 8 bits, a window that moves."""
    wide = ground(seed, (size[0] + 16, size[1] + 128))
    return [
        wide[8 : 8 + size[0], (step * t) % 128 : (step * t) % 128 + size[1]].copy()
        for t in range(count)
    ]


def save(
    path: Path,
    lumas: Iterable[np.ndarray],
    *,
    codec: str = "ffv1",
    format: str = "yuv420p",
    space: int = 6,
    full: bool = False,
    times: Sequence[int] | None = None,
    base: Fraction = 1 / RATE,
    aspect: Fraction = Fraction(1),
    turned: int = 0,
    interlaced: bool = False,
    sound: bool = False,
    subtitle: bytes | None = None,
    chapters: Sequence[dict[str, Any]] = (),
    options: dict[str, str] | None = None,
    attachment: bytes | None = None,
) -> Path:
    """A film with those planes of luma, which are kept to the last bit by ffv1."""
    lumas = list(lumas)
    height, width = lumas[0].shape
    with av.open(str(path), "w") as sink:
        video = sink.add_stream(codec, rate=RATE, options=options or {})
        video.width, video.height, video.pix_fmt = width, height, format
        video.codec_context.time_base = base
        video.codec_context.sample_aspect_ratio = aspect
        video.codec_context.colorspace = space
        video.codec_context.color_range = 2 if full else 1
        video.metadata["language"] = "fra"
        if turned:
            video.set_display_rotation(turned)
        audio = None
        if sound:
            audio = sink.add_stream("aac", rate=48000, layout="mono")
        if attachment is not None:
            sink.add_attachment("note.txt", "text/plain", attachment)
        if chapters:
            sink.set_chapters(list(chapters))
        sink.metadata["title"] = "A film"
        for number, luma in enumerate(lumas):
            frame = av.VideoFrame(width, height, format)
            for index, plane in enumerate(frame.planes):
                rows = np.frombuffer(plane, luma.dtype).reshape(plane.height, -1)
                rows[:] = (
                    1 << (8 if luma.dtype == np.uint8 else frame.format.components[0].bits) - 1
                )
                if index == 0:
                    rows[:, :width] = luma
            frame.pts = number if times is None else times[number]
            frame.time_base = base
            frame.color_range, frame.colorspace = (2 if full else 1), space
            sink.mux(video.encode(frame))
        if audio is not None:
            tone = np.sin(np.arange(48000 * len(lumas) // 25) / 20).astype(np.float32)
            for start in range(0, len(tone) - 1023, 1024):
                sound_frame = av.AudioFrame.from_ndarray(
                    tone[None, start : start + 1024], "fltp", "mono"
                )
                sound_frame.sample_rate, sound_frame.pts = 48000, start
                sink.mux(audio.encode(sound_frame))
            sink.mux(audio.encode(None))
        sink.mux(video.encode(None))
    return path


def lumas_of(path: Path) -> list[np.ndarray]:
    """The planes of luma, as they are stored."""
    return [planes[0] for planes in planes_of(path)]


def planes_of(path: Path) -> list[list[np.ndarray]]:
    """All planes."""
    found = []
    with av.open(str(path)) as source:
        for frame in source.decode(video=0):
            kind = np.dtype("<u2" if frame.format.components[0].bits > 8 else "u1")
            parts = [(frame.format.components[i], p) for i, p in enumerate(frame.planes)]
            found.append(
                [
                    np.frombuffer(p, kind).reshape(p.height, -1)[:, : p.width].copy()
                    for _, p in parts
                ]
            )
    return found


def packets_of(path: Path, kind: str) -> list[tuple[Any, ...]]:
    """Packets of the streams of a kind: times in seconds, and bytes."""
    found = []
    with av.open(str(path)) as source:
        wanted = [s for s in source.streams if s.type == kind]
        for packet in source.demux(wanted):
            if packet.size:
                found.append((packet.pts * packet.time_base, bytes(packet)))
    return found


def times_of(path: Path) -> list[Fraction]:
    """When the frames are shown."""
    with av.open(str(path)) as source:
        return [frame.pts * frame.time_base for frame in source.decode(video=0)]
