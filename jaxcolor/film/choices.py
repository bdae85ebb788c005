"""What a film can be written as. Nothing is imported for it: the command's help is made of it."""

from __future__ import annotations

import dataclasses

# FFmpeg's names of what the suffixes mean.
SUFFIXES = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}

CRF = 18  # of H.264: hardly to be told from the original
MOST_CRF = 51


@dataclasses.dataclass(frozen=True)
class Codec:
    """A way to write frames.

    Attributes:
      name: FFmpeg's, of the encoder.
      suffixes: of files that can hold it.
      bits: the depths that it has.
      steps: luma rows and columns to one of chroma, from the least chroma on.
      full: whether players know its full range.
      options: FFmpeg's, of the encoder.
    """

    name: str
    suffixes: tuple[str, ...]
    bits: tuple[int, ...]
    steps: tuple[tuple[int, int], ...]
    full: bool = True
    options: tuple[tuple[str, str], ...] = ()


_ALL = ((2, 2), (1, 2), (1, 1))

CODECS = {
    "h264": Codec("libx264", tuple(SUFFIXES), (8, 10), _ALL, options=(("preset", "medium"),)),
    "ffv1": Codec(
        "ffv1",
        (".mkv",),
        (8, 10, 12, 14, 16),
        _ALL,
        options=(("level", "3"), ("slicecrc", "1"), ("g", "1")),
    ),
    "prores": Codec("prores_ks", (".mov",), (10,), _ALL[1:], full=False),
}
