"""What several test modules share: free photos, the shipped colorizer, and how a command is run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import jaxcolor

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def photos() -> dict[str, np.ndarray]:
    """Colour photos that come inside scikit-image: public domain or CC0; uint8 (H, W, 3)."""
    return {name: getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee")}


@pytest.fixture(scope="session")
def params() -> jaxcolor.Params:
    """The default colorizer."""
    return jaxcolor.load()


@pytest.fixture
def photo_folder(tmp_path: Path, photos: dict[str, np.ndarray]) -> Path:
    """A nested folder of twelve small JPEGs, cut from the photos."""
    folder = tmp_path / "photos"
    for i, (name, pixels) in enumerate(photos.items()):
        (folder / name).mkdir(parents=True)
        for k in range(4):
            part = pixels[20 * k : 20 * k + 120 + 10 * i, 30 * k : 30 * k + 160]
            Image.fromarray(part).save(folder / name / f"{k}.jpg")
    return folder


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs `python ARGS...` as a user would, with one compilation cache for the whole session."""
    cache = tmp_path_factory.mktemp("cache")

    def python(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, args)],
            cwd=cwd,
            env={**os.environ, "JAXCOLOR_CACHE": str(cache)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return python
