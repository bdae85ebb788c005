"""The pixels of a TIFF's page in full depth, by way of tifffile.

Pillow would read colours of 16 bits as 8 and does not know grey of 16 bits with alpha; and libtiff,
on which it stands, writes about damaged fax and JPEG data on standard error.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, TypeAlias

import imagecodecs
import numpy as np
from PIL import Image
from tifffile import TiffPage

from jaxcolor.image_io import cut_short, modes
from jaxcolor.image_io.errors import Refused
from jaxcolor.image_io.limits import check_scans
from jaxcolor.image_io.tiff import lzw

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
# Colour model -> channels, without extra ones.
_CHANNELS = {
    _WHITE_IS_ZERO: 1,
    _BLACK_IS_ZERO: 1,
    _RGB: 3,
    _PALETTE: 1,
    _CMYK: 4,
    _YCBCR: 3,
    _LAB: 3,
}
_NONE, _LZW, _JPEG = 1, 5, 7
# None, fax (modified Huffman, groups 3 and 4), LZW, JPEG, deflate, PackBits, deflate, Zstandard.
_COMPRESSIONS = (_NONE, 2, 3, 4, _LZW, _JPEG, 8, 32773, 32946, 50000)
_PREDICTORS = (1, 2, 3)
_SEPARATE = 2  # each channel stored as a plane of its own
_LOWEST_FIRST = 2  # an order of the bits of bytes
_FLOAT = 3  # a sample format
_UNSPECIFIED = 0  # kinds of extra samples; of the next two the first is multiplied into colours
_ASSOCIATED, _UNASSOCIATED = 1, 2
_MAX_SAMPLES = 8
_MAX_TILE = 4  # pixels of a tile for a pixel of the picture
_LONGEST, _HEADER = 2, 4096  # bytes of a strip for each that is decoded, and of tables in it
_BUFFER = 1 << 24  # bytes of strips read at once
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive

_Place: TypeAlias = tuple[slice, slice]  # rows and columns


def read(
    file: BinaryIO, page: TiffPage, warnings: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK over the full range, and alpha.

    Args:
      file: the TIFF.
      page: one of its pages.
      warnings: where what is missing or left out is said.

    Raises:
      Refused: damaged, cut short before half of the picture, or of a kind that is not read.
    """
    _check_kind(page)
    missing = _missing_segments(file, page)
    _check_segments(file, page)
    if missing:
        pixels = sum(_area(place) for place in missing)
        warnings.append(cut_short.warning(pixels / (page.imagewidth * page.imagelength)))
    data = page.asarray(squeeze=False, buffersize=_BUFFER)  # (planes, 1, H, W, samples)
    separate = page.planarconfig == _SEPARATE
    data = np.moveaxis(data[:, 0, :, :, 0], 0, -1) if separate else data[0, 0]
    channels = _CHANNELS[page.photometric]
    samples = _full_range(page, data)
    colours = samples[..., 0] if channels == 1 else samples[..., :channels]
    if page.photometric == _PALETTE:
        colours = _looked_up(page, data[..., 0])
    elif page.photometric == _WHITE_IS_ZERO:
        colours = _white(samples) - colours
    elif page.photometric in (_YCBCR, _LAB):
        colours = _to_rgb(page, colours)
    place, associated = _alpha(page, channels, warnings)
    alpha = None if place is None else np.ascontiguousarray(samples[..., place])
    if alpha is not None and associated:
        colours = _divided(colours, alpha)
    colours = np.ascontiguousarray(colours)
    for rows, columns in missing:
        colours[rows, columns] = cut_short.grey(colours.dtype)
        if alpha is not None:
            alpha[rows, columns] = _white(alpha)
    return colours, alpha


def _alpha(page: TiffPage, channels: int, warnings: list[str]) -> tuple[int | None, bool]:
    """Which sample is alpha, and whether it is multiplied into the colours.

    A sample that does not say what it is may be a scanner's infrared as well as transparency.
    """
    kinds = [int(kind) for kind in page.extrasamples]
    kinds += [_UNSPECIFIED] * (page.samplesperpixel - channels - len(kinds))
    found = [i for i, kind in enumerate(kinds) if kind in (_ASSOCIATED, _UNASSOCIATED)]
    left = len(kinds) - len(found[:1])
    if left:
        what = "a further channel" if left == 1 else f"{left} further channels"
        warnings.append(f"{what}, of unknown meaning (infrared, perhaps), left out")
    if not found:
        return None, False
    return channels + found[0], kinds[found[0]] == _ASSOCIATED


# -- before decoding -------------------------------------------------------------------------------


def _check_kind(page: TiffPage) -> None:
    def refuse(what: str, value: object) -> None:
        raise Refused(f"a kind of TIFF that is not read ({what} {getattr(value, 'name', value)})")

    if page.photometric not in _CHANNELS:
        refuse("colours", page.photometric)
    if page.compression not in _COMPRESSIONS:
        refuse("compression", page.compression)
    if page.predictor not in _PREDICTORS:
        refuse("predictor", page.predictor)
    if not isinstance(page.bitspersample, int) or page.dtype is None:
        refuse("bits a sample", page.bitspersample)
    plain = page.photometric in (_PALETTE, _LAB)
    if (plain or (page.photometric == _YCBCR and page.compression != _JPEG)) and (
        page.bitspersample > 8
    ):
        refuse("bits a sample", page.bitspersample)
    if not _CHANNELS[page.photometric] <= page.samplesperpixel <= _MAX_SAMPLES:
        refuse("samples a pixel", page.samplesperpixel)
    if page.imagedepth != 1 or page.tiledepth != 1:
        refuse("depth", page.imagedepth)


