"""What training makes small."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def squared_error(
    predicted: Float[Array, "b h w 2"], truth: Float[Array, "b h w 2"]
) -> Float[Array, " b"]:
    """Mean squared error of each picture's ab / 110: the seed's loss (arXiv 1712.03400, eq. 1).

    Raises:
      ValueError: the shapes differ (nothing is broadcast in silence).
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted is {predicted.shape}, truth is {truth.shape}")
    return jnp.mean(jnp.square(predicted - truth), axis=(1, 2, 3))
