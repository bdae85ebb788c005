"""Files in object storage, by their addresses: s3://bucket/scans/photo.jpg.

obstore reads and writes them; who may, and where the storage is, its environment variables say
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME ...).
`pip install 'jaxcolor[cloud]'` brings it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import io
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from jaxcolor.image_io import AlreadyThere, Place

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://([^/]+)(?:/(.*))?", re.DOTALL)
_ANY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclasses.dataclass(frozen=True)
class Address(Place):
    """An object in storage, or a folder of objects: one whose address ends with a slash.

    Names are taken apart and put together as `pathlib.Path` does it.

    Attributes:
      bucket: with its scheme, as s3://bucket.
      key: of the object; of a folder, with its slash, or "" for the whole bucket.
      replaces: whether `open_whole` replaces what is there.
    """

    bucket: str
    key: str
    replaces: bool = dataclasses.field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"

    def __fspath__(self) -> str:
        return str(self)

    def __truediv__(self, other: str | os.PathLike[str]) -> Address:
        key = self.key if self.is_dir() else f"{self.key}/"
        return dataclasses.replace(self, key=f"{key}{PurePath(other).as_posix()}")

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.key or self.bucket).name

    @property
    def stem(self) -> str:
        """The last part, without its suffix."""
        return PurePosixPath(self.key).stem

    @property
    def suffix(self) -> str:
        """The suffix of the last part, with its dot."""
        return PurePosixPath(self.key).suffix

    def with_name(self, name: str) -> Address:
        """Its neighbour of that name."""
        return self.parent / name

    @property
    def parent(self) -> Address:
        """The folder that it lies in."""
        folder, slash, _ = self.key.removesuffix("/").rpartition("/")
        return dataclasses.replace(self, key=folder + slash)

    def is_in(self, folder: Address) -> bool:
        """Whether it lies in a folder, or in one of that one's."""
        return self.bucket == folder.bucket and self.key.startswith(folder.key)

    def is_dir(self) -> bool:
        """Whether it is a folder, by its spelling."""
        return not self.key or self.key.endswith("/")

    def walk(self, *, recursive: bool) -> Iterator[PurePosixPath]:
        """The objects of a folder, by their names from there on, in no order.

        Args:
          recursive: whether those of its folders, too.

        Raises:
          OSError: it cannot be listed.
        """
        import obstore

        with _told():
            if recursive:
                pages = obstore.list(_store(self.bucket), prefix=self.key or None)
            else:
                listed = obstore.list_with_delimiter(_store(self.bucket), self.key or None)
                pages = iter([listed["objects"]])  # type: ignore[assignment]
            for page in pages:
                for item in page:
                    yield PurePosixPath(item["path"]).relative_to(self.key)

    def size(self) -> int:
        """The object's bytes.

        Raises:
          OSError: there is none, or it cannot be asked for.
        """
        import obstore

        with _told():
            return obstore.head(_store(self.bucket), self.key)["size"]

    def fetch(self) -> BinaryIO:
        """The object's content.

        Raises:
          OSError: there is none, or it cannot be read.
        """
        import obstore

        with _told():
            file = _Fetched(obstore.get(_store(self.bucket), self.key).bytes())
        file.name = str(self)
        return file

    @contextlib.contextmanager
    def open_whole(self) -> Iterator[BinaryIO]:
        """A file that becomes the object, at once, when it is left without an error.

        Raises:
          AlreadyThere: there is an object by now, which is to stay.
          OSError: it cannot be written.
        """
        import obstore

        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            # One request, whatever its size: its condition holds for all of it.
            with _told():
                obstore.put(
                    _store(self.bucket),
                    self.key,
                    file,
                    use_multipart=False,
                    mode="overwrite" if self.replaces else "create",
                )


class _Fetched(io.BytesIO):
    name: str


def address(text: str) -> Address | None:
    """The address that a text is; None: it is none.

    Raises:
      ValueError: it is one of another kind, or without a bucket.
    """
    match = _ADDRESS.fullmatch(text)
    if match:
        return Address(f"{match[1]}://{match[2]}", match[3] or "")
    if _ANY.match(text):
        raise ValueError(f"{text}: an address is {'://BUCKET/..., '.join(SCHEMES)}://BUCKET/...")
    return None


def is_address(text: str) -> bool:
    """Whether a text is an address of a kind that is known."""
    return _ADDRESS.fullmatch(text) is not None


def missing_package() -> str | None:
    """The package that addresses need and that is not installed."""
    from importlib.util import find_spec

    return None if find_spec("obstore") else "obstore"


@functools.cache
def _store(bucket: str) -> ObjectStore:
    from obstore import store

    return store.from_url(bucket)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What obstore raises, as Python's own errors of one line."""
    from obstore import exceptions

    try:
        yield
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
        raise AlreadyThere from None
    except FileNotFoundError:
        raise
    except exceptions.PermissionDeniedError:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
    except exceptions.UnauthenticatedError:
        raise PermissionError(errno.EACCES, "the storage does not know who asks") from None
    except (exceptions.BaseError, ValueError) as error:
        raise OSError(errno.EIO, _in_a_line(error)) from None


def _in_a_line(error: Exception) -> str:
    """What the storage said, where it said something; else the first line of what obstore says."""
    said = re.search("<Message>(.*?)</Message>", str(error), re.DOTALL)
    text = said[1] if said else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:300]
