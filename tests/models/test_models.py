"""The networks: sizes, and agreement with the same network built in Keras."""

from __future__ import annotations

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from jaxcolor import color, weights
from jaxcolor.models import (
    Config,
    Decoder,
    EfficientNetLite0,
    Encoder,
    Fusion,
    Params,
    forward,
    make_network,
)
from jaxcolor.models.backbones import resize
from jaxcolor.models.colorizer import join_trained, read_chroma, split_trained, to_input
from jaxcolor.models.cpu.plain import double
from jaxcolor.models.decoder import HIDDEN as DECODER_HIDDEN
from jaxcolor.models.encoder import LAYERS as ENCODER_LAYERS
from jaxcolor.models.heads import BINS, HEADS, annealed_mean

pytestmark = pytest.mark.unoptimized


def count(variables: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def shapes(module: Any, *inputs: tuple[int, ...]) -> Any:
    arrays = [jnp.zeros(shape) for shape in inputs]
    return jax.eval_shape(module.init, jax.random.key(0), *arrays)


def test_parameter_counts() -> None:
    assert count(shapes(Encoder(), (1, 224, 224, 1))) == 5_827_200
    assert count(shapes(Fusion(), (1, 28, 28, 256), (1, 1000))) == 321_792
    assert count(shapes(Decoder(), (1, 28, 28, 256))) == 424_802


def test_layer_names_are_those_of_the_tables() -> None:
    variables = shapes(make_network(Config()), (1, 64, 64, 1))["params"]
    assert set(variables) == {"backbone", "encoder", "fusion", "decoder"}
    assert list(variables["encoder"]) == [f"E{i}" for i in range(1, 9)]
    assert list(variables["fusion"]) == ["F1"]
    assert list(variables["decoder"]) == [f"D{i}" for i in range(1, 6)]


def random_variables(height: int, width: int) -> dict[str, Any]:
    """Random weights and biases for the three trained parts (D5 starts from zeros: not here)."""
    model = make_network(Config())
    init = jax.eval_shape(
        lambda key: model.init(
            key, jnp.zeros((1, height, width, 1)), jnp.zeros((1, 1000)), method=model.chroma
        ),
        jax.random.key(0),
    )
    rng = np.random.default_rng(0)

    def draw(leaf: Any) -> np.ndarray:
        fan_in = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 100
        return rng.normal(0, np.sqrt(2 / fan_in), leaf.shape).astype(np.float32)

    return jax.tree.map(draw, init)


def keras_network(params: Any, height: int, width: int) -> Any:
    """The same network in Keras, with the fusion as the paper has it: tile, concatenate, 1x1."""
    import keras

    def conv(name: str, filters: int, stride: int = 1, activation: str = "relu", size: int = 3):
        return keras.layers.Conv2D(
            filters, size, stride, padding="same", activation=activation, name=name
        )

    lightness = keras.Input((height, width, 1))
    vector = keras.Input((1000,))
    x = lightness
    for name, filters, stride in ENCODER_LAYERS:
        x = conv(name, filters, stride)(x)
    tiled = keras.layers.RepeatVector(height // 8 * (width // 8))(vector)
    tiled = keras.layers.Reshape((height // 8, width // 8, 1000))(tiled)
    x = keras.layers.Concatenate()([x, tiled])
    x = conv("F1", 256, size=1)(x)
    for name, filters in (*DECODER_HIDDEN, ("D5", 2)):
        x = conv(name, filters, activation="tanh" if name == "D5" else "relu")(x)
        if name in ("D1", "D3", "D5"):
            x = keras.layers.UpSampling2D(2)(x)
    model = keras.Model([lightness, vector], x)
    for part in params.values():
        for name, layer in part.items():
            model.get_layer(name).set_weights([layer["kernel"], layer["bias"]])
    return model


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(224, 224), (256, 192)])
def test_agrees_with_keras(height: int, width: int) -> None:
    variables = random_variables(height, width)
    rng = np.random.default_rng(1)
    lightness = rng.uniform(-1, 1, (2, height, width, 1)).astype(np.float32)
    logits = rng.normal(0, 2, (2, 1000)).astype(np.float32)
    model = make_network(Config())
    apply = jax.jit(lambda *a: model.apply(*a, method=model.chroma))
    ours = read_chroma(Config(), apply(variables, lightness, logits))
    theirs = keras_network(variables["params"], height, width)([lightness, logits]).numpy()
    assert theirs.std() > 0.05  # not a picture of zeros, nor one of saturated tanh
    assert np.abs(theirs).mean() < 0.9
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_dense_fusion_equals_tiled_fusion() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(2, 5, 7, 256)).astype(np.float32)
    vector = rng.normal(size=(2, 1000)).astype(np.float32)
    given = jnp.asarray(features), jnp.asarray(vector)
    variables = Fusion().init(jax.random.key(1), *given)
    layer = variables["params"]["F1"]
    tiled = np.broadcast_to(vector[:, None, None], (2, 5, 7, 1000))
    volume = np.concatenate([features, tiled], axis=-1).astype(np.float64)
    plain = np.maximum(volume @ np.float64(layer["kernel"][0, 0]) + np.asarray(layer["bias"]), 0)
    np.testing.assert_allclose(Fusion().apply(variables, *given), plain, atol=1e-4)


@functools.partial(jax.jit, static_argnums=(1, 2))
def last_layer(key: Any, config: Config, names: tuple[str, ...]) -> Any:
    """Its first parameters; under jit, whatever they do not need is left out."""
    lightness = jnp.zeros((1, config.size, config.size, 1))
    params = make_network(config).init(key, lightness)["params"]
    return functools.reduce(operator.getitem, names, params)


def test_an_untrained_network_gives_grey() -> None:
    for network, last in (("fusion", ("decoder", "D5")), ("pyramid", ("chroma",))):
        config = Config(network=network).predicting(size=32)

        layer = last_layer(jax.random.key(0), config, last)
        output = jnp.ones((1, 16, 16, layer["kernel"].shape[-2])) @ layer["kernel"][1, 1]
        ab = read_chroma(config, output + layer["bias"][None, None, None])
        np.testing.assert_array_equal(ab, np.zeros((1, 32, 32, 2)))


def test_the_backbone_sees_the_grey_picture() -> None:
    """The logits are the backbone's own for the grey RGB picture at its size."""
    params = weights.load("lite")
    rng = np.random.default_rng(3)
    grey = np.kron(rng.random((1, 28, 28)), np.ones((1, 8, 8))).astype(np.float32)
    scaled = color.lightness_to_network(color.grey_to_lightness(grey))[..., None]
    model = make_network(params.config)
    got = jax.jit(lambda *a: model.apply(*a, method=model.logits))(params.variables, scaled)
    rgb = EfficientNetLite0.preprocess(jnp.repeat(grey[..., None], 3, axis=-1))
    backbone = {name: v["backbone"] for name, v in params.variables.items() if "backbone" in v}
    expected = jax.jit(EfficientNetLite0().apply)(backbone, rgb)
    np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"backbone": "vgg"}, "backbone"),
        ({"size": 100}, "size"),
        ({"size": 0}, "size"),
        ({"size": 8, "network": "pyramid"}, "size"),
        ({"network": "transformer"}, "network"),
        ({"head": "gan"}, "head"),
        ({"network": "pyramid", "backbone": "inception_resnet_v2"}, "backbone"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_config_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Config.from_json(values)


def test_sizes_that_are_no_multiple_of_eight_are_refused() -> None:
    model = make_network(Config())
    lightness, logits = jnp.zeros((1, 60, 64, 1)), jnp.zeros((1, 1000))
    with pytest.raises(ValueError, match="multiples of 8"):
        model.init(jax.random.key(0), lightness, logits, method=model.chroma)


def test_encoder_and_backbone_see_the_photo_each_at_its_own_size() -> None:
    config = Config().predicting(size=64)
    assert config.input_size == 224
    assert Config().predicting(size=256).input_size == 256
    model = make_network(config)
    for side in (64, 224, 100):
        lightness = jnp.zeros((2, side, side, 1))
        variables = jax.eval_shape(model.init, jax.random.key(0), lightness)
        out = jax.eval_shape(lambda v, x: forward(config, v, x), variables, lightness)
        assert out.shape == (2, 64, 64, 2)


# -- The pyramid -----------------------------------------------------------------------------------


def pyramid_variables(size: int) -> Any:
    """A pyramid on the shipped backbone, with random values elsewhere."""
    config = Config(network="pyramid").predicting(size=size)
    model = make_network(config)
    declared = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, size, size, 1)))
    rng = np.random.default_rng(4)

    def draw(leaf: Any) -> np.ndarray:
        fan_in = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 100
        return rng.normal(0, np.sqrt(2 / fan_in), leaf.shape).astype(np.float32)

    new = jax.tree.map(draw, split_trained(declared)[0])
    backbone = weights.with_backbone(weights.load_backbone("efficientnet_lite0"))
    del backbone["params"]["backbone"]["classifier"]
    return config, join_trained(new, backbone)


