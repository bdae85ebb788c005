"""What the devices of a mesh say to each other in a step of training; a program, not a test.

Prints, for a network: the bytes that are reduced over all devices and those of what is trained, the
types of numbers that travel, and the names of all other collectives. Compiled, not only lowered: it
is the compiler that puts them in.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jax
import numpy as np
import tiny_network
from ml_collections import FrozenConfigDict
from training_runs import load_recipe

from jaxcolor.models import Config
from jaxcolor.models.colorizer import split_trained
from jaxcolor.training import sharding, start, step

PHOTOS = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
OTHERS = "all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"


class Step:
    """A step of training, compiled for a mesh."""

    def __init__(self, mesh: jax.sharding.Mesh, split: Any, network: Config, recipe: Any) -> None:
        trainable, kept = split
        everywhere = sharding.replicated(mesh)
        state = step.init_state(trainable, recipe)
        fixed, state = jax.device_put((step.Fixed(kept), state), everywhere)
        self._arguments = (state, fixed, sharding.global_batch(mesh, {"rgb": PHOTOS}))
        jitted = jax.jit(
            step.train_step,
            static_argnames=("network", "config", "mesh"),
            donate_argnums=0,
            out_shardings=everywhere,
        )
        static = {"network": network, "config": FrozenConfigDict(recipe), "mesh": mesh}
        self._program = jitted.lower(*self._arguments, **static).compile()
        self._trainable = sum(leaf.nbytes for leaf in jax.tree.leaves(trainable))

    def messages(self) -> dict[str, Any]:
        text = self._program.as_text()
        reduced, kinds = 0, set()
        for shapes in re.findall(r"= (.*?) all-reduce(?:-start)?\(", text):
            for kind, sides in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
                kinds.add(kind)
                reduced += 4 * int(np.prod([int(n) for n in sides.split(",") if n], dtype=int))
        return {
            "reduced": reduced,
            "trainable": self._trainable,
            "kinds": sorted(kinds),
            "others": re.findall(OTHERS, text),
        }

    def figures(self) -> dict[str, float]:
        _, metrics = self._program(*self._arguments)
        return {name: float(metrics[name]) for name in ("loss", "gradient_norm")}


def main() -> None:
    eight = sharding.make_mesh()
    assert eight.size == 8
    one = jax.sharding.Mesh(eight.devices[:1], eight.axis_names)
    told = {}

    recipe = load_recipe("smoke")
    network = Config(network="pyramid").predicting(size=32)
    split = jax.device_get(start.first_variables(recipe, network))  # steps donate their arrays
    spread = Step(eight, split, network, recipe)
    told["pyramid"] = spread.messages() | {
        "eight devices": spread.figures(),
        "one device": Step(one, split, network, recipe).figures(),
    }

    recipe.accumulate = 2
    network, variables = tiny_network.make(32)
    split = split_trained(variables, ("head",))
    told["tiny, in two pieces"] = Step(eight, split, network, recipe).messages()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
