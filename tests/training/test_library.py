"""`make_train_step` as a researcher calls it, with losses, optimizers and loops of their own."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_network
from training_runs import ROOT, run

import jaxcolor
from jaxcolor.models import Config, Params
from jaxcolor.training import LOSSES, init_state, make_train_step, new_params, sharding

pytestmark = pytest.mark.unoptimized


def colours(count: int, size: int = 32) -> np.ndarray:
    """Pictures of one colour each, uint8 (count, size, size, 3)."""
    colour = np.random.default_rng(0).integers(0, 256, (count, 1, 1, 3), np.uint8)
    return colour.repeat(size, axis=1).repeat(size, axis=2)


def absolute_error(prediction: Any, batch: Any) -> Any:
    return jnp.abs(prediction - batch["ab"]).mean()


def lowers_the_loss(devices: int) -> None:
    """Also runs in a process of its own, with so many devices."""
    params, optimizer = Params(*tiny_network.make(32)), optax.sgd(0.1)
    mesh = jax.make_mesh((devices,), ("data",))
    train_step = make_train_step(params.config, absolute_error, optimizer, mesh=mesh)
    state = init_state(params, optimizer, mesh=mesh)
    seen = []
    for _ in range(10):
        state, metrics = train_step(state, {"rgb": colours(8)})
        seen.append(float(metrics["loss"]))
    assert len(metrics["loss"].sharding.device_set) == devices
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < 0.97 * seen[0]


def test_any_loss_and_any_optimizer_lower_the_loss() -> None:
    lowers_the_loss(1)


def goes_on_elsewhere() -> None:
    """A state of eight devices begins one of another device, and that one again one of eight."""
    mesh, other = sharding.make_mesh(), jax.sharding.Mesh(jax.devices()[3:4], ("data",))
    params, optimizer = Params(*tiny_network.make(32)), optax.adam(1e-3)
    for devices in (mesh, other, mesh):
        state = init_state(params, optimizer, mesh=devices)
        assert {leaf.sharding.num_devices for leaf in jax.tree.leaves(state)} == {devices.size}
        train_step = make_train_step(params.config, absolute_error, optimizer, mesh=devices)
        state, _ = train_step(state, {"rgb": colours(8)})
        params = state.params(params.config)


def test_the_same_on_eight_devices() -> None:
    code = "import test_library as t; t.lowers_the_loss(8); t.goes_on_elsewhere()"
    done = run([sys.executable, "-c", code], 8)
    assert done.returncode == 0, done.stderr


def test_the_state_is_donated_and_what_it_was_made_of_is_not() -> None:
    params, optimizer = Params(*tiny_network.make(32)), optax.adam(1e-3)
    state = init_state(params, optimizer)
    train_step = make_train_step(params.config, absolute_error, optimizer)
    after, _ = train_step(state, {"rgb": colours(2)})
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.trainable, state.opt_state)))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((params.variables, after)))
    before = jax.tree.leaves(params.variables["params"]["backbone"])
    frozen = jax.tree.leaves(after.frozen["params"]["backbone"])
    jax.tree.map(np.testing.assert_array_equal, frozen, before)


def test_one_program_for_all_steps() -> None:
    params, optimizer = Params(*tiny_network.make(32)), optax.sgd(0.1)
    train_step: Any = make_train_step(params.config, absolute_error, optimizer)
    state = init_state(params, optimizer)
    for _ in range(3):
        state, _ = train_step(state, {"rgb": colours(2)})
    assert train_step._cache_size() == 1


def test_a_loss_sees_what_else_is_in_the_batch_and_the_network_the_grey() -> None:
    """Weights of zero: nothing moves; another grey: another prediction of the same truth."""

    def weighted(prediction: Any, batch: Any) -> Any:
        assert set(batch) == {"rgb", "grey", "weight", "lightness", "ab"}
        return (batch["weight"] * jnp.abs(prediction - batch["ab"]).mean(axis=(1, 2, 3))).mean()

    params, optimizer = Params(*tiny_network.make(32)), optax.sgd(1.0)
    train_step = make_train_step(params.config, weighted, optimizer)
    seen = []
    for weight, grey in ((0, 90), (1, 90), (1, 200)):
        batch = {
            "rgb": colours(4),
            "grey": np.full((4, 32, 32), grey, np.uint8),
            "weight": np.full(4, weight, np.float32),
        }
        _, metrics = train_step(init_state(params, optimizer), batch)
        seen.append((float(metrics["loss"]), float(metrics["gradient_norm"])))
    assert seen[0] == (0, 0)
    assert 0 < seen[1][0] != seen[2][0] > 0


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_its_head(name: str) -> None:
    head = LOSSES[name].head
    network = Config(network="tiny", head=head).predicting(size=32)  # type: ignore[arg-type, unused-ignore]
    options = {
        "huber": {"huber_delta": 0.1},
        "cross_entropy": {"bin_weights": np.ones(313, np.float32)},
    }
    loss = functools.partial(LOSSES[name], **options.get(name, {}))
    optimizer = optax.adam(1e-2)
    state = init_state(new_params(network, ""), optimizer)
    train_step = make_train_step(network, loss, optimizer)
    seen = []
    for _ in range(8):
        state, metrics = train_step(state, {"rgb": colours(4)})
        seen.append(float(metrics["loss"]))
    assert seen[-1] < 0.9 * seen[0]


def test_mistakes_are_named() -> None:
    params, optimizer = Params(*tiny_network.make(32)), optax.sgd(0.1)

    def step(loss: Any, **options: Any) -> Any:
        one = make_train_step(params.config, loss, optimizer, **options)
        return one(init_state(params, optimizer), {"rgb": colours(4)})

    with pytest.raises(ValueError, match=r"loss: gives an array of \(4, 32, 32, 2\), not one numb"):
        step(lambda prediction, batch: prediction - batch["ab"])
    with pytest.raises(ValueError, match="batch: 4 does not divide over 1 devices in 3 pieces"):
        step(absolute_error, accumulate=3)
    with pytest.raises(ValueError, match="tuned_from: 'block6x' is no part of efficientnet_lite0"):
        init_state(Params(Config(), {}), optimizer, tuned_from="block6x")


# -- docs/training.md ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_loop_of_the_documentation(
    photos: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exactly its text, on pairs whose colours no photo has."""
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), re.S)
    assert sum(bool(line) for line in text.splitlines()) == 12
    whole = np.concatenate([photo[:300, :384] for photo in photos.values()])
    colour = np.stack([whole[40 * i : 40 * i + 128, 12 * i : 12 * i + 128] for i in range(16)])
    colour, grey = colour[..., ::-1], colour[..., 1]
    monkeypatch.chdir(tmp_path)
    exec(text, {"colour": colour, "grey": grey})
    printed = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == 10
    assert np.mean(printed[-3:]) < 0.9 * np.mean(printed[:3])
    mine, shipped = jaxcolor.load("mine.safetensors"), jaxcolor.load()
    assert mine.config.size == 128
    assert mine.config.prediction.saturation == shipped.config.prediction.saturation


def test_tensorflow_waits_for_the_input_and_keras_for_whoever_wants_it() -> None:
    code = """
    import sys
    from jaxcolor.training import LOSSES, init_state, make_train_step, new_params
    from jaxcolor.training import losses, sharding, start, step
    heavy = {"tensorflow", "tensorflow_datasets", "orbax", "tensorboard"}
    assert not heavy & {name.split(".")[0] for name in sys.modules}
    from jaxcolor.training.input.batches import training_batches
    assert "tensorflow" in sys.modules
    assert not {"keras", "pandas", "matplotlib"} & set(sys.modules)
    from tensorflow.keras import layers
    import keras, tensorflow
    assert layers.Dense is keras.layers.Dense is tensorflow.keras.layers.Dense
    """
    lines = "\n".join(line.strip() for line in code.splitlines())
    subprocess.run([sys.executable, "-c", lines], check=True)
