"""PNG files of every kind -> arrays, strip by strip and to the last bit.

PNG specification, third edition: https://www.w3.org/TR/png-3/. Pillow reads colours of 16 bits as
8, and the binding of libpng in imagecodecs breaks Python after some hundred damaged files. So the
rows are unpacked here; undoing their filters, which needs compiled code, is left to Pillow's
decoder, strip by strip, in pixels of as many bytes.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from jaxcolor.image_io import cut_short
from jaxcolor.image_io.errors import Refused
from jaxcolor.image_io.limits import check_size
from jaxcolor.image_io.photo import Stored
from jaxcolor.image_io.png import chunks as png_chunks
from jaxcolor.image_io.png.chunks import Chunk

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_SAMPLES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
_DEPTHS = {_GREY: (1, 2, 4, 8, 16), _PALETTE: (1, 2, 4, 8)}  # the others: 8 or 16
# Adam7: first row and column, steps down and right, of the seven pictures that make the whole.
_ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
# Height and width of what a pixel of a pass stands for until the later ones come, last pass first.
_BLOCKS = ((2, 1), (2, 2), (4, 2), (4, 4), (8, 4), (8, 8))
_ALL_AT_ONCE = ((0, 0, 1, 1),)
# Bytes of a pixel -> Pillow's mode, and the raw modes that take its bytes: of 16-bit samples the
# first takes the high bytes, the second the low ones.
_RAW_MODES = {
    1: ("L", ("L",)),
    2: ("LA", ("LA",)),
    3: ("RGB", ("RGB",)),
    4: ("RGBA", ("RGBA",)),
    6: ("RGB", ("RGB;16B", "RGB;16L")),
    8: ("RGBA", ("RGBA;16B", "RGBA;16L")),
}
_STRIP = 1 << 22  # bytes of rows that are decoded at once


@dataclasses.dataclass(frozen=True)
class _Header:
    width: int
    height: int
    depth: int
    colour: int
    interlaced: int

    @property
    def bits(self) -> int:
        """Bits of a pixel."""
        return self.depth * _SAMPLES[self.colour]

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        return np.uint16 if self.depth == 16 else np.uint8


def read(file: BinaryIO, max_pixels: int) -> Stored:
    """Reads a PNG; of an animated one its default picture.

    Raises:
      Refused: too large, damaged, or cut short before half of the picture.
    """
    chunks = png_chunks.table(file)
    header = _header(file, chunks)
    check_size(header.width, header.height, max_pixels)
    samples, places = _samples(header, _Inflated(png_chunks.pixel_data(file, chunks)))
    missing = 1 - sum(place.count for place in places) / (header.width * header.height)
    line = cut_short.warning(missing, "coarse" if header.interlaced else "grey") if missing else ""
    if not missing and not png_chunks.has_end(file, chunks):
        line = cut_short.NO_END
    said = png_chunks.describe(file, chunks, grey=header.colour in (_GREY, _GREY_ALPHA))
    bands, alpha = _bands(header, samples, said.palette, said.transparency)
    keyed = header.colour in (_GREY, _RGB) and said.transparency is not None
    if keyed and alpha is None:
        said.warnings.append("its tRNS is damaged and left out")
    if missing:
        _fill(bands, alpha, places, _BLOCKS if header.interlaced else ())
    return Stored(
        format="PNG",
        bands=bands,
        alpha=alpha,
        icc=said.icc,
        exif=said.exif,
        xmp=said.xmp,
        iptc=said.iptc,
        dpi=said.dpi,
        text=tuple(said.text),
        warnings=[line, *said.warnings] if line else said.warnings,
    )


def _header(file: BinaryIO, chunks: list[Chunk]) -> _Header:
    data = png_chunks.data(file, chunks[0]) if chunks else None
    if data is None or chunks[0].kind != b"IHDR" or len(data) != 13:
        raise Refused("damaged: no header")
    depth, colour, compression, filters, interlaced = data[8:]
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (0, 4))
    good = colour in _SAMPLES and depth in _DEPTHS.get(colour, (8, 16))
    if not good or compression or filters or interlaced > 1:
        raise Refused("damaged: its header makes no sense")
    return _Header(width, height, depth, colour, interlaced)


# -- rows ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Place:
    """Pixels that were decoded."""

    rows: slice
    columns: slice
    count: int


class _Inflated:
    """The pixels' data, decompressed as far as it is asked for and there."""

    def __init__(self, blocks: Iterator[bytes]):
        self._blocks = blocks
        self._inflate = zlib.decompressobj()
        self._waiting = b""

    def read(self, count: int) -> bytes:
        out = bytearray()
        while len(out) < count:
            self._waiting = self._waiting or next(self._blocks, b"")
            if not self._waiting or self._inflate.eof:
                break
            try:
                out += self._inflate.decompress(self._waiting, count - len(out))
            except zlib.error:
                raise Refused("damaged: its pixels cannot be unpacked") from None
            self._waiting = self._inflate.unconsumed_tail
        return bytes(out)

    def finish(self) -> None:
        """Reads what is left, so that the last checksum is looked at too."""
        for _ in self._blocks:
            pass


