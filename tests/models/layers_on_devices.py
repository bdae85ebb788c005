"""Every kind of layer on two devices, as one's own program might cut a batch; a program, no test.

Prints, for each way of cutting, the largest difference from one device: of the result, and of the
parameters' gradient (relative to its largest value).
"""

from __future__ import annotations

import json
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxcolor.models import convolution


class Layers(nn.Module):
    """Wide enough for all of the forms that a CPU has."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        half = jnp.tanh(convolution.convolution(64, 2, name="half")(x))
        x = jnp.tanh(convolution.convolution(64, name="wide")(half))
        gain, shift = convolution.FrozenBatchNorm(1e-3, name="norm")(64)
        x = convolution.DepthwiseConvolution(3, 2, name="depthwise")(x, gain) + shift
        x = convolution.Convolution(64, 1, name="matrix")(x)
        return convolution.DoubledConvolution(8, name="doubled")(x, half)


def loss(variables: Any, x: jax.Array) -> jax.Array:
    return jnp.mean(jnp.tanh(0.1 * Layers().apply(variables, x)))


def farthest(one: Any, other: Any) -> float:
    def difference(a: jax.Array, b: jax.Array) -> float:
        return float(abs(jax.device_get(a) - b).max() / abs(b).max())

    return max(jax.tree.leaves(jax.tree.map(difference, one, other)))


def main() -> None:
    x = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))
    variables = jax.tree.map(lambda leaf: leaf + 0.1, Layers().init(jax.random.key(1), x))
    result, gradient = jax.device_get(jax.jit(both)(variables, x))
    told = {}

    mesh = jax.make_mesh((2,), ("data",))
    assert mesh.axis_types == (AxisType.Explicit,)
    with jax.set_mesh(mesh):
        whole, cut = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
        found = jax.jit(both)(jax.device_put(variables, whole), jax.device_put(x, cut))
    told["explicit mesh"] = farthest(found[0], result), farthest(found[1], gradient)

    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))

    def of_device(variables: Any, x: jax.Array) -> Any:
        def mean(variables: Any) -> jax.Array:
            return jax.lax.pmean(loss(variables, x), "data")

        return Layers().apply(variables, x), jax.grad(mean)(variables)

    whole, cut = PartitionSpec(), PartitionSpec("data")
    mapped = jax.shard_map(of_device, mesh=mesh, in_specs=(whole, cut), out_specs=(cut, whole))
    found = jax.jit(mapped)(variables, x)
    told["shard_map"] = farthest(found[0], result), farthest(found[1], gradient)
    print(json.dumps(told))


def both(variables: Any, x: jax.Array) -> Any:
    return Layers().apply(variables, x), jax.grad(loss)(variables, x)


if __name__ == "__main__":
    main()
