"""Photos whose file ends before the picture does: done with a word, or refused.

A picture of which more is missing than is there is refused, whatever its format; of a better one
the missing part is grey, as viewers show it. The decoders of JPEG, PNG, TIFF and PNM can tell how
much there is; those of the other formats give nothing of a picture that is cut short.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from jaxcolor.image_io.errors import Refused

_MOST = 0.5  # missing
_BEGINNING = "it is cut short"


NO_END = "its end marker is missing; the picture is whole"


def warning(missing: float, instead: str = "grey") -> str:
    """What to say of a picture that is not whole.

    Args:
      missing: the share that is missing, above 0 and up to 1.
      instead: what is there in its stead.

    Raises:
      Refused: more is missing than is there.
    """
    percent = f"{100 * missing:.2g}" if missing < 0.1 else f"{100 * missing:.0f}"
    share = f"{percent} %" if missing >= 0.0005 else "less than 0.1 %"
    if missing > _MOST:
        raise Refused(f"damaged or cut short: {share} of the picture is missing")
    return f"{_BEGINNING}: {share} of the picture is missing, and {instead}"


def cut_short_line(warnings: Iterable[str]) -> str:
    """The line among a photo's warnings that says that a part of it is missing; "" if none does."""
    return next((line for line in warnings if line.startswith(_BEGINNING)), "")


def grey(dtype: np.dtype) -> float | int:
    """The level that missing pixels have."""
    return 0.5 if dtype.kind == "f" else (int(np.iinfo(dtype).max) + 1) // 2
