"""The 3x3 convolution and the doubling that encoder and decoders are made of."""

from __future__ import annotations

from itertools import product
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer, he_normal, lecun_normal, ones, zeros
from jaxtyping import Array, Float

from jaxcolor.models.fast import convolve, interleave, plain

HE_NORMAL = he_normal()


def parameter(
    module: nn.Module, name: str, init: Initializer, shape: tuple[int, ...]
) -> Float[Array, "..."]:
    """`module.param`, but where there is a value already the initializer is not looked at.

    Flax traces each one to see what shape it would give: nearly half of the time that it takes to
    trace a network.

    Raises:
      ValueError: the value is of another shape.
    """
    if not module.has_variable("params", name):
        return module.param(name, init, shape)
    value: Array = module.get_variable("params", name)
    if value.shape != shape:
        where = "/".join((*module.path, name))
        raise ValueError(f"{where}: the weights are {value.shape}, the network's {shape}")
    return value


def convolution(
    filters: int,
    stride: int = 1,
    *,
    name: str | None = None,
    kernel_init: Initializer = HE_NORMAL,
) -> nn.Conv:
    """A 3x3 convolution as the seed's tables mean it: 'same', biased; by default for a ReLU."""
    options: dict[str, Any] = {"name": name, "kernel_init": kernel_init}
    return nn.Conv(filters, (3, 3), stride, conv_general_dilated=_for_flax, **options)


def _for_flax(x: Array, kernel: Array, strides: tuple[int, int], *_: Any, **__: Any) -> Array:
    return convolve(x, kernel, strides[0])


class Convolution(nn.Module):
    """A 'same' convolution with a square kernel (k, k, c, f), no bias.

    1x1 is the matrix product that it is: XLA's convolution would turn the maps over to find its
    weights' gradient.
    """

    filters: int
    size: int
    stride: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], gain: Float[Array, " f"] | float = 1.0
    ) -> Float[Array, "b h2 w2 f"]:
        """Gives (B, ceil(H / stride), ceil(W / stride), filters), multiplied by `gain`."""
        shape = (self.size, self.size, x.shape[-1], self.filters)
        kernel = parameter(self, "kernel", lecun_normal(), shape) * gain
        if self.size == self.stride == 1:
            return x @ kernel[0, 0]
        return plain(x, kernel, self.stride)


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics stand still: one factor and one summand for each channel.

    The variables are those of `nn.BatchNorm`.
    """

    epsilon: float

    @nn.compact
    def __call__(self, channels: int) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """Gives the factor and the summand."""
        scale = parameter(self, "scale", ones, (channels,))
        bias = parameter(self, "bias", zeros, (channels,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,)).value
        var = self.variable("batch_stats", "var", jnp.ones, (channels,)).value
        gain = scale * lax.rsqrt(var + self.epsilon)
        return gain, bias - mean * gain


def double(x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w c"]:
    """Nearest neighbour, (B, h, w, C) -> (B, 2h, 2w, C)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


class DoubledConvolution(nn.Module):
    """`convolution` of `double(x)`, with the channels of `skip` behind, if there are any."""

    filters: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], skip: Float[Array, "b 2*h 2*w s"] | None = None
    ) -> Float[Array, "b 2*h 2*w f"]:
        """Doubles and convolves; the parameters are those of the plain convolution."""
        channels = x.shape[-1] + (0 if skip is None else skip.shape[-1])
        kernel = parameter(self, "kernel", HE_NORMAL, (3, 3, channels, self.filters))
        bias = parameter(self, "bias", zeros, (self.filters,))
        maps = (x,) if skip is None else (x, skip)
        return bias + lax.platform_dependent(
            kernel, *maps, cpu=doubled_by_parts, default=doubled_as_it_stands
        )


def doubled_as_it_stands(kernel: Array, x: Array, *skip: Array) -> Array:
    """The plain form: for GPU and TPU."""
    return plain(jnp.concatenate([double(x), *skip], axis=-1), kernel)


def doubled_by_parts(kernel: Array, x: Array, *skip: Array) -> Array:
    """The same without doubling: for a CPU.

    Along an axis, an even pixel and its two neighbours lie on only two samples of `x`, an odd
    one too. So each of the four kinds of pixels is a 2x2 convolution of `x` itself, its weights
    sums of the kernel's, and 4/9 of the multiplications remain. Of the pyramid's levels P2, P4 and
    P8 the forward pass takes 0.5 to 0.7 of the time, with both gradients 0.5 to 0.6.
    """
    channels = x.shape[-1]
    own, other = kernel[:, :, :channels], kernel[:, :, channels:]
    kinds = [
        plain(x, _met(_met(own, 0, row), 1, column), padding=((1 - row, row), (1 - column, column)))
        for row, column in product((0, 1), repeat=2)
    ]  # (B, h, w, F) each
    y = interleave(kinds)
    return y + plain(skip[0], other) if skip else y


def _met(kernel: Array, axis: int, odd: int) -> Array:
    """The weights of the two samples that an even or an odd pixel meets along an axis."""
    first, middle, last = jnp.split(kernel, 3, axis)
    pair = (first + middle, last) if odd else (first, middle + last)
    return jnp.concatenate(pair, axis)
