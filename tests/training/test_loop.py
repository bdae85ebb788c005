"""Training as a researcher runs it: on any number of devices, killed and started again."""

from __future__ import annotations

import functools
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tiny_network
from training_runs import TESTS, Process, command, environment, load_recipe, losses_of, run

from jaxcolor import weights
from jaxcolor.models import Params
from jaxcolor.training import distributed, init_state, loop, sharding, start
from jaxcolor.training.checkpoint import Checkpoints

STEPS = 40  # of the tiny recipe


@pytest.fixture(scope="module")
def first_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every run here starts from."""
    file = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    weights.save_params(file, Params(*tiny_network.make(32)))
    return file


@pytest.fixture(scope="module")
def tiny(first_weights: Path) -> Callable[..., list[str]]:
    """(Work folder, changes) -> the command that trains the tiny recipe."""
    return functools.partial(command, "tiny", start_from=first_weights)


@pytest.fixture(scope="module")
def straight(
    tiny: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """All steps on one device, undisturbed: the work folder and what was printed."""
    workdir = tmp_path_factory.mktemp("straight")
    done = run(tiny(workdir), JAX_LOG_COMPILES="1")
    assert done.returncode == 0, done.stderr
    return workdir, done.stderr


def test_nothing_is_compiled_after_the_first_step(straight: tuple[Path, str]) -> None:
    log = straight[1]
    assert len(re.findall(r"Finished XLA compilation of jit\(train_step\)", log)) == 1
    between = log[log.index(f"step 1/{STEPS}") : log.index(f"step {STEPS}/{STEPS}")]
    assert "Finished XLA compilation" not in between
    assert len(losses_of(between)) == STEPS - 1


# -- Killed and started again ----------------------------------------------------------------------


def state_of_step(workdir: Path, number: int, scratch: Path) -> Any:
    """The state in a checkpoint, as NumPy arrays."""
    recipe = load_recipe("tiny")
    optimizer = start.make_optimizer(recipe)
    params = Params(*tiny_network.make(32))
    state = init_state(params, optimizer, tuned_from=recipe.tuned_from)
    folder = scratch / "checkpoints" / str(number)
    shutil.copytree(workdir / "checkpoints" / str(number), folder)
    with Checkpoints(folder.parent, keep=9) as checkpoints:
        return jax.device_get(checkpoints.restore_latest(state.moving()))


def stopped(arguments: list[str], signum: signal.Signals, line: str) -> tuple[int, str]:
    """Sends a signal when a line is printed; the exit code, and what was printed after that."""
    with subprocess.Popen(
        arguments, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for printed in process.stderr:
            if line in printed:
                process.send_signal(signum)
                break
        rest = process.stderr.read()
    return process.returncode, rest


@pytest.mark.slow
def test_stopped_killed_and_started_again(
    tiny: Callable[..., list[str]], straight: tuple[Path, str], tmp_path: Path
) -> None:
    """Whatever ends a run, the same command goes on, and ends at the bits of one that was left."""
    workdir = tmp_path / "run"
    arguments = tiny(workdir, checkpoint_every=1)
    code, rest = stopped(arguments, signal.SIGTERM, f"step 3/{STEPS}")
    assert code == 0, rest
    said = re.search(r"stopped by SIGTERM at step (\d+): the same command goes on", rest)
    assert said, rest
    saved = int(said[1])
    assert 3 <= saved < STEPS
    code, rest = stopped(arguments, signal.SIGKILL, f"step {saved + 5}/{STEPS}")
    assert code == -signal.SIGKILL, rest
    again = run(arguments)
    assert again.returncode == 0, again.stderr
    assert "going on from the checkpoint of step" in again.stderr

    lines = (workdir / "starts.jsonl").read_text().splitlines()
    starts = [json.loads(line)["first_step"] for line in lines]
    assert starts[:2] == [0, saved]
    # Each save waits for the one before: that of saved + 4 may have been half-written, no other.
    assert saved + 3 <= starts[2] < STEPS
    expected = state_of_step(straight[0], STEPS, tmp_path / "one")
    got = state_of_step(workdir, STEPS, tmp_path / "other")
    assert int(got["step"]) == STEPS
    jax.tree.map(np.testing.assert_array_equal, got, expected)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_and_spoils_nothing(
    first_weights: Path, straight: tuple[Path, str], tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(straight[0], workdir)
    before = (workdir / "weights.safetensors").read_bytes()
    recipe = load_recipe("tiny")
    recipe.update({"start_from": str(first_weights), "steps": STEPS + 6, "log_every": 100})
    recipe.update({"learning_rate": 1e30, "clip_norm": 1e30})
    with pytest.raises(ValueError, match="the loss is") as error:
        loop.train(recipe, workdir)
    message = str(error.value)
    assert re.match(r"step 4[23]: the loss is (nan|inf); .* step 40 in ", message), message
    assert "\n" not in message
    assert len(re.findall(r"made\[\d+\]", message)) == 8  # the batch's photos
    assert sorted(int(p.name) for p in (workdir / "checkpoints").iterdir()) == [25, 30, 35, 40]
    assert (workdir / "weights.safetensors").read_bytes() == before


# -- Devices and processes -------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return int(server.getsockname()[1])


def run_together(arguments: list[str], processes: int, devices: int) -> list[Process]:
    """One run of several processes on this machine."""
    port = free_port()
    done: dict[int, Process] = {}

    def one(number: int) -> None:
        flags = [f"--coordinator=localhost:{port}", f"--processes={processes}"]
        done[number] = run([*arguments, *flags, f"--process={number}"], devices)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [done[number] for number in range(processes)]


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "devices"), [(1, 8), (2, 2)])
def test_any_mesh_gives_the_losses_of_one_device(
    processes: int,
    devices: int,
    tiny: Callable[..., list[str]],
    straight: tuple[Path, str],
    tmp_path: Path,
) -> None:
    if processes == 1:
        runs = [run(tiny(tmp_path), devices)]
    else:
        runs = run_together(tiny(tmp_path), processes, devices)
    assert [done.returncode for done in runs] == [0] * processes, runs[0].stderr
    assert f"{processes * devices} devices of {processes} processes" in runs[0].stderr
    expected, got = losses_of(straight[1]), losses_of(runs[0].stderr)
    assert sorted(expected) == sorted(got) == list(range(1, STEPS + 1))
    np.testing.assert_allclose(list(got.values()), list(expected.values()), atol=1e-5)
    assert all(not losses_of(done.stderr) for done in runs[1:])  # the first one speaks for all
    # The validation, each photo once, and the weights are the same too.
    figures = [
        weights.read_header(folder / "best.safetensors") for folder in (tmp_path, straight[0])
    ]
    assert figures[0]["squared_error"] == pytest.approx(figures[1]["squared_error"], abs=1e-5)


@pytest.mark.slow
def test_a_step_sums_the_gradient_over_devices_and_nothing_else() -> None:
    """All bytes that eight devices exchange are the gradient's, and the loss' four."""
    done = run([sys.executable, str(TESTS / "step_on_devices.py")], 8)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {"pyramid", "tiny, in two pieces"}
    for name, found in told.items():
        assert found["reduced"] == found["trainable"] + 4, name
        assert found["kinds"] == ["f32"], name
        assert found["others"] == [], name
    # And what comes out is what one device gives, of a network with every kind of layer.
    one, eight = told["pyramid"]["one device"], told["pyramid"]["eight devices"]
    assert one["loss"] == pytest.approx(eight["loss"], rel=1e-5)
    assert one["gradient_norm"] == pytest.approx(eight["gradient_norm"], rel=1e-3)
    assert one["gradient_norm"] > 0


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"SLURM_NTASKS": "8"}, False),  # sbatch, not srun
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NODELIST": "n[1-2]"}, True),
        ({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "n1"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"MEGASCALE_COORDINATOR_ADDRESS": "a:1"}, True),
    ],
)
def test_a_scheduler_is_noticed(environment: dict[str, str], several: bool) -> None:
    assert distributed.scheduled(environment) is several


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("localhost:1", None, None), "belong together"),
        (("localhost", 2, 0), "HOST:PORT"),
        (("localhost:1", 2, 2), "--process: 2"),
    ],
)
def test_half_a_description_of_the_processes_is_refused(given: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        distributed.connect(*given)


def test_a_batch_must_divide() -> None:
    mesh = sharding.make_mesh()
    assert mesh.axis_names == ("data",)
    sharding.check_batch(mesh, 6 * mesh.size, 3)
    with pytest.raises(ValueError, match="batch: 0"):
        sharding.check_batch(mesh, 0, 1)
    with pytest.raises(ValueError, match=r"batch: 7 .* in 2 pieces"):
        sharding.check_batch(mesh, 7, 2)
    with pytest.raises(ValueError, match="accumulate: 0"):
        sharding.check_batch(mesh, 8, 0)


# -- On the console --------------------------------------------------------------------------------


def test_mistakes_are_one_line_on_the_console(tmp_path: Path) -> None:
    done = run(command("smoke", tmp_path / "run", photos="folder:/no/such"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("train: source 'folder:/no/such'")
    assert "Traceback" not in done.stderr
    unknown = run(command("smoke", tmp_path / "run", colour=1))
    assert unknown.returncode != 0
    assert "colour" in unknown.stderr
    assert not (tmp_path / "run").exists()
