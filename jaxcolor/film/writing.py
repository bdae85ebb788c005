"""A coloured film's frames -> packets, and those and all else of the film -> a file."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import av
import numpy as np

from jaxcolor.atomic import open_whole
from jaxcolor.film.choices import CODECS, SUFFIXES, Codec
from jaxcolor.film.reading import WORDS, Film, FilmError, opened, said
from jaxcolor.predict.planes import Encoding

FAILURES = (av.error.FFmpegError, OSError)  # of encoders, files and disks
_GLOBAL_HEADER = 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER
_LIMITED, _FULL = 1, 2
_OF_THE_OLD_FRAMES = ("bps", "duration", "number_of_", "_statistics", "encoder", "rotate")
_OF_THE_OLD_FILE = ("encoder", "major_brand", "minor_version", "compatible_brands")
_RECORD = struct.Struct("<qqq?I")


class Packet(NamedTuple):
    """An encoded frame; times are in the film's `time_base`."""

    pts: int
    dts: int
    duration: int
    key: bool
    data: bytes


@dataclasses.dataclass(frozen=True)
class Target:
    """How a film is written.

    Attributes:
      path: its file.
      codec: of `CODECS`.
      crf: how much H.264 may lose; 0: nothing.
      encoding: what the numbers of its planes mean.
      format: FFmpeg's name of the planes.
    """

    path: Path
    codec: Codec
    crf: int
    encoding: Encoding
    format: str


def planned(film: Film, path: Path, codec: str, crf: int) -> Target:
    """How a film will be written to a file.

    Raises:
      FilmError: the file's suffix is none that is written, or cannot hold the codec.
    """
    suffix, chosen = path.suffix.lower(), CODECS[codec]
    if suffix not in SUFFIXES:
        raise FilmError(f"{path}: films are written as {', '.join(SUFFIXES)}")
    if suffix not in chosen.suffixes:
        raise FilmError(f"{path}: {codec} is written as {' or '.join(chosen.suffixes)}")
    if not path.parent.is_dir():
        raise FilmError(f"{path}: cannot be written: there is no folder {path.parent}")
    bits = next((bits for bits in chosen.bits if bits >= film.encoding.bits), chosen.bits[-1])
    steps = film.encoding.down, film.encoding.across
    if not film.format.startswith("yuv"):
        steps = chosen.steps[-1] if codec == "ffv1" else chosen.steps[0]
    height, width = film.size
    fitting = [s for s in chosen.steps if not (height % s[0] or width % s[1])]
    # As much chroma as the film has, or the next that has more.
    steps = next((s for s in fitting if s[0] * s[1] <= steps[0] * steps[1]), fitting[-1])
    full = film.encoding.full and chosen.full
    encoding = Encoding(bits, full, film.encoding.matrix, *steps)
    kind = {(2, 2): "420", (1, 2): "422", (1, 1): "444"}[steps]
    format = f"yuv{kind}p" + ("" if bits == 8 else f"{bits}le")
    return Target(path, chosen, crf, encoding, format)


def recoded(luma: np.ndarray, film: Encoding, target: Encoding) -> np.ndarray:
    """A plane of luma in the target's numbers; itself, where they mean the same."""
    if film[:2] == target[:2]:
        return luma
    numbers = np.arange(1 << film.bits, dtype=np.float64)
    scale = (target.white - target.black) / (film.white - film.black)
    table = target.black + (numbers - film.black) * scale
    # To the nearest, half of them down: so fewer bits of one range are those on top.
    table = np.ceil(table - 0.5).clip(0, (1 << target.bits) - 1)
    return table.astype(target.dtype)[luma]


