"""The input: its order is a function of (seed, step), every photo once an epoch."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcolor.training import data


@pytest.fixture
def flat(tmp_path: Path) -> list[str]:
    """Eleven photos, each of one colour of its own, so that a crop tells which photo it is of."""
    for i in range(11):
        Image.new("RGB", (40 + i, 50), (20 * i, 20 * i, 90)).save(tmp_path / f"{i:02}.png")
    return data.list_photos(f"folder:{tmp_path}")


def batches(photos: list[str], count: int, **changes) -> list[np.ndarray]:
    options = {"size": 16, "batch": 4, "first_step": 0, "seed": 0, "min_area": 0.5, **changes}
    return [b["rgb"] for b in itertools.islice(data.training_batches(photos, **options), count)]


def which(crops: np.ndarray) -> list[int]:
    return [round(float(crop[..., 0].mean()) / 20) for crop in crops]


def test_every_epoch_is_a_permutation(flat: list[str]) -> None:
    seen = which(np.concatenate(batches(flat, 11)))  # 44 crops: four epochs
    epochs = [seen[i : i + 11] for i in range(0, 44, 11)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(11))
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert which(np.concatenate(batches(flat, 11, seed=1))) != seen


def test_the_step_is_the_whole_state(photo_folder: Path) -> None:
    photos = data.list_photos(f"folder:{photo_folder}")
    straight = batches(photos, 6)
    again = batches(photos, 3, first_step=3)
    np.testing.assert_array_equal(np.stack(straight[3:]), np.stack(again))
    assert np.std(np.concatenate(straight).astype(float)) > 10


def test_processes_share_a_batch(flat: list[str]) -> None:
    whole = batches(flat, 5)
    parts = [batches(flat, 5, process=(i, 2)) for i in range(2)]
    for step in range(5):
        np.testing.assert_array_equal(np.concatenate([p[step] for p in parts]), whole[step])


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("count", [3, 4, 5, 11])
def test_validation_has_every_photo_once(flat: list[str], count: int, processes: int) -> None:
    seen: Counter[int] = Counter()
    rounds = set()
    for index in range(processes):
        got = list(
            data.validation_batches(flat[:count], size=16, batch=4, process=(index, processes))
        )
        rounds.add(len(got))
        for batch in got:
            assert len(batch["rgb"]) == 4 // processes
            for photo, mask in zip(which(batch["rgb"]), batch["mask"], strict=True):
                seen[photo] += int(mask)
    assert seen == Counter(range(count))
    assert len(rounds) == 1  # a process that had fewer rounds would hang the others


def test_validation_is_the_central_square(tmp_path: Path) -> None:
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = (250, 255, 255)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    (batch,) = data.validation_batches([str(tmp_path / "wide.png")], size=32, batch=1)
    assert batch["rgb"].min() == 250


@pytest.fixture
def spoilt(flat: list[str]) -> list[str]:
    """The eleven photos, of which four are of no use."""
    whole = Path(flat[2]).read_bytes()
    Path(flat[2]).write_bytes(whole[: len(whole) // 2])
    Path(flat[4]).write_text("no photo")
    Image.new("RGB", (60, 60), (80, 80, 80)).save(flat[6])
    Image.new("RGB", (31, 60), (200, 20, 80)).save(flat[9])
    return [flat[i] for i in (2, 4, 6, 9)]


def test_photos_of_no_use_are_named_once_and_replaced(flat, spoilt, caplog) -> None:
    whole = [i for i in range(11) if flat[i] not in spoilt]
    seen = which(np.concatenate(batches(flat, 11)))  # four epochs
    named = [record.args for record in caplog.records]
    assert sorted(file for file, _ in named) == spoilt
    reasons = dict(named)
    assert [reasons[file].split()[0] for file in spoilt] == ["damaged,", "damaged,", "grey", "tiny"]
    for start in range(0, 44, 11):
        epoch = seen[start : start + 11]
        assert set(epoch) == set(whole)  # each of them, and some twice
    assert which(np.concatenate(batches(flat, 6, first_step=5))) == seen[20:]


def test_the_others_stay_where_they_were(flat, request) -> None:
    before = which(np.concatenate(batches(flat, 11)))
    spoilt = request.getfixturevalue("spoilt")
    after = which(np.concatenate(batches(flat, 11)))
    for one, other in zip(before, after, strict=True):
        assert one == other or flat[one] in spoilt


def test_nothing_but_spoilt_photos_is_an_error(flat) -> None:
    for file in flat:
        Path(file).write_text("no photo")
    with pytest.raises(ValueError, match="16 in a row"):
        batches(flat, 1)


def test_spoilt_photos_do_not_count_in_validation(flat, spoilt, caplog) -> None:
    got = list(data.validation_batches(flat, size=16, batch=4))
    seen = which(np.concatenate([b["rgb"] for b in got]))
    mask = np.concatenate([b["mask"] for b in got])
    counted = [photo for photo, real in zip(seen, mask, strict=True) if real]
    assert sorted(counted) == [i for i in range(11) if flat[i] not in spoilt]
    assert sorted(record.args[0] for record in caplog.records) == spoilt


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (40, 40), (200, 100, 0)).save(tmp_path / f"photo.{suffix}")
    (batch,) = batches(data.list_photos(f"folder:{tmp_path}"), 1, batch=1)
    assert np.abs(batch.astype(int) - (200, 100, 0)).max() <= 3


@pytest.mark.parametrize(
    ("source", "words"),
    [("photos", "folder:PATH"), ("folder:", "folder:PATH"), ("folder:/no/such", "no folder /no")],
)
def test_wrong_sources_are_named(source: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        data.list_photos(source)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(ValueError, match="no photo in it"):
        data.list_photos(f"folder:{tmp_path}")
