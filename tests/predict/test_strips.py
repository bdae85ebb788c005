"""What strips add up to is what the whole picture gives."""

from __future__ import annotations

from unittest import mock

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcolor import color
from jaxcolor.predict import strips
from jaxcolor.predict.framing import Box
from jaxcolor.refine import resize_matrix

sides = st.integers(1, 150)
parts = st.tuples(st.floats(0, 0.4), st.floats(0.6, 1))


@settings(max_examples=20, deadline=None)
@given(sides, sides, st.sampled_from([(32, 32), (24, 48)]), parts, parts)
def test_strips_make_small_what_the_whole_gives(
    height: int, width: int, shape: tuple[int, int], down: tuple, across: tuple
) -> None:
    """Of any size, larger than the small picture or smaller, and of any part of it."""
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 1), np.uint8)
    with mock.patch.multiple(strips, _SEGMENT=8, _SEGMENTS=12):
        inside = Box(*down, *across, rows=None, columns=None)
        small = strips.shrink(pixels, shape, inside)
    rows = resize_matrix(height, shape[0], *down)
    columns = resize_matrix(width, shape[1], *across)
    lightness = np.asarray(jax.jit(color.grey_to_lightness)(pixels[..., 0] / np.float32(255)))
    np.testing.assert_allclose(small, rows @ lightness @ columns.T, atol=1e-3)
