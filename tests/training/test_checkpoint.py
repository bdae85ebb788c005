"""Checkpoints to the bit: which of them stay, errors of the disk, damage."""

from __future__ import annotations

import math
import os
import resource
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint_states import bits, restored_from, state_of, steps_in, write_two, zeros
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental import multihost_utils
from patience import HANG

from jaxcolor.training.checkpoint import Checkpoints


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_two(folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """Steps 4 and 5."""
    return Path(shutil.copytree(written, tmp_path / "checkpoints"))


def test_to_the_bit(folder: Path) -> None:
    assert bits(restored_from(folder)) == bits(state_of(5))
    assert bits(state_of(5)) != bits(state_of(4))


def test_an_empty_folder(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "none" / "yet", keep=1) as checkpoints:
        assert checkpoints.restore_latest(state_of(0)) is None
        assert checkpoints.latest_step() is None
        checkpoints.wait()
    assert restored_from(tmp_path) is None


def test_keep_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep_checkpoints: 0"):
        Checkpoints(tmp_path, keep=0)


def test_a_step_that_exists_is_left_alone(folder: Path) -> None:
    with Checkpoints(folder, keep=1) as checkpoints:
        checkpoints.save(5, state_of(50), {"loss": 0.0})
        checkpoints.save(6, state_of(6))
        checkpoints.save(6, state_of(60), {"loss": 0.0})  # still being written
        checkpoints.wait()
        assert checkpoints.latest_step() == 6
        assert bits(checkpoints.restore_latest(zeros(state_of(0)))) == bits(state_of(6))
        checkpoints.save(7, state_of(7))
    assert steps_in(folder) == ["5", "7"]  # 5 is the best: 6 has no figure
    shutil.rmtree(folder / "7")
    assert bits(restored_from(folder)) == bits(state_of(5))


@settings(max_examples=10, deadline=None)
@given(
    keep=st.integers(1, 3),
    losses=st.lists(st.sampled_from([None, math.nan, math.inf, 0.1, 0.2, 0.3]), max_size=8),
    restart=st.integers(0, 8),
)
def test_the_latest_and_the_best_stay(keep: int, losses: list[float | None], restart: int) -> None:
    state = {"weight": jnp.zeros(2)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = list(enumerate(losses, start=1))
        for part in (every[:restart], every[restart:]):
            with Checkpoints(folder, keep) as checkpoints:
                for step, loss in part:
                    figures = None if loss is None else {"grey": 0.0, "loss": loss}
                    checkpoints.save(10 * step, state, figures)
        with Checkpoints(folder, keep) as checkpoints:
            best = min(
                ((loss, step) for step, loss in every if loss is not None and loss < 1),
                default=(0, None),
            )[1]
            assert checkpoints.latest_step() == (10 * len(losses) or None)
        kept = {step for step, _ in every[-keep:]} | ({best} if best else set())
        assert steps_in(folder) == sorted(str(10 * step) for step in kept)


def test_the_state_may_be_donated_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing can be written before the folder is made, and that waits for the gate."""
    gate = threading.Event()
    mkdir = os.mkdir

    def wait_and_make(path: Any, *arguments: Any, **options: Any) -> None:
        if "orbax-checkpoint-tmp" in str(path):
            assert gate.wait(HANG)
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(os, "mkdir", wait_and_make)
    advance = jax.jit(lambda tree: jax.tree.map(lambda x: x * 2 + 1, tree), donate_argnums=0)
    rng = np.random.default_rng(0)
    saved = {str(n): rng.normal(size=100_000).astype(np.float32) for n in range(4)}
    state = jax.tree.map(jnp.array, saved)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        checkpoints.save(1, state)
        for _ in range(5):
            before = state
            state = jax.block_until_ready(advance(state))
        assert all(leaf.is_deleted() for leaf in before.values())
        assert checkpoints.latest_step() is None  # all five steps were taken before the write
        threading.Timer(1.1, gate.set).start()  # Orbax warns of a wait of more than a second
        checkpoints.wait()
        assert checkpoints.latest_step() == 1
        restored = checkpoints.restore_latest(state)
        checkpoints.save(2, state)
    assert restored is not None
    assert bits(restored) == bits(jax.tree.map(jnp.asarray, saved))
    assert not caplog.records


def test_an_error_of_the_background_write_is_raised(tmp_path: Path) -> None:
    """The disk takes no file of more than 100 kB: as a full disk, or a quota."""
    noise = {"noise": jnp.asarray(np.random.default_rng(0).normal(size=100_000), jnp.float32)}
    small = {"noise": jnp.zeros(100_000)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write(how: Callable[[Checkpoints], None]) -> None:
        with Checkpoints(tmp_path, keep=1) as checkpoints:
            checkpoints.save(1, small)
            checkpoints.wait()
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
            checkpoints.save(2, noise)
            how(checkpoints)

    ways: list[Callable[[Checkpoints], None]] = [
        lambda checkpoints: checkpoints.wait(),
        lambda checkpoints: checkpoints.save(3, small),
        lambda checkpoints: None,  # the end of the context
    ]
    for how in ways:
        try:
            with pytest.raises(OSError, match=r"a checkpoint is not written: .*File too large"):
                write(how)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        assert checkpoints.latest_step() == 1
        checkpoints.save(2, noise)
    assert steps_in(tmp_path) == ["2"]


def test_only_the_loop_asks_jax_about_preemption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(multihost_utils, "reached_preemption_sync_point", asked.append)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        checkpoints.save(1, state_of(1))
    assert not asked


# -- Damage ----------------------------------------------------------------------------------------


def array_file(step: Path) -> Path:
    return max((step / "default").rglob("d/*"), key=lambda file: file.stat().st_size)


def truncate(step: Path) -> None:
    file = array_file(step)
    file.write_bytes(file.read_bytes()[:-10])


def flip_a_bit(step: Path) -> None:
    content = bytearray(array_file(step).read_bytes())
    content[len(content) // 2] ^= 1
    array_file(step).write_bytes(content)


def empty(step: Path) -> None:
    shutil.rmtree(step)
    step.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncate, "has changed"),
    "flipped": (flip_a_bit, "has changed"),
    "no array": (lambda step: array_file(step).unlink(), "is missing"),
    "no metadata": (lambda step: (step / "default/_METADATA").unlink(), "_METADATA is missing"),
    "garbage": (lambda step: (step / "default/_METADATA").write_text("{"), "_METADATA has changed"),
    "no manifest": (lambda step: (step / "default/manifest.ocdbt").unlink(), "is missing"),
    "empty folder": (empty, "sha256.json is missing"),
    "no state": (lambda step: shutil.rmtree(step / "default"), "sha256.json is missing"),
    "no checksums": (lambda step: (step / "default/sha256.json").unlink(), "is missing"),
    "bad checksums": (lambda step: (step / "default/sha256.json").write_text("[1"), "cannot be"),
    "odd checksums": (lambda step: (step / "default/sha256.json").write_text("7"), "cannot be"),
    "binary": (lambda step: (step / "default/sha256.json").write_bytes(b"\xff"), "cannot be"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(
    name: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage, reason = DAMAGES[name]
    damage(folder / "5")
    with Checkpoints(folder, keep=3) as checkpoints:
        assert bits(checkpoints.restore_latest(zeros(state_of(0)))) == bits(state_of(4))
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert record.getMessage().startswith(f"{folder / '5'} is passed over: ")
        assert reason in record.getMessage()
        assert "\n" not in record.getMessage()
        assert checkpoints.latest_step() == 4
        checkpoints.save(5, state_of(55), {"loss": 0.01})
        checkpoints.wait()
    assert steps_in(folder) == ["4", "5", "5.damaged"]
    assert bits(restored_from(folder)) == bits(state_of(55))


def test_a_damaged_one_is_no_longer_the_best(folder: Path) -> None:
    truncate(folder / "5")
    with Checkpoints(folder, keep=1) as checkpoints:
        checkpoints.restore_latest(zeros(state_of(0)))
        checkpoints.save(6, state_of(6))
        checkpoints.wait()
        assert steps_in(folder) == ["4", "5.damaged", "6"]
        checkpoints.save(5, state_of(55), {"loss": 0.01})
        checkpoints.save(7, state_of(7))
    assert steps_in(folder) == ["5", "5.damaged", "7"]


def test_damaged_in_the_same_step_again(folder: Path) -> None:
    with Checkpoints(folder, keep=3) as checkpoints:
        for _ in range(2):
            checkpoints.save(6, state_of(6))
            checkpoints.wait()
            truncate(folder / "6")
            assert bits(checkpoints.restore_latest(state_of(0))) == bits(state_of(5))
    assert steps_in(folder) == ["4", "5", "6.damaged", "6.damaged1"]


@pytest.mark.parametrize("file", ["_CHECKPOINT_METADATA", "default/_METADATA"])
def test_an_old_damaged_step_stops_nothing(folder: Path, file: str) -> None:
    (folder / "4" / file).write_text("[]")
    with Checkpoints(folder, keep=2) as checkpoints:
        assert bits(checkpoints.restore_latest(state_of(0))) == bits(state_of(5))
        checkpoints.save(6, state_of(6))
        checkpoints.save(7, state_of(7))
    assert steps_in(folder) == ["5", "6", "7"]  # 5 is the best


def test_all_damaged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in ("4", "5"):
        truncate(folder / step)
    for _ in range(2):  # nothing is moved: the next start does not begin from the beginning either
        with pytest.raises(ValueError, match=f"^{folder}: every checkpoint is damaged; [^\n]*$"):
            restored_from(folder)
        assert len(caplog.records) == 2
        caplog.clear()
    assert steps_in(folder) == ["4", "5"]


def test_a_leftover_of_a_write(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = folder / "6.orbax-checkpoint-tmp-1700000000"
    (left / "default" / "d").mkdir(parents=True)
    (left / "default" / "d" / "half").write_bytes(b"half")
    with Checkpoints(folder, keep=3) as checkpoints:
        assert bits(checkpoints.restore_latest(state_of(0))) == bits(state_of(5))
        (record,) = caplog.records
        assert record.getMessage().startswith(f"{left} is passed over: ")
        checkpoints.save(6, state_of(6))
    assert steps_in(folder) == ["4", "5", "6"]


@pytest.mark.parametrize(
    ("like", "difference"),
    [
        (lambda: state_of(0, width=41), r"float32 \(16, 40\) there, float32 \(16, 41\) here"),
        (lambda: state_of(0).replace(key=None), r"key: uint32 \(2,\) there, nothing here"),
        (lambda: {"a": jnp.zeros(3)}, r"a: nothing there, float32 \(3,\) here"),
        (lambda: state_of(0).replace(step=jnp.zeros((), jnp.float32)), "int32 .* float32"),
    ],
)
def test_another_networks_checkpoints(
    folder: Path,
    like: Callable[[], Any],
    difference: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        Checkpoints(folder, keep=3) as checkpoints,
        pytest.raises(ValueError, match=f"^{folder} holds checkpoints of another network") as error,
    ):
        checkpoints.restore_latest(like())
    assert error.match(difference)
    assert error.match("choose another workdir$")
    assert "\n" not in str(error.value)
    assert not caplog.records
    assert steps_in(folder) == ["4", "5"]
