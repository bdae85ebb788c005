"""The input: its order is a function of (seed, step), every photo once an epoch."""

from __future__ import annotations

import io
import itertools
import os
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from patience import HANG
from PIL import Image

from jaxcolor.training.host_tensorflow import tf
from jaxcolor.training.input.batches import (
    NO_PHOTO,
    Batch,
    Photos,
    open_photos,
    training_batches,
    validation_batches,
)

OPTIONS = {"size": 16, "batch": 4, "first_step": 0, "seed": 0, "min_area": 0.5}


def folder(path: Path) -> Photos:
    return open_photos(f"folder:{path}")


@pytest.fixture
def flat(tmp_path: Path) -> Photos:
    """Eleven photos, each of one colour of its own, so that a crop tells which photo it is of."""
    for i in range(11):
        Image.new("RGB", (40 + i, 50), (20 * i, 20 * i, 90)).save(tmp_path / f"{i:02}.png")
    return folder(tmp_path)


def batches(photos: Photos, count: int, **changes) -> list[Batch]:
    return list(itertools.islice(training_batches(photos, **{**OPTIONS, **changes}), count))


def crops(photos: Photos, count: int, **changes) -> list[np.ndarray]:
    return [batch["rgb"] for batch in batches(photos, count, **changes)]


def which(crops: np.ndarray) -> list[int]:
    return [round(float(crop[..., 0].mean()) / 20) for crop in crops]


def test_every_epoch_is_a_permutation(flat: Photos) -> None:
    seen = which(np.concatenate(crops(flat, 11)))  # 44 crops: four epochs
    epochs = [seen[i : i + 11] for i in range(0, 44, 11)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(11))
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert which(np.concatenate(crops(flat, 11, seed=1))) != seen


def test_three_epochs_see_every_photo_three_times_on_one_process_and_on_two(flat) -> None:
    steps = 17  # of two photos: 34 for three epochs of 11, the last of which begins the fourth
    whole = batches(flat, steps, batch=2, aging=0.5)
    halves = [batches(flat, steps, batch=2, aging=0.5, process=(i, 2)) for i in range(2)]
    for one, parts in zip(whole, zip(*halves, strict=True), strict=True):
        for name in ("rgb", "photo", "grey"):
            assert len(parts[0][name]) == 1
            np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), one[name])
    taken = np.concatenate([batch["photo"] for batch in whole])
    assert Counter(taken[:33].tolist()) == Counter(dict.fromkeys(range(11), 3))
    assert list(taken) == which(np.concatenate([batch["rgb"] for batch in whole]))


def test_the_step_is_the_whole_state(photo_folder: Path) -> None:
    photos = folder(photo_folder)
    straight = batches(photos, 6, aging=0.5)
    again = batches(photos, 3, first_step=3, aging=0.5)
    for one, other in zip(straight[3:], again, strict=True):
        assert set(one) == {"rgb", "photo", "grey"}
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    assert np.std(np.concatenate([batch["rgb"] for batch in straight]).astype(float)) > 10


@pytest.mark.parametrize(("count", "processes"), [(3, 2), (4, 1), (5, 2), (11, 1), (11, 2)])
def test_validation_has_every_photo_once(flat, tmp_path: Path, count: int, processes: int) -> None:
    for i in range(count, 11):
        (tmp_path / f"{i:02}.png").unlink()
    photos = folder(tmp_path)
    seen: Counter[int] = Counter()
    rounds = set()
    for index in range(processes):
        got = list(validation_batches(photos, size=16, batch=4, process=(index, processes)))
        rounds.add(len(got))
        for batch in got:
            assert len(batch["rgb"]) == 4 // processes
            real = batch["mask"] == 1
            assert list(batch["photo"][real]) == which(batch["rgb"][real])
            assert (batch["photo"][~real] == NO_PHOTO).all()
            seen.update(which(batch["rgb"][real]))
    assert seen == Counter(range(count))
    assert len(rounds) == 1  # a process that had fewer rounds would hang the others


