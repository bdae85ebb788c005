"""The convolutions' forms for a CPU against the plain ones, forwards and backwards."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcolor.models import convolution, cpu
from jaxcolor.models.cpu import doubled, plain

pytestmark = pytest.mark.unoptimized


def _random(*shapes: tuple[int, ...]) -> list[jax.Array]:
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape, np.float32)) for shape in shapes]


def _assert_near(got: jax.Array, expected: jax.Array) -> None:
    """As near as rounding lets them be."""
    assert got.shape == expected.shape
    # NumPy's: of JAX each shape would be another five programs.
    difference = np.abs(np.asarray(got) - np.asarray(expected)).max()
    assert difference < 1e-5 * np.abs(np.asarray(expected)).max()


@pytest.mark.parametrize("skip", [0, 3])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (1, 1), (3, 7)])
def test_doubling_is_folded_into_the_convolution(height: int, width: int, skip: int) -> None:
    big = (2, 2 * height, 2 * width)
    kernel, x, weight = _random((3, 3, 5 + skip, 6), (2, height, width, 5), (*big, 6))
    maps = (x, *_random((*big, skip))) if skip else (x,)

    @jax.jit
    def everything(kernel: jax.Array, *maps: jax.Array) -> list[tuple[jax.Array, ...]]:
        forms = doubled.convolve_doubled, plain.convolve_doubled
        results = []
        for form in forms:
            result, pull = jax.vjp(form, kernel, *maps)
            results.append((result, *pull(weight)))
        return results

    for got, expected in zip(*everything(kernel, *maps), strict=True):
        _assert_near(got, expected)


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
    apart = nn.Conv(6, (size, size), stride, use_bias=False)
    kernel = apart.init(jax.random.key(1), x)["params"]["kernel"]
    norm = {"params": {"scale": scale, "bias": bias}, "batch_stats": {"mean": mean, "var": var**2}}
    expected = nn.BatchNorm(use_running_average=True, epsilon=1e-3).apply(
        norm, apart.apply({"params": {"kernel": kernel}}, x)
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
    (weight,) = _random(plain.convolve(x, kernel, stride, padding).shape)

    @jax.jit
    def everything(*arrays: jax.Array) -> list[tuple[jax.Array, ...]]:
        results = []
        for form in (cpu.convolve, plain.convolve):
            result, pull = jax.vjp(lambda *a, form=form: form(*a, stride, padding), *arrays)
            results.append((result, *pull(weight)))
        return results

    for got, expected in zip(*everything(x, kernel), strict=True):
        _assert_near(got, expected)


def test_only_a_cpu_gets_winograd() -> None:
    arrays = [jax.ShapeDtypeStruct(s, "float32") for s in ((1, 8, 8, 64), (3, 3, 64, 64))]
    traced = jax.jit(cpu.convolve).trace(*arrays)
    for platform, count in (("cpu", 6), ("cuda", 1), ("tpu", 1)):
        lowered = traced.lower(lowering_platforms=(platform,)).as_text()
        assert lowered.count("stablehlo.convolution") == count, platform


# -- Depthwise -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel", "size"), [(3, (8, 7)), (5, (9, 8))])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_both_forms_of_depthwise_agree(
    stride: int, kernel: int, size: tuple[int, int], padding: str
) -> None:
    """`convolve_channels` takes the sum of shifted copies here; see the next test."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *size, 6), np.float32)
    w = rng.standard_normal((kernel, kernel, 1, 6), np.float32)
    pads = plain.pads(x.shape, w.shape, stride, padding)

    def with_gradients(form: Any) -> Any:
        def loss(x: Any, w: Any) -> Any:
            out = form(x, w)
            return jnp.sum(jnp.sin(out)), out

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(x, w)

    expected = with_gradients(lambda x, w: plain.convolve_channels(x, w, stride, pads))
    got = with_gradients(lambda x, w: cpu.convolve_channels(x, w, stride, padding))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5), got, expected)


def test_each_platform_gets_its_own_depthwise_form() -> None:
    x, w = jnp.ones((1, 8, 8, 4)), jnp.ones((3, 3, 1, 4))
    for platform, grouped in (("cpu", False), ("cuda", True), ("tpu", True)):
        exported = jax.export.export(jax.jit(cpu.convolve_channels), platforms=[platform])(x, w)
        assert ("stablehlo.convolution" in exported.mlir_module()) == grouped


def test_depthwise_under_vmap_and_with_wrong_shapes() -> None:
    x, w = jnp.ones((3, 1, 8, 8, 4)), jnp.ones((3, 3, 1, 4))
    mapped = jax.jit(jax.vmap(cpu.convolve_channels, (0, None)))(x, w)
    np.testing.assert_array_equal(mapped[0], cpu.convolve_channels(x[0], w))
    with pytest.raises(ValueError, match=r"kernel \(k, k, 1, c\)"):
        cpu.convolve_channels(x[0], jnp.ones((3, 3, 4, 1)))