def plain_pyramid(params: Any, maps: dict[str, np.ndarray]) -> np.ndarray:
    """The decoder as one would write it down, in NumPy: tile, concatenate, convolve."""

    def conv(name: str, x: np.ndarray) -> np.ndarray:
        kernel = np.float64(params[name]["kernel"])  # (k, k, in, out)
        margin = len(kernel) // 2
        padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], (1, 2))
        return np.einsum("bhwcij,ijco->bhwo", windows, kernel, optimize=True) + params[name]["bias"]

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    scales = {"stride32": 3.0, "stride16": 6.4, "stride8": 7.3, "stride4": 8.1, "stride2": 5.4}
    skip = {name: np.float64(maps[name]) / scale for name, scale in scales.items()}
    coarse = skip["stride32"]
    tiled = np.broadcast_to(maps["pooled"][:, None, None], (*coarse.shape[:3], 1280))
    params = {**params, **params["fusion"]}
    x = relu(conv("F1", np.concatenate([coarse, tiled], axis=-1)))
    x = relu(conv("P32", x))
    for name, endpoint in (
        ("P16", "stride16"),
        ("P8", "stride8"),
        ("P4", "stride4"),
        ("P2", "stride2"),
    ):
        x = x.repeat(2, axis=1).repeat(2, axis=2)
        x = relu(conv(name, np.concatenate([x, skip[endpoint]], axis=-1)))
    return conv("chroma", x)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96)])