def _samples(header: _Header, inflated: _Inflated) -> tuple[list[np.ndarray], list[_Place]]:
    """The samples of all pixels: [(H, W, S)], alpha apart: [(H, W, S), (H, W)].

    And which of them were there to be decoded.
    """
    count = _SAMPLES[header.colour]
    shape = header.height, header.width
    places: list[_Place] = []
    has_alpha = header.colour in (_GREY_ALPHA, _RGB_ALPHA)
    colours = np.empty((*shape, count - has_alpha), header.dtype)
    alpha = [np.empty(shape, header.dtype)] if has_alpha else []
    for y, x, down, right in _ADAM7 if header.interlaced else _ALL_AT_ONCE:
        width, height = -(-(header.width - x) // right), -(-(header.height - y) // down)
        if width < 1 or height < 1:
            continue
        top = y
        for rows in _rows(inflated, width, height, header):
            place = slice(top, top + down * len(rows), down), slice(x, None, right)
            colours[place] = rows[..., : colours.shape[-1]]
            for plane in alpha:
                plane[place] = rows[..., -1]
            places.append(_Place(*place, rows.shape[0] * rows.shape[1]))
            top += down * len(rows)
    inflated.finish()
    return [colours, *alpha], places


def _rows(inflated: _Inflated, width: int, height: int, header: _Header) -> Iterator[np.ndarray]:
    """Rows of samples (n, width, S), in strips from the top."""
    row_bytes = (width * header.bits + 7) // 8
    pixel_bytes = max(1, header.bits // 8)
    above = bytes(row_bytes)
    together = max(1, _STRIP // row_bytes)
    for top in range(0, height, together):
        count = min(together, height - top)
        data = inflated.read(count * (1 + row_bytes))
        whole = len(data) // (1 + row_bytes)
        if whole:
            rows = _unfiltered(above, data[: whole * (1 + row_bytes)], whole, pixel_bytes)
            above = rows[-1].tobytes()
            yield _unpacked(rows, width, header)
        if whole < count:
            return


def _fill(
    bands: np.ndarray,
    alpha: np.ndarray | None,
    places: list[_Place],
    blocks: tuple[tuple[int, int], ...],
) -> None:
    """Gives pixels that are not there those of the passes before them, or grey, and no holes."""
    there = np.zeros((bands.shape[0], bands.shape[1]), bool)
    for place in places:
        there[place.rows, place.columns] = True
    y, x = np.arange(there.shape[0])[:, None], np.arange(there.shape[1])
    for down, right in blocks:
        source = y - y % down, x - x % right
        found = there[source] & ~there
        bands[found] = bands[source][found]
        if alpha is not None:
            alpha[found] = alpha[source][found]
        there |= found
    bands[~there] = cut_short.grey(bands.dtype)
    if alpha is not None:
        alpha[~there] = np.iinfo(alpha.dtype).max


def _unfiltered(above: bytes, data: bytes, count: int, pixel_bytes: int) -> np.ndarray:
    """Undoes the filters of `count` rows; gives their bytes (count, row bytes)."""
    filtered = np.frombuffer(data, np.uint8).reshape(count, -1)
    if not filtered[:, 0].any():
        return filtered[:, 1:]
    mode, raw_modes = _RAW_MODES[pixel_bytes]
    size = len(above) // pixel_bytes, count + 1
    stream = zlib.compress(b"\0" + above + data, 0)
    parts = [
        np.asarray(Image.frombytes(mode, size, stream, "zip", raw_mode))[1:]
        for raw_mode in raw_modes
    ]
    return np.stack(parts, axis=-1).reshape(count, -1)


def _unpacked(rows: np.ndarray, width: int, header: _Header) -> np.ndarray:
    """Rows of bytes -> samples (n, width, S)."""
    if header.depth == 16:
        samples = np.ascontiguousarray(rows).view(">u2")
    elif header.depth == 8:
        samples = rows
    else:
        bits = np.unpackbits(rows, axis=1).reshape(len(rows), -1, header.depth)
        weights = 1 << np.arange(header.depth - 1, -1, -1, dtype=np.uint8)
        samples = (bits * weights).sum(axis=-1, dtype=np.uint8)[:, :width]
    return samples.reshape(len(rows), width, -1)


# -- colours ---------------------------------------------------------------------------------------


def _bands(
    header: _Header, samples: list[np.ndarray], palette: bytes | None, transparency: bytes | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples -> (H, W) grey or (H, W, 3) RGB over the full range, and alpha."""
    colours, *alphas = samples
    alpha = alphas[0] if alphas else None
    if header.colour == _PALETTE:
        return _looked_up(colours[..., 0], palette, transparency)
    if transparency is not None and alpha is None:
        alpha = _keyed(colours, transparency)
    if colours.shape[-1] == 1:
        colours = colours[..., 0]
    if header.depth < 8:
        colours = colours * np.uint8(255 // (2**header.depth - 1))
    return colours, alpha


def _looked_up(
    indices: np.ndarray, palette: bytes | None, transparency: bytes | None
) -> tuple[np.ndarray, np.ndarray | None]:
    if palette is None or len(palette) % 3:
        raise Refused("damaged: no palette")
    colours = np.zeros((256, 3), np.uint8)
    known = np.frombuffer(palette[: 3 * 256], np.uint8).reshape(-1, 3)
    colours[: len(known)] = known
    grey = bool((colours == colours[:, :1]).all())
    bands = (colours[:, 0] if grey else colours)[indices]
    if transparency is None:
        return bands, None
    opacity = np.full(256, 255, np.uint8)
    said = np.frombuffer(transparency[:256], np.uint8)
    opacity[: len(said)] = said
    return bands, opacity[indices]


def _keyed(colours: np.ndarray, transparency: bytes) -> np.ndarray | None:
    """Alpha of a picture one of whose colours means transparent."""
    if len(transparency) != 2 * colours.shape[-1]:
        return None
    key = np.frombuffer(transparency, ">u2")
    hidden = (colours == key).all(axis=-1)
    return np.where(hidden, 0, np.iinfo(colours.dtype).max).astype(colours.dtype)
