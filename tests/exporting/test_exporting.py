"""Exported colorizers, by programs that have no JAX: they give what JAX gives."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from patience import HANG
from PIL import Image

import jaxcolor
from jaxcolor import color, exporting
from jaxcolor.cli import main
from jaxcolor.models import Config, make_network
from jaxcolor.models.colorizer import Params, forward
from jaxcolor.predict import pure, stages
from jaxcolor.predict.view import View
from jaxcolor.training.host_tensorflow import tf

pytestmark = pytest.mark.unoptimized

AB = 2 * color.AB_SCALE  # the range of a and b


def lightness(shape: tuple[int, int], count: int) -> np.ndarray:
    """Smooth random pictures of very different ranges, some flat; L."""
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 2, (count, *shape)).cumsum(axis=1).cumsum(axis=2)
    low, high = (end(steps, axis=(1, 2), keepdims=True) for end in (np.min, np.max))
    ends = np.sort(rng.uniform(0, 100, (2, count, 1, 1)), axis=0)
    ends[1, ::9] = ends[0, ::9] + 0.5
    return ((steps - low) / (high - low) * (ends[1] - ends[0]) + ends[0]).astype(np.float32)


def by_jax(params: Params, seen: np.ndarray, part: str) -> np.ndarray:
    """ab, (batch, height, width, 2)."""
    if part == "network":
        function = jax.jit(lambda variables, x: forward(params.config, variables, x))
        return np.asarray(function(params.variables, seen[..., None]))
    view = View(*pure.on_device((seen, seen)))
    return np.asarray(pure.predict(params, view)[..., 1:])


@functools.lru_cache(2)
def session(data: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def by_onnx(data: bytes, seen: np.ndarray) -> np.ndarray:
    """Likewise."""
    (ab,) = session(data).run(None, {"lightness": seen})
    assert ab.dtype == np.float32
    return np.asarray(ab).transpose(0, 2, 3, 1)


@pytest.fixture(scope="module")
def whole(params: Params) -> bytes:
    return exporting.to_onnx(params)


def test_onnx_gives_what_jax_gives(params: Params, whole: bytes) -> None:
    """Over 48 pictures; batches and, of a pyramid, shapes are free."""
    for shape in ((224, 224), (192, 288)):
        for batch, some in zip((1, 3, 8), np.split(lightness(shape, 24), 3), strict=True):
            got = [by_onnx(whole, some[i : i + batch]) for i in range(0, 8, batch)]
            expected = by_jax(params, some, "whole")
            np.testing.assert_allclose(np.concatenate(got), expected, rtol=0, atol=1e-4 * AB)


def test_onnx_is_small_and_says_what_it_is(params: Params, whole: bytes) -> None:
    model = onnx.load_from_string(whole)
    assert len(model.graph.node) < 250
    operations = {node.op_type for node in model.graph.node}
    assert not operations & {"Einsum", "BatchNormalization", "Loop"}
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert Config.from_json(json.loads(told["config"])) == params.config
    assert told["input"].startswith("lightness: CIE L in [0, 100]")
    assert told["output"].startswith("ab: CIE ab,")
    assert (model.producer_name, model.producer_version) == ("jaxcolor", jaxcolor.__version__)
    assert exporting.to_onnx(params) == whole
    half = exporting.to_onnx(params, half=True)
    assert len(half) < 0.51 * len(whole)
    seen = lightness((224, 224), 8)
    near = by_onnx(half, seen)
    np.testing.assert_allclose(near, by_onnx(whole, seen), rtol=0, atol=2e-2 * AB)
    assert 0 < np.abs(near - by_onnx(whole, seen)).mean() < 1e-3 * AB


@pytest.mark.parametrize(
    ("network", "backbone", "part"),
    [
        ("pyramid", "efficientnet_lite0", "whole"),
        ("pyramid", "efficientnet_lite1", "network"),
        ("fusion", "efficientnet_lite0", "whole"),
    ],
)
def test_every_network_and_setting(network: str, backbone: str, part: str) -> None:
    """Random weights, statistics among them."""
    config = Config(network=network, backbone=backbone, stretched=network == "fusion")  # type: ignore
    whole = part == "whole"
    config = config.predicting(size=64, mirrored=whole, mended=whole, saturation=1.3, border=0)
    begin = make_network(config).init
    side = config.input_size
    blank = jax.ShapeDtypeStruct((1, side, side, 1), "f4")
    rng = np.random.default_rng(0)

    def random(path: Any, leaf: Any) -> np.ndarray:
        name = path[-1].key
        if name in ("var", "scale"):
            return rng.uniform(0.5, 1.5, leaf.shape).astype("f4")
        size = np.sqrt(2 / np.prod(leaf.shape[:-1])) if name == "kernel" else 0.1
        return rng.normal(0, size, leaf.shape).astype("f4")

    shapes = jax.eval_shape(begin, jax.random.key(0), blank)
    params = Params(config, jax.tree_util.tree_map_with_path(random, shapes))
    seen = lightness((side, side), 2)
    seen = seen if whole else seen / 50 - 1
    expected = by_jax(params, seen, part)
    scale = np.abs(expected).max()
    assert scale > (1 if whole else 0.01)
    data = exporting.to_onnx(params, part=part)
    np.testing.assert_allclose(by_onnx(data, seen), expected, rtol=0, atol=1e-4 * scale)


def test_what_cannot_be_exported_is_named(params: Params) -> None:
    for config, part in (
        (Config(backbone="inception_resnet_v2"), "inception_resnet_v2"),
        (Config(network="pyramid", head="classification"), "the head classification"),
    ):
        with pytest.raises(exporting.NotExportable, match=f"{part}: cannot be exported to ONNX"):
            exporting.to_onnx(Params(config, params.variables))


def command(*words: object) -> None:
    """In a process of its own: with a symbolic batch jaxtyping's checks cannot be executed."""
    line = [sys.executable, "-m", "jaxcolor", "export", *map(str, words)]
    subprocess.run(line, check=True, timeout=HANG)