def test_pyramid_is_the_decoder_one_would_write_down(height: int, width: int) -> None:
    config, variables = pyramid_variables(64)

    @jax.jit
    def network_and_maps(variables: Any, lightness: Any) -> Any:
        backbone = {name: part["backbone"] for name, part in variables.items()}
        grey = color.lightness_to_grey(color.network_to_lightness(lightness))
        rgb = EfficientNetLite0.preprocess(jnp.repeat(grey, 3, axis=-1))
        maps = EfficientNetLite0(include_top=False).apply(backbone, rgb)
        return make_network(config).apply(variables, lightness), maps

    lightness = np.random.default_rng(5).uniform(-1, 1, (2, height, width, 1)).astype(np.float32)
    ours, maps = network_and_maps(variables, lightness)
    assert ours.shape == (2, height // 2, width // 2, 2)
    assert np.std(ours) > 0.05
    theirs = plain_pyramid(variables["params"], maps)
    np.testing.assert_allclose(ours, theirs, atol=2e-4 * np.abs(theirs).max())


def test_last_doubling_is_nearest_for_fusion_and_linear_for_the_pyramid() -> None:
    output = jnp.asarray(np.random.default_rng(6).normal(size=(1, 32, 32, 2)), jnp.float32)
    fusion = read_chroma(Config().predicting(size=64), output)
    np.testing.assert_allclose(fusion, double(jnp.tanh(output)), atol=1e-6)
    pyramid = read_chroma(Config(network="pyramid").predicting(size=64), output)
    np.testing.assert_allclose(pyramid, resize(jnp.tanh(output), 64), atol=1e-6)


def test_the_pyramids_last_doubling_follows_the_shape_of_what_is_doubled() -> None:
    output = jnp.asarray(np.random.default_rng(6).normal(size=(1, 16, 48, 2)), jnp.float32)
    doubled = read_chroma(Config(network="pyramid"), output)
    options = {"order": 1, "mode": "nearest", "grid_mode": True}
    expected = scipy.ndimage.zoom(np.tanh(output), (1, 2, 2, 1), **options)
    np.testing.assert_allclose(doubled, expected, atol=1e-6)


def test_a_pyramid_follows_its_inputs_shape_and_fusion_does_not() -> None:
    shapes = {"pyramid": (2, 64, 96, 2), "fusion": (2, 128, 128, 2)}
    for network, expected in shapes.items():
        config = Config(network=network).predicting(size=128)
        lightness = jnp.zeros((2, 64, 96, 1))
        variables = jax.eval_shape(make_network(config).init, jax.random.key(0), lightness)
        out = jax.eval_shape(functools.partial(forward, config), variables, lightness)
        assert out.shape == expected
    model = make_network(Config(network="pyramid"))
    for height, width in ((48, 64), (64, 100)):
        with pytest.raises(ValueError, match=f"{height}x{width}: both must be multiples of 32"):
            jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, height, width, 1)))


