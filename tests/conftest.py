"""What several test modules share: free photos, the shipped colorizer, and how a command is run."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import jaxcolor
from jaxcolor.porting import inception_resnet_v2 as inception_port

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


# -- Inception-ResNet-v2 as Keras has it ----------------------------------------------------------

KERAS_RUN = """
import os
import sys
from pathlib import Path
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import h5py
import keras
import numpy as np
from jaxcolor.porting import inception_resnet_v2 as inception_port
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

rng = np.random.default_rng(2016)

def random(weight):
    normal = rng.standard_normal(weight.shape, np.float32)
    if weight.name == "kernel":
        return normal * np.sqrt(2 / np.prod(weight.shape[:-1]))
    if weight.name == "moving_variance":
        return rng.uniform(0.5, 1.5, weight.shape).astype(np.float32)
    return 0.2 * normal  # beta, moving_mean, bias

folder = Path(sys.argv[1])
pictures = np.load(folder / "pictures.npy")
values = None
for name in ("first", "second"):
    model = keras.applications.InceptionResNetV2(weights=None, classifier_activation=None)
    values = values or [random(weight) for weight in model.weights]
    model.set_weights(values)
    with h5py.File(folder / f"{name}.h5", "w") as file:
        save_weights_to_hdf5_group(file, model)
# The reference is what Keras makes of the file itself.
np.savez(folder / "keras.npz", **inception_port.keras_maps(folder / "first.h5", pictures))
"""


def in_a_process(code: str, *arguments: object) -> str:
    """Runs code in a fresh Python, with TensorFlow under Keras, and gives what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def photo(rgb: np.ndarray, *, grey: bool = False) -> np.ndarray:
    """uint8 RGB -> (299, 299, 3) in [-1, 1]; grey as the colorizer feeds it."""
    image = Image.fromarray(rgb).convert("L" if grey else "RGB").convert("RGB")
    return np.asarray(image.resize((299, 299)), np.float32) / 127.5 - 1


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    """Four photos, two of them grey, and four that no photo looks like."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(-1, 1, 299, dtype=np.float32)
    return np.stack(
        [
            photo(skimage.data.astronaut()),
            photo(skimage.data.coffee()),
            photo(skimage.data.chelsea(), grey=True),
            photo(skimage.data.rocket(), grey=True),
            rng.uniform(-1, 1, (299, 299, 3)).astype(np.float32),
            np.stack(np.broadcast_arrays(ramp[:, None], ramp, -ramp), axis=-1),
            np.full((299, 299, 3), -1, np.float32),  # black
            inception_port.made_up_pictures(1)[0],
        ]
    )


@pytest.fixture(scope="session")
def fresh_python() -> Callable[..., str]:
    """`in_a_process`, for tests."""
    return in_a_process


@pytest.fixture(scope="session")
def keras_files(pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "pictures.npy", pictures)
    in_a_process(KERAS_RUN, folder)
    return folder
