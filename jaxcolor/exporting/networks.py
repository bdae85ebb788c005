"""The networks as ONNX graphs: plain convolutions, batch norm folded into them.

What `jaxcolor.models` says in Flax is said again here, operation by operation, as no converter
gives a graph that ONNX Runtime computes as fast. `tests/exporting` holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcolor import color
from jaxcolor.exporting.graph import Graph
from jaxcolor.models import decoder, efficientnet_lite, encoder, pyramid
from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.colorizer import Config
from jaxcolor.models.efficientnet_lite import EfficientNetLite
from jaxcolor.refine import resize_matrix


class NotExportable(ValueError):
    """A colorizer whose parts have no ONNX form; the message is one line."""


def add_network(graph: Graph, config: Config, variables: Mapping[str, Any], scaled: str) -> str:
    """Adds the network that `config` means, with these variables.

    Args:
      graph: gets its nodes.
      config: what the network is.
      variables: linen collections, NumPy.
      scaled: L / 50 - 1, float32, (batch, 1, height, width).

    Returns:
      ab / 110, float32, (batch, 2, height, width).

    Raises:
      NotExportable: a backbone or a head that has no form here.
    """
    member = BACKBONES[config.backbone]
    if not issubclass(member, EfficientNetLite):
        raise NotExportable(f"{config.backbone}: cannot be exported to ONNX; stablehlo can")
    if config.head != "regression":
        raise NotExportable(f"the head {config.head}: cannot be exported to ONNX; stablehlo can")
    add, enlarging = _NETWORKS[config.network]
    chroma = add(graph, config, member, variables, scaled)
    chroma = graph.node("Tanh", graph.cast(chroma, np.float32) if _is_half(graph) else chroma)
    return graph.doubled(chroma, enlarging)


def _pyramid(
    graph: Graph,
    config: Config,
    member: type[EfficientNetLite],
    variables: Mapping[str, Any],
    scaled: str,
) -> str:
    params = variables["params"]
    scales = member.endpoint_scales
    maps = _lite(graph, member, variables, _stem_view(graph, scaled))
    name, endpoint, filters = pyramid.COARSEST
    vector = (maps["pooled"], efficientnet_lite.HEAD_FILTERS)
    x = _fused(graph, params["fusion"], maps[endpoint], vector, scales[endpoint])
    x = _relu(graph, params[name], x)
    for name, endpoint, next_filters in pyramid.LEVELS:
        x = _doubled(graph, params[name], x, filters, maps[endpoint], scales[endpoint])
        filters = next_filters
    return _convolved(graph, params["chroma"], x)


def _koalarization(
    graph: Graph,
    config: Config,
    member: type[EfficientNetLite],
    variables: Mapping[str, Any],
    scaled: str,
) -> str:
    params = variables["params"]
    seen = _resized(graph, scaled, config.input_size, member.input_size)
    pooled = _lite(graph, member, variables, _stem_view(graph, seen))["pooled"]
    top = params["backbone"]["classifier"]
    logits = graph.dense(pooled, top["kernel"], top["bias"])
    x = _as_dtype(graph, _resized(graph, scaled, config.input_size, config.size))
    for name, _, stride in encoder.LAYERS:
        x = _relu(graph, params["encoder"][name], x, stride)
    x = _fused(graph, params["fusion"], x, (logits, efficientnet_lite.CLASSES))
    for name, _ in decoder.HIDDEN:
        if name in decoder.DOUBLED_BEFORE:
            x = graph.doubled(x, "nearest")
        x = _relu(graph, params["decoder"][name], x)
    return _convolved(graph, params["decoder"]["D5"], x)


_Adds = Callable[[Graph, Config, type[EfficientNetLite], Mapping[str, Any], str], str]
_NETWORKS: Mapping[str, tuple[_Adds, str]] = {
    "pyramid": (_pyramid, "linear"),
    "fusion": (_koalarization, "nearest"),
}


# -- the backbone ----------------------------------------------------------------------------------


def _stem_view(graph: Graph, scaled: str) -> str:
    """L / 50 - 1 -> `EfficientNetLite.preprocess` of the grey picture, one channel of three."""
    half = color.L_MAX / 2
    fy = graph.with_number("Div", graph.with_number("Add", scaled, 1 + 16 / half), 116 / half)
    line = graph.with_number("Div", graph.with_number("Sub", fy, color.OFFSET), color.SLOPE)
    steep = graph.with_number("Greater", fy, color.DELTA)
    light = graph.node("Where", steep, graph.with_number("Pow", fy, 3), line)
    light = graph.node("Clip", light, graph.constant(0.0), graph.constant(1.0))
    line = graph.with_number("Mul", light, color.LINE)
    power = graph.with_number("Pow", light, 1 / color.POWER)
    power = graph.with_number(
        "Sub", graph.with_number("Mul", power, 1 + color.RAISED), color.RAISED
    )
    steep = graph.with_number("Greater", light, color.LINEAR_KNEE)
    grey = graph.node("Where", steep, power, line)
    black, white = (EfficientNetLite.preprocess(jnp.full((1, 1, 3), end)) for end in (0.0, 1.0))
    gain, shift = float((white - black)[0, 0, 0]), float(black[0, 0, 0])
    return _as_dtype(graph, graph.with_number("Add", graph.with_number("Mul", grey, gain), shift))


def _lite(
    graph: Graph, member: type[EfficientNetLite], variables: Mapping[str, Any], view: str
) -> dict[str, str]:
    """The backbone's maps by their endpoints, and "pooled"."""
    params, statistics = (variables[kind]["backbone"] for kind in ("params", "batch_stats"))

    def conv_bn(x: str, *path: str, stride: int = 1, linear: bool = False) -> str:
        weights, stats = params, statistics
        for part in path:
            weights, stats = weights[part], stats[part]
        kernel, norm, stats = weights["conv"]["kernel"], weights["bn"], stats["bn"]
        gain = norm["scale"] / np.sqrt(stats["var"] + efficientnet_lite.EPSILON)
        bias = norm["bias"] - stats["mean"] * gain
        depthwise = path[-1] == "depthwise"
        if path == ("stem",):  # the three channels of the view are the same
            kernel = kernel.sum(axis=2, keepdims=True)
        groups = kernel.shape[-1] if depthwise else 1
        x = graph.convolution(x, kernel * gain, bias, stride=stride, groups=groups)
        if linear:
            return x
        low, high = graph.constant(0.0, graph.dtype), graph.constant(6.0, graph.dtype)
        return str(graph.node("Clip", x, low, high))

    maps: dict[str, str] = {}
    x = conv_bn(view, "stem", stride=2)
    filters = efficientnet_lite.STEM_FILTERS
    for name, number, stage, stride in efficientnet_lite.blocks(member.width, member.depth):
        shortcut = x
        if stage.expansion != 1:
            x = conv_bn(x, name, "expand")
        x = conv_bn(x, name, "depthwise", stride=stride)
        x = conv_bn(x, name, "project", linear=True)
        if stride == 1 and filters == stage.filters:
            x = graph.node("Add", x, shortcut)
        filters = stage.filters
        if number in efficientnet_lite.ENDPOINTS:
            maps[efficientnet_lite.ENDPOINTS[number]] = x
    pooled = graph.node("GlobalAveragePool", conv_bn(x, "head"))
    maps["pooled"] = graph.node("Flatten", pooled)
    return maps


