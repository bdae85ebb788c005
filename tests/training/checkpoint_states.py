"""States with every sort of number, their checkpoints, and what two of them share to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from jaxcolor.training import sharding
from jaxcolor.training.checkpoint import Checkpoints


@flax.struct.dataclass
class State:
    step: Any
    trainable: Any
    opt_state: Any
    key: Any


def state_of(step: int, width: int = 40) -> State:
    """Random bits: every sort of float32, NaNs with their payload and denormals too."""
    rng = np.random.default_rng(step)
    noise = rng.integers(0, 2**32, (16, width), np.uint32)
    trainable = {
        "kernel": jnp.asarray(noise.view(np.float32)),
        "bias": jnp.asarray(rng.normal(size=3).astype(np.float32)),
        "half": jnp.asarray(noise.astype(np.uint16)[:, :8].view(jnp.bfloat16)),
        "nothing": None,
    }
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(1e-3, mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree)),
    )
    opt_state = jax.tree.map(lambda leaf: leaf + step, optimizer.init(trainable))
    key = jax.random.key_data(jax.random.key(step))
    return State(jnp.asarray(step, jnp.int32), trainable, opt_state, key)


def bits(tree: Any) -> Any:
    """What two trees share when they are the same to the bit."""
    words = [(str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes()) for leaf in _leaves(tree)]
    return jax.tree.structure(tree), words


def _leaves(tree: Any) -> list[Any]:
    """Of arrays on several processes, this one's copy."""
    gathered = []
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            leaf = jax.jit(lambda x: x, out_shardings=replicated())(leaf).addressable_data(0)
        gathered.append(leaf)
    return gathered


def replicated() -> NamedSharding:
    return sharding.replicated(sharding.make_mesh())


def spread(state: State) -> State:
    """Over all devices: the kernel and its moments cut along their first axis, the rest whole."""
    mesh = sharding.make_mesh()
    cut, whole = NamedSharding(mesh, PartitionSpec(sharding.AXIS)), sharding.replicated(mesh)

    def place(leaf: Any) -> jax.Array:
        local = np.asarray(leaf)
        kind = cut if local.shape == (16, 40) else whole
        return jax.make_array_from_callback(local.shape, kind, lambda index: local[index])

    return jax.tree.map(place, state)


def zeros(like: State) -> State:
    return jax.tree.map(jnp.zeros_like, like)


def write_two(folder: Path) -> None:
    """Steps 4 and 5, of one device."""
    with Checkpoints(folder, keep=3) as checkpoints:
        for step in (4, 5):
            checkpoints.save(step, state_of(step), {"loss": 1 / step})


def steps_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def restored_from(folder: Path) -> Any:
    with Checkpoints(folder, keep=3) as checkpoints:
        return checkpoints.restore_latest(zeros(state_of(0)))
