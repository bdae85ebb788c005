"""Data sets of small photos, made out of photos of any kind."""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import deadly_decoder
import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tensorflow_datasets as tfds
import tifffile
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from jaxcolor import image_io
from jaxcolor.training.host_tensorflow import tf
from jaxcolor.training.input import decode, prepare, small
from jaxcolor.training.input.batches import open_photos, training_batches

SCRIPT = Path(__file__).parents[3] / "scripts" / "prepare.py"
SHORT_SIDE = 128
ENCODERS_LOSS = 2.5  # of 255, the mean over pixels of these small pictures, which are all detail


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(folder: Path) -> dict[str, np.ndarray]:
    """The pictures of a data set by their names, found by TFDS and decoded by Pillow."""
    builder = tfds.builder_from_directory(folder)
    undecoded = {"image": tfds.decode.SkipDecoding()}  # TFDS decodes by the fast DCT
    examples = tfds.as_numpy(builder.as_dataset(split="train", decoders=undecoded))
    return {
        example["file"].decode(): np.asarray(Image.open(io.BytesIO(example["image"])))
        for example in examples
    }


# -- Photos of every kind --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scans(photos: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of 16 bits, a JPEG in Adobe RGB, a HEIC, and a damaged file; beside them a note."""
    folder = tmp_path_factory.mktemp("scans")
    deep = photos["coffee"].astype(np.uint16) * 257 - photos["coffee"] // 3
    tifffile.imwrite(folder / "a scan.tif", deep, photometric="rgb")
    upright = Image.fromarray(photos["chelsea"])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    adobe = bytes(imagecodecs.cms_profile("adobergb"))
    (folder / "below").mkdir()
    upright.rotate(90, expand=True).save(
        folder / "below" / "adobe.jpg", quality=95, exif=exif, icc_profile=adobe
    )
    pillow_heif.from_pillow(Image.fromarray(photos["astronaut"])).save(folder / "phone.heic")
    whole = io.BytesIO()
    upright.save(whole, "PNG")
    (folder / "damaged.png").write_bytes(whole.getvalue()[:9000])
    (folder / "note.txt").write_text("no photo")
    return folder


def expected(path: Path) -> np.ndarray:
    """What `image_io` reads, made small band by band and without rounding; RGB of 255."""
    pixels = image_io.open_photo(path).pixels
    height, width = pixels.shape[:2]
    scale = SHORT_SIDE / min(height, width)
    size = (round(width * scale), round(height * scale))
    bands = np.moveaxis(pixels / np.iinfo(pixels.dtype).max * 255, -1, 0).astype(np.float32)
    resized = [Image.fromarray(band).resize(size, Image.Resampling.LANCZOS) for band in bands]
    return np.stack(resized, axis=-1)


@pytest.mark.slow
def test_photos_of_every_kind_become_small_pictures(scans: Path, tmp_path: Path, run) -> None:
    out = tmp_path / "sets" / "album"
    arguments = (SCRIPT, scans, "--out", out, "--short-side", SHORT_SIDE)
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"done: 3 photos in {out / '1.0.0'}, 1 left out. ")
    assert "1 file of another kind is left out (.txt)" in done.stderr
    assert re.search(r"left out: damaged.png: .*cut short", done.stderr)

    builder = tfds.builder_from_directory(out / "1.0.0")
    assert builder.info.name == "album"
    pictures = read(out / "1.0.0")
    assert list(pictures) == ["a scan.tif", "below/adobe.jpg", "phone.heic"]
    for name, picture in pictures.items():
        wanted = expected(scans / name)
        assert picture.shape == wanted.shape
        assert min(wanted.shape[:2]) == SHORT_SIDE
        difference = picture - wanted.clip(0, 255)
        assert np.abs(difference).mean() < ENCODERS_LOSS, name
        assert np.abs(difference.mean(axis=(0, 1))).max() < 0.3, name

    before = content(out / "1.0.0")
    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("already there: 3 photos")
    assert content(out / "1.0.0") == before
    other = run(*arguments[:-1], 64)
    assert other.returncode == 1
    assert other.stderr.splitlines()[-1].startswith(f"prepare: {out / '1.0.0'} holds a data set of")


