"""`colorize` of a batch that is cut over all devices, as one's own program might; no test itself.

Prints, for each way of cutting, by how many levels the colours differ from those on one device.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import tiny_network
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxcolor
from jaxcolor.models import Params


def main() -> None:
    config, variables = tiny_network.make(32)
    params = Params(config.predicting(fitted=True), variables)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (jax.device_count(), 24, 40), np.uint8)
    expected = [jaxcolor.colorize(params, picture).astype(int) for picture in pictures]
    many = jax.vmap(jaxcolor.colorize, in_axes=(None, 0))
    for kind in ("auto", "explicit", "shard_map"):
        axis = AxisType.Explicit if kind == "explicit" else AxisType.Auto
        mesh = jax.make_mesh((jax.device_count(),), ("data",), (axis,))
        batch = PartitionSpec("data")
        cut = jax.device_put(pictures, NamedSharding(mesh, batch))
        everywhere = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
        program = many
        if kind == "shard_map":
            specs = (PartitionSpec(), batch)
            program = jax.shard_map(many, mesh=mesh, in_specs=specs, out_specs=batch)
        with jax.set_mesh(mesh):
            colours = jax.jit(program)(everywhere, cut)
        assert colours.sharding.spec[0] == "data", colours.sharding
        assert jnp.shape(colours) == (*pictures.shape, 3)
        print(f"{kind}: {np.abs(jax.device_get(colours).astype(int) - expected).max()}")


if __name__ == "__main__":
    main()