class Encoder:
    """Planes -> packets of one segment."""

    def __init__(self, film: Film, target: Target):
        self._film, self._target = film, target
        self._context: Any = av.CodecContext.create(target.codec.name, "w")
        _set_up(self._context, film, target)
        self._context.open()
        self._durations: dict[int, int] = {}

    def encode(self, pts: int, duration: int, luma: np.ndarray, chroma: np.ndarray) -> list[Packet]:
        """The packets that come out when a frame goes in."""
        height, width = luma.shape
        frame = av.VideoFrame(width, height, self._target.format)
        for plane, numbers in zip(frame.planes, (luma, *chroma), strict=True):
            rows = np.frombuffer(memoryview(plane), numbers.dtype).reshape(plane.height, -1)
            rows[:, : numbers.shape[1]] = numbers
        frame.pts, frame.time_base = pts, self._film.time_base
        frame.color_range = _FULL if self._target.encoding.full else _LIMITED
        self._durations[pts] = duration
        return self._packets(self._context.encode(frame))

    def end(self) -> list[Packet]:
        """Those that are still in it."""
        return self._packets(self._context.encode(None))

    def _packets(self, packets: Iterable[Any]) -> list[Packet]:
        out = []
        for packet in packets:
            assert packet.time_base in (None, self._film.time_base)
            duration = self._durations.pop(packet.pts, 0) or packet.duration or 0
            pts, dts = packet.pts, packet.pts if packet.dts is None else packet.dts
            out.append(Packet(pts, dts, duration, packet.is_keyframe, bytes(packet)))
        return out


def _set_up(context: Any, film: Film, target: Target) -> None:
    height, width = film.size
    context.width, context.height = width, height
    context.pix_fmt = target.format
    context.time_base, context.framerate = film.time_base, film.rate
    context.sample_aspect_ratio = film.aspect
    context.color_range = _FULL if target.encoding.full else _LIMITED
    context.color_primaries, context.color_trc, context.colorspace = film.colours
    context.flags |= _GLOBAL_HEADER
    options = dict(target.codec.options)
    if target.codec.name == "libx264":
        # Of 10 bits a crf of 0 still loses something, and a qp of 0 does not.
        options["crf" if target.crf else "qp"] = str(target.crf)
    if target.codec.name == "prores_ks":
        options["profile"] = "4" if target.encoding.across == 1 else "3"
    context.options = options


# -- segments --------------------------------------------------------------------------------------


def save_segment(path: Path, packets: Iterable[Packet]) -> None:
    """A file of packets, whole or not at all."""
    with open_whole(path) as file:
        for packet in packets:
            pts, dts, duration, key, data = packet
            file.write(_RECORD.pack(pts, dts, duration, key, len(data)))
            file.write(data)


def _segment(file: BinaryIO) -> Iterator[Packet]:
    while head := file.read(_RECORD.size):
        pts, dts, duration, key, size = _RECORD.unpack(head)
        yield Packet(pts, dts, duration, key, file.read(size))


def _packets(segments: Iterable[Path]) -> Iterator[Packet]:
    last: int | None = None
    for path in segments:
        with path.open("rb") as file:
            for packet in _segment(file):
                # The first packets of a segment may be due before the last ones of another.
                dts = packet.dts if last is None else max(packet.dts, last + 1)
                last = dts
                yield packet._replace(dts=dts)


# -- the file --------------------------------------------------------------------------------------


def unfit(film: Film, target: Target) -> list[str]:
    """What of the film its file cannot hold, a line each; nothing is written."""
    lines: list[str] = []
    with (
        opened(film.path) as source,
        _Nowhere() as nowhere,
        av.open(nowhere, "w", format=_muxer(target.path), metadata_errors=WORDS) as sink,
    ):
        _streams(source, sink, film, target, lines.append)
    return lines


class _Nowhere(contextlib.AbstractContextManager["_Nowhere"]):
    """A file that keeps nothing."""

    name = ""

    def __exit__(self, *exception: object) -> None:
        pass

    def write(self, data: bytes) -> int:
        return len(data)

    def seek(self, *_: int) -> int:
        return 0

    def tell(self) -> int:
        return 0


def join(
    film: Film,
    target: Target,
    segments: Iterable[Path],
    start: Fraction = Fraction(0),
    end: Fraction | None = None,
) -> None:
    """Writes the file: the coloured frames, and all that the film has beside its frames.

    Args:
      film: the grey one.
      target: where to.
      segments: files of `save_segment`.
      start: seconds from the film's zero that are left out; what is later begins as much earlier.
      end: seconds from its zero where it ends; None: where it ends.

    Raises:
      FilmError: it cannot be written.
    """
    try:
        with (
            open_whole(target.path) as file,
            opened(film.path) as source,
            av.open(file, "w", format=_muxer(target.path), metadata_errors=WORDS) as sink,
        ):
            _mux(source, sink, film, target, _packets(segments), start, end)
    except FAILURES as error:
        raise FilmError(f"{target.path}: cannot be written ({said(error)})") from None


