"""Which shape a photo goes to the network in, and where its margin ends."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcolor import refine
from jaxcolor.predict import framing

find = framing.content


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """L of something with edges everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(10, 90, (height // 4 + 1, width // 4 + 1))
    return np.kron(coarse, np.ones((4, 4)))[:height, :width].astype(np.float32)


def found(small: np.ndarray) -> tuple[int, int, int, int]:
    """Rows and columns of margin at the top, the bottom, the left and the right."""
    box = find(small)
    ends = []
    for inside in (np.asarray(box.rows), np.asarray(box.columns)):
        ends += [int(inside.argmax()), int(inside[::-1].argmax())]
    return ends[0], ends[1], ends[2], ends[3]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6000), st.integers(1, 6000))
def test_shapes_are_near_the_photo_and_few(height: int, width: int) -> None:
    shape = framing.shape_for(height, width, 224, 32)
    assert shape[0] % 32 == shape[1] % 32 == 0
    assert framing.shape_for(width, height, 224, 32) == shape[::-1]
    aspect = max(height, width) / min(height, width)
    if aspect <= 12:
        squeezed = (shape[1] / shape[0]) / (width / height)
        assert 0.78 < squeezed < 1.28
    if aspect <= 2:
        assert 0.85 * 224**2 < shape[0] * shape[1] < 1.15 * 224**2


def test_the_shapes_by_name() -> None:
    sizes = ((100, 100), (300, 400), (400, 600), (100, 200), (3000, 1000), (200, 1600), (1, 900))
    shapes = [framing.shape_for(*size, 224, 32) for size in sizes]
    assert shapes == [
        (224, 224),
        (192, 256),
        (192, 288),
        (160, 320),
        (480, 160),
        (160, 1280),
        (160, 1920),
    ]


@pytest.mark.parametrize("level", [0.0, 54.0, 97.0, 100.0])
@pytest.mark.parametrize("widths", [(5, 5, 5, 5), (2, 9, 14, 3), (0, 0, 8, 8), (1, 1, 1, 1)])
def test_a_margin_is_found_where_it_is(level: float, widths: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = widths
    inner = picture(96 - top - bottom, 96 - left - right)
    framed = np.pad(inner, ((top, bottom), (left, right)), constant_values=level)
    noise = np.random.default_rng(1).normal(0, 0.4, framed.shape).astype(np.float32)
    outside = np.pad(np.zeros_like(inner), ((top, bottom), (left, right)), constant_values=1)
    assert found(framed + noise * outside) == widths


def test_one_side_alone_is_a_margin_only_if_it_is_paper_or_black() -> None:
    for level, rows in ((98.0, 9), (2.0, 9), (55.0, 0)):
        framed = np.pad(picture(87, 96), ((9, 0), (0, 0)), constant_values=level)
        assert found(framed) == (rows, 0, 0, 0)


def test_skies_ramps_and_flat_pictures_have_no_margin() -> None:
    sky = picture(96, 96)
    sky[:40] = np.linspace(85, 60, 40)[:, None]
    assert found(sky) == (0, 0, 0, 0)
    ramp = np.tile(np.linspace(0, 100, 96, dtype=np.float32), (96, 1))
    assert found(ramp) == found(ramp.T) == (0, 0, 0, 0)
    for level in (0, 50, 100):
        assert found(np.full((96, 96), level, np.float32)) == (0, 0, 0, 0)


def test_turned_and_mirrored_pictures_have_turned_and_mirrored_margins() -> None:
    framed = np.pad(picture(80, 70), ((4, 12), (17, 6)), constant_values=99)
    top, bottom, left, right = found(framed)
    assert (top, bottom, left, right) == (4, 12, 17, 6)
    assert found(framed.T) == (left, right, top, bottom)
    assert found(framed[::-1]) == (bottom, top, left, right)
    assert found(framed[:, ::-1]) == (top, bottom, right, left)


@pytest.mark.parametrize("size", [50, 96, 224])
def test_all_of_it_put_back_is_what_it_was(size: int) -> None:
    np.testing.assert_array_equal(
        framing.back_matrix(size, size, 0, 1, np.ones(size)), np.eye(size)
    )


def test_traced_pictures_have_the_margins_of_numpy() -> None:
    traced = jax.jit(lambda small: framing.content(small, jnp))
    framed = np.pad(picture(80, 70), ((4, 12), (17, 6)), constant_values=99)
    for small in (framed, picture(80, 70)):
        for one, other in zip(traced(small), framing.content(small), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_there_and_back_again_is_the_part_and_nothing_beside_it() -> None:
    smooth = np.sin(np.linspace(0, 5, 400)).astype(np.float32)
    inside = (np.arange(96) >= 10) & (np.arange(96) < 90)
    start, end = 11 / 96, 89 / 96
    seen = refine.resize_matrix(400, 96, start, end) @ smooth
    back = framing.back_matrix(96, 96, start, end, inside) @ seen
    plain = refine.resize_matrix(400, 96) @ smooth
    np.testing.assert_allclose(back[11:89], plain[11:89], atol=0.02)
    assert (back[~inside] == 0).all()


def test_traced_matrices_are_those_of_numpy() -> None:
    inside = np.ones(40)
    for start, end in ((0.0, 1.0), (0.12, 0.9)):
        part = jax.jit(lambda s, e: refine.resize_matrix(100, 40, s, e, jnp))(start, end)
        back = jax.jit(lambda s, e: framing.back_matrix(40, 40, s, e, inside, jnp))(start, end)
        np.testing.assert_allclose(part, refine.resize_matrix(100, 40, start, end), atol=1e-4)
        np.testing.assert_allclose(back, framing.back_matrix(40, 40, start, end, inside), atol=1e-4)
