"""The convolutions' forms for a CPU against the plain ones, forwards and backwards."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from jaxcolor.models import convolution, fast


def _random(*shapes: tuple[int, ...]) -> list[jax.Array]:
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]


@pytest.mark.parametrize("skip", [0, 3])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (1, 1), (3, 7)])
def test_doubling_is_folded_into_the_convolution(height: int, width: int, skip: int) -> None:
    big = (2, 2 * height, 2 * width)
    kernel, x, weight = _random((3, 3, 5 + skip, 6), (2, height, width, 5), (*big, 6))
    maps = (x, *_random((*big, skip))) if skip else (x,)

    @jax.jit
    def everything(kernel: jax.Array, *maps: jax.Array) -> list[tuple[jax.Array, ...]]:
        forms = convolution.doubled_by_parts, convolution.doubled_as_it_stands
        results = []
        for form in forms:
            result, pull = jax.vjp(form, kernel, *maps)
            results.append((result, *pull(weight)))
        return results

    for got, expected in zip(*everything(kernel, *maps), strict=True):
        assert got.shape == expected.shape
        assert jnp.abs(got - expected).max() < 1e-5 * jnp.abs(expected).max()


def test_a_cpu_gets_its_own_form_and_other_platforms_the_plain_one() -> None:
    layer = convolution.DoubledConvolution(6)
    variables = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, 5)))
    assert jax.tree.map(jnp.shape, variables["params"]) == {"kernel": (3, 3, 5, 6), "bias": (6,)}
    traced = jax.jit(layer.apply).trace(variables, jnp.zeros((1, 4, 4, 5)))
    for platform, count in (("cpu", 4), ("cuda", 1), ("tpu", 1)):
        lowered = traced.lower(lowering_platforms=(platform,)).as_text()
        assert lowered.count("stablehlo.convolution") == count, platform


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 2)])
def test_frozen_batch_norm_is_folded_into_the_convolution(size: int, stride: int) -> None:
    x, scale, bias, mean, var = _random((2, 5, 4, 3), *[(6,)] * 4)
    plain = nn.Conv(6, (size, size), stride, use_bias=False)
    kernel = plain.init(jax.random.key(1), x)["params"]["kernel"]
    norm = {"params": {"scale": scale, "bias": bias}, "batch_stats": {"mean": mean, "var": var**2}}
    expected = nn.BatchNorm(use_running_average=True, epsilon=1e-3).apply(
        norm, plain.apply({"params": {"kernel": kernel}}, x)
    )
    gain, shift = convolution.FrozenBatchNorm(1e-3).apply(norm, 6)
    folded = convolution.Convolution(6, size, stride)
    got = folded.apply({"params": {"kernel": kernel}}, x, gain) + shift
    assert jnp.allclose(got, expected, atol=1e-4, rtol=1e-4)


def test_weights_of_another_shape_are_named() -> None:
    layer = convolution.Convolution(6, 1)
    variables = {"params": {"kernel": jnp.zeros((1, 1, 4, 6))}}
    with pytest.raises(ValueError, match=r"kernel: the weights are \(1, 1, 4, 6\)"):
        layer.apply(variables, jnp.zeros((1, 2, 2, 3)))


@pytest.mark.parametrize(
    ("stride", "padding"), [(1, "SAME"), (1, "VALID"), (2, "SAME"), (2, "VALID")]
)
@pytest.mark.parametrize(
    ("shape", "filters"),
    [
        ((2, 8, 12, 64), 70),  # Winograd forwards and backwards
        ((2, 15, 6, 64), 70),  # forwards alone, with a row more than there is
        ((2, 11, 16, 64), 64),
        ((2, 8, 12, 64), 5),  # too thin
        ((2, 7, 6, 3), 64),
    ],
)
def test_fast_convolution_is_the_plain_one(
    shape: tuple[int, ...], filters: int, stride: int, padding: str
) -> None:
    x, kernel = _random(shape, (3, 3, shape[-1], filters))
    (weight,) = _random(fast.plain(x, kernel, stride, padding).shape)

    @jax.jit
    def everything(*arrays: jax.Array) -> list[tuple[jax.Array, ...]]:
        results = []
        for form in (fast.convolve, fast.plain):
            result, pull = jax.vjp(lambda *a, form=form: form(*a, stride, padding), *arrays)
            results.append((result, *pull(weight)))
        return results

    for got, expected in zip(*everything(x, kernel), strict=True):
        assert got.shape == expected.shape
        assert jnp.abs(got - expected).max() < 1e-5 * jnp.abs(expected).max()


def test_only_a_cpu_gets_winograd() -> None:
    arrays = [jax.ShapeDtypeStruct(s, "float32") for s in ((1, 8, 8, 64), (3, 3, 64, 64))]
    traced = jax.jit(fast.convolve).trace(*arrays)
    for platform, count in (("cpu", 6), ("cuda", 1), ("tpu", 1)):
        lowered = traced.lower(lowering_platforms=(platform,)).as_text()
        assert lowered.count("stablehlo.convolution") == count, platform
