"""One step of training: what moves, by how much, and against other implementations."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import skimage.color
import tiny_network
from flax import traverse_util
from ml_collections import ConfigDict
from PIL import Image
from scipy import ndimage

from jaxcolor import color, weights
from jaxcolor.models import Config, Params, forward
from jaxcolor.models.colorizer import split_trained
from jaxcolor.models.heads import BINS
from jaxcolor.training import init_state, losses, make_train_step, start, step

pytestmark = pytest.mark.unoptimized


def recipe(**changes: object) -> ConfigDict:
    config = ConfigDict(
        {
            "backbone_weights": "efficientnet_lite0",
            "export_backbone": True,
            "start_from": "",
            "tuned_from": "",
            "backbone_rate": 0.1,
            "seed": 0,
            "loss": "squared_error",
            "huber_delta": 0.1,
            "consistency": 0.0,
            "compute_dtype": "float32",
            "accumulate": 1,
            "learning_rate": 1e-3,
            "warmup_steps": 2,
            "steps": 10,
            "schedule": "cosine",
            "clip_norm": 1.0,
            "weight_decay": 1e-2,
            "ema": 0.5,
            "dropout": 0.0,
        }
    )
    config.update(changes)
    return config


def batch_of(count: int, size: int = 32) -> dict[str, jax.Array]:
    """Smooth random colours."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, size // 8, size // 8, 3), np.uint8)
    return {"rgb": jnp.asarray(coarse.repeat(8, axis=1).repeat(8, axis=2))}


def advance(config: ConfigDict, tuned_from: str = "") -> tuple[Any, Any, Any, Any]:
    """(What was trained before, what was not, the state after a step, its metrics)."""
    params = Params(*tiny_network.make(32))
    trainable, kept = split_trained(params.variables, (tuned_from,) if tuned_from else ())
    optimizer = start.make_optimizer(config)
    loss = start.make_loss(config, params.config, lambda: [])
    options = start.fields(config, make_train_step)
    one = make_train_step(params.config, loss, optimizer, **options)
    state, metrics = one(init_state(params, optimizer, tuned_from=tuned_from), batch_of(8))
    return trainable, kept, state, metrics


def test_lab_is_that_of_scikit_image() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    lightness, ab = step.to_network({"rgb": jnp.asarray(rgb)}, 8)
    lab = skimage.color.rgb2lab(rgb)
    np.testing.assert_allclose(lightness[..., 0], lab[..., 0] / 50 - 1, atol=1e-4)
    np.testing.assert_allclose(ab, lab[..., 1:] / 110, atol=1e-4)


def test_the_network_sees_the_aged_grey_and_learns_the_true_colours() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (2, 8, 8, 3), np.uint8)
    grey = rng.integers(0, 256, (2, 8, 8), np.uint8)
    lightness, ab = step.to_network({"rgb": jnp.asarray(rgb), "grey": jnp.asarray(grey)}, 8)
    seen = skimage.color.rgb2lab(np.repeat(grey[..., None], 3, axis=-1))[..., 0]
    np.testing.assert_allclose(lightness[..., 0], seen / 50 - 1, atol=1e-4)
    np.testing.assert_allclose(ab, skimage.color.rgb2lab(rgb)[..., 1:] / 110, atol=1e-4)


def test_a_step_moves_what_is_trained_and_the_backbone_slower() -> None:
    config = recipe(schedule="constant", warmup_steps=0, weight_decay=0.0)
    before, kept, state, metrics = advance(config, "head")
    assert set(before["backbone"]) == {"head"}
    assert set(kept["params"]["backbone"]) == {"stem", "bn"}
    assert int(state.step) == 1
    assert np.isfinite(metrics["loss"])
    # Adam's first step is the learning rate in every direction, but for gradients of zero.
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), before, state.trainable)
    assert moved["chroma"]["kernel"] == pytest.approx(1e-3, rel=1e-2)
    assert moved["backbone"]["head"]["kernel"] == pytest.approx(1e-4, rel=1e-2)
    for b, after, mean in zip(
        *map(jax.tree.leaves, (before, state.trainable, state.ema)), strict=True
    ):
        # The average lies between where it was and where the parameters are.
        assert ((mean - b) * (mean - after) <= 1e-9).all()