def test_validation_is_the_central_square(tmp_path: Path) -> None:
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = (250, 255, 255)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    (batch,) = validation_batches(folder(tmp_path), size=32, batch=1)
    assert batch["rgb"].min() == 250


# -- Photos of no use ------------------------------------------------------------------------------

SPOILT = [2, 4, 6, 9]


@pytest.fixture
def spoilt(flat: Photos) -> list[str]:
    """Four of the eleven photos, now of no use."""
    names = [flat.name(i) for i in SPOILT]
    whole = Path(names[0]).read_bytes()
    Path(names[0]).write_bytes(whole[: len(whole) // 2])
    Path(names[1]).write_text("no photo")
    Image.new("RGB", (60, 60), (80, 80, 80)).save(names[2])
    Image.new("RGB", (31, 60), (200, 20, 80)).save(names[3])
    return names


def named(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    """What the log calls of no use, and why; nothing is named twice."""
    pairs = [record.args for record in caplog.records if "passed over" in record.msg]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_photos_of_no_use_are_named_once_and_replaced(flat, spoilt, caplog) -> None:
    whole = set(range(11)) - set(SPOILT)
    seen = batches(flat, 11)  # four epochs
    reasons = named(caplog)
    assert sorted(reasons) == spoilt
    assert [reasons[file].split()[0] for file in spoilt] == ["damaged,", "damaged,", "grey", "tiny"]
    shown = which(np.concatenate([batch["rgb"] for batch in seen]))
    assert shown == list(np.concatenate([batch["photo"] for batch in seen]))
    for start in range(0, 44, 11):
        assert set(shown[start : start + 11]) == whole  # each of them, and some twice
    assert which(np.concatenate(crops(flat, 6, first_step=5))) == shown[20:]
    assert len(named(caplog)) == 4


def test_the_others_stay_where_they_were(flat, request) -> None:
    before = which(np.concatenate(crops(flat, 11)))
    request.getfixturevalue("spoilt")
    after = which(np.concatenate(crops(flat, 11)))
    for one, other in zip(before, after, strict=True):
        assert one == other or one in SPOILT


def test_nothing_but_spoilt_photos_is_an_error(flat) -> None:
    for i in range(len(flat)):
        Path(flat.name(i)).write_text("no photo")
    with pytest.raises(ValueError, match="16 in a row"):
        batches(flat, 1)


def test_spoilt_photos_do_not_count_in_validation(flat, spoilt, caplog) -> None:
    for _ in range(2):
        got = list(validation_batches(flat, size=16, batch=4))
        seen = which(np.concatenate([b["rgb"] for b in got]))
        mask = np.concatenate([b["mask"] for b in got])
        counted = [photo for photo, real in zip(seen, mask, strict=True) if real]
        assert sorted(counted) == [i for i in range(11) if i not in SPOILT]
    assert sorted(named(caplog)) == spoilt


def test_a_photo_that_goes_away_is_named(flat, caplog) -> None:
    Path(flat.name(3)).unlink()
    batches(flat, 3)
    assert named(caplog) == {flat.name(3): "cannot be read"}


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_of_size(png: bytes, width: int, height: int) -> bytes:
    """The PNG with another size in its header, whose checksum is right."""
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def write_broken(root: Path, photo: Image.Image) -> set[str]:
    """37 things that look like photos by their names and are of no use."""
    jpg, png, webp, bmp = (encoded(photo, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP"))
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0x10
    no_size = bytearray(jpg)
    place = jpg.index(b"\xff\xc0") + 5
    no_size[place : place + 4] = bytes(4)
    grey = Image.fromarray(np.asarray(photo.convert("L")))
    noisy = np.asarray(grey.convert("RGB")).copy()
    noisy[::2, :, 0] ^= 1  # as JPEG leaves it
    rng = np.random.default_rng(0)
    files = {
        "half.jpg": jpg[: len(jpg) // 2],
        "half.png": png[: len(png) // 2],
        "half.webp": webp[: len(webp) // 2],
        "half.bmp": bmp[: len(bmp) // 2],
        "no_end.jpg": jpg[:-40],
        "no_end.png": png[:-40],
        "cut_header.jpg": jpg[20:],
        "cut_header.png": png[8:],
        "cut_header.webp": webp[12:],
        "cut_header.bmp": bmp[2:],
        "only_header.jpg": jpg[:20],
        "only_header.png": png[:33],
        "only_header.webp": webp[:16],
        "flipped.png": bytes(flipped),
        "no_size.jpg": bytes(no_size),
        "no_size.png": png_of_size(png, 0, 0),
        "huge.png": png_of_size(png, 60000, 60000),
        "enormous.png": png_of_size(png, 2**31 - 1, 2**31 - 1),
        "empty.jpg": b"",
        "empty.webp": b"",
        "zeros.jpg": bytes(500),
        "zeros.bmp": b"BM" + bytes(500),
        "random.jpg": rng.bytes(500),
        "text.jpg": b"no photo\n" * 20,
        "page.png": b"<!DOCTYPE html><title>404</title>",
        "archive.png": b"PK\x03\x04" + bytes(100),
        "scan.jpg": encoded(photo, "TIFF"),
        "palette.bmp": encoded(photo.quantize(8), "BMP"),
        "grey.jpg": encoded(grey, "JPEG"),
        "grey.png": encoded(grey.convert("RGB"), "PNG"),
        "nearly_grey.png": encoded(Image.fromarray(noisy), "PNG"),
        "tiny.png": encoded(photo.resize((31, 31)), "PNG"),
        "narrow.jpg": encoded(photo.resize((31, 64)), "JPEG"),
    }
    for name, content in files.items():
        (root / name).write_bytes(content)
    (root / "folder.jpg").mkdir()
    (root / "dangling.jpg").symlink_to(root / "nothing.jpg")
    (root / "circle.png").symlink_to(root / "circle.png")
    os.mkfifo(root / "pipe.jpg")
    return {*files, "folder.jpg", "dangling.jpg", "circle.png", "pipe.jpg"}


def write_odd(root: Path, photo: Image.Image) -> None:
    """Six photos that a viewer shows."""
    frames = [Image.new("RGB", photo.size, "red")]
    (root / "a_png.jpg").write_bytes(encoded(photo, "PNG"))
    animation = encoded(photo, "GIF", save_all=True, append_images=frames)
    (root / "an_animation.jpg").write_bytes(animation)
    animation = encoded(photo, "WEBP", save_all=True, append_images=frames)
    (root / "an_animation.webp").write_bytes(animation)
    (root / "LOUD.JPEG").write_bytes(encoded(photo, "JPEG"))
    (root / "folder.jpg" / "inside.png").write_bytes(encoded(photo, "PNG"))
    (root / "linked.png").symlink_to(root / "folder.jpg" / "inside.png")


def test_a_thousand_photos_of_which_37_are_broken(tmp_path: Path, caplog) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (963, 2, 2, 3), np.uint8)
    pixels[..., 0] |= 128
    pixels[..., 1] &= 127
    small = [Image.fromarray(part).resize((32, 32)) for part in pixels]
    for i in range(957):
        small[i].save(tmp_path / f"{i:03}.{('jpg', 'png')[i % 2]}")
    broken = write_broken(tmp_path, small[-1])
    write_odd(tmp_path, small[-1])
    assert len(broken) == 37

    photos = folder(tmp_path)
    assert len(photos) == 1000 - 4  # four are no files at all
    seen = Counter(
        np.concatenate([batch["photo"] for batch in batches(photos, 20, size=8, batch=50)])[
            :996
        ].tolist()
    )
    reasons = named(caplog)
    assert {Path(name).name for name in reasons} == broken
    whole = [i for i in range(996) if photos.name(i) not in reasons]
    assert len(whole) == 963
    assert set(seen) == set(whole)


# -- Aging -----------------------------------------------------------------------------------------


def test_aging_changes_the_grey_of_its_share_and_nothing_else(photo_folder: Path) -> None:
    photos = folder(photo_folder)
    plain, never, half, always = (
        batches(photos, 8, batch=12, size=32, aging=share) for share in (0, 1e-9, 0.5, 1)
    )
    assert set(plain[0]) == {"rgb", "photo"}
    for one, *others in zip(plain, never, half, always, strict=True):
        for other in others:
            np.testing.assert_array_equal(one["rgb"], other["rgb"])
            np.testing.assert_array_equal(one["photo"], other["photo"])
            assert other["grey"].shape == (12, 32, 32)
            assert other["grey"].dtype == np.uint8

    def greys(batches: list[Batch]) -> np.ndarray:
        return np.concatenate([batch["grey"] for batch in batches])

    exact = greys(never)
    is_aged = (greys(half) != exact).any(axis=(1, 2))
    np.testing.assert_array_equal(greys(half)[is_aged], greys(always)[is_aged])
    assert (greys(always) != exact).any(axis=(1, 2)).all()
    assert 32 <= is_aged.sum() <= 64  # of 96: a fair coin is outside once in 1,300


@pytest.mark.parametrize("aging", [-0.1, 1.5])
def test_a_wrong_share_is_named(flat: Photos, aging: float) -> None:
    with pytest.raises(ValueError, match=f"aging: {aging}"):
        training_batches(flat, **OPTIONS, aging=aging)


# -- Pairs -----------------------------------------------------------------------------------------


def test_with_consistency_a_photo_has_two_rows(flat: Photos) -> None:
    whole = batches(flat, 11, batch=6, aging=0.5, consistency=1.0)
    halves = [
        batches(flat, 11, batch=12, consistency=1.0, aging=0.5, process=(i, 2)) for i in range(2)
    ]
    rows = {name: np.concatenate([batch[name] for batch in whole]) for name in whole[0]}
    assert set(rows) == {"rgb", "photo", "grey", "place"}
    np.testing.assert_array_equal(rows["photo"][0::2], rows["photo"][1::2])
    assert Counter(rows["photo"][::2].tolist()) == Counter(dict.fromkeys(range(11), 3))
    np.testing.assert_array_equal(rows["place"][0::2], np.tile([0, 0, 1, 1], (33, 1)))
    assert (rows["place"][1::2, 2:] < 1).any(axis=1).sum() > 20
    assert len({tuple(place) for place in rows["place"][1::2]}) > 20
    for step in range(5):
        for name, values in rows.items():
            parts = np.concatenate([half[step][name] for half in halves])
            np.testing.assert_array_equal(parts, values[12 * step : 12 * (step + 1)])


def test_a_row_alone_is_no_pair(flat: Photos) -> None:
    with pytest.raises(ValueError, match="batch: 3 rows"):
        training_batches(flat, **{**OPTIONS, "batch": 3}, consistency=1.0)


# -- The end ---------------------------------------------------------------------------------------


def test_no_tuner_runs_that_the_end_would_wait_for(flat: Photos, monkeypatch) -> None:
    """The wait itself, up to a minute, comes only now and then."""
    options = []
    iterate = tf.data.Dataset.as_numpy_iterator

    def watched(batches: tf.data.Dataset) -> Iterator:
        options.append(batches.options())
        return iterate(batches)

    monkeypatch.setattr(tf.data.Dataset, "as_numpy_iterator", watched)
    running = training_batches(flat, **OPTIONS)
    next(running)
    next(validation_batches(flat, size=16, batch=4))
    assert [each.autotune.enabled for each in options] == [False, False]
    end = threading.Thread(target=running.close, daemon=True)
    end.start()
    end.join(HANG)
    assert not end.is_alive()
