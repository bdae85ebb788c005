"""Checkpoints to the bit: on other devices and processes, damaged, killed, preempted.

The functions whose names start with "child" are run in processes of their own:
`python tests/test_checkpoint.py child_... ARGUMENTS`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from jaxcolor.training import checksums, sharding
from jaxcolor.training.checkpoint import Checkpoints
from jaxcolor.training.preemption import Preemption

# -- States ----------------------------------------------------------------------------------------


@flax.struct.dataclass
class State:
    step: Any
    trainable: Any
    opt_state: Any
    key: Any


def state_of(step: int, width: int = 40) -> State:
    """Random bits: every sort of float32, NaNs with their payload and denormals too."""
    rng = np.random.default_rng(step)
    noise = rng.integers(0, 2**32, (16, width), np.uint32)
    trainable = {
        "kernel": jnp.asarray(noise.view(np.float32)),
        "bias": jnp.asarray(rng.normal(size=3).astype(np.float32)),
        "half": jnp.asarray(noise.astype(np.uint16)[:, :8].view(jnp.bfloat16)),
        "nothing": None,
    }
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(1e-3, mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree)),
    )
    opt_state = jax.tree.map(lambda leaf: leaf + step, optimizer.init(trainable))
    key = jax.random.key_data(jax.random.key(step))
    return State(jnp.asarray(step, jnp.int32), trainable, opt_state, key)


def bits(tree: Any) -> Any:
    """What two trees share when they are the same to the bit."""
    words = [(str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes()) for leaf in _leaves(tree)]
    return jax.tree.structure(tree), words


def _leaves(tree: Any) -> list[Any]:
    """Of arrays on several processes, this one's copy."""
    gathered = []
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            leaf = jax.jit(lambda x: x, out_shardings=_replicated())(leaf).addressable_data(0)
        gathered.append(leaf)
    return gathered


def _replicated() -> NamedSharding:
    return sharding.replicated(sharding.make_mesh())


def spread(state: State) -> State:
    """Over all devices: the kernel and its moments cut along their first axis, the rest whole."""
    mesh = sharding.make_mesh()
    cut, whole = NamedSharding(mesh, PartitionSpec(sharding.AXIS)), sharding.replicated(mesh)

    def place(leaf: Any) -> jax.Array:
        local = np.asarray(leaf)
        kind = cut if local.shape == (16, 40) else whole
        return jax.make_array_from_callback(local.shape, kind, lambda index: local[index])

    return jax.tree.map(place, state)


def zeros(like: State) -> State:
    return jax.tree.map(jnp.zeros_like, like)


# -- Children --------------------------------------------------------------------------------------


def start(name: str, *arguments: object, devices: int = 1) -> subprocess.Popen[str]:
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, "-W", "error", __file__, name, *map(str, arguments)],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def started(name: str, *arguments: object, devices: int = 1) -> Iterator[subprocess.Popen[str]]:
    with start(name, *arguments, devices=devices) as child:
        watchdog = threading.Timer(100, child.kill)
        watchdog.start()
        try:
            yield child
        finally:
            watchdog.cancel()
            child.kill()


def ended(child: subprocess.Popen[str]) -> str:
    """What a child printed; it must have been silent about Orbax."""
    out, err = child.communicate()
    assert child.returncode == 0, err
    assert "orbax" not in err.lower(), err
    assert "Traceback" not in err
    return out


def next_line(child: subprocess.Popen[str]) -> str:
    """What it says next; its errors if it ends instead."""
    assert child.stdout is not None
    assert child.stderr is not None
    line = next((line for line in child.stdout if not line.startswith("[Gloo]")), None)
    return child.stderr.read() if line is None else line.strip()


def say(line: str) -> None:
    print(line, flush=True)


