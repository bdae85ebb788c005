"""The colours that the user knows: what a hint is, how it is written, and what is refused.

A hint's place is in pixels of the upright photo where x and y are whole numbers, and in shares of
its width and height where one of them is not (or is written with a point: 1.0). Nothing slow is
imported for it. `jaxcolor.predict.spread` gives the photo the colours.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeAlias

CAPACITY = 128  # hints of one photo
MAX_BYTES = 1 << 20  # of a file of hints that is no picture
SUFFIX = ".hints.json"  # of the file beside a photo

NEUTRAL = "neutral"  # no colour there: a white shirt, a black coat
KEEP = "keep"  # as it would be without hints

SENTENCE = (
    "The colours that you know: a place, a colour (#RRGGBB, #RGB, a CSS name, or R, G and B from 0"
    f' to 255; "{NEUTRAL}" for none, "{KEEP}" for what comes by itself), and a radius if it'
    " shall not reach far."
)

Colour: TypeAlias = "str | tuple[int, int, int]"
Size: TypeAlias = "tuple[int, int]"  # height and width
Finder: TypeAlias = "Callable[[Size], Sequence[Hint]]"  # gives a photo's hints

_FIELDS = ("x", "y", "colour", "radius", "time")
_TEXT = re.compile(r"([^,=]+),([^,=]+)(?:,([^,=]+))?=(.+)", re.DOTALL)
_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})")
_PNG = b"\x89PNG\r\n\x1a\n"


class HintError(ValueError):
    """A hint that cannot be; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Hint:
    """A colour at a place of a photo.

    Attributes:
      x: from the left; pixels where x and y are whole numbers, else a share of the width.
      y: from the top, likewise.
      colour: "#rrggbb", "#rgb", a CSS name, or (R, G, B) from 0 to 255; its lightness does not
        matter. "neutral": no colour; "keep": what it would be without hints.
      radius: how far it reaches at most: a share of the photo's long side, or pixels where x, y and
        the radius are whole numbers. None: as far as the photo's edges let it.
      time: of a film, in seconds from its first frame: the colour holds for the scene that is shown
        then, and moves with it. A photo has none.

    Raises:
      HintError: one of them is wrong; the message names it.
    """

    x: float
    y: float
    colour: Colour
    radius: float | None = None
    time: float | None = None

    def __post_init__(self) -> None:
        for name in ("x", "y", "radius", "time"):
            value = getattr(self, name)
            if value is not None or name in ("x", "y"):
                object.__setattr__(self, name, _number(name, value))
        object.__setattr__(self, "colour", _colour(self.colour))
        for name in ("x", "y"):
            if self.in_shares and not 0 <= getattr(self, name) <= 1:
                raise HintError(
                    f"{name}: {getattr(self, name):g} is neither a whole number of pixels nor a"
                    " share from 0 to 1"
                )
        if self.time is not None and self.time < 0:
            raise HintError(f"time: {self.time:g} is before the film's first frame")
        if self.radius is None:
            return
        in_pixels = isinstance(self.radius, int) and not self.in_shares
        if not (self.radius > 0 and (in_pixels or self.radius <= 1)):
            raise HintError(
                f"radius: {self.radius:g} is neither a positive share of the long side, up to 1,"
                " nor a whole number of pixels"
            )

    @property
    def in_shares(self) -> bool:
        """Whether the place is a share of the photo, and not in pixels."""
        return isinstance(self.x, float) or isinstance(self.y, float)

    @property
    def rgb(self) -> tuple[int, int, int]:
        """sRGB, from 0 to 255; grey for what is none."""
        return (128, 128, 128) if self.colour in (NEUTRAL, KEEP) else _rgb(self.colour)

    def placed(self, size: Size) -> tuple[float, float, float]:
        """Where it is in a photo of this height and width.

        Returns:
          y and x of its place, as shares, and its radius as a share of the long side; infinite if
          it has none.

        Raises:
          HintError: outside of the photo.
        """
        height, width = size
        x, y, radius = self.x, self.y, self.radius
        if not self.in_shares:
            for name, value, count in (("x", x, width), ("y", y, height)):
                if not 0 <= value < count:
                    raise HintError(
                        f"{name}: {value} is outside of the photo, which is {count} pixels"
                        f" {'wide' if name == 'x' else 'high'}, from 0 to {count - 1}"
                    )
            x, y = (x + 0.5) / width, (y + 0.5) / height
            if isinstance(radius, int):
                radius = radius / max(size)
        return y, x, math.inf if radius is None else float(radius)

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        return {name: value for name, value in fields.items() if value is not None}


def check(
    hints: Iterable[Hint], size: Size | None = None, *, film: bool = False
) -> tuple[Hint, ...]:
    """Hints that can be those of one photo, or of one film.

    Args:
      hints: of one photo.
      size: the photo's height and width, if they are known.
      film: whether it is a film: each of its hints has a time.

    Raises:
      HintError: too many, or one is outside of the photo, or has a time and must not, or has none.
      TypeError: one is no `Hint`.
    """
    hints = tuple(hints)
    if len(hints) > CAPACITY:
        raise HintError(f"{len(hints)} hints are too many: {CAPACITY} are the most")
    for number, hint in enumerate(hints, 1):
        if not isinstance(hint, Hint):
            raise TypeError(f"hint {number} is no jaxcolor.Hint, but {type(hint).__name__}")
        if film and hint.time is None:
            raise HintError(
                f"hint {number}: time is missing: in a film it says which scene is meant"
            )
        if not film and hint.time is not None:
            raise HintError(f"hint {number}: time: only the hints of a film have one")
        if size is not None:
            with _numbered(number):
                hint.placed(size)
    return hints


