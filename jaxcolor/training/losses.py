"""What training makes small: functions of (prediction, batch) that give one number.

A loss here is the mean over the pictures of a batch. A keyword of its own, as `huber_delta`, is the
field of that name in a recipe; `bin_weights` is counted on the first photos (`start.make_loss`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from jaxcolor import color
from jaxcolor.models.backbones import resize
from jaxcolor.models.heads import BINS

NEIGHBOURS = 5  # colours that a true one is shared among: arXiv 1603.08511, section 2.2
SIGMA = 5.0  # of that sharing and of the prior's smoothing, in units of ab
UNIFORM = 0.5  # lambda, the share of a uniform distribution in the prior

Batch: TypeAlias = Mapping[str, Array]  # the first axis of every array is the pictures'
Loss: TypeAlias = Callable[[Array, Batch], Array]


class NamedLoss(Protocol):
    """A loss that recipes can name.

    Attributes:
      head: the head that it trains, a key of `models.HEADS`.
    """

    head: str

    def __call__(self, prediction: Array, batch: Batch, **options: Any) -> Array:
        """The mean over the batch; the options are fields of the recipe."""


LOSSES: dict[str, NamedLoss] = {}  # by the name that a recipe's `loss` gives

_F = TypeVar("_F", bound=Callable[..., Array])


def _trains(head: str) -> Callable[[_F], _F]:
    """Puts a loss into `LOSSES`, with the head that it trains."""

    def add(function: _F) -> _F:
        function.head = head  # type: ignore[attr-defined]
        LOSSES[function.__name__] = function  # type: ignore[assignment]
        return function

    return add


@_trains("regression")
def squared_error(prediction: Float[Array, "b s s 2"], batch: Batch) -> Float[Array, ""]:
    """Mean squared error of ab / 110: Deep Koalarization's loss (arXiv 1712.03400, eq. 1).

    Raises:
      ValueError: the shapes differ (nothing is broadcast in silence).
    """
    return jnp.mean(jnp.square(_difference(prediction, batch)))


@_trains("regression")
def huber(
    prediction: Float[Array, "b s s 2"], batch: Batch, *, huber_delta: float
) -> Float[Array, ""]:
    """Mean Huber loss of ab / 110 (Huber 1964).

    Half the square up to `huber_delta`, straight beyond, where it forgives a colour that is quite
    another one: a square would rather have brown.

    Raises:
      ValueError: the shapes differ.
    """
    size = jnp.abs(_difference(prediction, batch))
    near = jnp.minimum(size, huber_delta)
    return jnp.mean(near * (size - near / 2))


@_trains("classification")
def cross_entropy(
    prediction: Float[Array, "b h w 313"],
    batch: Batch,
    *,
    bin_weights: Float[Array | np.ndarray, " 313"],
) -> Float[Array, ""]:
    """Class-rebalanced cross-entropy of Zhang et al. 2016 (arXiv 1603.08511, eq. 2), pixels' mean.

    Args:
      prediction: logits of the colours `heads.BINS`.
      batch: the truth in it, "ab", is brought to their size.
      bin_weights: of each colour, from `rebalancing`; a pixel has that of its nearest colour.
    """
    shares = soft_encode(resize(batch["ab"], prediction.shape[1]))
    weight = jnp.asarray(bin_weights)[jnp.argmax(shares, axis=-1)]  # (B, H, W)
    surprise = -jnp.sum(shares * jax.nn.log_softmax(prediction, axis=-1), axis=-1)
    return jnp.mean(weight * surprise)


def with_consistency(loss: Loss, weight: float) -> Loss:
    """The loss, and that a photo's colours stay what they are when it is cropped a little.

    Consistency regularization (Sajjadi, Javanmardi, Tasdizen 2016, arXiv 1606.04586): to the loss
    comes the mean squared difference of ab / 110 between what is predicted for a part of a photo
    and for most of that part, where they show the same. Batches without pairs, as those of
    validation, have the loss alone.

    Args:
      loss: of the head "regression".
      weight: what that difference is multiplied by.
    """

    def both(prediction: Array, batch: Batch) -> Array:
        value = loss(prediction, batch)
        if "place" not in batch:
            return value
        return value + weight * inconsistency(prediction, batch["place"])

    return both


def inconsistency(
    prediction: Float[Array, "b s s 2"], place: Float[Array, "b 4"]
) -> Float[Array, ""]:
    """Mean squared difference between every second prediction and its place in the one before.

    Args:
      prediction: ab / 110.
      place: as `training_batches` gives it; the odd rows' count.
    """
    size = prediction.shape[1]

    def cut(whole: Array, place: Array) -> Array:
        scale = 1 / place[2:]
        move = -place[:2] * size * scale
        return jax.image.scale_and_translate(
            whole, whole.shape, (0, 1), scale, move, "linear", antialias=False
        )

    with jax.numpy_dtype_promotion("standard"):  # JAX's own function
        expected = jax.vmap(cut)(prediction[0::2], place[1::2])
    return jnp.mean(jnp.square(prediction[1::2] - expected))


def of_each_picture(loss: Loss, prediction: Float[Array, "b *hw c"], batch: Batch) -> Array:
    """The loss of each picture by itself, (B,)."""

    def of_one(prediction: Array, batch: Batch) -> Array:
        return loss(prediction[None], {name: values[None] for name, values in batch.items()})

    return jax.vmap(of_one)(prediction, dict(batch))


def soft_encode(truth: Float[Array, "*b 2"]) -> Float[Array, "*b 313"]:
    """Gives ab / 110 as shares of its five nearest colours, by a Gaussian of their distance."""
    distance = _squared_distance(color.network_to_ab(truth), jnp.asarray(BINS))
    nearest, indices = jax.lax.top_k(-distance, NEIGHBOURS)
    shares = jax.nn.softmax(nearest / (2 * SIGMA**2), axis=-1)
    return jnp.sum(shares[..., None] * jax.nn.one_hot(indices, len(BINS)), axis=-2)


def rebalancing(counts: Real[np.ndarray, " 313"]) -> Float[np.ndarray, " 313"]:
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
    others = others.reshape(*(1,) * (points.ndim - 1), *others.shape)
    return ((points[..., None, :] - others) ** 2).sum(axis=-1)


def _difference(prediction: Array, batch: Batch) -> Array:
    truth = batch["ab"]
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction is {prediction.shape}, truth is {truth.shape}")
    return prediction - truth
