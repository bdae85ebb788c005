"""Where photos come from: folders of every shape, data sets that TFDS prepared from files."""

from __future__ import annotations

import itertools
import logging
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from patience import HANG
from PIL import Image

from jaxcolor.training.input import batches

COLOURS = [(20 * i, 20 * i, 90) for i in range(11)]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("photos", "write it as folder:PATH, tfds:NAME"),
        ("folder:", "write it as folder:PATH, tfds:NAME"),
        ("tfds:", "write it as folder:PATH, tfds:NAME"),
        ("folder:/no/such", "there is no folder /no/such"),
    ],
)
def test_wrong_sources_are_named(source: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        batches.open_photos(source)


# -- Folders ---------------------------------------------------------------------------------------


def write(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 40), (200, 100, 0)).save(path)
    return path.read_bytes()


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(ValueError, match="no photo in it"):
        batches.open_photos(f"folder:{tmp_path}")


def test_a_folder_says_how_many_files_it_leaves_out(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO, "jaxcolor")
    write(tmp_path / "a.png")
    write(tmp_path / "@eaDir" / "a.png" / "thumbnail.png")
    write(tmp_path / ".trash" / "b.png")
    for name in ("scan.TIF", "b/scan.tif", "phone.heic", ".DS_Store", "._a.png", ".trash/c.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert len(batches.open_photos(f"folder:{tmp_path}")) == 1
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tmp_path}: 3 files of other kinds are left out (.heic, .tif); "
        "jaxcolor.training.input.prepare reads more kinds"
    )


