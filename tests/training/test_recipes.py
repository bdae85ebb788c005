"""The recipes in `configs/`, from the first step to a coloured photo, and what cannot be in one."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from training_runs import ROOT, command, load_recipe, losses_of, run
from xla import with_devices

from jaxcolor import weights
from jaxcolor.models import Config
from jaxcolor.porting.inception_resnet_v2 import declared_variables
from jaxcolor.training import LOSSES, loop, make_train_step, start
from jaxcolor.training.input.batches import training_batches


@pytest.mark.slow
def test_the_smoke_recipe_as_it_stands(tmp_path: Path, photos: dict[str, np.ndarray]) -> None:
    """The first thing that a researcher runs, with all that it writes."""
    workdir = tmp_path / "run"
    done = run(command("smoke", workdir), **with_devices(1, unoptimized=False))
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
def test_the_papers_recipe_on_a_ported_backbone(photo_folder: Path, tmp_path: Path) -> None:
    """configs/base.py on two photos, in a few steps, with a random backbone."""
    folder = tmp_path / "cache"
    backbone = folder / "backbones" / "inception_resnet_v2.safetensors"
    backbone.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def draw(path: Any, leaf: Any) -> np.ndarray:
        if path[-1].key == "kernel":
            spread = np.float32(np.sqrt(2 / np.prod(leaf.shape[-4:-1])))
            return spread * rng.standard_normal(leaf.shape, np.float32)
        return np.full(leaf.shape, path[-1].key == "var", np.float32)

    random = jax.tree_util.tree_map_with_path(draw, declared_variables())
    weights.save(backbone, random, {"kind": "backbone"}, dtype=np.float32)

    for name in ("2.jpg", "3.jpg"):
        (photo_folder / "coffee" / name).unlink()
    photos = f"folder:{photo_folder / 'coffee'}"
    small = {"photos": photos, "validation_photos": photos, "batch": 2, "pictures": 0}
    changes = small | {"steps": 4, "log_every": 1, "learning_rate": 1e-4}
    done = run(command("base", tmp_path / "run", **changes), JAXCOLOR_CACHE=str(folder))
    assert done.returncode == 0, done.stderr
    falling = losses_of(done.stderr)
    assert falling[4] < 0.8 * falling[1], falling

    file = tmp_path / "run" / "weights.safetensors"
    assert file.stat().st_size < 15e6  # the backbone stayed out

    def colorize(home: Path) -> subprocess.CompletedProcess[str]:
        photo = photo_folder / "coffee" / "0.jpg"
        arguments = [str(photo), "-o", str(tmp_path / "out.png"), "--weights", str(file)]
        program = [sys.executable, "-m", "jaxcolor", "colorize", *arguments]
        return run(program, JAXCOLOR_CACHE=str(home))

    lost = colorize(tmp_path / "elsewhere")
    assert lost.returncode == 2
    assert "jaxcolor port inception_resnet_v2" in lost.stderr
    found = colorize(folder)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "out.png").is_file()


@pytest.mark.parametrize("name", ["base", "lite", "pyramid", "smoke"])
def test_every_recipe_can_be(name: str) -> None:
    config = load_recipe(name)
    network = Config.from_json(config.network.to_dict())
    start.check(config, network)
    assert set(config) == set(load_recipe("base"))


def test_every_field_is_obeyed() -> None:
    """Handed on by its name, or read from the recipe."""
    recipe = load_recipe("base")
    functions = (make_train_step, training_batches, *LOSSES.values())
    handed_on = {name for function in functions for name in start.fields(recipe, function)}
    sources = "".join(path.read_text() for path in (ROOT / "jaxcolor" / "training").rglob("*.py"))
    read = {name for name in recipe if re.search(rf"config\.{name}\b", sources)}
    assert set(recipe) == handed_on | read


def test_losses_and_fields_stand_in_the_documents() -> None:
    """Where CONTRIBUTING.md says that they are to be added."""
    table = (ROOT / "docs" / "training.md").read_text()
    for name, loss in LOSSES.items():
        assert f"| `{name}` | `{loss.head}` |" in table
        for keyword in set(inspect.signature(loss).parameters) - {"prediction", "batch"}:
            assert keyword in load_recipe("base") or keyword == "bin_weights", keyword


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"photos": "folder:/no/such"}, "there is no folder /no/such"),
        ({"photos": "made:0"}, "write it as"),
        ({"warmup_steps": 60}, "warmup_steps: 60"),
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
        ({"consistency": -1.0}, "consistency: -1"),
        ({"consistency": 1.0, "batch": 15}, "batch: 15 rows: consistency needs pairs"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    recipe = load_recipe("smoke")
    recipe.update(changes)
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(words)):
        loop.train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()