def test_accumulation_and_bfloat16_change_how_and_not_what() -> None:
    options = {"warmup_steps": 0, "schedule": "constant", "steps": 3}
    *_, plain, metrics = advance(recipe(**options))
    *_, pieces, metrics_of_pieces = advance(recipe(accumulate=4, **options))
    assert metrics_of_pieces["loss"] == pytest.approx(float(metrics["loss"]), rel=1e-5)
    norm = float(metrics["gradient_norm"])
    assert metrics_of_pieces["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    np.testing.assert_allclose(
        pieces.opt_state[1][0].mu["chroma"]["kernel"],
        plain.opt_state[1][0].mu["chroma"]["kernel"],
        atol=1e-6,
    )
    *_, rounded, metrics_rounded = advance(recipe(compute_dtype="bfloat16", **options))
    assert metrics_rounded["loss"] == pytest.approx(float(metrics["loss"]), rel=2e-2)
    assert metrics_rounded["loss"] != metrics["loss"]  # it was computed otherwise
    assert {leaf.dtype.name for leaf in jax.tree.leaves(rounded.trainable)} == {"float32"}


def test_validation_counts_every_picture_once() -> None:
    network, variables = tiny_network.make(64)
    trainable, kept = split_trained(variables)
    batch = {**batch_of(4, 64), "mask": jnp.array([1.0, 1.0, 0.0, 1.0])}
    run = jax.jit(step.validation_step, static_argnames=("network", "loss"))
    sums, ab = run(trainable, kept, batch, network=network, loss=losses.squared_error)
    figures = step.summarize(jax.device_get(sums))
    lightness, truth = step.to_network(batch, 64)
    predicted = np.asarray(jax.jit(forward, static_argnums=0)(network, variables, lightness))
    kept_rows = np.array([0, 1, 3])
    np.testing.assert_allclose(ab, predicted, atol=1e-5)
    error = np.square(predicted - truth)[kept_rows].mean()
    assert figures["loss"] == figures["squared_error"] == pytest.approx(error, rel=1e-5)
    assert figures["grey_squared_error"] == pytest.approx(
        np.square(truth)[kept_rows].mean(), rel=1e-5
    )
    chroma = 110 * np.hypot(*np.moveaxis(predicted[kept_rows], -1, 0)).mean()
    assert figures["chroma"] == pytest.approx(chroma, rel=1e-5)


def test_painted_pictures_are_grey_prediction_and_truth() -> None:
    batch = batch_of(2)
    _, ab = step.to_network(batch, 32)
    rows = jax.jit(step.paint)(ab[::-1], batch["rgb"])
    assert rows.shape == (2, 32, 96, 3)
    grey, predicted, truth = np.split(np.asarray(rows), 3, axis=2)
    np.testing.assert_allclose(truth, np.asarray(batch["rgb"]) / 255, atol=2e-3)
    np.testing.assert_allclose(np.ptp(grey, axis=-1), 0, atol=2e-3)
    for painted in (grey, predicted):
        np.testing.assert_allclose(
            color.rgb_to_lightness(painted), color.rgb_to_lightness(truth), atol=0.2
        )
    same = jax.jit(step.paint)(ab, batch["rgb"])
    np.testing.assert_allclose(same[:, :, 32:64], truth, atol=2e-3)


def test_schedules() -> None:
    config = recipe()
    rates = [float(start.make_schedule(config)(n)) for n in range(11)]
    assert rates[0] == 0
    assert rates[2] == pytest.approx(1e-3)
    assert rates[10] == pytest.approx(0, abs=1e-9)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    config.schedule = "constant"
    assert float(start.make_schedule(config)(1)) == pytest.approx(5e-4)
    assert float(start.make_schedule(config)(9)) == pytest.approx(1e-3)
    config.warmup_steps = 0
    assert float(start.make_schedule(config)(0)) == pytest.approx(1e-3)


# -- What a run starts from ------------------------------------------------------------------------


def test_a_run_starts_from_the_backbone_or_from_a_colorizer() -> None:
    config = recipe(tuned_from="block7a")
    params = start.first_params(config, Config(network="pyramid").predicting(size=32))
    state = init_state(params, optax.sgd(1.0), tuned_from=config.tuned_from)
    assert set(state.trainable["backbone"]) == {"block7a", "head"}
    assert "block6a" in state.frozen["params"]["backbone"]
    shipped = weights.load_backbone("efficientnet_lite0")
    jax.tree.map(
        np.testing.assert_array_equal,
        state.frozen["batch_stats"]["backbone"],
        shipped["batch_stats"],
    )
    np.testing.assert_array_equal(
        state.frozen["params"]["backbone"]["stem"]["conv"]["kernel"],
        shipped["params"]["stem"]["conv"]["kernel"],
    )
    lite = weights.load("lite")
    params = start.first_params(recipe(start_from="lite"), lite.config)
    jax.tree.map(np.testing.assert_array_equal, params.variables, lite.variables)
    params = init_state(params, optax.sgd(1.0)).params(lite.config)
    jax.tree.map(np.testing.assert_array_equal, params.variables, lite.variables)


