"""How large a picture may be before it is decoded."""

from __future__ import annotations

from jaxcolor.image_io.errors import Refused, TooLarge

MAX_PIXELS = 250_000_000  # a 13x18 cm plate at 2400 dpi has 210 million
# A progressive JPEG is decoded in passes of 1.5 ms a megapixel. Encoders write about ten; a file of
# some kilobytes may hold thousands.
_SCANS = 16
_SCANNED_PIXELS = 4_000_000_000


def check_size(width: int, height: int, max_pixels: int, share: str = "") -> None:
    """Refuses pictures without pixels and pictures of more than `max_pixels`.

    Args:
      width: of the picture.
      height: of the picture.
      max_pixels: the limit.
      share: what part of the user's limit this one is, for the message: "2/5 of ".
    """
    if width < 1 or height < 1:
        raise Refused(f"damaged: {width}x{height} pixels")
    if width * height > max_pixels:
        raise TooLarge(
            width,
            height,
            f"too large: {width}x{height} pixels are more than {max_pixels:,}"
            f" (the limit is {share}max_pixels, --max-pixels)",
        )


def check_scans(scans: int, pixels: int) -> None:
    """Refuses JPEG data that takes minutes to decode and seconds to make."""
    if scans > _SCANS and scans * pixels > _SCANNED_PIXELS:
        raise Refused(f"too many scans for its size: {scans}")
