"""Photos of any kind -> a data set of small ones, which the source `tfds:` reads.

Every photo is read once by `image_io`, as `jaxcolor colorize` reads it, and not at every epoch. The
data set is one of tensorflow-datasets (TFDS): TFRecord files with their metadata, in OUT/1.0.0.

Photos are read in processes, in the order of their paths, and written in files of a fixed number of
them. A file that is there is not made again, and the folder gets its name when all are: a run that
is killed goes on where it was, and ends with the same bytes.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import json
import logging
import multiprocessing
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeAlias

from jaxcolor import image_io, interrupts
from jaxcolor.atomic import open_whole, remove_leftovers
from jaxcolor.training.host_tensorflow import tf
from jaxcolor.training.input import small
from jaxcolor.training.input.batches import processors
from jaxcolor.training.input.small import Outcome
from jaxcolor.training.input.sources import find_photos

VERSION = "1.0.0"  # of a data set: TFDS looks for a folder of that name
SPLIT = "train"
RECORD = "prepared.json"  # what was left out, and from which photos the data set was made
PHOTOS_PER_FILE = 500

_AHEAD = 4  # photos in work or waiting, for each process
_ENDED = "ended the process that read it"

_LOG = logging.getLogger(__name__)

_Read: TypeAlias = Callable[[bytes, int], Outcome]  # of a path and the short side


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What has become of the photos.

    Attributes:
      folder: of the data set, OUT/1.0.0.
      count: photos in it.
      left_out: (path below the folder of photos, reason) of the others.
      was_there: whether the data set had been made before.
    """

    folder: Path
    count: int
    left_out: tuple[tuple[str, str], ...]
    was_there: bool