def _muxer(path: Path) -> str:
    return SUFFIXES[path.suffix.lower()]


def _streams(
    source: Any, sink: Any, film: Film, target: Target, tell: Callable[[str], object]
) -> tuple[Any, dict[int, Any]]:
    """The streams of the result: that of the frames; those that are copied, by their numbers."""
    coloured, copied = None, {}
    for stream in source.streams:
        picture = stream.disposition & av.stream.Disposition.attached_pic
        if stream.type == "video" and not picture and coloured is None:
            coloured = sink.add_stream(target.codec.name, rate=film.rate)
            _set_up(coloured.codec_context, film, target)
            coloured.time_base = film.time_base
            made = coloured
        else:
            what = f"stream {stream.index} ({stream.type}, {_codec(stream)})"
            try:
                if stream.type == "video" and not picture:
                    raise ValueError("a second film")
                if stream.type == "attachment" and _muxer(target.path) != "matroska":
                    raise ValueError("no place for it")
                made = sink.add_stream_from_template(stream)
            except (ValueError, TypeError, av.error.FFmpegError):
                tell(f"{what} does not fit into {target.path.suffix} and is left out")
                continue
            copied[stream.index] = made
        old = dict(stream.metadata)
        if made is coloured:
            old = {k: v for k, v in old.items() if not k.lower().startswith(_OF_THE_OLD_FRAMES)}
        made.metadata.update(old)
        with contextlib.suppress(AttributeError):
            made.disposition = stream.disposition
    return coloured, copied


def _codec(stream: Any) -> str:
    context = stream.codec_context
    return "of an unknown kind" if context is None else context.name


def _mux(
    source: Any,
    sink: Any,
    film: Film,
    target: Target,
    frames: Iterator[Packet],
    start: Fraction,
    end: Fraction | None,
) -> None:
    coloured, copied = _streams(source, sink, film, target, lambda _: None)
    old = dict(source.metadata)
    sink.metadata.update({k: v for k, v in old.items() if k.lower() not in _OF_THE_OLD_FILE})
    sink.set_chapters(list(_chapters(source.chapters(), start, end)))
    sink.start_encoding()
    shift = int(start / film.time_base)
    waiting: Packet | None = next(frames, None)
    wanted = [stream for stream in source.streams if stream.index in copied]
    packets = source.demux(wanted) if wanted else iter(())
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            packet = None  # as far as the film can be read
        if packet is None:
            break
        time = packet.dts if packet.dts is not None else packet.pts
        if not packet.size or time is None:
            continue
        due = (packet.pts if packet.pts is not None else time) * packet.time_base
        if (start and due < start) or (end is not None and due >= end):
            continue
        if start:
            moved = int(start / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - moved
            packet.dts = None if packet.dts is None else packet.dts - moved
        while (
            waiting is not None
            and (waiting.dts - shift) * film.time_base <= time * packet.time_base - start
        ):
            _mux_frame(sink, coloured, film, waiting, shift)
            waiting = next(frames, None)
        if packet.dts is None:
            packet.dts = packet.pts
        packet.stream = copied[packet.stream.index]
        sink.mux(packet)
    while waiting is not None:
        _mux_frame(sink, coloured, film, waiting, shift)
        waiting = next(frames, None)


def _mux_frame(sink: Any, stream: Any, film: Film, frame: Packet, shift: int) -> None:
    packet = av.Packet(frame.data)
    packet.time_base = film.time_base
    packet.pts, packet.dts = frame.pts - shift, frame.dts - shift
    packet.duration = frame.duration
    packet.is_keyframe = frame.key
    packet.stream = stream
    sink.mux(packet)


def _chapters(chapters: list[Any], start: Fraction, end: Fraction | None) -> Iterator[Any]:
    for chapter in chapters:
        unit = chapter["time_base"]
        first, last = chapter["start"], chapter["end"]
        if last * unit <= start or (end is not None and first * unit >= end):
            continue
        begin = max(first - int(start / unit), 0)
        close = last if end is None else min(last, int(end / unit))
        yield {**chapter, "start": begin, "end": close - int(start / unit)}