def test_a_backbone_may_be_random() -> None:
    """All of it is another with another seed, and nothing of it is from a file."""
    network = Config(network="pyramid").predicting(size=32)
    recipes = recipe(backbone_weights="", seed=0), recipe(backbone_weights="", seed=1), recipe()
    made = (start.first_params(one, network).variables["params"]["backbone"] for one in recipes)
    kernels, *others = (traverse_util.flatten_dict(jax.device_get(backbone)) for backbone in made)
    for path, kernel in kernels.items():
        values = [kernel, *(other[path] for other in others)]
        assert {value.shape for value in values} == {kernel.shape}
        if path[-1] == "kernel":
            assert np.ptp(kernel) > 0
            assert all((kernel != value).mean() > 0.9 for value in values[1:])
    with pytest.raises(ValueError, match="export_backbone: must be True when the backbone is rand"):
        start.check(recipe(backbone_weights="", export_backbone=False), network)


# -- Losses ----------------------------------------------------------------------------------------


def test_losses_refuse_to_broadcast() -> None:
    ab = jnp.ones((3, 4, 4, 2))
    batch = {"ab": ab * jnp.array([2.0, 3.0, 4.0])[:, None, None, None]}
    each = losses.of_each_picture(losses.squared_error, ab, batch)
    np.testing.assert_allclose(each, [1, 4, 9])
    assert losses.squared_error(ab, batch) == pytest.approx(14 / 3)
    with pytest.raises(ValueError, match="truth is"):
        losses.squared_error(ab, {"ab": ab[:1]})
    with pytest.raises(ValueError, match="truth is"):
        losses.huber(ab, {"ab": ab[:1]}, huber_delta=0.1)


def test_every_loss_knows_its_head() -> None:
    assert {name: loss.head for name, loss in losses.LOSSES.items()} == {
        "squared_error": "regression",
        "huber": "regression",
        "cross_entropy": "classification",
    }


def test_huber_is_that_of_scipy() -> None:
    rng = np.random.default_rng(1)
    predicted, truth = rng.normal(0, 0.3, (2, 3, 4, 4, 2)).astype(np.float32)
    for delta in (0.01, 0.1, 1.0):
        huber = functools.partial(losses.huber, huber_delta=delta)
        batch = {"ab": jnp.asarray(truth)}
        got = losses.of_each_picture(huber, jnp.asarray(predicted), batch)
        expected = scipy.special.huber(delta, predicted - truth).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_colours_that_move_with_the_crop_cost() -> None:
    """Parts of one straight slope agree; against SciPy's interpolation where they do not."""
    row, column = np.mgrid[:16, :16].astype(np.float32)
    slope = np.stack([row - column, 2 * row + column], axis=-1)

    def part(top: float, left: float, height: float, width: float) -> np.ndarray:
        rows = 16 * (top + height * (np.arange(16) + 0.5) / 16) - 0.5
        columns = 16 * (left + width * (np.arange(16) + 0.5) / 16) - 0.5
        places = np.meshgrid(rows, columns, indexing="ij")
        cut = [ndimage.map_coordinates(slope[..., k], places, order=1) for k in range(2)]
        return np.stack(cut, axis=-1).astype(np.float32)

    whole, one, other = (0.0, 0.0, 1.0, 1.0), (0.05, 0.1, 0.9, 0.85), (0.1, 0.04, 0.85, 0.95)
    place = jnp.array([whole, one, whole, other])
    right = jnp.asarray([slope, part(*one), slope, part(*other)])
    assert losses.inconsistency(right, place) == pytest.approx(0, abs=1e-9)
    wrong = jnp.asarray([slope, part(*other), slope, part(*one)])
    expected = np.square(part(*one) - part(*other)).mean()
    assert losses.inconsistency(wrong, place) == pytest.approx(expected, rel=1e-4)

    both = losses.with_consistency(losses.squared_error, 3.0)
    batch = {"ab": right, "place": place}
    assert both(wrong, batch) == pytest.approx(
        float(losses.squared_error(wrong, batch)) + 3 * expected, rel=1e-4
    )
    validation = {"ab": right}
    assert both(wrong, validation) == losses.squared_error(wrong, validation)


def test_colours_that_are_chosen_from_cannot_be_consistent() -> None:
    network = Config(head="classification")
    with pytest.raises(ValueError, match="consistency: must be 0 with"):
        start.check(recipe(loss="cross_entropy", consistency=1.0), network)