# -- layers ----------------------------------------------------------------------------------------


def _convolved(graph: Graph, layer: Mapping[str, Any], x: str, stride: int = 1) -> str:
    return graph.convolution(x, layer["kernel"], layer["bias"], stride=stride)


def _relu(graph: Graph, layer: Mapping[str, Any], x: str, stride: int = 1) -> str:
    return str(graph.node("Relu", _convolved(graph, layer, x, stride)))


def _doubled(
    graph: Graph, layer: Mapping[str, Any], x: str, filters: int, skip: str, scale: float
) -> str:
    """`DoubledConvolution` of `x`, of `filters`, and of a map divided by `scale`; and ReLU."""
    kernel = np.array(layer["kernel"])
    kernel[:, :, filters:] /= scale
    both = graph.node("Concat", graph.doubled(x, "nearest"), skip, axis=1)
    return str(graph.node("Relu", graph.convolution(both, kernel, layer["bias"])))


def _fused(
    graph: Graph,
    layer: Mapping[str, Any],
    features: str,
    vector: tuple[str, int],
    scale: float = 1.0,
) -> str:
    """`Fusion` of features that are divided by `scale`, and a vector of so many numbers."""
    kernel = np.asarray(layer["F1"]["kernel"])
    name, length = vector
    local = graph.convolution(features, kernel[:, :, :-length] / scale)
    everywhere = graph.dense(name, kernel[0, 0, -length:], layer["F1"]["bias"])
    axes = graph.constant([2, 3], np.int64)
    total = graph.node("Add", local, graph.node("Unsqueeze", everywhere, axes))
    return str(graph.node("Relu", total))


def _resized(graph: Graph, x: str, size: int, new_size: int) -> str:
    """A square of one channel made smaller as `backbones.resize` does it."""
    if size == new_size:
        return x
    matrix = resize_matrix(size, new_size)
    rows = graph.node("MatMul", graph.constant(matrix), x)
    return str(graph.node("MatMul", rows, graph.constant(matrix.T)))


def _as_dtype(graph: Graph, x: str) -> str:
    return graph.cast(x, graph.dtype) if _is_half(graph) else x


def _is_half(graph: Graph) -> bool:
    return graph.dtype == np.float16
