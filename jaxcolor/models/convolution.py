"""The layers that encoders, decoders and the small backbones are made of."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer, ones, zeros
from jaxtyping import Array, Float

from jaxcolor.models import cpu
from jaxcolor.models.cpu import plain
from jaxcolor.models.initializers import HE_NORMAL, LECUN_NORMAL


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
    value = jnp.asarray(module.get_variable("params", name))
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
    """A 3x3 convolution as in Deep Koalarization: 'same', biased; by default before a ReLU."""
    options: dict[str, Any] = {"name": name, "kernel_init": kernel_init}
    return nn.Conv(filters, (3, 3), stride, conv_general_dilated=_for_flax, **options)


def _for_flax(x: Array, kernel: Array, strides: tuple[int, int], *_: Any, **__: Any) -> Array:
    return cpu.convolve(x, kernel, strides[0])


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
        self, x: Float[Array, "b h w c"], gain: Float[Array, "1 1 1 f"] | float = 1.0
    ) -> Float[Array, "b h2 w2 f"]:
        """Gives (B, ceil(H / stride), ceil(W / stride), filters), multiplied by `gain`."""
        shape = (self.size, self.size, x.shape[-1], self.filters)
        kernel = parameter(self, "kernel", LECUN_NORMAL, shape) * gain
        if self.size == self.stride == 1:
            return x @ kernel[0, 0]
        return plain.convolve(x, kernel, self.stride)


class DepthwiseConvolution(nn.Module):
    """A 'same' convolution of each channel by itself, kernel (k, k, 1, c), no bias."""

    size: int
    stride: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], gain: Float[Array, "1 1 1 c"] | float = 1.0
    ) -> Float[Array, "b h2 w2 c"]:
        """Gives (B, ceil(H / stride), ceil(W / stride), C), multiplied by `gain`."""
        shape = (self.size, self.size, 1, x.shape[-1])
        kernel = parameter(self, "kernel", LECUN_NORMAL, shape)
        return cpu.convolve_channels(x, kernel * gain, self.stride)


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics stand still: one factor and one summand for each channel.

    The variables are those of `nn.BatchNorm`.
    """

    epsilon: float

    @nn.compact
    def __call__(self, channels: int) -> tuple[Float[Array, "1 1 1 c"], Float[Array, "1 1 1 c"]]:
        """Gives the factor and the summand."""
        scale = parameter(self, "scale", ones, (channels,))
        bias = parameter(self, "bias", zeros, (channels,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,)).value
        var = self.variable("batch_stats", "var", jnp.ones, (channels,)).value
        gain = scale * lax.rsqrt(var + self.epsilon)
        return _of_channels(gain), _of_channels(bias - mean * gain)


class DoubledConvolution(nn.Module):
    """`convolution` of `x` doubled (nearest neighbour), with `skip`'s channels behind, if any."""

    filters: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], skip: Float[Array, "b 2*h 2*w s"] | None = None
    ) -> Float[Array, "b 2*h 2*w f"]:
        """Doubles and convolves; the parameters are those of the plain convolution."""
        channels = x.shape[-1] + (0 if skip is None else skip.shape[-1])
        kernel = parameter(self, "kernel", HE_NORMAL, (3, 3, channels, self.filters))
        bias = parameter(self, "bias", zeros, (self.filters,))
        return _of_channels(bias) + cpu.convolve_doubled(kernel, x, skip)


def _of_channels(values: Float[Array, " c"]) -> Float[Array, "1 1 1 c"]:
    """One value for each channel, as kernels and maps are laid out."""
    return values.reshape(1, 1, 1, -1)