def test_a_photo_that_is_small_enough_keeps_its_pixels(photos, tmp_path: Path) -> None:
    rgb = photos["coffee"][:100:2, :160:2]
    Image.fromarray(rgb).save(tmp_path / "small.png")
    jpeg = small.small_jpeg(tmp_path / "small.png", 50)
    got = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
    assert np.abs(got - rgb).mean() < ENCODERS_LOSS
    # The training's own decoder sees the very same.
    np.testing.assert_array_equal(decode.decode(tf.constant(jpeg)), got)


def test_processes_start_without_tensorflow_and_jax() -> None:
    code = "import sys; from jaxcolor.training.input import small; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "tensorflow", "flax", "optax"} & set(done.stdout.split())


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=300).map(lambda s: (*s, 3))))
@settings(deadline=None, max_examples=30)
def test_grey_is_what_training_calls_grey(rgb: np.ndarray) -> None:
    assert small.spread(rgb) == pytest.approx(float(decode._spread(tf.constant(rgb))), rel=1e-5)


# -- Resumed ---------------------------------------------------------------------------------------


@pytest.fixture
def album(photos: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """Eleven photos; the fourth is grey, the sixth tiny, the eighth is none."""
    folder = tmp_path / "album"
    folder.mkdir()
    for i in range(11):
        part = photos["coffee"][10 * i : 10 * i + 80, 20 * i : 20 * i + 90]
        Image.fromarray(part).save(folder / f"{i:02}.jpg")
    Image.fromarray(photos["coffee"][:90, :90]).convert("L").save(folder / "03.jpg")
    Image.fromarray(photos["coffee"][:20, :90]).save(folder / "05.jpg")
    (folder / "07.jpg").write_bytes(b"")
    return folder


@pytest.fixture
def by_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of two photos: six of them."""
    monkeypatch.setattr(prepare, "PHOTOS_PER_FILE", 2)


@pytest.mark.usefixtures("by_two")
def test_stopped_anywhere_it_ends_with_the_same_bytes(album: Path, tmp_path: Path) -> None:
    straight = prepare.prepare(album, tmp_path / "a" / "mine", short_side=64, processes=1)
    assert straight.count == 8
    reasons = dict(straight.left_out)
    assert list(reasons) == ["03.jpg", "05.jpg", "07.jpg"]
    assert reasons["03.jpg"] == "grey"
    assert reasons["05.jpg"] == "tiny (90x20)"
    wanted = content(straight.folder)
    assert len(wanted) == 6 + 3  # files of records; two of metadata, one of our own

    class Stop(Exception):
        pass

    def stop_at(number: int) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            assert total == 11
            if done == number:
                raise Stop

        return progress

    out = tmp_path / "b" / "mine"
    for number in (1, 5, 6):
        with pytest.raises(Stop):
            prepare.prepare(album, out, short_side=64, processes=2, progress=stop_at(number))
        assert not (out / "1.0.0").exists()
    seen: list[int] = []
    done = prepare.prepare(
        album, out, short_side=64, processes=2, progress=lambda n, _: seen.append(n)
    )
    assert seen == [4, 5, 6, 7, 8, 9, 10, 11]  # two files were whole, the third was begun
    assert content(done.folder) == wanted
    assert done.left_out == straight.left_out
    assert [path.name for path in out.iterdir()] == ["1.0.0"]


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("by_two")
def test_killed_it_leaves_no_process_and_goes_on(album: Path, tmp_path: Path) -> None:
    straight = prepare.prepare(album, tmp_path / "a" / "mine", short_side=64, processes=1)
    out = tmp_path / "b" / "mine"
    code = f"""
    import multiprocessing, pathlib, time

    def progress(done, total):
        if done == 5:
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
            time.sleep(600)

    if __name__ == "__main__":  # as in the script: processes that read photos import this, too
        from jaxcolor.training.input import prepare
        prepare.PHOTOS_PER_FILE = 2
        album, out = map(pathlib.Path, {[str(album), str(out)]})
        prepare.prepare(album, out, short_side=64, processes=2, progress=progress)
    """
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(code))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        workers = child.stdout.readline().split()
        assert workers
        child.send_signal(signal.SIGKILL)
    unfinished = out / ".1.0.0.unfinished"
    made = {path.name: path.stat().st_ino for path in unfinished.glob("mine-*-of-00006")}
    while any(map(is_running, workers)):
        time.sleep(0.05)
    done = prepare.prepare(album, out, short_side=64, processes=2)
    assert content(done.folder) == content(straight.folder)
    assert len(made) == 2
    for name, inode in made.items():  # these were not made again
        assert (done.folder / name).stat().st_ino == inode


@pytest.mark.usefixtures("by_two")
def test_begun_anew_with_other_photos(album: Path, tmp_path: Path, caplog) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise InterruptedError

    out = tmp_path / "mine"
    with pytest.raises(InterruptedError):
        prepare.prepare(album, out, short_side=64, processes=1, progress=stop)
    shutil.copy(album / "00.jpg", album / "01.jpg")
    done = prepare.prepare(album, out, short_side=64, processes=1)
    assert any("begun anew" in record.getMessage() for record in caplog.records)
    pictures = read(done.folder)
    np.testing.assert_array_equal(pictures["00.jpg"], pictures["01.jpg"])


def test_a_photo_that_ends_its_process_is_named(album: Path) -> None:
    paths = [os.fsencode(path) for path in sorted(album.iterdir())]
    outcomes = list(prepare._small_jpegs(paths, 64, processes=2, read=deadly_decoder.read))
    assert len(outcomes) == 11
    assert outcomes[4] == "ended the process that read it"
    assert [i for i, outcome in enumerate(outcomes) if isinstance(outcome, str)] == [3, 4, 5, 7]


# -- Read by training ------------------------------------------------------------------------------


def test_training_reads_it_by_name_and_by_path(album, tmp_path: Path, monkeypatch, caplog) -> None:
    made = prepare.prepare(album, tmp_path / "sets" / "mine", short_side=64, processes=1)
    pictures = read(made.folder)
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path / "sets"))
    monkeypatch.chdir(tmp_path)
    for place in ("mine", "./sets/mine", "sets/mine/1.0.0", f"{tmp_path}/sets/mine"):
        photos = open_photos(f"tfds:{place}")
        assert photos.name(2) == f"{place}:train[2]"
        assert len(photos) == 8
        for i, picture in enumerate(pictures.values()):
            got = decode.decode(photos.encoded(tf.constant(i, tf.int64)))
            np.testing.assert_array_equal(got, picture)
    assert len(open_photos("tfds:./sets/mine:train[:3]")) == 3
    caplog.clear()
    options = {"size": 32, "batch": 8, "first_step": 0, "seed": 0, "min_area": 0.5}
    batch = next(training_batches(open_photos("tfds:sets/mine"), **options))
    assert sorted(batch["photo"]) == list(range(8))
    assert not caplog.records  # nothing that training would pass over
    with pytest.raises(ValueError, match=r"no data set in /.*; make one of your photos: ") as error:
        open_photos(f"tfds:{tmp_path}/other")
    command = str(error.value).partition('python -c "')[2].removesuffix('"')
    exec(command.replace("PHOTOS", str(album)))
    assert len(open_photos(f"tfds:{tmp_path}/other")) == made.count
    (made.folder / "features.json").unlink()
    with pytest.raises(ValueError, match="the data set cannot be opened: ") as error:
        open_photos("tfds:sets/mine")
    assert "\n" not in str(error.value)


# -- Mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("out", "changes", "words"),
    [
        ("My photos", {}, "My photos: the folder's name is the data set's"),
        ("mine", {"short_side": 31}, "short side: 31 is less than 32"),
        ("mine", {"photos": "nowhere"}, "there is no folder"),
        ("mine", {"photos": "empty"}, "no photo in it"),
        ("mine", {"photos": "grey"}, "none of the photos is of use"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, caplog, out: str, changes: dict, words: str) -> None:
    caplog.set_level(logging.WARNING)
    for name in ("photos", "empty", "grey"):
        (tmp_path / name).mkdir()
    Image.new("L", (40, 40), 90).save(tmp_path / "grey" / "grey.png")
    options = {"photos": "photos", **changes}
    photos = tmp_path / options.pop("photos")
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        prepare.prepare(photos, tmp_path / out, processes=1, **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / out / "1.0.0").exists()
