"""A canary for jaxlib itself: 0.10.2 gives wrong numbers under jit on a CPU (jax issue 39103)."""

from __future__ import annotations

import jax
import numpy as np
import pytest


@pytest.mark.parametrize("size", [1, 7, 17, 33, 65, 129, 257])
def test_jit_agrees_with_float64_numpy(size: int) -> None:
    rng = np.random.default_rng(size)
    a = rng.normal(size=(size, size + 3)).astype(np.float32)
    b = rng.normal(size=(size + 3, size + 1)).astype(np.float32)

    def work(a, b, xp):
        product = xp.maximum(a @ b, 0)
        return product / (1 + xp.sum(product, axis=1, keepdims=True)) + xp.tanh(product)

    expected = work(a.astype(np.float64), b.astype(np.float64), np)
    got = jax.jit(lambda a, b: work(a, b, jax.numpy))(a, b)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_many_short_rows_agree_with_float64_numpy() -> None:
    """The program of jax issue 39103: 0.10.2 fails here."""
    rng = np.random.default_rng(0)
    matrix, rows = rng.normal(size=(3, 3)), rng.normal(size=(32_769, 3))

    def length(row):
        return jax.numpy.sum((matrix.astype(np.float32) @ row) ** 2)

    got = jax.jit(jax.vmap(length))(rows.astype(np.float32))
    np.testing.assert_allclose(got, np.sum((rows @ matrix.T) ** 2, axis=1), rtol=1e-3, atol=1e-4)
