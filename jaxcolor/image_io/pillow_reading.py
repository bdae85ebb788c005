"""Files of all formats but TIFF and still PNG, by way of Pillow."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PcxImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    QoiImagePlugin,
    SgiImagePlugin,
    SunImagePlugin,
    TgaImagePlugin,
    WebPImagePlugin,
)

from jaxcolor.image_io import modes
from jaxcolor.image_io.errors import NotAPhoto, Refused, no_frame, not_chosen
from jaxcolor.image_io.formats import FORMATS
from jaxcolor.image_io.limits import check_scans, check_size
from jaxcolor.image_io.photo import Stored


class Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG whose EXIF Pillow does not look at: it would warn of every oddity."""

    def getexif(self) -> Image.Exif:
        """None."""
        return Image.Exif()


class _Decoder:
    """Pillow's decoder of AVIF, which keeps EXIF data for itself: Pillow would warn of oddities.

    Attributes:
      exif: the block, or None.
      orientation: EXIF's number for how the container says that the picture is turned.
    """

    def __init__(self, decoder: Any):
        self.get_frame = decoder.get_frame
        *self._info, self.exif, self.orientation, self._xmp = decoder.get_info()

    def get_info(self) -> tuple[Any, ...]:
        return *self._info, None, 1, self._xmp


class _Avif(AvifImagePlugin.AvifImageFile):
    """An AVIF whose EXIF Pillow does not look at."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, _Decoder(value) if name == "_decoder" else value)

    def _open(self) -> None:
        super()._open()
        decoder = cast(_Decoder, self._decoder)
        self.info["exif"] = decoder.exif
        if decoder.exif or decoder.orientation != 1:  # else XMP may have a word
            self.info["container_orientation"] = decoder.orientation


Psd = PsdImagePlugin.PsdImageFile

# Formats that photos come in. Not those that run other programs (EPS: Ghostscript) or the system's
# drawing (WMF), nor those of games, icons and video, nor PhotoCD and FITS, of which Pillow reads a
# small or an unscaled version. TGA, which has no signature, is the last to be tried.
_PLUGINS: tuple[type[ImageFile.ImageFile], ...] = (
    Jpeg,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
    _Avif,
    Jpeg2KImagePlugin.Jpeg2KImageFile,
    PpmImagePlugin.PpmImageFile,
    Psd,
    PcxImagePlugin.PcxImageFile,
    QoiImagePlugin.QoiImageFile,
    SgiImagePlugin.SgiImageFile,
    SunImagePlugin.SunImageFile,
    TgaImagePlugin.TgaImageFile,
)
_ONE_PHOTO = ("PSD", "HEIF")  # further pictures in them are layers and thumbnails
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# Decoders that hold a picture several times over get a part of the limit.
_COSTLY = frozenset(format.name for format in FORMATS if format.costly)
# Photos of kinds that are not read, by what stands where in their first bytes.
_UNREAD = (
    (0, b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"II\xbc", "JPEG XR"),
    (4, b"ftypcrx ", "a camera's raw file"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"gimp xcf", "a file of GIMP's own"),
)
# Formats whose signature is too long to be found by chance: a file of it is a damaged one.
_SIGNED = ("AVIF", "GIF", "JPEG", "JPEG2000", "PNG", "PSD", "QOI", "WEBP")
# Where files tell how deep they are: a mark, and how many bytes after it.
_DEPTHS = {"AVIF": (b"av1C", 2), "JPEG2000": (b"\xff\x4f\xff\x51", 38)}
_BLOCK = 1 << 20
_MAX_COMMENT = 1 << 16
IPTC = 0x0404  # its number among Photoshop's resources


def read(file: BinaryIO, max_pixels: int, frame: int | None) -> Stored:
    """Reads the only picture of a file, or the one with the number `frame`.

    Raises:
      Refused: no format known here, several pictures and no `frame`, or too large.
    """
    with _limit(max_pixels):
        image = _opened(file, max_pixels)
        _check_size(image.size, str(image.format), max_pixels)
        _choose(image, frame)
        _check_scans(image, file)
        bands, alpha = modes.to_bands(image)
    stored = described(image, bands, alpha)
    if bands.dtype == np.uint8 and (bits := _bits(image, file)) > 8:
        stored.warnings.append(f"its {bits} bits a channel are read as 8")
    return stored


def described(image: Image.Image, bands: np.ndarray, alpha: np.ndarray | None) -> Stored:
    """Pixels together with what their file says beside them, but for the texts of a PNG."""
    info = {key: said for key, said in image.info.items() if not isinstance(said, str)}
    return Stored(
        format=str(image.format),
        bands=bands,
        alpha=alpha,
        orientation=info.get("container_orientation"),
        icc=info.get("icc_profile"),
        exif=info.get("exif"),
        xmp=info.get("xmp"),
        iptc=info.get("photoshop", {}).get(IPTC),
        dpi=_dpi(str(image.format), info),
        text=_comment(info),
    )


def _opened(file: BinaryIO, max_pixels: int) -> ImageFile.ImageFile:
    """As `Image.open` with a list of formats, which would look into a JPEG's EXIF, and warn."""
    file.seek(0)
    head = file.read(32)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return _opened_heif(file)
    if head[8:16] == b"WEBPVP8X":  # Pillow makes room for the whole canvas at once
        width, height = (1 + int.from_bytes(head[i : i + 3], "little") for i in (24, 27))
        _check_size((width, height), "WEBP", max_pixels)
    claimed = False
    for plugin in _PLUGINS:
        _, accept = Image.OPEN[str(plugin.format)]
        if accept and accept(head[:16]) is not True:
            continue
        file.seek(0)
        with contextlib.suppress(SyntaxError):
            return plugin(file)
        claimed |= plugin.format in _SIGNED
    for at, signature, kind in _UNREAD:
        if head[at:].startswith(signature):
            raise NotAPhoto(f"{kind}, which is not read")
    if claimed:
        raise Refused("damaged or cut short: its header makes no sense")
    raise NotAPhoto("not a picture of any format known here")


