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
from training_runs import load_recipe

from jaxcolor.models import Config, Params
from jaxcolor.training import init_state, losses, make_train_step, sharding, start

PHOTOS = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
OTHERS = "all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"


class Step:
    """A step of training, compiled for a mesh."""

    def __init__(self, mesh: jax.sharding.Mesh, params: Params, recipe: Any) -> None:
        optimizer = start.make_optimizer(recipe)
        state = init_state(params, optimizer, tuned_from=recipe.tuned_from, mesh=mesh)
        self._trainable = sum(leaf.nbytes for leaf in jax.tree.leaves(state.trainable))
        self._arguments = (state, sharding.global_batch(mesh, {"rgb": PHOTOS}))
        options = start.fields(recipe, make_train_step)
        step = make_train_step(params.config, losses.squared_error, optimizer, mesh=mesh, **options)
        self._program = step.lower(*self._arguments).compile()

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
    params = start.first_params(recipe, Config(network="pyramid").predicting(size=32))
    spread = Step(eight, params, recipe)
    told["pyramid"] = spread.messages() | {
        "eight devices": spread.figures(),
        "one device": Step(one, params, recipe).figures(),
    }

    recipe.update({"accumulate": 2, "tuned_from": "head"})
    params = Params(*tiny_network.make(32))
    told["tiny, in two pieces"] = Step(eight, params, recipe).messages()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
