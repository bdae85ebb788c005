"""A film's frames: their luma as it is stored, with its own depth, range and times."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import heapq
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace

from jaxcolor.predict.planes import Encoding

_PROBED = 30  # frames that are looked at for interlacing
_HD = 720  # lines; from there on films that do not say their matrix are of BT.709
_MATRICES = {
    1: "bt709",
    5: "bt601",  # 470BG
    6: "bt601",  # 170M
    7: "bt601",  # 240M: nearly
    9: "bt2020",
}
_RGB = 0  # of color spaces
_FULL = 2  # of color ranges
WORDS = "surrogateescape"  # a title that is not UTF-8, as of old films, goes through as its bytes
_HDR = {16: "PQ", 18: "HLG"}  # transfer curves


class FilmError(Exception):
    """A film that cannot be read or written; the message is one line and names it."""


class Frame(NamedTuple):
    """One frame.

    Attributes:
      number: from 0.
      pts: when it is shown, in the film's `time_base`.
      duration: likewise; 0: not known.
      luma: (H, W) upright, of the film's own numbers.
    """

    number: int
    pts: int
    duration: int
    luma: np.ndarray


@dataclasses.dataclass(frozen=True)
class Film:
    """What is known of a film before its frames are read.

    Attributes:
      path: its file.
      size: height and width of its upright frames.
      encoding: what the numbers of its luma mean, and the shape of its chroma.
      format: FFmpeg's name of the planes that are read.
      time_base: the unit of its times, in seconds.
      rate: frames per second, if they are even.
      aspect: width by height of a pixel.
      turned: quarter turns to the left that make it upright.
      interlaced: whether frames are of two times, and are made of one.
      count: how many frames there are about; 0: not known.
      colours: primaries, transfer curve and matrix, as FFmpeg numbers them.
      start: the first frame's time, in `time_base`.
    """

    path: Path
    size: tuple[int, int]
    encoding: Encoding
    format: str
    time_base: Fraction
    rate: Fraction
    aspect: Fraction
    turned: int
    interlaced: bool
    count: int
    colours: tuple[int, int, int]
    start: int
    warnings: tuple[str, ...] = ()


def probed(path: Path) -> Film:
    """Looks at a film.

    Raises:
      FilmError: it is none, or holds nothing that can be coloured.
    """
    with _telling(path), opened(path) as container:
        stream = _video(container, path)
        frames: list[av.VideoFrame] = []
        for frame, _ in _decoded(container, stream, lambda *_: None):
            if frame is not None:
                frames.append(frame)
            if len(frames) == _PROBED:
                break
        if not frames:
            raise FilmError(f"{path}: no frame of it can be read")
        first = frames[0]
        turned = round(first.rotation / 90) % 4
        format, warnings = _planes_of(first.format), []
        full = first.color_range == _FULL or first.format.name.startswith("yuvj")
        matrix = _MATRICES.get(int(first.colorspace))
        if first.format.is_rgb:
            full = True
        if matrix is None:
            matrix = "bt709" if min(first.height, first.width) >= _HD else "bt601"
        if curve := _HDR.get(int(first.color_trc)):
            warnings.append(f"its transfer curve is {curve}: colours are made as for {matrix}")
        luma, *chroma = av.VideoFormat(format).components
        shape = (1, 1) if not chroma else _steps(format)
        height, width = (first.width, first.height) if turned % 2 else (first.height, first.width)
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        aspect = Fraction(aspect or 1) or Fraction(1)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        space = 1 if matrix == "bt709" else 9 if matrix == "bt2020" else 6
        stated = int(first.colorspace)
        return Film(
            path=path,
            size=(height, width),
            encoding=Encoding(luma.bits, full, matrix, *(shape[::-1] if turned % 2 else shape)),
            format=format,
            time_base=stream.time_base,
            rate=Fraction(rate),
            aspect=1 / aspect if turned % 2 else aspect,
            turned=turned,
            interlaced=any(frame.interlaced_frame for frame in frames),
            count=stream.frames or _count_by_duration(container, stream, Fraction(rate)),
            colours=(
                int(first.color_primaries),
                int(first.color_trc),
                stated if stated in _MATRICES else space,
            ),
            start=frames[0].pts or 0,
            warnings=tuple(warnings),
        )


def opened(path: Path) -> Any:
    """A film's file, as FFmpeg reads it."""
    return av.open(str(path), metadata_errors=WORDS)


def frames(film: Film, tell: Callable[[str], object] = lambda _: None) -> Iterator[Frame]:
    """All frames, in the order in which they are shown.

    One that cannot be decoded is told of, and the frame before it is shown in its place.

    Args:
      film: of `probed`.
      tell: is given a line for each of them.

    Raises:
      FilmError: the file is gone, or is no film any more.
    """
    with _telling(film.path), opened(film.path) as container:
        stream = _video(container, film.path)
        # Threads that have a frame each tell of a damaged one some packets later.
        stream.thread_type = "SLICE"
        shown: np.ndarray | None = None
        last: int | None = None
        number = 0
        for frame, pts in _in_order(container, stream, film, tell):
            if pts is None:
                pts = 0 if last is None else last + _step(film)
            if last is not None and pts <= last:
                continue  # no player would show it
            if frame is not None and not frame.is_corrupt:
                luma = _luma(frame, film)
                if luma is not None:
                    shown = luma
            elif frame is not None:
                tell(f"the frame at {_seconds(pts, film)} is damaged: the one before is repeated")
                if shown is None:
                    shown = _luma(frame, film)
            if shown is None:
                continue
            duration = 0 if frame is None else (frame.duration or 0)
            yield Frame(number, pts, duration, shown)
            last, number = pts, number + 1