# -- as text ---------------------------------------------------------------------------------------


def from_text(text: str) -> Hint:
    """A hint as the command takes it: X,Y=COLOUR or X,Y,RADIUS=COLOUR.

    Raises:
      HintError: it is not written so, or one of its parts is wrong.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise HintError(f"{_short(text)}: a hint is X,Y=COLOUR or X,Y,RADIUS=COLOUR")
    x, y, radius, colour = match.groups()
    try:
        reach = None if radius is None else _spelled("radius", radius)
        return Hint(_spelled("x", x), _spelled("y", y), colour, reach)
    except HintError as error:
        raise HintError(f"{_short(text)}: {error}") from None


def from_json(text: str | bytes, *, shares: bool = False) -> tuple[Hint, ...]:
    """Hints from JSON: an array of objects with x, y, colour and, if wished, radius.

    Args:
      text: the array, or {"hints": the array}.
      shares: all numbers are shares; else whole ones are pixels, as `Hint` says.

    Raises:
      HintError: it is none, or one of the hints is wrong; the message says which.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise HintError("no JSON") from None
    if isinstance(said, dict) and "hints" in said:
        said = said["hints"]
    if not isinstance(said, list):
        raise HintError('an array of hints, or {"hints": an array of hints}, is needed')
    if len(said) > CAPACITY:
        raise HintError(f"{len(said)} hints are too many: {CAPACITY} are the most")
    hints = []
    for number, line in enumerate(said, 1):
        with _numbered(number):
            hints.append(_from_fields(line, shares=shares))
    return tuple(hints)


def to_json(hints: Iterable[Hint]) -> str:
    """What `from_json` reads."""
    return json.dumps({"hints": [hint.to_json() for hint in hints]})


def _from_fields(line: Any, *, shares: bool) -> Hint:
    if not isinstance(line, dict):
        raise HintError("it is no object with x, y and colour")
    for name in line:
        if name not in _FIELDS:
            raise HintError(f"{_short(name)}: the fields are {', '.join(_FIELDS)}")
    for name in _FIELDS[:3]:
        if name not in line:
            raise HintError(f"{name} is missing")
    if shares:
        numbers = {name: _number(name, line[name]) for name in ("x", "y")}
        line = {**line, **{name: _share(name, value) for name, value in numbers.items()}}
    return Hint(**line)


# -- as files --------------------------------------------------------------------------------------


def read(file: Path, size: Size | None = None, *, film: bool = False) -> tuple[Hint, ...]:
    """Hints from a file: JSON, or, for a photo, a PNG that is transparent but for strokes.

    Args:
      file: the file.
      size: height and width of the photo, upright. None: not known yet; then of a PNG it is only
        looked at whether it is one.
      film: as `check` takes it.

    Raises:
      HintError: the file cannot be read, or holds a hint that cannot be; the message names both.
    """
    from jaxcolor.image_io import name_of

    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if content.startswith(_PNG) and not film:
            from jaxcolor import strokes

            return strokes.read(file, size)
        if len(content) > MAX_BYTES:
            raise HintError(f"neither a PNG nor a list of at most {CAPACITY} hints")
        return check(from_json(content), size, film=film)
    except HintError as error:
        raise HintError(f"{name_of(file)}: {error}") from None
    except OSError as error:
        raise HintError(f"{name_of(file)}: cannot be read ({error.strerror or error})") from None


def beside(photo: Path) -> Path | None:
    """The file of hints beside a photo, if there is one: a.jpg.hints.json, or a.hints.json."""
    for name in (photo.name, photo.stem):
        file = photo.with_name(name + SUFFIX)
        if file.is_file():
            return file
    return None


# -- the parts of a hint ---------------------------------------------------------------------------


@contextlib.contextmanager
def _numbered(number: int) -> Iterator[None]:
    try:
        yield
    except HintError as error:
        raise HintError(f"hint {number}: {error}") from None


def _spelled(name: str, text: str) -> float:
    text = text.strip()
    if re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII):
        return int(text)
    try:
        return float(text)
    except ValueError:
        raise HintError(f"{name}: {_short(text)} is no number") from None


def _number(name: str, value: Any) -> float:
    """A plain int or float; which of them it is says what it means."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise HintError(f"{name}: {_short(value)} is no number")


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise HintError(f"{name}: {value:g} is not between 0 and 1")
    return float(value)


def _colour(value: Any) -> Colour:
    if isinstance(value, str):
        word = value.strip().lower()
        if word not in (NEUTRAL, KEEP):
            _rgb(word)
        return word
    if isinstance(value, (tuple, list)) and len(value) == 3:
        whole = [int(c) for c in value if isinstance(c, Integral) and not isinstance(c, bool)]
        if len(whole) == 3 and all(0 <= c <= 255 for c in whole):
            return whole[0], whole[1], whole[2]
    raise _unknown(value)


def _rgb(colour: Colour) -> tuple[int, int, int]:
    if not isinstance(colour, str):
        return colour
    if _HEX.fullmatch(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        red, green, blue = bytes.fromhex(digits)
        return red, green, blue
    from PIL import ImageColor

    if colour not in ImageColor.colormap:
        raise _unknown(colour)
    return ImageColor.getrgb(colour)[:3]


def _unknown(colour: Any) -> HintError:
    return HintError(
        f"colour: {_short(colour)} is none; write #RRGGBB, #RGB, a CSS name, three whole numbers"
        f" from 0 to 255, {NEUTRAL} or {KEEP}"
    )


def _short(value: Any) -> str:
    """What a message quotes: on one line, and not without end."""
    text = ascii(value) if not isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]}..."
