"""What is done to a small photo before the network sees it, in ONNX; maps are (batch, 1, h, w)."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcolor.color import L_MAX
from jaxcolor.models.mending import (
    AROUND,
    BLACK,
    MIDDLE,
    MOST_VIGNETTE,
    ROUGHNESS,
    STANDS_OUT,
    SURE,
    THIN,
)
from jaxcolor.models.tone import FADED, LEAST, PERCENTILES, RANGE, SHARE, WHOLE


def mended(graph: Any, lightness: str) -> str:
    """As `mending.mended`."""
    return _without_scratches(graph, _without_vignette(graph, lightness))


def _without_vignette(graph: Any, lightness: str) -> str:
    sides = graph.node("Shape", lightness, start=2)

    def enlarged(samples: Any, **how: str) -> str:
        """Maps of 2x2 samples at the photo's size."""
        maps = np.array(samples)[None]
        shape = graph.node("Concat", graph.constant(maps.shape[:2], np.int64), sides, axis=0)
        return str(graph.node("Resize", graph.constant(maps), "", "", shape, **how))

    def total(maps: str) -> str:
        return str(graph.node("ReduceSum", maps, *_numbers(graph, [2, 3])))

    corners = [[[-1, -1], [1, 1]], [[-1, 1], [-1, 1]]]
    places = enlarged(corners, mode="linear", coordinate_transformation_mode="align_corners")
    square = graph.node("Mul", places, places)
    radius = graph.node("ReduceMean", square, *_numbers(graph, [1]))
    quadrants = enlarged(np.eye(4).reshape(4, 2, 2), mode="nearest")
    inside = total(graph.node("Mul", quadrants, radius))
    mean = graph.node("Div", inside, total(quadrants))
    centred = graph.node("Mul", quadrants, graph.node("Sub", radius, mean))
    spread = graph.node("ReduceSumSquare", centred, *_numbers(graph, [2, 3]))
    light = graph.with_number("Add", graph.with_number("Div", lightness, MIDDLE), BLACK)
    light = graph.node("Log", light)
    moments = total(graph.node("Mul", centred, light))
    slope = graph.node("ReduceMax", graph.node("Div", moments, spread), *_numbers(graph, [1]))
    stays = graph.node("Clip", slope, graph.constant(-MOST_VIGNETTE), graph.constant(0.0))
    fall = graph.node("Sub", graph.constant(1.0), graph.node("Exp", stays))
    left = graph.node("Sub", graph.constant(1.0), graph.node("Mul", fall, radius))
    return _within_range(graph, graph.node("Div", lightness, left))


def _without_scratches(graph: Any, lightness: str) -> str:
    """Of two maps at once: L, and what is as dark as L is bright."""

    def largest(maps: str) -> str:
        beside = [THIN // 2] * 4
        return str(graph.node("MaxPool", maps, kernel_shape=[THIN, THIN], pads=beside))

    both = graph.node("Concat", lightness, graph.node("Neg", lightness), axis=1)
    closed = largest(graph.node("Neg", largest(both)))  # minus L closed, and L opened
    thin = graph.node("Neg", graph.node("Add", both, closed))  # what is dark, what is bright
    # What it stands out by, from as much of the opposite kind as there is around.
    kernel = np.zeros((2, 2, AROUND, AROUND))
    kernel[[0, 1], [1, 0]] = -ROUGHNESS / AROUND**2
    kernel[[0, 1], [0, 1], AROUND // 2, AROUND // 2] = 1
    arrays = (graph.constant(kernel / SURE), graph.constant([-STANDS_OUT / SURE] * 2))
    share = graph.node("Conv", thin, *arrays, pads=[AROUND // 2] * 4)
    share = graph.node("Clip", share, graph.constant(0.0), graph.constant(1.0))
    damage = graph.node("Mul", thin, share)
    filling = graph.node("Conv", damage, graph.constant([[[[1]], [[-1]]]]))
    return str(graph.node("Add", lightness, filling))


def stretched(graph: Any, lightness: str) -> str:
    """As `tone.stretched`."""
    flat = graph.node("Reshape", lightness, graph.constant([0, -1], np.int64))
    count = graph.node("Slice", graph.node("Shape", flat), *_numbers(graph, [1], [2]))
    ordered, _ = graph.node("TopK", flat, count, outputs=2, axis=1, largest=0)
    last = graph.cast(graph.with_number("Sub", count, 1, np.int64), np.float64)
    ends = []
    for percent in PERCENTILES:
        place = graph.with_number("Mul", last, percent, np.float64)
        place = graph.node("Round", graph.with_number("Div", place, 100, np.float64))
        found = graph.node("Gather", ordered, graph.cast(place, np.int64), axis=1)
        ends.append(graph.node("Unsqueeze", found, *_numbers(graph, [2, 3])))
    low, high = ends
    distance = graph.node("Sub", high, low)
    whole = graph.with_number("Div", graph.with_number("Sub", distance, FADED), WHOLE - FADED)
    whole = graph.node("Clip", whole, graph.constant(0.0), graph.constant(1.0))
    stays = graph.with_number("Mul", whole, 1 - SHARE)  # of the way: what is not gone
    black, white = (
        graph.node(
            "Add", graph.constant(to), graph.node("Mul", stays, graph.with_number("Sub", end, to))
        )
        for end, to in zip(ends, RANGE, strict=True)
    )
    spread = graph.node("Max", distance, graph.constant(LEAST))
    gain = graph.node("Div", graph.node("Sub", white, black), spread)
    before, after = (
        graph.with_number("Div", graph.node("Add", *pair), 2)
        for pair in ((low, high), (black, white))
    )
    centred = graph.node("Mul", graph.node("Sub", lightness, before), gain)
    moved = graph.node("Add", centred, after)
    return _within_range(graph, moved)


def _within_range(graph: Any, lightness: str) -> str:
    return str(graph.node("Clip", lightness, graph.constant(0.0), graph.constant(L_MAX)))


def _numbers(graph: Any, *lists: list[int]) -> list[str]:
    return [graph.constant(numbers, np.int64) for numbers in lists]
