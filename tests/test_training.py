"""Training as a researcher runs it: on any number of devices, killed and started again."""

from __future__ import annotations

import json
import os
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
from ml_collections import ConfigDict
from PIL import Image

from jaxcolor import weights
from jaxcolor.models import Config
from jaxcolor.porting.inception_resnet_v2 import declared_variables
from jaxcolor.training import distributed, loop, sharding, start, step
from jaxcolor.training.checkpoint import Checkpoints

ROOT = Path(__file__).parents[1]
SMALL = {
    "photos": "made:24",
    "validation_photos": "made:6",
    "network.size": 32,
    "crop": 32,
    "tuned_from": "",
    "batch": 8,
    "schedule": "constant",
    "learning_rate": 2e-4,  # gently: rounding, which differs from mesh to mesh, must not grow
    "steps": 20,
    "warmup_steps": 2,
    "log_every": 1,
    "validate_every": 100,
    "checkpoint_every": 5,
    "keep_checkpoints": 4,
    "pictures": 0,
}


def command(workdir: Path, config: str = "smoke", **changes: object) -> list[str]:
    """`scripts/train.py` with a config of ours; the smoke one made smaller still."""
    fields = {**SMALL, **changes} if config == "smoke" else changes
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    train, file = ROOT / "scripts" / "train.py", ROOT / "configs" / f"{config}.py"
    return [sys.executable, str(train), f"--config={file}", f"--workdir={workdir}", *flags]


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def environment(cache: Path, devices: int, variables: dict[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        **variables,
    }


@pytest.fixture(scope="module")
def run(cache: Path) -> Run:
    def process(
        arguments: list[str], devices: int = 1, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            env=environment(cache, devices, variables),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    return process


def losses_of(log: str) -> dict[int, float]:
    return {int(n): float(x) for n, x in re.findall(r"step (\d+)/\d+  loss ([\d.]+)", log)}


@pytest.fixture(scope="module")
def straight(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Twenty steps on one device, undisturbed: the work folder and what was printed."""
    workdir = tmp_path_factory.mktemp("straight")
    done = run(command(workdir), JAX_LOG_COMPILES="1")
    assert done.returncode == 0, done.stderr
    return workdir, done.stderr


# -- Killed and started again ----------------------------------------------------------------------


def small_config(**changes: object) -> ConfigDict:
    """What `command` makes of the smoke config."""
    config = load_config("smoke")
    for name, value in {**SMALL, **changes}.items():
        config.update_from_flattened_dict({name: value})
    return config


def load_config(name: str) -> ConfigDict:
    namespace: dict[str, Any] = {}
    exec((ROOT / "configs" / f"{name}.py").read_text(), namespace)  # a file of this repository
    config: ConfigDict = namespace["get_config"]()
    return config


def state_of_step(workdir: Path, number: int, scratch: Path) -> Any:
    """The state in a checkpoint, as NumPy arrays."""
    config = small_config()
    trainable, _ = start.first_variables(config, Config.from_json(config.network.to_dict()))
    (scratch / "checkpoints").mkdir(parents=True)
    folder = scratch / "checkpoints" / str(number)
    shutil.copytree(workdir / "checkpoints" / str(number), folder)
    with Checkpoints(folder.parent, keep=9) as checkpoints:
        return jax.device_get(checkpoints.restore_latest(step.init_state(trainable, config)))


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_and_started_again(
    signum: signal.Signals, straight: tuple[Path, str], run: Run, cache: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    arguments = command(workdir, steps=10, checkpoint_every=1)
    with subprocess.Popen(
        arguments, env=environment(cache, 1, {}), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            # The checkpoint of step 5 is on disk by now: each save waits for the one before.
            if "step 7/10" in line:
                process.send_signal(signum)
                break
        rest = process.stderr.read()
    if signum == signal.SIGTERM:
        assert process.returncode == 0, rest
        assert re.search(r"stopped by SIGTERM at step (7|8|9): the same command goes on", rest)
    else:
        assert process.returncode == -signal.SIGKILL
    again = run(arguments)
    assert again.returncode == 0, again.stderr
    assert "going on from the checkpoint of step" in again.stderr

    expected = state_of_step(straight[0], 10, tmp_path / "one")
    got = state_of_step(workdir, 10, tmp_path / "other")
    assert int(got.step) == 10
    jax.tree.map(np.testing.assert_array_equal, got, expected)
    starts = (workdir / "starts.jsonl").read_text().splitlines()
    assert [json.loads(line)["first_step"] > 0 for line in starts] == [False, True]


# -- Devices and processes -------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return int(server.getsockname()[1])


def run_together(
    run: Run, workdir: Path, processes: int, devices: int
) -> list[subprocess.CompletedProcess[str]]:
    """One run of several processes on this machine."""
    port = free_port()
    done: dict[int, subprocess.CompletedProcess[str]] = {}

    def one(number: int) -> None:
        flags = [f"--coordinator=localhost:{port}", f"--processes={processes}"]
        done[number] = run([*command(workdir), *flags, f"--process={number}"], devices)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [done[number] for number in range(processes)]


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "devices"), [(1, 8), (2, 2), (2, 4)])
def test_any_mesh_gives_the_losses_of_one_device(
    processes: int, devices: int, straight: tuple[Path, str], run: Run, tmp_path: Path
) -> None:
    if processes == 1:
        runs = [run(command(tmp_path), devices)]
    else:
        runs = run_together(run, tmp_path, processes, devices)
    assert [done.returncode for done in runs] == [0] * processes, runs[0].stderr
    assert f"{processes * devices} devices of {processes} processes" in runs[0].stderr
    expected, got = losses_of(straight[1]), losses_of(runs[0].stderr)
    assert sorted(expected) == sorted(got) == list(range(1, 21))
    np.testing.assert_allclose(list(got.values()), list(expected.values()), atol=1e-5)
    assert all(not losses_of(done.stderr) for done in runs[1:])  # the first one speaks for all
    # The validation, each photo once, and the weights are the same too.
    figures = [
        weights.read_header(folder / "best.safetensors") for folder in (tmp_path, straight[0])
    ]
    assert figures[0]["squared_error"] == pytest.approx(figures[1]["squared_error"], abs=1e-5)


COLLECTIVES = """
import re, sys
sys.path.append(sys.argv[1])
import jax, jax.numpy as jnp, numpy as np
from ml_collections import FrozenConfigDict
from jaxcolor.models.colorizer import split_trained
from jaxcolor.training import sharding, step
import tiny_network

mesh = sharding.make_mesh()
assert mesh.size == 8
network, variables = tiny_network.make(32)
trainable, kept = split_trained(variables, ("head",))
config = FrozenConfigDict(dict(
    schedule="constant", learning_rate=1e-3, warmup_steps=0, steps=9, clip_norm=1.0, ema=0.9,
    weight_decay=0.01, backbone_rate=0.1, loss="squared_error", compute_dtype="float32",
    accumulate=int(sys.argv[2]),
))
state = step.init_state(trainable, config)
fixed, state = jax.device_put((step.Fixed(kept), state), sharding.replicated(mesh))
batch = sharding.global_batch(mesh, {"rgb": np.zeros((16, 32, 32, 3), np.uint8)})
run = jax.jit(
    step.train_step, static_argnames=("network", "config", "mesh"), donate_argnums=0,
    out_shardings=sharding.replicated(mesh),
)
program = run.lower(state, fixed, batch, network=network, config=config, mesh=mesh).compile()
text = program.as_text()
reduced = 0
for shapes in re.findall(r"= (.*?) all-reduce(?:-start)?\\(", text):
    for kind, sides in re.findall(r"(\\w+)\\[([\\d,]*)\\]", shapes):
        assert kind == "f32", kind
        reduced += 4 * int(np.prod([int(n) for n in sides.split(",") if n], dtype=int))
kinds = "all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
others = re.findall(kinds, text)
print(reduced - 4, sum(leaf.nbytes for leaf in jax.tree.leaves(trainable)), others)
"""


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_sums_the_gradient_over_devices_and_nothing_else(accumulate: int, run: Run) -> None:
    """All bytes that the devices exchange are the gradient's, and the loss' four."""
    done = run([sys.executable, "-c", COLLECTIVES, str(ROOT / "tests"), str(accumulate)], 8)
    assert done.returncode == 0, done.stderr
    reduced, trainable, others = done.stdout.split(maxsplit=2)
    assert reduced == trainable
    assert others.strip() == "[]"


def test_nothing_is_compiled_after_the_first_step(straight: tuple[Path, str]) -> None:
    log = straight[1]
    assert len(re.findall(r"Finished XLA compilation of jit\(train_step\)", log)) == 1
    between = log[log.index("step 1/20") : log.index("step 20/20")]
    assert "Finished XLA compilation" not in between
    assert len(losses_of(between)) == 19


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


# -- Recipes ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_smoke_recipe_as_it_stands(run: Run, tmp_path: Path, photos: Any) -> None:
    """The first thing that a researcher runs, with all that it writes."""
    workdir = tmp_path / "run"
    done = run([part for part in command(workdir) if not part.startswith("--config.")])
    assert done.returncode == 0, done.stderr
    losses = losses_of(done.stderr)
    assert losses[60] < 0.5 * losses[10]
    names = {path.name for path in workdir.iterdir()}
    assert {"config.json", "starts.jsonl", "checkpoints", "weights.safetensors"} < names
    assert json.loads((workdir / "config.json").read_text())["steps"] == 60
    assert any(name.startswith("events.out.tfevents") for name in names)
    sheet = np.asarray(Image.open(workdir / "pictures" / "00000060.png"))
    assert sheet.shape == (8 * 64, 3 * 64, 3)
    grey, predicted, truth = np.split(sheet.astype(float), 3, axis=1)
    assert np.abs(grey - grey[..., :1]).max() <= 1
    assert np.abs(predicted - truth).mean() < 0.6 * np.abs(grey - truth).mean()

    photo = tmp_path / "photo.png"
    Image.fromarray(photos["coffee"]).convert("L").save(photo)
    out = tmp_path / "out.png"
    arguments = [str(photo), "-o", str(out), "--weights", str(workdir / "weights.safetensors")]
    done = run([sys.executable, "-m", "jaxcolor", "colorize", *arguments])
    assert done.returncode == 0, done.stderr
    assert np.ptp(np.asarray(Image.open(out)), axis=-1).max() > 10


@pytest.mark.slow
def test_the_seeds_recipe_on_a_ported_backbone(
    photo_folder: Path, tmp_path: Path, run: Run
) -> None:
    """configs/base.py with smaller pictures, fewer steps and a random backbone."""
    folder = tmp_path / "cache"
    backbone = folder / "backbones" / "inception_resnet_v2.safetensors"
    backbone.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def draw(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key == "kernel":
            spread = np.sqrt(2 / np.prod(leaf.shape[-4:-1]))
            return rng.normal(0, spread, leaf.shape).astype(np.float32)
        return np.full(leaf.shape, path[-1].key == "var", np.float32)

    random = jax.tree_util.tree_map_with_path(draw, declared_variables())
    weights.save(backbone, random, {"kind": "backbone"}, dtype=np.float32)

    small = {"photos": f"folder:{photo_folder}", "validation_photos": f"folder:{photo_folder}"}
    small |= {"crop": 64, "batch": 12, "steps": 6, "log_every": 1, "checkpoint_every": 6}
    arguments = command(tmp_path / "run", "base", **small, pictures=0)
    done = run(arguments, JAXCOLOR_CACHE=str(folder))
    assert done.returncode == 0, done.stderr
    falling = losses_of(done.stderr)
    assert falling[6] < 0.98 * falling[1], falling

    file = tmp_path / "run" / "weights.safetensors"
    assert file.stat().st_size < 15e6  # the backbone stayed out

    def colorize(home: Path) -> subprocess.CompletedProcess[str]:
        photo = photo_folder / "coffee" / "0.jpg"
        arguments = [str(photo), "-o", str(tmp_path / "out.png"), "--weights", str(file)]
        program = [sys.executable, "-m", "jaxcolor", "colorize", *arguments]
        return run(program, JAXCOLOR_CACHE=str(home))

    lost = colorize(tmp_path / "elsewhere")
    assert lost.returncode == 2
    assert "python scripts/port_weights.py inception_resnet_v2" in lost.stderr
    found = colorize(folder)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "out.png").is_file()


@pytest.mark.parametrize("name", ["base", "lite", "pyramid", "smoke"])
def test_every_recipe_can_be(name: str) -> None:
    config = load_config(name)
    network = Config.from_json(config.network.to_dict())
    step.check(config, network)
    assert set(config) == set(load_config("base"))


# -- Mistakes --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_and_spoils_nothing(
    straight: tuple[Path, str], run: Run, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(straight[0], workdir)
    before = (workdir / "weights.safetensors").read_bytes()
    done = run(command(workdir, steps=26, learning_rate=1e30, clip_norm=1e30, log_every=100))
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert re.match(r"train: step 2[23]: the loss is (nan|inf); .* step 20 in ", line), done.stderr
    assert len(re.findall(r"made\[\d+\]", line)) == 8  # the batch's photos
    assert sorted(int(p.name) for p in (workdir / "checkpoints").iterdir()) == [5, 10, 15, 20]
    assert (workdir / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"photos": "folder:/no/such"}, "there is no folder /no/such"),
        ({"photos": "made:0"}, "write it as"),
        ({"warmup_steps": 20}, "warmup_steps: 20"),
        ({"schedule": "stairs"}, "schedule: 'stairs'"),
        ({"loss": "gan"}, "loss: 'gan'"),
        ({"loss": "cross_entropy"}, "network.head=classification"),
        ({"compute_dtype": "int8"}, "compute_dtype: 'int8'"),
        ({"backbone_weights": "nothing"}, "nothing: no such weights file"),
        ({"start_from": "lite"}, "start_from: lite"),
        ({"tuned_from": "block9z"}, "tuned_from: 'block9z'"),
        ({"tuned_from": "head", "export_backbone": False}, "export_backbone"),
        ({"batch": 0}, "batch: 0"),
        ({"aging": 2.0}, "aging: 2"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(words)):
        loop.train(small_config(**changes), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_mistakes_are_one_line_on_the_console(run: Run, tmp_path: Path) -> None:
    done = run(command(tmp_path / "run", photos="folder:/no/such"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("train: source 'folder:/no/such'")
    assert "Traceback" not in done.stderr
    unknown = run(command(tmp_path / "run", colour=1))
    assert unknown.returncode != 0
    assert "colour" in unknown.stderr
    assert not (tmp_path / "run").exists()
