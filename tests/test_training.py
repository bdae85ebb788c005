"""Training as a researcher runs it: the script, killed in the middle, started again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.color
from ml_collections import ConfigDict, FrozenConfigDict

import jaxcolor
from jaxcolor import weights
from jaxcolor.models import Config
from jaxcolor.models.colorizer import join_backbone, split_backbone
from jaxcolor.porting.inception_resnet_v2 import declared_variables
from jaxcolor.training import losses, sharding, step

ROOT = Path(__file__).parents[1]


def command(workdir: Path, config: str, changes: dict[str, object]) -> list[str]:
    flags = [f"--config.{name}={value}" for name, value in changes.items()]
    train = ROOT / "scripts" / "train.py"
    file = ROOT / "configs" / f"{config}.py"
    return [sys.executable, str(train), f"--config={file}", f"--workdir={workdir}", *flags]


def lite(folder: Path, workdir: Path, **changes: object) -> list[str]:
    """The command that trains configs/lite.py, small."""
    small: dict[str, object] = {
        "photos": f"folder:{folder}",
        "validation_photos": f"folder:{folder}",
        "crop": 32,
        "batch": 4,
        "steps": 8,
        "warmup_steps": 2,
        "log_every": 1,
        "validate_every": 100,
        "checkpoint_every": 2,
    }
    return command(workdir, "lite", small | changes)


def environment(cache: Path, devices: int = 1) -> dict[str, str]:
    return {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }


def run(
    arguments: list[str], cache: Path, devices: int = 1, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        env={**environment(cache, devices), **variables},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def losses_of(log: str) -> dict[int, float]:
    return {int(n): float(x) for n, x in re.findall(r"step (\d+)/\d+  loss ([\d.]+)", log)}


@pytest.mark.slow
def test_killed_and_started_again(photo_folder: Path, tmp_path: Path, cache: Path) -> None:
    straight = run(lite(photo_folder, tmp_path / "straight"), cache)
    assert straight.returncode == 0, straight.stderr
    expected = losses_of(straight.stderr)
    assert sorted(expected) == list(range(1, 9))

    workdir = tmp_path / "killed"
    with subprocess.Popen(
        lite(photo_folder, workdir), env=environment(cache), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "step 5/8" in line:
                break
        while not (workdir / "checkpoints" / "4").is_dir():  # written in the background
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    again = run(lite(photo_folder, workdir), cache)
    assert again.returncode == 0, again.stderr
    first = re.search(r"going on from the checkpoint of step (\d+)", again.stderr)
    assert first is not None, again.stderr
    assert int(first[1]) >= 4
    got = losses_of(again.stderr)
    assert got == {n: expected[n] for n in range(int(first[1]) + 1, 9)}

    one, other = (
        jaxcolor.load(tmp_path / d / "weights.safetensors") for d in ("straight", "killed")
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)
    assert json.loads((workdir / "config.json").read_text())["batch"] == 4
    image = np.zeros((20, 30), np.uint8)
    assert jaxcolor.colorize(one, image).shape == (20, 30, 3)


@pytest.mark.slow
def test_the_seeds_recipe_on_a_ported_backbone(
    photo_folder: Path, tmp_path: Path, cache: Path
) -> None:
    """configs/base.py with smaller pictures, fewer steps and a random backbone."""
    folder = tmp_path / "cache"
    backbone = folder / "backbones" / "inception_resnet_v2.safetensors"
    backbone.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        if path[-1].key == "kernel":
            spread = np.sqrt(2 / np.prod(leaf.shape[-4:-1]))
            return rng.normal(0, spread, leaf.shape).astype(np.float32)
        return np.full(leaf.shape, path[-1].key == "var", np.float32)

    random = jax.tree_util.tree_map_with_path(draw, declared_variables())
    weights.save(backbone, random, {"kind": "backbone"}, dtype=np.float32)

    small = {"photos": f"folder:{photo_folder}", "validation_photos": f"folder:{photo_folder}"}
    small |= {"crop": 64, "batch": 12, "steps": 6, "log_every": 1, "checkpoint_every": 6}
    done = run(command(tmp_path / "run", "base", small), cache, JAXCOLOR_CACHE=str(folder))
    assert done.returncode == 0, done.stderr
    falling = losses_of(done.stderr)
    assert falling[6] < 0.98 * falling[1], falling

    file = tmp_path / "run" / "weights.safetensors"
    assert file.stat().st_size < 15e6  # the backbone stayed out

    def colorize(home: Path) -> subprocess.CompletedProcess[str]:
        photo = photo_folder / "coffee" / "0.jpg"
        arguments = [str(photo), "-o", str(tmp_path / "out.png"), "--weights", str(file)]
        program = [sys.executable, "-m", "jaxcolor", "colorize", *arguments]
        return run(program, cache, JAXCOLOR_CACHE=str(home))

    lost = colorize(tmp_path / "elsewhere")
    assert lost.returncode == 2
    assert "python scripts/port_weights.py inception_resnet_v2" in lost.stderr
    found = colorize(folder)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "out.png").is_file()


@pytest.mark.slow
def test_eight_devices_give_the_numbers_of_one(
    photo_folder: Path, tmp_path: Path, cache: Path
) -> None:
    logs = [
        run(lite(photo_folder, tmp_path / str(devices), batch=8, steps=3), cache, devices).stderr
        for devices in (1, 8)
    ]
    assert "8 devices of 1 processes" in logs[1]
    one, eight = map(losses_of, logs)
    assert sorted(one) == [1, 2, 3]
    np.testing.assert_allclose(list(eight.values()), list(one.values()), atol=2e-5)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_and_spoils_nothing(
    photo_folder: Path, tmp_path: Path, cache: Path
) -> None:
    workdir = tmp_path / "run"
    for changes, code in (
        ({"steps": 2}, 0),
        ({"steps": 6, "learning_rate": 1e30, "clip_norm": 1e30}, 1),
    ):
        arguments = lite(photo_folder, workdir, **{"warmup_steps": 0, **changes})
        done = run(arguments, cache)
        assert done.returncode == code, done.stderr
    assert "the loss is nan" in done.stderr
    assert [p.name for p in (workdir / "checkpoints").iterdir() if p.is_dir()] == ["2"]
    assert jaxcolor.load(workdir / "weights.safetensors")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"photos": "folder:/no/such"}, "there is no folder /no/such"),
        ({"warmup_steps": 8}, "warmup_steps: 8"),
        ({"backbone_weights": "nothing"}, "nothing: no such weights file"),
        ({"batch": 0}, "batch: 0"),
        ({"colour": 1}, "colour"),
    ],
)
def test_mistakes_are_named(
    photo_folder: Path, tmp_path: Path, cache: Path, changes, words: str
) -> None:
    result = run(lite(photo_folder, tmp_path / "run", **changes), cache)
    assert result.returncode != 0
    assert words in result.stderr
    assert not (tmp_path / "run").exists()
    if "colour" not in changes:  # absl's own complaint about flags comes with its traceback
        assert "Traceback" not in result.stderr


def recipe() -> ConfigDict:
    return ConfigDict(
        {
            "learning_rate": 1e-3,
            "warmup_steps": 2,
            "steps": 10,
            "schedule": "cosine",
            "clip_norm": 1.0,
            "weight_decay": 1e-2,
            "ema": 0.5,
        }
    )


def test_lab_is_that_of_scikit_image() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    lightness, ab = step.to_network(jnp.asarray(rgb), 8)
    lab = skimage.color.rgb2lab(rgb)
    np.testing.assert_allclose(lightness[..., 0], lab[..., 0] / 50 - 1, atol=1e-4)
    np.testing.assert_allclose(ab, lab[..., 1:] / 110, atol=1e-4)


def test_a_step_moves_all_but_the_backbone(params) -> None:
    trainable, backbone = split_backbone(params.variables)
    assert set(trainable) == {"encoder", "fusion", "decoder"}
    jax.tree.map(
        np.testing.assert_array_equal, join_backbone(trainable, backbone), params.variables
    )
    rgb = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    state = step.init_state(trainable, recipe())
    advance = jax.jit(step.train_step, static_argnames=("network", "config"))
    for _ in range(2):  # the first step of a warm-up has the rate zero
        state, metrics = advance(
            state,
            backbone,
            {"rgb": jnp.asarray(rgb)},
            network=Config(),
            config=FrozenConfigDict(recipe()),
        )
    assert int(state.step) == 2
    assert np.isfinite(metrics["loss"])
    for before, after, mean in zip(
        *map(jax.tree.leaves, (trainable, state.trainable, state.ema)), strict=True
    ):
        assert (before != after).any()
        # The average lies between where it was and where the parameters are.
        between = (mean - before) * (mean - after) <= 1e-9
        assert between.all()


def test_schedules() -> None:
    config = recipe()
    rates = [float(step.make_schedule(config)(n)) for n in range(11)]
    assert rates[0] == 0
    assert rates[2] == pytest.approx(1e-3)
    assert rates[10] == pytest.approx(0, abs=1e-9)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    config.schedule = "constant"
    assert float(step.make_schedule(config)(1)) == pytest.approx(5e-4)
    assert float(step.make_schedule(config)(9)) == pytest.approx(1e-3)
    config.warmup_steps = 0
    assert float(step.make_schedule(config)(0)) == pytest.approx(1e-3)
    config.schedule = "stairs"
    with pytest.raises(ValueError, match="schedule: 'stairs'"):
        step.make_schedule(config)


def test_squared_error_refuses_to_broadcast() -> None:
    ab = jnp.ones((3, 4, 4, 2))
    np.testing.assert_allclose(losses.squared_error(ab, 3 * ab), [4, 4, 4])
    with pytest.raises(ValueError, match="truth is"):
        losses.squared_error(ab, ab[:1])


def test_a_batch_must_divide() -> None:
    mesh = sharding.make_mesh()
    assert mesh.axis_names == ("data",)
    sharding.check_batch(mesh, mesh.size)
    with pytest.raises(ValueError, match="batch: 0"):
        sharding.check_batch(mesh, 0)
