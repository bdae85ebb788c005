"""Checkpoints on other devices and processes, killed and preempted.

The functions whose names start with "child" are run in processes of their own:
`python tests/training/test_checkpoint_processes.py child_... ARGUMENTS`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint_states import (
    bits,
    replicated,
    restored_from,
    spread,
    state_of,
    steps_in,
    write_two,
    zeros,
)
from patience import HANG
from training_runs import environment

from jaxcolor.training import checksums
from jaxcolor.training.checkpoint import Checkpoints
from jaxcolor.training.preemption import Preemption


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steps 4 and 5."""
    folder = tmp_path_factory.mktemp("written")
    write_two(folder)
    return folder


# -- Children --------------------------------------------------------------------------------------


def start(name: str, *arguments: object, devices: int = 1) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", __file__, name, *map(str, arguments)],
        env=environment(devices, JAX_PLATFORMS="cpu"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def started(name: str, *arguments: object, devices: int = 1) -> Iterator[subprocess.Popen[str]]:
    with start(name, *arguments, devices=devices) as child:
        watchdog = threading.Timer(HANG, child.kill)
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
    whole = jax.device_put(whole_numbers(), replicated())
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


# -- Killed ----------------------------------------------------------------------------------------


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
        assert children[1].wait(HANG) == -signal.SIGTERM  # the second one
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
        assert child.wait(HANG) == -signal.SIGTERM


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
