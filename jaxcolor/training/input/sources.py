"""Where photos come from: a folder, a data set of tensorflow-datasets, or nowhere at all."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from jaxcolor.image_io import is_passed_over
from jaxcolor.training.host_tensorflow import tf
from jaxcolor.training.input import made
from jaxcolor.training.input.data_sets import TfdsPhotos
from jaxcolor.training.input.photos import Photos

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

_LOG = logging.getLogger(__name__)


def open_photos(source: str) -> Photos:
    """The photos of a source, in an order that every host agrees on.

    Args:
      source: `folder:PATH`, nested or flat; `made:COUNT`, pictures that are made up; or
        `tfds:NAME[:split]` with a data set that is prepared on this machine, where NAME may have a
        config and a version (`NAME/CONFIG:1.0.0`) and the split, else "train", be any of TFDS'
        (`train[:90%]`, `train+test`); or `tfds:PATH[:split]` with the folder of one, a `/` in the
        path, as `input.prepare` makes them. Nothing is downloaded.

    Raises:
      ValueError: the source is of no known kind, is not there, or holds no photo; one line says
        what to do.
    """
    kind, _, place = source.partition(":")
    if kind == "folder" and place:
        return FolderPhotos(source, Path(place).expanduser())
    if kind == "tfds" and place:
        return TfdsPhotos(source, place)
    if kind == "made" and place.isdecimal() and int(place) > 0:
        return MadePhotos(int(place))
    raise ValueError(f"source {source!r}: write it as folder:PATH, tfds:NAME[:split] or made:COUNT")


# -- Folders ---------------------------------------------------------------------------------------


class FolderPhotos(Photos):
    """The photos in a folder and in those below it, linked ones too, sorted by path."""

    def __init__(self, source: str, root: Path) -> None:
        super().__init__()
        if not root.is_dir():
            raise ValueError(f"source {source!r}: there is no folder {root}")
        self._paths, others = find_photos(root, SUFFIXES)
        if others:
            _LOG.info("%s: %s; jaxcolor.training.input.prepare reads more kinds", root, others)
        if not self._paths:
            raise ValueError(
                f"source {source!r}: no photo in it ({', '.join(SUFFIXES)}); "
                "jaxcolor.training.input.prepare reads more kinds"
            )
        self._tensor = tf.constant(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, index: int) -> str:
        """Its path; bytes that are no UTF-8 are escaped."""
        return self._paths[index].decode(errors="backslashreplace")

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of the file."""
        return tf.io.read_file(tf.gather(self._tensor, index))


def find_photos(root: Path, suffixes: Collection[str]) -> tuple[list[bytes], str]:
    """The files in a folder and below it whose names end like a photo's, sorted by path.

    What ends so and is no file is named in the log.

    Args:
      root: the folder.
      suffixes: in small letters, with their dots.

    Returns:
      The paths, and how many files of which other kinds are left out, in a few words: "" if none.
      What is hidden, or thumbnails that others leave, is neither taken nor counted.
    """
    others: Counter[str] = Counter()
    paths = sorted(os.fsencode(path) for path in _files(root, suffixes, others))
    if not others:
        return paths, ""
    count, kinds = others.total(), ", ".join(kind or "no suffix" for kind in sorted(others))
    files = "1 file of another kind is" if count == 1 else f"{count} files of other kinds are"
    return paths, f"{files} left out ({kinds})"


def _files(root: Path, suffixes: Collection[str], others: Counter[str]) -> Iterator[str]:
    waiting, seen = [os.fspath(root)], set()
    while waiting:
        folder = waiting.pop()
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:  # links may lead round in a circle
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(folder):
            if is_passed_over(entry.name):
                continue
            kind = _kind(entry)
            if kind == "a folder":
                waiting.append(entry.path)
            suffix = Path(entry.name).suffix.lower()
            if suffix not in suffixes:
                if kind == "a file":
                    others[suffix] += 1
                continue
            if kind == "a file":
                yield entry.path
            else:
                _LOG.warning("passed over: %s: %s, not a photo", entry.path, kind)


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return "a folder"
        if entry.is_file():
            return "a file"
    except OSError:  # a link that leads in a circle, or to where one may not look
        pass
    # What is neither must not be opened: reading a pipe would wait for ever.
    return "a link to nothing" if entry.is_symlink() else "something else"


def _entries(folder: str) -> list[os.DirEntry[str]]:
    # Sorted, because two links to one folder must be met in the same order on every host.
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name, reverse=True)
    except OSError as error:
        _LOG.warning("passed over: %s: %s", folder, error.strerror)
        return []


class MadePhotos(Photos):
    """Made-up landscapes (`made.py`)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._files = tf.constant([made.encoded_landscape(number) for number in range(count)])

    def __len__(self) -> int:
        return len(self._files)

    def name(self, index: int) -> str:
        """As in `made[12]`."""
        return f"made[{index}]"

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of a PNG."""
        return tf.gather(self._files, index)
