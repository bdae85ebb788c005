"""Why a request is refused: a status, and words that a person understands (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from jaxcolor.image_io import FORMATS, Empty, NotAPhoto, PhotoError, TooLarge, WrongFrame, listed

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds
_KINDS = listed(format.title for format in FORMATS)
_COSTLY = listed(format.title for format in FORMATS if format.costly)


class Problem(Exception):
    """A refusal.

    Attributes:
      status: of HTTP.
      code: a word for programs; stays the same where the words for people change.
      detail: what is wrong and what to do, as a sentence.
      field: the option that is to blame, if one is.
    """

    def __init__(self, status: HTTPStatus, code: str, detail: str, field: str | None = None):
        super().__init__(detail)
        self.status, self.code, self.detail, self.field = status, code, detail, field

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer, beside its type."""
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return {"Retry-After": str(RETRY_AFTER)}
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:  # another server may have taken its place
            return {"Retry-After": str(RETRY_AFTER), "Connection": "close"}
        return {}

    def to_json(self) -> dict[str, object]:
        """The body of the answer."""
        body: dict[str, object] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "code": self.code,
            "detail": self.detail,
        }
        return body if self.field is None else {**body, "field": self.field}


def too_many_bytes(max_bytes: int) -> Problem:
    """The file is larger than this server takes."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too-many-bytes",
        f"The file is too large: this server takes photos of up to {_megabytes(max_bytes)} MB.",
    )


def of_photo(error: PhotoError, max_pixels: int) -> Problem:
    """What is wrong with the photo that was sent, or with the result that is asked for."""
    refusal = error.refusal
    said = str(refusal or error).removeprefix("the photo: ")
    if isinstance(refusal, Empty):
        return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "empty", f"The file is {said}.")
    if isinstance(refusal, NotAPhoto):
        return Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "not-a-photo",
            f"The file is {_kind(said)}. {_KINDS} can be read here.",
        )
    if isinstance(refusal, TooLarge):
        most = f"{max_pixels / 1e6:,.0f} million" if max_pixels >= 1e6 else f"{max_pixels:,}"
        return Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too-many-pixels",
            f"The photo is too large: it has {refusal.width:,} x {refusal.height:,} pixels, and"
            f" this server takes at most {most} (for {_COSTLY} two fifths of that)."
            " Make it smaller, or use the command `jaxcolor colorize`.",
        )
    if isinstance(refusal, WrongFrame):
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "wrong-frame",
            f"The file {said.split(' (')[0].split(': ')[0]}. The option frame chooses one; the"
            " first is frame=0.",
            "frame",
        )
    if refusal is None:
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "cannot-be-written",
            f"The result cannot be written so: {said.replace('; name it .png', '')}. With"
            " format=png it can.",
            "format",
        )
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "cannot-be-read",
        f"The photo cannot be read: {said}.",
    )


def _kind(said: str) -> str:
    """What a file is that is no photo: what image_io says of it, unless that is jargon."""
    return "not a photo" if said.startswith("not a ") else f"no photo that can be read ({said})"


def _megabytes(count: int) -> str:
    return f"{count / (1 << 20):.4g}"
