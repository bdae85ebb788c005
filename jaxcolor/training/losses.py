"""What training makes small: one figure for each picture of a batch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcolor import color
from jaxcolor.models.heads import BINS

NEIGHBOURS = 5  # colours that a true one is shared among: arXiv 1603.08511, section 2.2
SIGMA = 5.0  # of that sharing and of the prior's smoothing, in units of ab
UNIFORM = 0.5  # lambda, the share of a uniform distribution in the prior


def squared_error(
    predicted: Float[Array, "b h w 2"], truth: Float[Array, "b h w 2"]
) -> Float[Array, " b"]:
    """Mean squared error of each picture's ab / 110: the seed's loss (arXiv 1712.03400, eq. 1).

    Raises:
      ValueError: the shapes differ (nothing is broadcast in silence).
    """
    _check(predicted, truth)
    return jnp.mean(jnp.square(predicted - truth), axis=(1, 2, 3))


def huber(
    predicted: Float[Array, "b h w 2"], truth: Float[Array, "b h w 2"], delta: float
) -> Float[Array, " b"]:
    """Mean Huber loss of each picture's ab / 110 (Huber 1964).

    Half the square up to `delta`, straight beyond, where it forgives a colour that is quite another
    one: a square would rather have brown.

    Raises:
      ValueError: the shapes differ.
    """
    _check(predicted, truth)
    size = jnp.abs(predicted - truth)
    near = jnp.minimum(size, delta)
    return jnp.mean(near * (size - near / 2), axis=(1, 2, 3))


def cross_entropy(
    logits: Float[Array, "b h w 313"],
    truth: Float[Array, "b h w 2"],
    bin_weights: Float[Array, " 313"],
) -> Float[Array, " b"]:
    """Class-rebalanced cross-entropy of Zhang et al. 2016 (arXiv 1603.08511, eq. 2), pixels' mean.

    Args:
      logits: of the colours `heads.BINS`.
      truth: ab / 110.
      bin_weights: of each colour, from `rebalancing`; a pixel has that of its nearest colour.
    """
    shares = soft_encode(truth)
    weight = bin_weights[jnp.argmax(shares, axis=-1)]  # (B, H, W)
    surprise = -jnp.sum(shares * jax.nn.log_softmax(logits, axis=-1), axis=-1)
    return jnp.mean(weight * surprise, axis=(1, 2))


def soft_encode(truth: Float[Array, "*b 2"]) -> Float[Array, "*b 313"]:
    """Gives ab / 110 as shares of its five nearest colours, by a Gaussian of their distance."""
    distance = _squared_distance(color.network_to_ab(truth), jnp.asarray(BINS))
    nearest, indices = jax.lax.top_k(-distance, NEIGHBOURS)
    shares = jax.nn.softmax(nearest / (2 * SIGMA**2), axis=-1)
    return jnp.sum(shares[..., None] * jax.nn.one_hot(indices, len(BINS)), axis=-2)


def rebalancing(counts: Float[np.ndarray, " 313"]) -> Float[np.ndarray, " 313"]:
    """How often each colour was seen -> its weight: rare colours weigh more, 1 on average.

    Zhang et al. 2016, equation 4: the counts are smoothed over neighbouring colours, mixed with a
    uniform distribution, turned over, and scaled so that a pixel's expected weight is 1.
    """
    kernel = np.exp(-_squared_distance(BINS, BINS) / (2 * SIGMA**2))
    smoothed = (kernel / kernel.sum(axis=0)) @ (counts / counts.sum())
    weights = 1 / ((1 - UNIFORM) * smoothed + UNIFORM / len(BINS))
    return np.asarray(weights / (smoothed @ weights), np.float32)


def _squared_distance(points: Any, others: Any) -> Any:
    """(..., 2) and (n, 2) -> (..., n)."""
    return ((points[..., None, :] - others) ** 2).sum(axis=-1)


def _check(predicted: Array, truth: Array) -> None:
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted is {predicted.shape}, truth is {truth.shape}")
