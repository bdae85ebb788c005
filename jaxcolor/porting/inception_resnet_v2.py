"""Keras's Inception-ResNet-v2 weights -> the variables of `models.InceptionResNetV2`.

Keras pairs a legacy file with a network by order alone: the groups that hold weights with the
layers of `model.layers` that hold weights. `model.layers` is sorted by depth, the number of layers
between a layer and the output, deepest first; layers of one depth stand in the order of their
branches. The branches of a module all end in one concatenation, so a layer's place depends on its
distance from there: `_side_by_side`. That order is written down here from the network's own tables,
so neither Keras nor TensorFlow is needed. Every shape is compared before anything is read.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float

from jaxcolor.models.inception_resnet_v2 import (
    BLOCK8,
    BLOCK17,
    BLOCK35,
    MIXED_5B,
    MIXED_6A,
    MIXED_7A,
    STEM,
    Chains,
    InceptionResNetV2,
)
from jaxcolor.porting.keras_file import Group, md5, open_legacy
from jaxcolor.porting.verification import Verification, compare

URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_resnet_v2/"
    "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels.h5"
)
MD5 = "e693bd0210a403b3192acc6073ad2e96"

KERNEL = (("params", "kernel"),)
KERNEL_BIAS = (("params", "kernel"), ("params", "bias"))
BATCH_NORM = (("params", "bias"), ("batch_stats", "mean"), ("batch_stats", "var"))


class Slot(NamedTuple):
    """Where the weights of one Keras layer go.

    Attributes:
      module: the path of our module.
      leaves: (collection, name) of each weight, in the order in which Keras keeps them.
      block: which of the stacked blocks; None where nothing is stacked.
    """

    module: tuple[str, ...]
    leaves: tuple[tuple[str, str], ...]
    block: int | None = None

    def __str__(self) -> str:
        return "/".join(self.module) + ("" if self.block is None else f"[{self.block}]")


def keras_order() -> Iterator[Slot]:
    """Yields the layers that hold weights in the order of Keras's `model.layers`: 449 of them."""
    for number in range(len(STEM)):
        yield from _conv_bn("stem", f"conv_{number}")
    yield from _side_by_side("mixed_5b", MIXED_5B)
    yield from _blocks("block35", BLOCK35, 10)
    yield from _side_by_side("mixed_6a", MIXED_6A)
    yield from _blocks("block17", BLOCK17, 20)
    yield from _side_by_side("mixed_7a", MIXED_7A)
    yield from _blocks("block8", BLOCK8, 9)
    yield from _side_by_side("block8_10", BLOCK8)
    yield Slot(("block8_10", "up"), KERNEL_BIAS)
    yield from _conv_bn("conv_7b")
    yield Slot(("classifier",), KERNEL_BIAS)


def _conv_bn(*module: str) -> Iterator[Slot]:
    yield Slot((*module, "conv"), KERNEL)
    yield Slot((*module, "bn"), BATCH_NORM)


def _blocks(module: str, chains: Chains, times: int) -> Iterator[Slot]:
    for block in range(times):
        yield from _side_by_side(module, chains, block)
        yield Slot((module, "up"), KERNEL_BIAS, block)


def _side_by_side(module: str, chains: Chains, block: int | None = None) -> Iterator[Slot]:
    """Yields branches by their distance from the concatenation in which all of them end."""
    for distance in range(max(map(len, chains)), 0, -1):
        row = [
            f"branch_{number}_{len(chain) - distance}"
            for number, chain in enumerate(chains)
            if len(chain) >= distance
        ]
        yield from (Slot((module, name, "conv"), KERNEL, block) for name in row)
        yield from (Slot((module, name, "bn"), BATCH_NORM, block) for name in row)


