"""Photos of data sets that tensorflow-datasets (TFDS) has prepared on this machine."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from jaxcolor.training.host_tensorflow import tf
from jaxcolor.training.input.photos import Photos

_METADATA = "dataset_info.json"
_FORMAT = "tfrecord"  # of the data sets that are read
_SHARDS_AT_ONCE = 16  # while their records are looked for: the time goes into waiting for the disk


class TfdsPhotos(Photos):
    """The photos of one split of a data set that tensorflow-datasets has prepared as TFRecord.

    That is TFDS' own default. The format has no index, so opening a split walks once from record
    to record, which reads a few bytes of each; after that any record is found by its number.
    """

    def __init__(self, source: str, place: str) -> None:
        super().__init__()
        data_set, split = _name_and_split(place)
        self._prefix = f"{data_set}:{split}"
        folder = _folder(source, data_set)
        builder = _from_folder(source, folder) if folder else _prepared(source, data_set)
        shards = _shards(source, data_set, split, builder)
        self._feature = _image_feature(source, builder)
        try:
            with ThreadPoolExecutor(_SHARDS_AT_ONCE) as pool:
                records = list(pool.map(_records, shards))
        except (OSError, ValueError) as error:
            raise ValueError(f"source {source!r}: {error}; prepare it anew") from None
        files = [Path(shard.filename) for shard in shards]
        self._shards = tf.constant([os.fsencode(file) for file in files])
        self._sizes = tf.constant([file.stat().st_size for file in files], tf.int64)
        numbers = np.repeat(np.arange(len(shards)), [len(part) for part in records])
        # (photos, 3): in which shard it lies, where, and how long it is
        self._records = tf.constant(np.column_stack([numbers, np.concatenate(records)]), tf.int64)

    def __len__(self) -> int:
        return len(self._records)

    def name(self, index: int) -> str:
        """As in `flowers:train[12]`."""
        return f"{self._prefix}[{index}]"

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of the photo's file, as the data set keeps them."""
        shard, start, length = tf.unstack(tf.gather(self._records, index))
        behind = tf.gather(self._sizes, shard) - start - length
        record = tf.data.FixedLengthRecordDataset(
            tf.gather(self._shards, shard), length, start, behind, buffer_size=length
        ).get_single_element()
        wanted = {self._feature: tf.io.FixedLenFeature((), tf.string)}
        return tf.io.parse_single_example(record, wanted)[self._feature]


def _name_and_split(place: str) -> tuple[str, str]:
    # A split may hold colons too: train[:90%].
    parts = re.fullmatch(r"([^:]+(?::\d+\.[\d*]+\.[\d*]+)?)(?::(.*))?", place)
    if parts is None:
        return place, "train"
    return parts[1], parts[2] or "train"


def _folder(source: str, data_set: str) -> Path | None:
    """The folder that holds a data set's metadata, where it is given by its path.

    Raises:
      ValueError: there is such a folder, or a path from the root, and no data set in it.
    """
    path = Path(data_set).expanduser()
    if "/" not in data_set or not (path.is_absolute() or path.is_dir()):
        return None  # NAME, or NAME/CONFIG
    metadata = [path / _METADATA, *sorted(path.glob(f"*.*.*/{_METADATA}"))]
    there = [file.parent for file in metadata if file.is_file()]
    if not there:
        raise ValueError(
            f"source {source!r}: no data set in {path}; make one of your photos: "
            'python -c "from jaxcolor.training.input.prepare import prepare; '
            f"prepare('PHOTOS', {str(path)!r})\""
        )
    return there[-1]


def _from_folder(source: str, folder: Path) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(folder)
    except Exception as error:  # as in `_prepared`
        raise ValueError(f"source {source!r}: {_cannot_be_opened(error)}") from None


def _cannot_be_opened(error: Exception) -> str:
    return f"the data set cannot be opened: {str(error).strip().partition(chr(10))[0]}"


def _prepared(source: str, data_set: str) -> Any:
    """The builder of a data set, from its files alone: TFDS' own look-up may go to the network."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import read_only_builder

    try:
        return read_only_builder.builder_from_files(data_set)
    except tfds.core.DatasetNotFoundError:
        pass
    except Exception as error:  # whatever TFDS stumbles over in files that are damaged or old
        raise ValueError(f"source {source!r}: {_cannot_be_opened(error)}") from None
    name = re.split("[/:]", data_set)[0]
    if name in tfds.list_builders(with_community_datasets=False):
        raise ValueError(
            f"source {source!r}: {data_set} is not prepared in {_data_dirs()}; prepare it: "
            f"{_how_to_prepare(data_set)}"
        )
    raise ValueError(
        f"source {source!r}: there is no data set {data_set} in {_data_dirs()}, and TFDS knows none"
        " of that name; say where it is with TFDS_DATA_DIR=FOLDER"
    )


def _data_dirs() -> str:
    from tensorflow_datasets.core.utils import file_utils

    return ", ".join(map(os.fspath, file_utils.list_data_dirs()))


def _how_to_prepare(data_set: str, options: str = "") -> str:
    return (
        'python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{data_set}'{options}).download_and_prepare()\""
    )


def _shards(source: str, data_set: str, split: str, builder: Any) -> list[Any]:
    """TFDS' instructions for a split: files, and which of their records."""
    import tensorflow_datasets as tfds

    formats = {kind.value for kind in builder.info.available_file_formats()}
    if _FORMAT not in formats:
        options = f", data_dir='FOLDER', file_format='{_FORMAT}'"
        raise ValueError(
            f"source {source!r}: {builder.data_path} is stored as {' and '.join(sorted(formats))}, "
            f"only {_FORMAT} is read; prepare it in another folder: "
            f"{_how_to_prepare(data_set, options)}, and set TFDS_DATA_DIR=FOLDER"
        )
    if builder.info.file_format.value != _FORMAT:  # it is stored in several
        builder = tfds.builder_from_directory(builder.data_path, file_format=_FORMAT)
    known = ", ".join(builder.info.splits)
    try:
        shards = builder.info.splits[split].file_instructions
    except Exception:  # TFDS raises several kinds for a split that it cannot read
        raise ValueError(f"source {source!r}: no split {split!r}; there is {known}") from None
    if sum(shard.take for shard in shards) <= 0:
        raise ValueError(f"source {source!r}: no photo in the split {split!r}; there is {known}")
    return list(shards)


def _image_feature(source: str, builder: Any) -> str:
    """The feature that holds the photos: "image", or else the first with colours."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features) if hasattr(builder.info.features, "items") else {}
    coloured = [
        name
        for name, feature in features.items()
        if isinstance(feature, tfds.features.Image) and feature.shape[-1] in (3, 4)
    ]
    if not coloured:
        there = ", ".join(features) or "none"
        raise ValueError(f"source {source!r}: no colour image among its features ({there})")
    return "image" if "image" in coloured else coloured[0]


def _records(shard: Any) -> np.ndarray:
    """Start and length in bytes of the records that a shard's instruction takes: int64 (n, 2).

    TFRecord: 8 bytes of length, 4 of checksum, the data, 4 of checksum.
    """
    path = Path(shard.filename)
    size = path.stat().st_size
    found, place = [], 0
    with path.open("rb", buffering=0) as file:
        for _ in range(shard.skip + shard.take):
            head = os.pread(file.fileno(), 8, place)
            length = int.from_bytes(head, "little")
            if place + length + 16 > size:
                raise ValueError(f"{path} is damaged or cut short")
            found.append((place + 12, length))
            place += length + 16
    return np.array(found[shard.skip :], np.int64).reshape(-1, 2)