def child_on_all_devices(source: str, target: str) -> None:
    """Restores state 5 of one device, spread; saves state 6, spread."""
    like = spread(zeros(state_of(5)))
    with Checkpoints(Path(source), keep=1) as checkpoints:
        restored = checkpoints.restore_latest(like)
    assert restored is not None
    for leaf, other in zip(jax.tree.leaves(restored), jax.tree.leaves(like), strict=True):
        assert leaf.sharding == other.sharding
    assert bits(restored) == bits(state_of(5))
    state = spread(state_of(6))
    with Checkpoints(Path(target), keep=1) as checkpoints, jax.transfer_guard("disallow"):
        checkpoints.save(6, state, {"loss": 0.5})


def child_one_of_two(index: str, port: str, source: str, target: str) -> None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(index))
    listed = Path.iterdir
    if index == "1":  # a network's folder may show new files late
        Path.iterdir = lambda path: (file for file in listed(path) if file.name != "5")
    child_on_all_devices(source, target)
    Path.iterdir = listed

    # One process alone finds the newest of three damaged: both take the one before.
    folder = Path(target) / "damaged"
    whole = jax.device_put(whole_numbers(), _replicated())
    with Checkpoints(folder, keep=3) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, {"whole": whole + step})
    really = checksums.damage
    if index == "1":
        checksums.damage = lambda path: "my copy" if path.parent.name == "3" else really(path)
    records = caught_warnings()
    with Checkpoints(folder, keep=3) as checkpoints:
        restored = checkpoints.restore_latest({"whole": whole})
        assert restored is not None
        assert bits(restored) == bits({"whole": whole + 2})
        assert len(records) == int(index), records
        checkpoints.save(3, {"whole": whole - 3})
    checksums.damage = really

    # SIGTERM to one of them, from outside, stops both after the same step.
    with Checkpoints(folder, keep=3) as checkpoints, Preemption() as preemption:
        step = 4
        say("ready")
        while not preemption.reached(step):
            step += 1
            whole = jax.jit(lambda x: x + 1)(whole).block_until_ready()
            time.sleep(0.01)
        say(f"reached {step}")
        checkpoints.save(step, {"whole": whole})
        checkpoints.wait()
        assert not preemption.reached(step + 1)
        say("saved")
        if index == "1":
            os.kill(os.getpid(), signal.SIGTERM)
            say("alive")
        sys.stdin.read()
        os._exit(0)  # the other one is dead: no farewell


def whole_numbers() -> np.ndarray:
    """100 kB that hardly shrink when they are compressed."""
    return np.random.default_rng(0).integers(0, 2**22, 25_000).astype(np.float32)


def caught_warnings() -> list[logging.LogRecord]:
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    logging.getLogger().addHandler(handler)
    return records


def child_killed_while_it_writes(folder: str) -> None:
    with Checkpoints(Path(folder), keep=2) as checkpoints:
        checkpoints.save(1, state_of(1))
        checkpoints.wait()
        rename = os.rename

        def stay(source: Any, *arguments: Any) -> None:
            if Path(source).name.startswith("2."):  # the whole step, the very last moment
                say("writing")
                time.sleep(1000)
            rename(source, *arguments)

        os.rename = stay
        checkpoints.save(2, state_of(2))


def child_terminated() -> None:
    step = 0
    with Preemption() as preemption:
        say("ready")
        while not preemption.reached(step):
            step += 1
            time.sleep(0.01)
        say("reached")
        time.sleep(1000)


# -- One process -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steps 4 and 5."""
    folder = tmp_path_factory.mktemp("written")
    with Checkpoints(folder, keep=3) as checkpoints:
        for step in (4, 5):
            checkpoints.save(step, state_of(step), {"loss": 1 / step})
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "checkpoints"))


def steps_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def restored_from(folder: Path) -> Any:
    with Checkpoints(folder, keep=3) as checkpoints:
        return checkpoints.restore_latest(zeros(state_of(0)))


def test_to_the_bit(folder: Path) -> None:
    assert bits(restored_from(folder)) == bits(state_of(5))
    assert bits(state_of(5)) != bits(state_of(4))


def test_an_empty_folder(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "none" / "yet", keep=1) as checkpoints:
        assert checkpoints.restore_latest(state_of(0)) is None
        assert checkpoints.latest_step() is None
        assert checkpoints.best_step() is None
        checkpoints.wait()
    assert restored_from(tmp_path) is None


