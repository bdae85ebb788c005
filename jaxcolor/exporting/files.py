"""A colorizer as one file: the network alone, or all that prediction does between L and ab."""

from __future__ import annotations

import errno
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcolor import color, startup
from jaxcolor.models.colorizer import NETWORKS, Config, Params, forward
from jaxcolor.predict import pure
from jaxcolor.predict.view import View

_PLATFORMS = ("cpu", "cuda", "tpu")
_SEES = {
    "whole": "lightness: CIE L in [0, 100] of sRGB's white D65, of the photo made small",
    "network": "lightness: L / 50 - 1, the photo's L already brought to the range of the training",
}
_GIVES = {
    "whole": "ab: CIE ab, to be enlarged to the photo's size and joined with the photo's own L",
    "network": "ab: CIE ab / 110",
}


def to_onnx(params: Params, *, part: str = "whole", half: bool = False) -> bytes:
    """A colorizer as an ONNX file.

    Input `lightness` (batch, height, width), output `ab` (batch, 2, height, width), both float32.
    The batch is free, and where the network follows its input, height and width are: multiples of
    its own (`Network.MULTIPLE`). What the numbers are, and the colorizer's config, stands in the
    file's metadata.

    Args:
      params: from `jaxcolor.load`.
      part: "whole" takes L and gives ab, with the range, the mirror image, the border and the
        saturation of the weights; "network" is what stands between these.
      half: whether weights and computation are float16.

    Raises:
      NotExportable: a part of the colorizer has no ONNX form.
      ImportError: onnx is not installed.
    """
    from jaxcolor import __version__
    from jaxcolor.exporting.graph import Graph
    from jaxcolor.exporting.networks import add_network

    config = params.config
    variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), params.variables)
    graph = Graph(np.float16 if half else np.float32)
    x = graph.node("Unsqueeze", "lightness", graph.constant([1], np.int64))
    if part == "network":
        add_network(graph, config, variables, x)
    else:
        _add_whole(graph, config, variables, x)
    sides: tuple[int | str, int | str] = ("height", "width")
    if not NETWORKS[config.network].FOLLOWS_INPUT:
        sides = (config.input_size, config.input_size)
    answer = sides if NETWORKS[config.network].FOLLOWS_INPUT else (config.size, config.size)
    return graph.model(
        ("lightness", ("batch", *sides)),
        ("ab", ("batch", 2, *answer)),
        _metadata(params, part),
        ("jaxcolor", __version__),
    )


def _add_whole(graph: Any, config: Config, variables: Any, lightness: str) -> None:
    from jaxcolor.exporting import views
    from jaxcolor.exporting.networks import add_network

    if config.prediction.mended:
        lightness = views.mended(graph, lightness)
    if config.stretched:
        lightness = views.stretched(graph, lightness)
    scaled = graph.with_number("Sub", graph.with_number("Div", lightness, color.L_MAX / 2), 1)
    if config.prediction.mirrored:
        both = graph.node("Concat", scaled, _mirrored(graph, scaled), axis=0)
        chroma = add_network(graph, config, variables, both)
        one, other = graph.node("Split", chroma, outputs=2, num_outputs=2)
        chroma = graph.node("Add", one, _mirrored(graph, other))
    else:
        chroma = add_network(graph, config, variables, scaled)
    if border := config.prediction.border:
        axes = graph.constant([2, 3], np.int64)
        starts, ends = (graph.constant([b, b], np.int64) for b in (border, -border))
        inside = graph.node("Slice", chroma, starts, ends, axes)
        around = graph.constant([border] * 4, np.int64)
        chroma = graph.node("Pad", inside, around, "", axes, mode="edge")
    gain = color.AB_SCALE * config.prediction.saturation / (1 + config.prediction.mirrored)
    graph.with_number("Mul", chroma, gain)


def _mirrored(graph: Any, maps: str) -> str:
    last = [graph.constant([number], np.int64) for number in (-1, np.iinfo(np.int64).min, 3, -1)]
    return str(graph.node("Slice", maps, *last))


def _metadata(params: Params, part: str) -> dict[str, str]:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params.variables):
        digest.update(np.asarray(leaf, np.float32).tobytes())
    return {
        "part": part,
        "config": json.dumps(params.config.to_json()),
        "input": _SEES[part],
        "output": _GIVES[part],
        "weights_sha256": digest.hexdigest(),
    }


def to_stablehlo(params: Params, *, part: str = "whole") -> bytes:
    """A colorizer as `jax.export` serializes it: `jax.export.deserialize(data).call(lightness)`.

    For CPU, CUDA and TPU, each in the form that is fast there. Input (batch, size, size), float32,
    of the config's square (or what its `input_size` says), output (batch, size, size, 2); the batch
    is free.

    Args:
      params: from `jaxcolor.load`.
      part: as of `to_onnx`.
    """
    side = params.config.input_size
    (batch,) = jax.export.symbolic_shape("batch")
    taken = jax.ShapeDtypeStruct((batch, side, side), np.float32)
    exported = jax.export.export(jax.jit(_function(params, part)), platforms=_PLATFORMS)(taken)
    return bytes(exported.serialize())


def save_model(folder: Path, params: Params, *, part: str = "whole") -> None:
    """Writes a colorizer as a SavedModel, which TensorFlow and its servers load.

    Its signature takes and gives what `to_stablehlo` does, by the names `lightness` and `ab`. The
    folder appears whole or not at all.

    Args:
      folder: must not be there yet.
      params: from `jaxcolor.load`.
      part: as of `to_onnx`.

    Raises:
      FileExistsError: the folder is there.
      ImportError: TensorFlow is not installed.
    """
    with startup.without_keras():
        import tensorflow as tf
        from jax.experimental import jax2tf

    if folder.exists():
        raise FileExistsError(errno.EEXIST, "is there already; a SavedModel is a folder of its own")
    side = params.config.input_size
    function = jax2tf.convert(
        _function(params, part),
        polymorphic_shapes=[f"(batch, {side}, {side})"],
        native_serialization_platforms=_PLATFORMS,
    )
    module = tf.Module()
    module.__call__ = tf.function(
        lambda lightness: {"ab": function(lightness)},
        autograph=False,
        input_signature=[tf.TensorSpec([None, side, side], tf.float32, "lightness")],
    )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        made = Path(beside) / "model"
        tf.saved_model.save(module, str(made))
        made.rename(folder)


def _function(params: Params, part: str) -> Callable[[jax.Array], jax.Array]:
    def whole(lightness: jax.Array) -> jax.Array:
        return pure.predict(params, View(lightness, lightness))[..., 1:]

    def network(lightness: jax.Array) -> jax.Array:
        return forward(params.config, params.variables, lightness[..., None])

    return whole if part == "whole" else network
