"""What several test modules share: free photos, the shipped colorizer, and how a command is run."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import click.testing
import jax
import numpy as np
import pytest
import skimage.data
import tiny_network
import xla
from patience import HANG
from PIL import Image

import jaxcolor
from jaxcolor import compilation, weights
from jaxcolor.cli import main
from jaxcolor.porting.verification import made_up_pictures

ROOT = Path(__file__).parents[1]

xla.compile_quickly()
# Further threads of BLAS would wait for work by spinning, on cores that are taken.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What JAX would convert or stretch by itself is written out in jaxcolor.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def photos() -> dict[str, np.ndarray]:
    """Colour photos that come inside scikit-image: public domain or CC0; uint8 (H, W, 3)."""
    return {name: getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee")}


@pytest.fixture(scope="session")
def params() -> jaxcolor.Params:
    """The default colorizer."""
    return jaxcolor.load()


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights of the tiny network, which `with_tiny.py` knows."""
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    weights.save_params(file, jaxcolor.Params(*tiny_network.make(64)))
    return file


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


def _kept(config: pytest.Config) -> Path:
    """Where tests keep what they compile in their own process."""
    return config.cache.mkdir(f"compiled-{compilation.processor()[:16]}")


def pytest_configure(config: pytest.Config) -> None:
    """Bounds what is kept; workers begin after that.

    Nothing that is imported from here to `pytest_collection_finish` is garbage.
    """
    gc.disable()
    folder = _kept(config)
    if not hasattr(config, "workerinput") and sum(p.stat().st_size for p in folder.iterdir()) > 1e9:
        shutil.rmtree(folder)


def pytest_collection_finish() -> None:
    """Spares the garbage collector what stays to the end: JAX, and the tests themselves.

    Tracing makes objects by the million: it looks at them less often, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts modules with many slow tests first: no worker is left with a long one at the end.

    Before them those at XLA's level 0: what is compiled is let go of where the level changes.
    """
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))

    def rank(item: pytest.Item) -> tuple[bool, int]:
        return item.get_closest_marker("unoptimized") is None, -slow[item.path]

    items.sort(key=rank)


@pytest.fixture(scope="module", autouse=True)
def _level(request: pytest.FixtureRequest) -> None:
    """That of XLA, as the module says."""
    xla.optimize(request.node.get_closest_marker("unoptimized") is None)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def _a_cache_of_our_own(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """What is fetched and compiled is shared by all of this session, and is not the user's.

    Compiling is most of the suite's time, and most programs are met by several tests. What tests
    compile in their own process is there for later sessions too, until `pytest --cache-clear`. What
    processes compile that they start is not: some are killed, and would leave half an entry. Nor do
    those processes compile jaxcolor's own Python each time.

    A command that is run within this process must not set JAX up anew: it would take that cache
    away, and keep programs by their shapes alone, whichever of XLA's levels they were compiled at.
    """
    folder = tmp_path_factory.getbasetemp().parent / "cache"  # that all workers have in common
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXCOLOR_CACHE", str(folder))
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder / "tests"))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setattr("jaxcolor.commands.set_up_jax", lambda: None)
        jax.config.update("jax_compilation_cache_dir", str(_kept(pytestconfig)))
        # Few programs are met by both workers, and to write one takes a while, too.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
        yield


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs `python ARGS...` as a user would."""

    def python(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, args)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )

    return python


@pytest.fixture
def colorize(
    params: jaxcolor.Params, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., click.testing.Result]:
    """Runs `jaxcolor colorize ARGS...` within this process, which has loaded everything already."""
    monkeypatch.setattr("jaxcolor.commands.load", lambda weights, size: params.with_size(size))

    def invoke(*arguments: object, **options: object) -> click.testing.Result:
        words = ["colorize", *map(str, arguments)]
        return click.testing.CliRunner().invoke(main, words, **options)

    return invoke


# -- Pictures for Inception-ResNet-v2 --------------------------------------------------------------


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
            made_up_pictures(1, 299)[0],
        ]
    )