def test_keep_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep_checkpoints: 0"):
        Checkpoints(tmp_path, keep=0)


def test_a_step_that_exists_is_left_alone(folder: Path) -> None:
    with Checkpoints(folder, keep=3) as checkpoints:
        checkpoints.save(5, state_of(50), {"loss": 0.0})
        checkpoints.save(6, state_of(6))
        checkpoints.save(6, state_of(60), {"loss": 0.0})  # still being written
        checkpoints.wait()
        assert checkpoints.best_step() == 5
        assert checkpoints.latest_step() == 6
    assert bits(restored_from(folder)) == bits(state_of(6))
    shutil.rmtree(folder / "6")
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
            assert checkpoints.best_step() == (best and 10 * best)
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
            assert gate.wait(30)
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
        assert checkpoints.best_step() == 4
        checkpoints.save(5, state_of(55), {"loss": 0.01})
        checkpoints.wait()
        assert checkpoints.best_step() == 5
    assert steps_in(folder) == ["4", "5", "5.damaged"]
    assert bits(restored_from(folder)) == bits(state_of(55))


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


def test_killed_while_it_writes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with started("child_killed_while_it_writes", tmp_path) as child:
        assert next_line(child) == "writing"
        child.kill()
        assert child.wait() == -signal.SIGKILL
    (left,) = set(steps_in(tmp_path)) - {"1"}
    assert left.startswith("2.orbax-checkpoint-tmp")
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert bits(checkpoints.restore_latest(zeros(state_of(0)))) == bits(state_of(1))
        assert [record.getMessage().split()[0] for record in caplog.records] == [
            str(tmp_path / left)
        ]
        checkpoints.save(2, state_of(2))
    assert steps_in(tmp_path) == ["1", "2"]


# -- Other devices and processes -------------------------------------------------------------------


def test_one_device_and_eight(written: Path, tmp_path: Path) -> None:
    with started("child_on_all_devices", written, tmp_path, devices=8) as child:
        ended(child)
    assert bits(restored_from(tmp_path)) == bits(state_of(6))


def test_one_process_and_two(written: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(
                started("child_one_of_two", index, port, written, tmp_path, devices=2)
            )
            for index in (0, 1)
        ]
        for child in children:
            assert next_line(child) == "ready"
        children[1].send_signal(signal.SIGTERM)
        first, second = (next_line(child).split() for child in children)
        assert first == second
        word, step = first
        assert word == "reached"
        for child in children:
            assert next_line(child) == "saved"
        assert children[1].wait(10) == -signal.SIGTERM  # the second one
        ended(children[0])

    assert bits(restored_from(tmp_path)) == bits(state_of(6))
    with Checkpoints(tmp_path / "damaged", keep=3) as checkpoints:
        state = checkpoints.restore_latest({"whole": jnp.zeros(25_000)})
    assert state is not None
    np.testing.assert_array_equal(state["whole"], whole_numbers() + int(step) - 4)
    assert steps_in(tmp_path / "damaged") == sorted(["2", "3", "3.damaged", step])
    files = [file for file in (tmp_path / "damaged" / step).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 120_000  # not one copy for each device


# -- Preemption ------------------------------------------------------------------------------------


def test_sigterm_is_noted_and_the_second_kills() -> None:
    with started("child_terminated") as child:
        assert next_line(child) == "ready"
        child.send_signal(signal.SIGTERM)
        assert next_line(child) == "reached"
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == -signal.SIGTERM


def test_the_handler_before_is_back() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with Preemption() as preemption:
            assert not preemption.reached(1)
            os.kill(os.getpid(), signal.SIGTERM)
            assert preemption.reached(2)
            assert preemption.reached(3)
        assert not heard
        with Preemption() as preemption:
            assert not preemption.reached(4)
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_it_does_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    answers: list[bool] = []

    def ask() -> None:
        with Preemption() as preemption:
            answers.append(signal.getsignal(signal.SIGTERM) == before)
            answers.append(preemption.reached(1))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert answers == [True, False]
    assert signal.getsignal(signal.SIGTERM) == before


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
