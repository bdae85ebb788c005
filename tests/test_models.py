"""The seed's network: sizes, and agreement with the same network built in Keras."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.models import Colorizer, Config, Decoder, Encoder, Fusion
from jaxcolor.models.decoder import LAYERS as DECODER_LAYERS
from jaxcolor.models.encoder import LAYERS as ENCODER_LAYERS


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
    variables = shapes(Colorizer(Config()), (1, 64, 64, 1))["params"]
    assert set(variables) == {"backbone", "encoder", "fusion", "decoder"}
    assert list(variables["encoder"]) == [f"E{i}" for i in range(1, 9)]
    assert list(variables["fusion"]) == ["F1"]
    assert list(variables["decoder"]) == [f"D{i}" for i in range(1, 6)]


def random_variables(height: int, width: int) -> dict[str, Any]:
    """Random weights and biases for the three trained parts (D5 starts from zeros: not here)."""
    model = Colorizer(Config())
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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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
    for name, filters in DECODER_LAYERS:
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
    model = Colorizer(Config())
    ours = jax.jit(lambda *a: model.apply(*a, method=model.chroma))(variables, lightness, logits)
    theirs = keras_network(variables["params"], height, width)([lightness, logits]).numpy()
    assert theirs.std() > 0.05  # not a picture of zeros, nor one of saturated tanh
    assert np.abs(theirs).mean() < 0.9
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_dense_fusion_equals_tiled_fusion() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(2, 5, 7, 256)).astype(np.float32)
    vector = rng.normal(size=(2, 1000)).astype(np.float32)
    variables = Fusion().init(jax.random.key(1), features, vector)
    layer = variables["params"]["F1"]
    tiled = np.broadcast_to(vector[:, None, None], (2, 5, 7, 1000))
    volume = np.concatenate([features, tiled], axis=-1).astype(np.float64)
    plain = np.maximum(volume @ np.float64(layer["kernel"][0, 0]) + layer["bias"], 0)
    np.testing.assert_allclose(Fusion().apply(variables, features, vector), plain, atol=1e-4)


def test_an_untrained_network_gives_grey() -> None:
    features = jnp.ones((1, 4, 4, 256))
    decoder = Decoder()
    ab = decoder.apply(decoder.init(jax.random.key(0), features), features)
    np.testing.assert_array_equal(ab, np.zeros((1, 32, 32, 2)))


def test_the_backbone_sees_the_grey_picture(params) -> None:
    """The logits are the backbone's own for the grey RGB picture at its size."""
    rng = np.random.default_rng(3)
    grey = np.kron(rng.random((1, 28, 28)), np.ones((1, 8, 8))).astype(np.float32)
    from jaxcolor import color

    scaled = color.lightness_to_network(color.grey_to_lightness(grey))[..., None]
    model = Colorizer(params.config)
    got = model.apply(params.variables, scaled, method=model.logits)
    backbone = model.bind(params.variables).backbone
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    np.testing.assert_allclose(got, backbone(backbone.preprocess(rgb)), atol=2e-3)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"backbone": "vgg"}, "backbone"),
        ({"size": 100}, "size"),
        ({"size": 0}, "size"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_config_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Config.from_json(values)


def test_sizes_that_are_no_multiple_of_eight_are_refused() -> None:
    model = Colorizer(Config())
    lightness, logits = jnp.zeros((1, 60, 64, 1)), jnp.zeros((1, 1000))
    with pytest.raises(ValueError, match="multiples of 8"):
        model.init(jax.random.key(0), lightness, logits, method=model.chroma)


def test_encoder_and_backbone_see_the_photo_each_at_its_own_size() -> None:
    config = Config(size=64)
    assert config.input_size == 224
    assert Config(size=256).input_size == 256
    model = Colorizer(config)
    for side in (64, 224, 100):
        out = jax.eval_shape(
            model.init_with_output, jax.random.key(0), jnp.zeros((2, side, side, 1))
        )[0]
        assert out.shape == (2, 64, 64, 2)