def _missing_segments(file: BinaryIO, page: TiffPage) -> list[_Place]:
    """The rows and columns of strips and tiles that do not lie in the file; they are not decoded.

    Raises:
      Refused: some are not named at all, or absurdly large.
    """
    size = file.seek(0, 2)
    pixels = page.imagewidth * page.imagelength
    width = page.tilewidth or page.imagewidth
    height = page.tilelength or page.rowsperstrip or page.imagelength
    if width * height > _MAX_TILE * max(pixels, 1 << 20):
        raise Refused("damaged: its tiles are larger than the picture")
    across, down = -(-page.imagewidth // width), -(-page.imagelength // height)
    planes = page.samplesperpixel if page.planarconfig == _SEPARATE else 1
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if len(segments) < across * down * planes:
        raise Refused("damaged: strips or tiles are missing")
    # Of a single strip that is not compressed tifffile knows the length.
    told = page.compression == _NONE and len(segments) == 1
    lost = {i for i, (at, count) in enumerate(segments) if at + count > size or not (count or told)}
    first = min((segments[i][0] for i in lost), default=size)
    kept = [segment for i, segment in enumerate(segments) if i not in lost]
    if min(page.dataoffsets) < 8 or any(at > first for at, _ in kept):  # not by being cut short
        raise Refused("damaged: strips or tiles are missing")
    for i in lost:
        segments[i] = 0, 0  # tifffile leaves such out
    page.dataoffsets, page.databytecounts = zip(*segments, strict=True)
    tops = {divmod(i % (across * down), across) for i in lost}  # of all planes once
    return [
        (
            slice(row * height, min((row + 1) * height, page.imagelength)),
            slice(column * width, min((column + 1) * width, page.imagewidth)),
        )
        for row, column in sorted(tops)
    ]


def _check_segments(file: BinaryIO, page: TiffPage) -> None:
    """Looks at what decoders must not be given; and no strip or tile is read far behind its end.

    Else a file of some kilobytes, whose strips all lie in one place, could be read for hours.

    Raises:
      Refused: the data of one makes no sense.
    """
    height = page.tilelength or page.rowsperstrip or page.imagelength
    pixels = (page.tilewidth or page.imagewidth) * height
    samples = 1 if page.planarconfig == _SEPARATE else page.samplesperpixel
    assert page.dtype is not None
    decoded = pixels * samples * page.dtype.itemsize
    most = _LONGEST * decoded + _HEADER
    page.databytecounts = tuple(min(count, most) for count in page.databytecounts)
    if page.compression not in (_LZW, _JPEG):
        return
    for at, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not count:
            continue
        file.seek(at)
        data = file.read(count)
        if page.compression == _JPEG:
            _check_jpeg(data, pixels, page.bitspersample)
            continue
        if page.fillorder == _LOWEST_FIRST:
            data = bytes(imagecodecs.bitorder_decode(data))
        lzw.check(data, decoded)


def _area(place: _Place) -> int:
    rows, columns = place
    return (rows.stop - rows.start) * (columns.stop - columns.start)


def _check_jpeg(data: bytes, pixels: int, bits: int) -> None:
    """A JPEG inside says itself how large it is."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        length, precision, height, width = struct.unpack_from(">HBHH", data, at + 2)
        if marker in _JPEG_FRAMES:
            if precision != bits or bits not in (8, 12) or width * height > 2 * pixels + (1 << 16):
                break
            return check_scans(data.count(b"\xff\xda"), width * height)
        at += 2 + length
    raise Refused("damaged: the JPEG inside makes no sense")


# -- colours ---------------------------------------------------------------------------------------


def _full_range(page: TiffPage, data: np.ndarray) -> np.ndarray:
    """Samples of any type -> uint8, uint16 or float32 in [0, 1]."""
    if page.sampleformat == _FLOAT:
        return modes.floats(data)
    bits = page.bitspersample
    if data.dtype in (np.uint8, np.uint16) and bits in (8, 16):
        return data
    return modes.full_range(data, bits) if bits < 16 else modes.integers(data)


def _looked_up(page: TiffPage, indices: np.ndarray) -> np.ndarray:
    table = np.asarray(page.colormap)
    if table.shape != (3, 2**page.bitspersample):
        raise Refused("damaged: its palette has the wrong size")
    # 16 bits by the book; some write 8 into them.
    colours = (table if table.max() < 256 else table >> 8).astype(np.uint8)
    grey = bool((colours == colours[0]).all())
    return (colours[0] if grey else np.ascontiguousarray(colours.T))[indices.astype(np.uint8)]


def _to_rgb(page: TiffPage, colours: np.ndarray) -> np.ndarray:
    """YCbCr, where tifffile has not done it, and Lab -> RGB."""
    if page.photometric == _YCBCR and page.compression == _JPEG:
        return colours
    mode = "YCbCr" if page.photometric == _YCBCR else "LAB"
    height, width, _ = colours.shape
    packed = np.ascontiguousarray(colours).tobytes()
    return modes.to_bands(Image.frombytes(mode, (width, height), packed, "raw", mode))[0]


def _white(samples: np.ndarray) -> Any:
    return samples.dtype.type(1 if samples.dtype == np.float32 else np.iinfo(samples.dtype).max)


def _divided(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours that were multiplied by alpha, as they were before."""
    white = float(_white(colours))
    out = np.empty_like(colours)
    for row in range(len(colours)):
        cover = np.maximum(alpha[row].astype(np.float32), 1e-6)
        cover = cover if colours.ndim == 2 else cover[:, None]
        exact = (colours[row] * (white / cover)).clip(0, white)
        out[row] = exact if colours.dtype == np.float32 else exact + 0.5
    return out