def test_photos_of_nested_and_linked_folders_in_one_order(tmp_path: Path, caplog) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for name in ("b.png", "a/z.JPG", "a/b/c/deep.webp", "c.bmp"):
        content = write(root / name)
    write(elsewhere / "far.jpeg")
    (root / "link").symlink_to(elsewhere)
    (root / "a" / "back").symlink_to(root)  # round in a circle
    (root / "notes.txt").write_text("no photo")
    photos = batches.open_photos(f"folder:{root}")
    names = ["a/b/c/deep.webp", "a/z.JPG", "b.png", "c.bmp", "link/far.jpeg"]
    assert [photos.name(i) for i in range(len(photos))] == [str(root / name) for name in names]
    assert photos.encoded(3).numpy() == content
    assert not caplog.records


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    content = write(tmp_path / "plain.png")
    (tmp_path / "plain.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    photos = batches.open_photos(f"folder:{tmp_path}")
    assert photos.name(0) == f"{tmp_path}/caf\\xe9.png"
    assert photos.encoded(0).numpy() == content


# -- Data sets -------------------------------------------------------------------------------------


class OneColour(tfds.core.GeneratorBasedBuilder):
    """Eleven pictures to train on and three to test, made of image files, in two shards or more."""

    VERSION = tfds.core.Version("1.2.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "depth": tfds.features.Image(shape=(None, None, 1)),
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=["dark", "light"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager) -> dict:
        return {"train": self._examples(range(11)), "test": self._examples(range(3))}

    def _generate_examples(self):
        raise NotImplementedError  # both splits name theirs

    def _examples(self, numbers):
        for i in numbers:
            path = Path(self.data_dir).parent / f"{i}.png"
            Image.new("RGB", (40 + i, 50), COLOURS[i]).save(path)
            yield i, {"image": str(path), "depth": np.zeros((4, 4, 1), np.uint8), "label": 0}


class OnlyDepth(OneColour):
    """No colours."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"depth": tfds.features.Image(shape=(None, None, 1))})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _examples(self, numbers):
        yield 0, {"depth": np.zeros((4, 4, 1), np.uint8)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFDS folder with data sets prepared as a user would, in TFDS' default format."""
    folder = tmp_path_factory.mktemp("tfds")
    shards = tfds.download.DownloadConfig(num_shards=2)
    OneColour(data_dir=folder).download_and_prepare(download_config=shards)
    OnlyDepth(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture
def here(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, where TFDS looks: it reads TFDS_DATA_DIR only once."""
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(prepared))
    return prepared


def labels(photos: batches.Photos) -> list[int]:
    rows = batches.validation_batches(photos, size=16, batch=4)
    real = np.concatenate([batch["rgb"][batch["mask"] == 1] for batch in rows])
    return [round(float(crop[..., 0].mean()) / 20) for crop in real]


@pytest.mark.parametrize(
    ("source", "prefix", "count"),
    [
        ("tfds:one_colour", "one_colour:train", 11),
        ("tfds:one_colour:test", "one_colour:test", 3),
        ("tfds:one_colour:1.2.0", "one_colour:1.2.0:train", 11),
        ("tfds:one_colour:1.*.*:train[2:9]", "one_colour:1.*.*:train[2:9]", 7),
        ("tfds:one_colour:train[:50%]+test", "one_colour:train[:50%]+test", 9),
    ],
)
def test_a_data_set_is_read(here: Path, source: str, prefix: str, count: int) -> None:
    photos = batches.open_photos(source)
    assert len(photos) == count
    assert photos.name(2) == f"{prefix}[2]"
    # TFDS' own way through the files, from the first to the last
    split = re.sub(r"^one_colour(:1\.[2*]\.[0*])?:", "", prefix)
    builder = tfds.builder_from_directory(here / "one_colour" / "1.2.0")
    expected = [
        example["image"][0, 0]
        for part in split.split("+")
        for example in tfds.as_numpy(builder.as_dataset(split=part))
    ]
    assert len(list((here / "one_colour" / "1.2.0").glob("*train*"))) == 2  # shards
    got = labels(photos)
    assert sorted(got) == sorted(int(pixel[0]) // 20 for pixel in expected)


def test_the_bytes_are_those_of_the_file(here: Path) -> None:
    photos = batches.open_photos("tfds:one_colour")
    files = {(here / "one_colour" / f"{i}.png").read_bytes() for i in range(11)}
    assert {photos.encoded(i).numpy() for i in range(11)} == files


def test_training_on_a_data_set(here: Path) -> None:
    photos = batches.open_photos("tfds:one_colour")
    options = {"size": 16, "batch": 11, "first_step": 0, "seed": 0, "min_area": 0.5}
    truth = labels(photos)
    epochs = list(itertools.islice(batches.training_batches(photos, **options), 3))
    for batch in epochs:
        assert sorted(batch["photo"]) == list(range(11))
        shown = [round(float(crop[..., 0].mean()) / 20) for crop in batch["rgb"]]
        assert shown == [truth[photo] for photo in batch["photo"]]
    assert len({tuple(batch["photo"]) for batch in epochs}) == 3


def test_a_damaged_record_is_named(prepared: Path, tmp_path, monkeypatch, caplog) -> None:
    """One flipped byte in a picture; the records behind it are still found."""
    folder = tmp_path / "one_colour" / "1.2.0"
    folder.parent.mkdir()
    subprocess.run(["cp", "-r", prepared / "one_colour" / "1.2.0", folder], check=True)
    picture = (prepared / "one_colour" / "3.png").read_bytes()
    (shard,) = (file for file in folder.glob("*train*") if picture in file.read_bytes())
    content = bytearray(shard.read_bytes())
    content[content.index(picture) + len(picture) // 2] ^= 255
    shard.write_bytes(content)
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    assert len(labels(batches.open_photos("tfds:one_colour"))) == 10
    (record,) = (record for record in caplog.records if "passed over" in record.msg)
    assert record.args[0].startswith("one_colour:train[")
    assert record.args[1].startswith("damaged")

    shard.write_bytes(content[:-20])
    with pytest.raises(ValueError, match="damaged or cut short; prepare it anew"):
        batches.open_photos("tfds:one_colour")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("tfds:one_colour:validation", "no split 'validation'; there is train, test"),
        ("tfds:one_colour:train[a:b]", r"no split 'train\[a:b\]'; there is train, test"),
        ("tfds:one_colour:train[5:5]", r"no photo in the split 'train\[5:5\]'"),
        ("tfds:one_colour:9.0.0", "one_colour:9.0.0 is not prepared in"),
        ("tfds:no_such_thing", "there is no data set no_such_thing in .*TFDS_DATA_DIR=FOLDER"),
        ("tfds:kaggle:thing", "there is no data set kaggle in"),
        ("tfds:../one_colour", "the data set cannot be opened"),
        ("tfds:mnist", "mnist is not prepared in .*; prepare it: python -c .*download_and_prepare"),
        ("tfds:only_depth", r"no colour image among its features \(depth\)"),
    ],
)
def test_what_is_not_there_is_named(here: Path, source: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        batches.open_photos(source)
    assert str(error.value).startswith(f"source {source!r}: ")
    assert "\n" not in str(error.value)


def test_another_format_is_named_and_what_the_message_says_helps(
    tmp_path: Path, monkeypatch
) -> None:
    OneColour(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="is stored as array_record, only tfrecord") as error:
        batches.open_photos("tfds:one_colour")
    command = str(error.value).partition('python -c "')[2].partition('"')[0]
    other = tmp_path / "other"
    exec(command.replace("FOLDER", str(other)))
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(other))
    assert len(batches.open_photos("tfds:one_colour")) == 11


def test_a_process_ends_while_its_input_runs(prepared: Path) -> None:
    """With TFDS_DATA_DIR from outside."""
    code = """
    import time
    from jaxcolor.training.input import batches
    photos = batches.open_photos("tfds:one_colour")
    running = batches.training_batches(
        photos, size=16, batch=4, first_step=0, seed=0, min_area=0.5, aging=0.5
    )
    next(running)
    time.sleep(1.5)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "TFDS_DATA_DIR": str(prepared)},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
