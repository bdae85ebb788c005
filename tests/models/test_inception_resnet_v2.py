"""Inception-ResNet-v2 by itself: its figures, and a plain second implementation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxcolor.models.inception_resnet_v2 import InceptionResNetV2
from jaxcolor.porting import inception_resnet_v2 as inception_port


@pytest.fixture(scope="module")
def variables() -> Any:
    """Random weights and statistics under which activations neither die nor explode."""
    rng = np.random.default_rng(1)

    def random(path: Any, leaf: Any) -> np.ndarray:
        normal = rng.standard_normal(leaf.shape, np.float32)
        match path[-1].key:
            case "kernel":  # stacked on axis 0 or not
                return normal * np.float32(np.sqrt(2 / np.prod(leaf.shape[-4:-1])))
            case "var":
                return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        return 0.2 * normal

    return jax.tree_util.tree_map_with_path(random, inception_port.declared_variables())


def count(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameters() -> None:
    declared = inception_port.declared_variables()
    assert count(declared) == 55_873_736  # batch-norm statistics counted, as Keras does
    assert count(declared["params"]) == 55_813_192
    assert count(declared["batch_stats"]) == 60_544
    kernels = [path for path in flatten_dict(declared["params"]) if path[-1] == "kernel"]
    stacks = {"block35": 10, "block17": 20, "block8": 9}
    assert sum(stacks.get(path[0], 1) for path in kernels) == 244 + 1  # and the dense layer


@pytest.mark.parametrize(
    ("height", "width", "grids"),
    [
        (299, 299, [(35, 35), (17, 17), (8, 8)]),
        (75, 75, [(7, 7), (3, 3), (1, 1)]),
        (100, 203, [(10, 23), (4, 11), (1, 5)]),
    ],
)
def test_maps_have_the_figures_shapes(
    height: int, width: int, grids: list[tuple[int, int]]
) -> None:
    picture = jax.ShapeDtypeStruct((2, height, width, 3), jnp.float32)
    logits, maps = jax.eval_shape(
        lambda x: InceptionResNetV2().init_with_output(jax.random.key(0), x, endpoints=True)[0],
        picture,
    )
    channels = {
        "stem": (0, 192),
        "mixed_5b": (0, 320),
        "block35": (0, 320),
        "mixed_6a": (1, 1088),
        "block17": (1, 1088),
        "mixed_7a": (2, 2080),
        "block8": (2, 2080),
        "conv_7b": (2, 1536),
    }
    expected = {name: (2, *grids[grid], wide) for name, (grid, wide) in channels.items()}
    assert {name: value.shape for name, value in maps.items()} == expected | {"pooled": (2, 1536)}
    assert logits.shape == (2, 1000)


@pytest.mark.parametrize("shape", [(1, 74, 299, 3), (1, 299, 74, 3), (1, 299, 299, 1), (75, 75, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="75 pixels or more"):
        jax.eval_shape(InceptionResNetV2().init, jax.random.key(0), np.zeros(shape, np.float32))


def test_preprocess_is_kerass() -> None:
    rgb = np.arange(768, dtype=np.float32).reshape(1, 16, 16, 3) / 3
    got = InceptionResNetV2.preprocess(jnp.asarray(rgb / 255))
    np.testing.assert_allclose(got, rgb / 127.5 - 1, atol=1e-6)
    assert InceptionResNetV2.input_size == 299


def plain(variables: Any, x: jax.Array) -> jax.Array:
    """The network written out: no scan, no module, batch norm as its formula."""
    params, stats = variables["params"], variables["batch_stats"]

    def conv(x: Any, kernel: Any, stride: int = 1, padding: str = "SAME") -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        strides = (stride, stride)
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=numbers)

    def unit(x: Any, p: Any, s: Any, *how: Any) -> Any:
        x = conv(x, p["conv"]["kernel"], *how)
        x = (x - s["bn"]["mean"]) / jnp.sqrt(s["bn"]["var"] + 1e-3) + p["bn"]["bias"]
        return jnp.maximum(x, 0)

    def chain(x: Any, p: Any, s: Any, branch: int, last: tuple[Any, ...] = ()) -> Any:
        names = sorted(name for name in p if name.startswith(f"branch_{branch}_"))
        for name in names:
            x = unit(x, p[name], s[name], *(last if name == names[-1] else ()))
        return x

    def pool(x: Any) -> Any:
        window = (1, 3, 3, 1), (1, 2, 2, 1), "VALID"
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *window)

    def mean(x: Any) -> Any:
        window = (1, 3, 3, 1), (1, 1, 1, 1), "SAME"
        total = jax.lax.reduce_window(x, 0.0, jax.lax.add, *window)
        return total / jax.lax.reduce_window(jnp.ones_like(x), 0.0, jax.lax.add, *window)

    def block(x: Any, p: Any, s: Any, branches: int, scale: float) -> Any:
        mixed = jnp.concatenate([chain(x, p, s, branch) for branch in range(branches)], -1)
        return x + scale * (conv(mixed, p["up"]["kernel"]) + p["up"]["bias"])

    def blocks(x: Any, name: str, times: int, branches: int, scale: float) -> Any:
        for i in range(times):
            p, s = jax.tree.map(lambda leaf, i=i: leaf[i], (params[name], stats[name]))
            x = jnp.maximum(block(x, p, s, branches, scale), 0)
        return x

    half = (2, "VALID")
    p, s = params["stem"], stats["stem"]
    hows = [half, (1, "VALID"), (), (1, "VALID"), (1, "VALID")]
    for i, how in enumerate(hows):
        x = unit(x, p[f"conv_{i}"], s[f"conv_{i}"], *how)
        x = pool(x) if i in (2, 4) else x
    p, s = params["mixed_5b"], stats["mixed_5b"]
    x = jnp.concatenate([chain(y, p, s, i) for i, y in enumerate((x, x, x, mean(x)))], -1)
    x = blocks(x, "block35", 10, 3, 0.17)
    p, s = params["mixed_6a"], stats["mixed_6a"]
    x = jnp.concatenate([*(chain(x, p, s, i, half) for i in range(2)), pool(x)], -1)
    x = blocks(x, "block17", 20, 2, 0.1)
    p, s = params["mixed_7a"], stats["mixed_7a"]
    x = jnp.concatenate([*(chain(x, p, s, i, half) for i in range(3)), pool(x)], -1)
    x = blocks(x, "block8", 9, 2, 0.2)
    x = block(x, params["block8_10"], stats["block8_10"], 2, 1.0)
    x = unit(x, params["conv_7b"], stats["conv_7b"]).mean((1, 2))
    return x @ params["classifier"]["kernel"] + params["classifier"]["bias"]


@pytest.mark.slow
def test_scanned_form_equals_the_plain_one(variables: Any, pictures: np.ndarray) -> None:
    x = jnp.asarray(pictures[:2, 40:139, 40:171])
    with jax.numpy_rank_promotion("allow"):
        expected = np.asarray(plain(variables, x))
    scanned = jax.jit(InceptionResNetV2().apply)(variables, x)
    close = {"rtol": 0, "atol": 1e-4 * np.sqrt(np.square(expected).mean())}
    np.testing.assert_allclose(scanned, expected, **close)


@pytest.mark.slow
def test_can_be_fine_tuned(variables: Any, pictures: np.ndarray) -> None:
    x = jnp.asarray(pictures[:4, 100:179, 100:179])
    params, stats = variables["params"], variables["batch_stats"]

    @jax.jit
    def step(params: Any, stats: Any) -> Any:
        def loss(params: Any) -> Any:
            logits, state = InceptionResNetV2().apply(
                {"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"]
            )
            return jnp.square(logits).mean(), state["batch_stats"]

        return jax.value_and_grad(loss, has_aux=True)(params)

    (loss, updated), gradients = step(params, stats)
    for path, gradient in flatten_dict(gradients).items():
        assert np.isfinite(gradient).all(), path
        stacked = path[0] in ("block35", "block17", "block8")
        for part in gradient if stacked else [gradient]:
            assert np.abs(part).max() > 0, path
    # The batch's own statistics count, not the stored ones; those move by a hundredth.
    (same, _), _ = step(params, jax.tree.map(lambda leaf: leaf + 1, stats))
    assert same == loss
    kernel = params["stem"]["conv_0"]["conv"]["kernel"]
    first = jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    expected = 0.99 * stats["stem"]["conv_0"]["bn"]["mean"] + 0.01 * first.mean((0, 1, 2))
    np.testing.assert_allclose(updated["stem"]["conv_0"]["bn"]["mean"], expected, atol=1e-6)