def _opened_heif(file: BinaryIO) -> ImageFile.ImageFile:
    try:
        import pillow_heif
    except ImportError:
        raise NotAPhoto("HEIC needs one more package: pip install 'jaxcolor[heif]'") from None
    file.seek(0)
    return pillow_heif.HeifImageFile(file)


def _choose(image: ImageFile.ImageFile, frame: int | None) -> None:
    several = image.format not in _ONE_PHOTO and getattr(image, "is_animated", False)
    if frame is None and several:
        raise not_chosen()
    if not frame:
        return
    try:
        if not several:
            raise EOFError
        image.seek(frame)
    except EOFError:
        raise no_frame(frame) from None


def _check_size(size: tuple[int, int], format: str, max_pixels: int) -> None:
    if format in _COSTLY:
        check_size(*size, max_pixels * 2 // 5, "2/5 of ")
    else:
        check_size(*size, max_pixels)


def _bits(image: ImageFile.ImageFile, file: BinaryIO) -> int:
    """Bits of a channel as the file says, of formats that Pillow makes 8 of."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    mark, place = _DEPTHS.get(str(image.format), (b"", 0))
    if not mark:
        return 8
    file.seek(0)
    head = file.read(_BLOCK)
    at = head.find(mark) + len(mark) + place
    said = head[at] if at < len(head) and mark in head else 0
    if image.format == "AVIF":  # one flag for more than 8 bits, one for 12 of them
        return 8 + 2 * bool(said & 0x40) + 2 * (said & 0x60 == 0x60)
    return (said & 0x7F) + 1


def _check_scans(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    if "progressive" not in image.info:
        return
    place = file.tell()
    file.seek(0)
    scans, last = 0, b""
    while block := file.read(_BLOCK):
        scans += (last + block).count(b"\xff\xda")
        last = block[-1:]
    file.seek(place)
    check_scans(scans, image.width * image.height)


def _dpi(format: str, info: dict[Any, Any]) -> tuple[float, float] | None:
    # Pillow makes up 72 for a JPEG that does not say.
    if format in ("JPEG", "MPO") and info.get("jfif_unit") not in (1, 2):
        return None
    x, y = info.get("dpi", (0, 0))
    return (float(x), float(y)) if x > 0 and y > 0 else None


def _comment(info: dict[Any, Any]) -> tuple[tuple[str, str], ...]:
    comment = info.get("comment", b"")
    if not isinstance(comment, bytes) or not 0 < len(comment) <= _MAX_COMMENT:
        return ()
    try:
        return (("Comment", comment.decode("utf-8")),)
    except UnicodeDecodeError:
        return (("Comment", comment.decode("latin-1")),)


# -- Pillow's own limit ----------------------------------------------------------------------------


class _PillowLimit:
    """Raises Pillow's limit on pixels, which it has for the whole process, while files are read.

    Pillow warns of a large picture, or gives up, in the middle of decoding it; here the size has
    been looked at before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: list[int] = []
        self._usual: int | None = None

    @contextlib.contextmanager
    def __call__(self, max_pixels: int) -> Iterator[None]:
        with self._lock:
            if not self._reading:
                self._usual = Image.MAX_IMAGE_PIXELS
            self._reading.append(max_pixels)
            self._set()
        try:
            yield
        finally:
            with self._lock:
                self._reading.remove(max_pixels)
                self._set()

    def _set(self) -> None:
        if self._usual is not None:
            Image.MAX_IMAGE_PIXELS = max(self._usual, *self._reading, 1)


_limit = _PillowLimit()