def _in_order(
    container: Any, stream: Any, film: Film, tell: Callable[[str], object]
) -> Iterator[tuple[av.VideoFrame | None, int | None]]:
    """Frames and damaged ones' times, in the order of their times."""
    damaged: list[int] = []

    def lost(pts: int | None, why: str) -> None:
        if pts is None:
            tell(f"something in it is damaged ({why})")
            return
        tell(f"the frame at {_seconds(pts, film)} is damaged ({why}): the one before is repeated")
        heapq.heappush(damaged, pts)

    decoded = _decoded(container, stream, lost)
    if film.interlaced:
        decoded = _deinterlaced(decoded, stream)
    for frame, pts in decoded:
        while damaged and pts is not None and damaged[0] < pts:
            yield None, heapq.heappop(damaged)
        yield frame, pts
    while damaged:
        yield None, heapq.heappop(damaged)


def _decoded(
    container: Any, stream: Any, lost: Callable[[int | None, str], object]
) -> Iterator[tuple[av.VideoFrame, int | None]]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            lost(None, said(error))
            return
        try:
            # The empty packet at the end brings what the decoder still holds.
            for frame in packet.decode():
                yield frame, frame.pts
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            if packet.size:
                lost(packet.pts, said(error))


def _deinterlaced(
    decoded: Iterator[tuple[av.VideoFrame, int | None]], stream: Any
) -> Iterator[tuple[av.VideoFrame, int | None]]:
    """As many frames, at the same times; those of two times are made of one."""
    times: collections.deque[int | None] = collections.deque()
    graph: Graph | None = None

    def out() -> Iterator[tuple[av.VideoFrame, int | None]]:
        assert graph is not None
        while times:
            try:
                yield graph.vpull(), times.popleft()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    for frame, pts in decoded:
        if graph is None:
            graph = Graph()
            source = graph.add_buffer(template=stream)
            bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
            sink = graph.add("buffersink")
            source.link_to(bwdif)
            bwdif.link_to(sink)
            graph.configure()
        times.append(pts)
        graph.vpush(frame)
        yield from out()
    if graph is not None:
        with contextlib.suppress(av.error.FFmpegError):
            graph.vpush(None)
        yield from out()


def _luma(frame: av.VideoFrame, film: Film) -> np.ndarray | None:
    """The plane of luma, upright; None where the frame has another size than the film."""
    turned = (frame.width, frame.height) if film.turned % 2 else (frame.height, frame.width)
    if turned != film.size or frame.format.name != film.format:
        height, width = film.size[::-1] if film.turned % 2 else film.size
        matrix = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}
        frame = frame.reformat(
            width,
            height,
            film.format,
            dst_colorspace=matrix.get(film.encoding.matrix) if frame.format.is_rgb else None,
            dst_color_range=ColorRange.JPEG if frame.format.is_rgb else None,
        )
    plane = frame.planes[0]
    dtype = np.dtype(film.encoding.dtype).newbyteorder("<")
    rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : frame.width]
    # A copy: the frame's memory goes back to the decoder.
    return np.array(np.rot90(rows, film.turned), film.encoding.dtype, order="C")


def _planes_of(format: av.VideoFormat) -> str:
    """The format of planes, of little endian, that has all of the luma of another."""
    luma = format.components[0]
    names = ("gray", "yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p")
    name = format.name.removesuffix("le")
    for known in names:
        if name in (known, known.replace("yuv", "yuvj")):
            return format.name
        if name in (f"{known}{bits}" for bits in (10, 12, 14, 16)):
            return f"{known}{name[len(known) :]}le"
    bits = max((c.bits for c in format.components), default=8)
    deep = next((n for n in (8, 10, 12, 14, 16) if bits <= n), 16)
    end = "" if deep == 8 else f"{deep}le"
    if len(format.components) < 3 and not format.is_rgb and not format.has_palette:
        return "gray" + ("" if deep == 8 else "16le")
    steps = _steps(format.name)
    kind = {(2, 2): "420", (1, 2): "422"}.get(steps, "444")
    return f"yuv{'444' if format.is_rgb or luma.is_luma is False else kind}p{end}"


def _steps(format: str) -> tuple[int, int]:
    """Luma rows and columns to one of chroma."""
    known = av.VideoFormat(format)
    return 64 // known.chroma_height(64), 64 // known.chroma_width(64)


def _video(container: Any, path: Path) -> Any:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise FilmError(f"{path}: there is no film in it")


def _count_by_duration(container: Any, stream: Any, rate: Fraction) -> int:
    seconds = Fraction(0)
    if stream.duration:
        seconds = stream.duration * stream.time_base
    elif container.duration:
        seconds = Fraction(container.duration, av.time_base)
    return max(0, round(seconds * rate))


def _step(film: Film) -> int:
    return max(1, round(1 / (film.rate * film.time_base)))


def _seconds(pts: int, film: Film) -> str:
    return f"{float((pts - film.start) * film.time_base):.3f} s"


def said(error: BaseException) -> str:
    """What FFmpeg or the system says of a failure, in one line."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return words.splitlines()[0].lower()


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    """FFmpeg's refusals, in one line that names the file."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise FilmError(f"{path}: cannot be read as a film ({said(error)})") from None
