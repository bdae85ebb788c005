"""A canary for jaxlib itself: jit against float64 NumPy. On a CPU, jaxlib 0.10.2 does not agree."""

from __future__ import annotations

import jax
import jax.numpy as jnp
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


@pytest.mark.parametrize("count", [32_767, 32_768, 32_769])
def test_a_reduced_matrix_product_of_many_rows_is_right_to_the_last_row(count: int) -> None:
    """jax issue 39103: on a CPU, jaxlib 0.10.2 gives the last of 32,769 rows a wrong sum."""
    rng = np.random.default_rng(39103)
    rows = rng.normal(size=(count, 3)).astype(np.float32)
    matrix = rng.normal(size=(3, 3)).astype(np.float32)
    got = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))(rows)
    expected = ((rows.astype(np.float64) @ matrix.T.astype(np.float64)) ** 2).sum(axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