@pytest.mark.parametrize("tuned", [(), ("block7a", "head")])
def test_splitting_and_joining_loses_nothing(tuned: tuple[str, ...]) -> None:
    _, variables = pyramid_variables(32)
    trained, kept = split_trained(variables, tuned)
    assert set(trained.get("backbone", {})) == set(tuned)
    assert not set(kept["params"]["backbone"]) & set(tuned)
    assert kept["batch_stats"]["backbone"]["block7a"]
    jax.tree.map(np.testing.assert_array_equal, join_trained(trained, kept), variables)


def test_every_network_and_head_has_the_one_interface() -> None:
    for network in ("fusion", "pyramid"):
        for head in HEADS:
            config = Config(network=network, head=head).predicting(size=32)
            lightness = to_input(config, jnp.zeros((2, 48, 48, 1)))
            variables = jax.eval_shape(make_network(config).init, jax.random.key(0), lightness)
            params = Params(config, variables)
            out = jax.eval_shape(lambda p, x: forward(p.config, p.variables, x), params, lightness)
            assert out.shape == (2, 32, 32, 2), config


def test_there_are_313_colours() -> None:
    assert BINS.shape == (313, 2)
    assert len(np.unique(BINS, axis=0)) == 313
    assert not (BINS % 10).any()
    assert BINS.min(axis=0).tolist() == [-90, -110]
    assert BINS.max(axis=0).tolist() == [100, 100]
    # Every colour of sRGB has one of them within a grid's cell.
    cube = np.stack(np.meshgrid(*[np.linspace(0, 1, 18)] * 3), axis=-1).reshape(-1, 3)
    ab = np.asarray(color.rgb_to_lab(cube))[:, 1:]
    nearest = np.sqrt(((ab[:, None] - BINS) ** 2).sum(axis=-1).min(axis=1))
    assert nearest.max() < 10


def test_annealed_mean() -> None:
    logits = np.random.default_rng(7).normal(0, 2, (5, 313))
    for temperature in (0.38, 1.0):
        odds = np.exp(logits) ** (1 / temperature)
        expected = (odds / odds.sum(axis=1, keepdims=True)) @ BINS.astype(np.float64)
        got = annealed_mean(jnp.asarray(logits, jnp.float32), temperature)
        np.testing.assert_allclose(color.network_to_ab(got), expected, atol=1e-3)
    likeliest = BINS[logits.argmax(axis=1)]
    got = annealed_mean(jnp.asarray(logits, jnp.float32), 1e-3)
    np.testing.assert_allclose(color.network_to_ab(got), likeliest, atol=1e-2)