def port(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the official file, or one of the same format.

    Args:
      path: a legacy Keras HDF5 weights file of `keras.applications.InceptionResNetV2`.

    Returns:
      `params` and `batch_stats` for `InceptionResNetV2()`, float32 NumPy arrays.

    Raises:
      FileNotFoundError: there is no such file.
      ImportError: h5py is not installed.
      ValueError: the file is another one, cut short, or a shape is not this network's; says which.
    """
    variables = {
        name: np.empty(leaf.shape, np.float32)
        for name, leaf in flatten_dict(declared_variables()).items()
    }
    with open_legacy(path) as groups:
        for group, slot in pair(path, groups, variables):
            for weight, (collection, leaf) in zip(group.weights, slot.leaves, strict=True):
                target = variables[(collection, *slot.module, leaf)]
                target[... if slot.block is None else slot.block] = weight.dataset[...]
    for name, value in variables.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{path}: damaged, {'/'.join(name)} is not finite everywhere")
    return unflatten_dict(variables)


@functools.cache
def declared_variables() -> dict[str, Any]:
    """Declares the network's variables: shapes and dtypes, nothing computed."""
    picture = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    declared: dict[str, Any] = jax.eval_shape(InceptionResNetV2().init, jax.random.key(0), picture)
    return declared


def pair(
    path: str | os.PathLike[str],
    groups: list[Group],
    variables: dict[tuple[str, ...], np.ndarray],
) -> list[tuple[Group, Slot]]:
    """Pairs the file's layers with ours, after comparing every count and shape.

    Raises:
      ValueError: they do not fit; names both sides of the first pair that does not.
    """
    slots = list(keras_order())
    groups = [group for group in groups if group.weights]
    pairs = list(zip(groups, slots, strict=False))
    for number, (group, slot) in enumerate(pairs, start=1):
        found = [weight.shape for weight in group.weights]
        needed = [_shape(variables[(kind, *slot.module, leaf)], slot) for kind, leaf in slot.leaves]
        if found != needed:
            raise ValueError(
                f"{path}: not Inception-ResNet-v2's weights: layer {number} of the file, "
                f"{group.name!r}, has shapes {found} where {slot} needs {needed}"
            )
    if len(groups) == len(slots) - 1:
        raise ValueError(
            f"{path}: the file without the classifier (_notop): its {len(groups)} layers fit, the "
            f"1000 classes are missing. The whole file is needed: {URL}"
        )
    if len(groups) != len(slots):
        raise ValueError(
            f"{path}: not Inception-ResNet-v2's weights: {len(groups)} layers hold weights where "
            f"the network has {len(slots)}"
        )
    return pairs


def _shape(variable: np.ndarray, slot: Slot) -> tuple[int, ...]:
    return variable.shape if slot.block is None else variable.shape[1:]


def is_official(path: str | os.PathLike[str]) -> bool:
    """Tells whether this is the published file, bit for bit."""
    return md5(path) == MD5


# Our map -> Keras's layer. Its conv_7b is before batch norm and ReLU, ours behind them.
KERAS_LAYERS = {
    "mixed_5b": "mixed_5b",
    "mixed_6a": "mixed_6a",
    "mixed_7a": "mixed_7a",
    "conv_7b": "conv_7b_ac",
    "logits": "predictions",
}


def verify(
    path: str | os.PathLike[str],
    variables: dict[str, Any],
    pictures: Float[np.ndarray, "b 299 299 3"],
) -> Verification:
    """Compares our network with `keras.applications`, which loads the same file itself.

    Args:
      path: the legacy Keras HDF5 file that `variables` were ported from.
      variables: what `port(path)` gave, or was written and read back.
      pictures: RGB in [-1, 1].

    Raises:
      ImportError: Keras, or its backend, is not installed.
    """
    return compare(our_maps(variables, pictures), keras_maps(path, pictures))


@jax.jit
def _maps(variables: dict[str, Any], x: Float[Array, "b h w 3"]) -> dict[str, Array]:
    logits, maps = InceptionResNetV2().apply(variables, x, endpoints=True)
    return {**maps, "logits": logits}


def our_maps(variables: dict[str, Any], x: np.ndarray) -> dict[str, np.ndarray]:
    """Runs our network, with all that it computes on the way."""
    return {name: np.asarray(value) for name, value in _maps(variables, x).items()}


def keras_maps(path: str | os.PathLike[str], x: np.ndarray) -> dict[str, np.ndarray]:
    """Runs `keras.applications.InceptionResNetV2` with the weights of `path`."""
    try:
        import keras
    except ImportError as error:
        raise ImportError(f"the comparison needs Keras and TensorFlow ({error})") from None

    model = keras.applications.InceptionResNetV2(weights=None, classifier_activation=None)
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "legacy.h5")  # Keras takes the format from the name
        link.symlink_to(Path(path).resolve())
        model.load_weights(link)
    outputs = {name: model.get_layer(layer).output for name, layer in KERAS_LAYERS.items()}
    maps = keras.Model(model.input, outputs)
    # Not `predict`, which takes longer to trace the network than to run it.
    parts = [maps(x[i : i + 4], training=False) for i in range(0, len(x), 4)]
    return {name: np.concatenate([part[name] for part in parts]) for name in outputs}
