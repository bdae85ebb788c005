"""EfficientNet-Lite0 to Lite2, the small backbones: RGB in, 1000 ImageNet logits out.

The table is EfficientNet-B0's (Tan and Le, 2019, table 1) with the changes of the Lite family
(TensorFlow's TPU repository, `efficientnet/lite`): no squeeze-and-excitation, ReLU6 for swish.
Its larger members have wider and deeper stages, but the same stem, head, first and last stage
depth. Batch-norm epsilon 1e-3 and momentum 0.99, 'SAME' padding. The stochastic depth and dropout
of the original training are left out: here it is frozen or fine-tuned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import jax
from flax import linen as nn
from jax import numpy as jnp
from jaxtyping import Array, Float

from jaxcolor.models.convolution import Convolution, DepthwiseConvolution, FrozenBatchNorm
from jaxcolor.models.interfaces import Backbone


class Stage(NamedTuple):
    """One row of the table: `repeats` blocks, the first with `stride`, the others with 1."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STEM_FILTERS = 32  # 3x3, stride 2
STAGES = (  # of Lite0
    Stage(1, 3, 1, 1, 16),  # ends at 1/2 of the input
    Stage(2, 3, 2, 6, 24),  # 1/4
    Stage(2, 5, 2, 6, 40),  # 1/8
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),  # 1/16
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),  # 1/32
)
HEAD_FILTERS = 1280  # 1x1
CLASSES = 1000
EPSILON = 1e-3  # of the batch norm; Flax's default is 1e-5
# Stage number -> the endpoint that its output is: the last map of each resolution.
ENDPOINTS = {1: "stride2", 2: "stride4", 3: "stride8", 5: "stride16", 7: "stride32"}


class Block(NamedTuple):
    """An inverted residual.

    Attributes:
      name: such as "block2a".
      number: of its stage, from 1.
      stage: the stage's row.
      stride: the block's own.
    """

    name: str
    number: int
    stage: Stage
    stride: int


def blocks(width: float, depth: float) -> Iterator[Block]:
    """Every block of a member of the family, in order."""
    for number, row in enumerate(STAGES, start=1):
        fixed = number in (1, len(STAGES))
        repeats = row.repeats if fixed else math.ceil(depth * row.repeats)
        stage = row._replace(repeats=repeats, filters=_scaled(row.filters, width))
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            yield Block(f"block{number}{chr(ord('a') + repeat)}", number, stage, stride)


def _scaled(filters: int, width: float) -> int:
    """The nearest multiple of 8, but never less than nine tenths of what was meant."""
    wanted = filters * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


class ConvBN(nn.Module):
    """Convolution without bias, batch norm, ReLU6 unless `linear`; depthwise without `filters`."""

    kernel: int
    filters: int | None = None
    stride: int = 1
    linear: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h2 w2 c2"]:
        """Gives (B, ceil(H / stride), ceil(W / stride), filters)."""
        conv: nn.Module
        if self.filters is None:
            conv = DepthwiseConvolution(self.kernel, self.stride, name="conv")
        else:
            conv = Convolution(self.filters, self.kernel, self.stride, name="conv")
        if train:
            x = nn.BatchNorm(False, momentum=0.99, epsilon=EPSILON, name="bn")(conv(x))
        else:
            gain, shift = FrozenBatchNorm(EPSILON, name="bn")(self.filters or x.shape[-1])
            x = conv(x, gain) + shift
        return x if self.linear else jax.nn.relu6(x)


class MBConv(nn.Module):
    """Inverted residual: widen by 1x1, filter each channel, narrow by a linear 1x1."""

    stage: Stage
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h2 w2 c2"]:
        """Gives the block's output; the input is added wherever it has the same shape."""
        shortcut = x
        expansion, kernel, filters = self.stage.expansion, self.stage.kernel, self.stage.filters
        if expansion != 1:
            x = ConvBN(1, expansion * x.shape[-1], name="expand")(x, train=train)
        x = ConvBN(kernel, stride=self.stride, name="depthwise")(x, train=train)
        x = ConvBN(1, filters, linear=True, name="project")(x, train=train)
        return x + shortcut if x.shape == shortcut.shape else x


class EfficientNetLite(Backbone):
    """A member of the family. Any input size works; `input_size` is the one it was trained at.

    Collections: `params` and `batch_stats`. With `train=True` batch norm uses the batch's
    statistics, and `batch_stats` must be mutable.
    """

    width: ClassVar[float]  # of the stages, in Lite0's
    depth: ClassVar[float]  # blocks of a stage, in Lite0's

    @classmethod
    def parts(cls) -> tuple[str, ...]:
        """The stem, each block, the head and the classifier."""
        names = (block.name for block in blocks(cls.width, cls.depth))
        return ("stem", *names, "head", "classifier")

    @staticmethod
    def preprocess(rgb: Float[Array, "*b h w 3"]) -> Float[Array, "*b h w 3"]:
        """RGB in [0, 1] -> about [-1, 1]."""
        return (rgb * 255.0 - 127.0) / 128.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"], *, train: bool = False, endpoints: bool = False
    ) -> Any:
        """Gives the logits of `preprocess`ed RGB, (B, 1000).

        With `endpoints` also, and without the top only, a dict: the maps "stride2", "stride4",
        "stride8", "stride16" and "stride32" at 1/2 .. 1/32 of the input's size (rounded up), of
        Lite0 with 16, 24, 40, 112 and 320 channels, and "pooled" (B, 1280).
        """
        maps: dict[str, Array] = {}
        x = ConvBN(3, STEM_FILTERS, stride=2, name="stem")(x, train=train)  # (B, H/2, W/2, 32)
        for name, number, stage, stride in blocks(self.width, self.depth):
            x = MBConv(stage, stride, name=name)(x, train=train)
            if number in ENDPOINTS:
                maps[ENDPOINTS[number]] = x  # a later block of the stage overwrites an earlier one
        x = ConvBN(1, HEAD_FILTERS, name="head")(x, train=train)  # (B, H/32, W/32, 1280)
        maps["pooled"] = x = jnp.mean(x, axis=(1, 2))  # (B, 1280)
        if not self.include_top:
            return maps
        logits = nn.Dense(CLASSES, name="classifier")(x)  # (B, 1000)
        return (logits, maps) if endpoints else logits


class EfficientNetLite0(EfficientNetLite):
    """4,652,008 parameters."""

    width, depth, input_size = 1.0, 1.0, 224
    endpoint_scales: ClassVar[Mapping[str, float]] = {
        "stride2": 5.4,
        "stride4": 8.1,
        "stride8": 7.3,
        "stride16": 6.4,
        "stride32": 3.0,
    }


class EfficientNetLite1(EfficientNetLite):
    """5,416,680 parameters."""

    width, depth, input_size = 1.0, 1.1, 240
    endpoint_scales: ClassVar[Mapping[str, float]] = {
        "stride2": 6.1,
        "stride4": 10.2,
        "stride8": 8.8,
        "stride16": 7.1,
        "stride32": 2.8,
    }


class EfficientNetLite2(EfficientNetLite):
    """6,092,072 parameters."""

    width, depth, input_size = 1.1, 1.2, 260
    endpoint_scales: ClassVar[Mapping[str, float]] = {
        "stride2": 6.2,
        "stride4": 9.9,
        "stride8": 8.4,
        "stride16": 7.0,
        "stride32": 2.7,
    }