def prepare(
    photos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    short_side: int = 256,
    processes: int | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Prepared:
    """Makes a data set of all photos in a folder, or goes on with one that was begun.

    Photos that cannot be read, are grey or tiny are named in the log and left out.

    Args:
      photos: the folder, with all that lie below it.
      out: the data set's folder; its name is the data set's, small letters, digits and `_`.
      short_side: of the pictures, pixels; smaller photos stay as large as they are.
      processes: that read photos; None: one for each processor.
      progress: called with the numbers of photos done and of all.

    Raises:
      ValueError: an argument that cannot be; no photo is of use; or `out` holds a data set of other
        photos or of another size.
      OSError: something cannot be written.
    """
    photos, out = Path(photos), Path(out)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", out.absolute().name):
        raise ValueError(
            f"{out}: the folder's name is the data set's: write it with small letters, digits and "
            "_, a letter first"
        )
    if short_side < small.MIN_SIDE:
        raise ValueError(f"short side: {short_side} is less than {small.MIN_SIDE} pixels")
    if not photos.is_dir():
        raise ValueError(f"there is no folder {photos}")
    paths, others = find_photos(photos, image_io.PHOTO_SUFFIXES)
    if others:
        _LOG.warning("%s: %s", photos, others)
    if not paths:
        raise ValueError(f"{photos}: no photo in it")
    job = _Job(photos, out.absolute(), paths, short_side)
    if job.folder.exists():
        return job.there()
    return job.run(processes or processors(), progress)


class _Job:
    """One data set in the making."""

    def __init__(self, photos: Path, out: Path, paths: Sequence[bytes], short_side: int) -> None:
        self._root = os.fsencode(photos)
        self._paths = paths
        self._short_side = short_side
        self._name = out.name
        self.folder = out / VERSION
        self._unfinished = out / f".{VERSION}.unfinished"
        self._plan = self._fingerprint()

    def _fingerprint(self) -> str:
        """Of all that the bytes of the data set depend on."""
        digest = hashlib.sha256()
        settings = [self._name, self._short_side, small.QUALITY, PHOTOS_PER_FILE]
        digest.update(json.dumps(settings).encode())
        for path in self._paths:
            status = Path(os.fsdecode(path)).stat()
            digest.update(self._relative(path) + b"\0")
            digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def _relative(self, path: bytes) -> bytes:
        return os.path.relpath(path, self._root)

    def there(self) -> Prepared:
        """What was made by a run before."""
        try:
            record = json.loads((self.folder / RECORD).read_text())
        except (OSError, ValueError):
            record = {}
        if record.get("photos") != self._plan:
            raise ValueError(
                f"{self.folder} holds a data set of other photos, or of another size: choose "
                "another folder, or remove that one"
            )
        left_out = tuple((name, reason) for name, reason in record["left_out"])
        return Prepared(self.folder, record["count"], left_out, was_there=True)

    def run(self, processes: int, progress: Callable[[int, int], object]) -> Prepared:
        """Makes what is not there yet."""
        self._begin_or_go_on()
        parts = [
            self._paths[start : start + PHOTOS_PER_FILE]
            for start in range(0, len(self._paths), PHOTOS_PER_FILE)
        ]
        files = [
            self._unfinished / f"{self._name}-{SPLIT}.tfrecord-{i:05}-of-{len(parts):05}"
            for i in range(len(parts))
        ]
        missing = [i for i, file in enumerate(files) if not _notes(file).exists()]
        done = sum(len(part) for i, part in enumerate(parts) if i not in set(missing))
        progress(done, len(self._paths))
        wanted = itertools.chain.from_iterable(parts[i] for i in missing)
        outcomes = _small_jpegs(wanted, self._short_side, processes, small.outcome)
        try:
            for i in missing:
                made = []
                for path in parts[i]:
                    made.append((self._relative(path), next(outcomes)))
                    done += 1
                    progress(done, len(self._paths))
                _write(files[i], made)
        finally:
            outcomes.close()
        return self._finish(files)

    def _begin_or_go_on(self) -> None:
        plan = self._unfinished / "plan"
        if self._unfinished.is_dir():
            remove_leftovers(self._unfinished)
            if plan.exists() and plan.read_text() == self._plan:
                return
            _LOG.warning("%s: begun with other photos, or with another size; begun anew", plan)
            shutil.rmtree(self._unfinished)
        self._unfinished.mkdir(parents=True)
        with open_whole(plan) as file:
            file.write(self._plan.encode())

    def _finish(self, files: Sequence[Path]) -> Prepared:
        """Metadata, the record of what was left out, and the folder's name at the very end."""
        import tensorflow_datasets as tfds

        notes = [json.loads(_notes(file).read_text()) for file in files]
        left_out = [tuple(pair) for note in notes for pair in note["left_out"]]
        count = sum(note["count"] for note in notes)
        if not count:
            raise ValueError(f"{os.fsdecode(self._root)}: none of the photos is of use")
        template = tfds.core.ShardedFileTemplate(
            data_dir=self._unfinished,
            dataset_name=self._name,
            split=SPLIT,
            filetype_suffix="tfrecord",
        )
        split = tfds.core.SplitInfo(
            name=SPLIT,
            shard_lengths=[note["count"] for note in notes],
            num_bytes=sum(file.stat().st_size for file in files),
            filename_template=template,
        )
        features = {
            "file": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
        }
        tfds.folder_dataset.write_metadata(
            data_dir=self._unfinished,
            features=tfds.features.FeaturesDict(features),
            split_infos=[split],
            version=VERSION,
            description=f"Photos with short sides of at most {self._short_side} pixels, in sRGB.",
            check_data=False,
        )
        record = {"photos": self._plan, "count": count, "left_out": left_out}
        with open_whole(self._unfinished / RECORD) as record_file:
            record_file.write((json.dumps(record, indent=1) + "\n").encode())
        for path in [self._unfinished / "plan", *map(_notes, files)]:
            path.unlink()
        self._unfinished.rename(self.folder)
        return Prepared(self.folder, count, tuple(left_out), was_there=False)


def _notes(file: Path) -> Path:
    """What is said of a file of records; it is there when the file is."""
    return file.with_name(f"{file.name}.json")


def _write(file: Path, made: Iterable[tuple[bytes, Outcome]]) -> None:
    """A file of records, and behind it the notes that say that it is whole."""
    count, left_out = 0, []
    with open_whole(file) as whole, tf.io.TFRecordWriter(whole.name) as records:
        for name, outcome in made:
            if isinstance(outcome, str):
                shown = name.decode(errors="backslashreplace")
                _LOG.warning("left out: %s: %s", shown, outcome)
                left_out.append((shown, outcome))
                continue
            values = {"file": name, "image": outcome}
            feature = {
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for key, value in values.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            records.write(example.SerializeToString(deterministic=True))
            count += 1
    with open_whole(_notes(file)) as notes:
        notes.write(json.dumps({"count": count, "left_out": left_out}).encode())


# -- Processes -------------------------------------------------------------------------------------


def _small_jpegs(
    paths: Iterable[bytes],
    short_side: int,
    processes: int,
    read: _Read,
) -> Generator[Outcome, None, None]:
    """What becomes of each photo, in their order.

    A photo that ends its process takes the others in work with it; each of these is then read
    alone, so that the one to blame is known.
    """
    waiting: collections.deque[_Reading] = collections.deque()
    rest = iter(paths)
    while True:
        with _pool(processes) as pool:
            try:
                while True:
                    for path in itertools.islice(rest, _AHEAD * processes - len(waiting)):
                        waiting.append(_Reading(path))
                        waiting[-1].future = pool.submit(read, path, short_side)
                    if not waiting:
                        return
                    result = interrupts.wait(waiting[0].future)
                    waiting.popleft()
                    yield result
            except BrokenProcessPool:
                pass
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        while waiting:
            yield _alone(read, waiting.popleft().path, short_side)


@dataclasses.dataclass
class _Reading:
    """A photo in work."""

    path: bytes
    future: Future[Outcome] = dataclasses.field(default_factory=Future)


def _alone(read: _Read, path: bytes, short_side: int) -> Outcome:
    with _pool(1) as pool:
        try:
            return interrupts.wait(pool.submit(read, path, short_side))
        except BrokenProcessPool:
            return _ENDED


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not forked: TensorFlow has threads here. The processes import `small` alone, without it.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=small.begin_process)
