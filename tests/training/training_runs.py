"""Starts `scripts/train.py` as a researcher does, and reads what it prints."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

from ml_collections import ConfigDict
from patience import HANG
from xla import with_devices

TESTS = Path(__file__).parent
ROOT = TESTS.parents[1]

Process = subprocess.CompletedProcess[str]


def recipe_file(name: str) -> Path:
    return TESTS / "tiny_recipe.py" if name == "tiny" else ROOT / "configs" / f"{name}.py"


def load_recipe(name: str) -> ConfigDict:
    config: ConfigDict = runpy.run_path(str(recipe_file(name)))["get_config"]()
    return config


def command(recipe: str, workdir: Path, **changes: object) -> list[str]:
    """`python scripts/train.py` with a recipe, some of its fields changed."""
    script, file = ROOT / "scripts" / "train.py", recipe_file(recipe)
    fields = [f"--config.{name}={value}" for name, value in changes.items()]
    return [sys.executable, str(script), f"--config={file}", f"--workdir={workdir}", *fields]


def environment(devices: int = 1, **variables: str) -> dict[str, str]:
    """That of a process with so many devices, which finds what the tiny recipe imports."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [TESTS, TESTS.parent, ROOT, *_paths()])),
        **with_devices(devices),
        **variables,
    }


def _paths() -> list[str]:
    return os.environ.get("PYTHONPATH", "").split(os.pathsep)


def run(arguments: list[str], devices: int = 1, **variables: str) -> Process:
    return subprocess.run(
        arguments,
        env=environment(devices, **variables),
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


def losses_of(log: str) -> dict[int, float]:
    """Step -> loss, of the lines on the console."""
    return {int(n): float(x) for n, x in re.findall(r"step (\d+)/\d+  loss ([\d.]+)", log)}