def pairs(photos: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """A batch of four parts of photos, each with most of it behind it."""
    rng = np.random.default_rng(seed)
    rgb, place = [], []
    for photo in [*photos.values()][:2] * 2:
        top, left = rng.integers(0, 100, 2)
        part = Image.fromarray(photo[top : top + 160, left : left + 160])
        y, x = (int(n) for n in rng.integers(0, 16, 2))
        rgb += [part.resize((32, 32)), part.crop((x, y, x + 144, y + 144)).resize((32, 32))]
        place += [(0, 0, 1, 1), (y / 160, x / 160, 0.9, 0.9)]
    return {"rgb": np.stack([np.asarray(x) for x in rgb]), "place": np.array(place, np.float32)}


def test_training_for_consistency_makes_it(photos: dict[str, np.ndarray]) -> None:
    """Against the same steps without it, on the same batches."""
    params = Params(*tiny_network.make(32))
    some = [pairs(photos, seed) for seed in range(30)]
    moved = []
    for weight in (0.0, 20.0):
        loss = start.make_loss(recipe(consistency=weight), params.config, lambda: [])
        optimizer = optax.adam(3e-3)
        one = make_train_step(params.config, loss, optimizer)
        state = init_state(params, optimizer)
        for batch in some:
            state, _ = one(state, batch)
        _, predicted = step.validation_step(
            state.trainable,
            state.frozen,
            {"rgb": jnp.asarray(some[0]["rgb"]), "mask": jnp.ones(8)},
            network=params.config,
            loss=losses.squared_error,
        )
        moved.append(float(jax.jit(losses.inconsistency)(predicted, some[0]["place"])))
    assert moved[1] < 0.7 * moved[0], moved


def plain_soft_encode(ab: np.ndarray) -> np.ndarray:
    """Zhang et al.'s sharing, colour by colour."""
    shares = np.zeros(len(BINS))
    distance = np.hypot(*(BINS - ab).T)
    for nearest in np.argsort(distance, kind="stable")[:5]:
        shares[nearest] = np.exp(-(distance[nearest] ** 2) / (2 * 5**2))
    return shares / shares.sum()


def test_cross_entropy_is_the_papers() -> None:
    rng = np.random.default_rng(2)
    ab = rng.uniform(-60, 60, (2, 3, 3, 2))
    logits = rng.normal(0, 2, (2, 3, 3, 313))
    bin_weights = rng.uniform(0.5, 2, 313)
    expected = np.zeros((2, 3, 3))
    for place in np.ndindex(2, 3, 3):
        shares = plain_soft_encode(ab[place])
        surprise = np.log(np.exp(logits[place]).sum()) - logits[place]
        expected[place] = bin_weights[shares.argmax()] * (shares * surprise).sum()
    loss = functools.partial(
        losses.cross_entropy, bin_weights=jnp.asarray(bin_weights, jnp.float32)
    )
    batch = {"ab": color.ab_to_network(jnp.asarray(ab, jnp.float32))}
    got = losses.of_each_picture(loss, jnp.asarray(logits, jnp.float32), batch)
    np.testing.assert_allclose(got, expected.mean(axis=(1, 2)), rtol=1e-4)


def test_rare_colours_weigh_more_and_a_pixel_one_on_average() -> None:
    counts = np.random.default_rng(3).exponential(1, 313) ** 4
    got = losses.rebalancing(counts)
    kernel = np.exp(-((BINS[:, None] - BINS) ** 2).sum(axis=-1) / 50)
    prior = (kernel / kernel.sum(axis=0)) @ (counts / counts.sum())
    assert (prior * got).sum() == pytest.approx(1, rel=1e-5)
    assert (np.diff(got[np.argsort(prior)]) <= 1e-6).all()
    # lambda = 0.5 bounds the ratio of any two weights by that of the priors mixed with 1 / Q
    mixed = 0.5 * prior + 0.5 / 313
    np.testing.assert_allclose(got / got.max(), mixed.min() / mixed, rtol=1e-5)


def test_bin_weights_come_from_the_photos() -> None:
    red = np.full((2, 64, 64, 3), (200, 40, 40), np.uint8)
    got = start.bin_weights([{"rgb": red}] * 3, Config(network="pyramid").predicting(size=64))
    lab = skimage.color.rgb2lab(red[0, 0, 0] / 255)
    nearest = np.hypot(*(BINS - lab[1:]).T).argmin()
    assert got.argmin() == nearest
    assert got[nearest] < 1 < np.median(got)