@pytest.mark.slow
def test_stablehlo_needs_no_jaxcolor(params: Params, tmp_path: Path) -> None:
    """A process that must not import it; the batch is free."""
    seen = lightness((224, 224), 3)
    np.save(tmp_path / "seen.npy", seen)
    command("-o", tmp_path / "colorizer.stablehlo")
    program = """
import sys; sys.modules["jaxcolor"] = None
import numpy as np
from jax import export
function = export.deserialize(bytearray(open("colorizer.stablehlo", "rb").read()))
assert set(function.platforms) == {"cpu", "cuda", "tpu"}
np.save("ab.npy", function.call(np.load("seen.npy")))
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=HANG)
    expected = by_jax(params, seen, "whole")
    np.testing.assert_allclose(np.load(tmp_path / "ab.npy"), expected, rtol=0, atol=1e-4 * AB)


@pytest.mark.slow
def test_a_saved_model_is_tensorflows(tmp_path: Path) -> None:
    params = jaxcolor.load().with_size(64)
    command("-o", tmp_path / "colorizer", "--format", "saved-model", "--size", 64)
    seen = lightness((64, 64), 3)
    function = tf.saved_model.load(str(tmp_path / "colorizer")).signatures["serving_default"]
    ab = function(lightness=tf.constant(seen))["ab"].numpy()
    np.testing.assert_allclose(ab, by_jax(params, seen, "whole"), rtol=0, atol=1e-4 * AB)
    with pytest.raises(FileExistsError):
        exporting.save_model(tmp_path / "colorizer", params)
    assert [path.name for path in tmp_path.iterdir()] == ["colorizer"]


def test_the_command(tmp_path: Path, whole: bytes) -> None:
    def run(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["export", *map(str, words)])
        return result.exit_code, result.output

    file = tmp_path / "colorizer.onnx"
    assert run("-o", file) == (0, f"{file}\n")
    assert file.read_bytes() == whole
    for words, said in (
        (("-o", tmp_path / "a.xyz"), "a.xyz: name it .onnx or .stablehlo, or use --format"),
        (("-o", tmp_path / "a.stablehlo", "--half"), "--half: only ONNX files have it"),
        (
            ("-o", tmp_path / "a.onnx", "--weights", "none"),
            "none: no such weights file, nor a name of one",
        ),
        (("-o", tmp_path / "a.onnx", "--size", 100), "size: 100 is not a positive multiple of 32"),
        (("-o", tmp_path / "no/a.onnx"), "cannot be written (No such file or directory)"),
    ):
        code, output = run(*words)
        assert code == 2
        assert said in output
    assert [path.name for path in tmp_path.iterdir()] == ["colorizer.onnx"]


EXAMPLE = """
import sys
sys.modules["jax"] = sys.modules["jaxcolor"] = None
"""


def written(language: str) -> str:
    """A program of `docs/export.md`, as it stands there."""
    document = Path(__file__).parents[2] / "docs" / "export.md"
    return document.read_text().split(f"```{language}\n")[1].split("```")[0]


def check_program(
    params: Params, whole: bytes, folder: Path, photo: np.ndarray, *command: object
) -> None:
    """It writes nearly the command's colours of `grey.jpg` into `colour.png`."""
    (folder / "colorizer.onnx").write_bytes(whole)
    Image.fromarray(photo).convert("L").save(folder / "grey.jpg", quality=95)
    subprocess.run([*map(str, command)], cwd=folder, check=True, timeout=HANG)
    got = np.asarray(Image.open(folder / "colour.png")).astype(np.float64)
    grey = np.asarray(Image.open(folder / "grey.jpg"))
    own = np.asarray(jaxcolor.colorize(params, grey)).astype(np.float64)
    assert got.shape == own.shape
    assert np.abs(got - own).mean() < 3  # of 255: other edges, another shape, no margin looked for
    assert np.abs(own - grey[..., None]).mean() > 5
    assert stages.shape_for(params, grey.shape) != (224, 224)


def test_the_document_s_program_gives_nearly_the_command_s_colours(
    params: Params, whole: bytes, tmp_path: Path, photos: dict[str, np.ndarray]
) -> None:
    """Twenty lines of Python, without JAX."""
    code = EXAMPLE + written("python")
    check_program(params, whole, tmp_path, photos["coffee"], sys.executable, "-c", code)


@pytest.mark.slow
def test_so_does_that_in_javascript(
    params: Params, whole: bytes, photos: dict[str, np.ndarray]
) -> None:
    """With the packages that it names, beside which it has to lie."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this machine: apt-get install npm")
    node = Path(__file__).with_name("node")
    if not (node / "node_modules").exists():
        words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run([npm, *words], cwd=node, check=True, timeout=HANG)
    with tempfile.TemporaryDirectory(dir=node / "node_modules", prefix=".") as made:
        program = Path(made, "program.mjs")
        program.write_text(written("javascript"))
        check_program(params, whole, Path(made), photos["coffee"], "node", program)
