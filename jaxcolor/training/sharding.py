"""The mesh: one axis, `data`, over all devices of all processes."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"


def make_mesh() -> Mesh:
    """One axis over every device that JAX sees."""
    return jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,))


def of(mesh: Mesh | None) -> Mesh:
    """A mesh as training takes it: the first device alone where there is none.

    The compiler places what is not said: `jax.make_mesh` alone gives axes that demand every
    placement in writing.
    """
    if mesh is None:
        return Mesh(np.array(jax.local_devices()[:1]), (AXIS,))
    return Mesh(mesh.devices, mesh.axis_names)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device: parameters, optimizer state, metrics."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """Cut along the leading axis, over all axes of the mesh: batches."""
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


def global_batch(mesh: Mesh, local: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """This process' part of a batch -> the global batch, cut over the mesh."""
    sharding = split(mesh)
    with jax.transfer_guard("allow"):  # this one is meant; between processes JAX guards it too
        return {k: jax.make_array_from_process_local_data(sharding, v) for k, v in local.items()}


def check_batch(mesh: Mesh, batch: int, accumulate: int, *, pairs: bool = False) -> None:
    """Raises a ValueError when a batch cannot be cut evenly over the mesh and its pieces.

    Args:
      mesh: the devices.
      batch: rows of it.
      accumulate: pieces of a device's part.
      pairs: whether a row must stay together with the next one.
    """
    if accumulate < 1:
        raise ValueError(f"accumulate: {accumulate} is not positive")
    if batch < 1 or batch % (mesh.size * accumulate):
        pieces = f" in {accumulate} pieces each" if accumulate > 1 else ""
        raise ValueError(f"batch: {batch} does not divide over {mesh.size} devices{pieces}")
    if pairs and batch // (mesh.size * accumulate) % 2:
        raise ValueError(f"batch: {batch} rows: consistency needs pairs of rows on each device")
