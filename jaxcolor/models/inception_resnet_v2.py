"""Inception-ResNet-v2, Deep Koalarization's backbone: RGB in, 1000 ImageNet logits out.

55,873,736 parameters. The network is that of Szegedy et al. 2016 (arXiv 1602.07261), figure 15, in
the shape of the published weights and of `keras.applications.InceptionResNetV2`: the stem is near
figure 14's, mixed_5b stands between stem and blocks, and the widths are 320, 1088 and 2080.

The repeated blocks are scanned: their parameters are stacked on axis 0, and XLA compiles each body
once.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from flax import linen as nn
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from jaxcolor.models import cpu
from jaxcolor.models.convolution import parameter
from jaxcolor.models.cpu import plain
from jaxcolor.models.initializers import HE_NORMAL
from jaxcolor.models.interfaces import Backbone


class Conv(NamedTuple):
    """One convolution of the figures; the default is 1x1."""

    filters: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


Chain = tuple[Conv, ...]  # convolutions one after another
Chains = tuple[Chain, ...]  # branches beside each other, concatenated in this order

STEM: Chain = (
    Conv(32, (3, 3), 2, "VALID"),
    Conv(32, (3, 3), 1, "VALID"),
    Conv(64, (3, 3)),  # then a max pool
    Conv(80, (1, 1), 1, "VALID"),
    Conv(192, (3, 3), 1, "VALID"),  # then a max pool
)
MIXED_5B: Chains = (
    (Conv(96),),
    (Conv(48), Conv(64, (5, 5))),
    (Conv(64), Conv(96, (3, 3)), Conv(96, (3, 3))),
    (Conv(64),),  # of the average-pooled input
)
BLOCK35: Chains = (
    (Conv(32),),
    (Conv(32), Conv(32, (3, 3))),
    (Conv(32), Conv(48, (3, 3)), Conv(64, (3, 3))),
)
MIXED_6A: Chains = (  # and a max pool
    (Conv(384, (3, 3), 2, "VALID"),),
    (Conv(256), Conv(256, (3, 3)), Conv(384, (3, 3), 2, "VALID")),
)
BLOCK17: Chains = ((Conv(192),), (Conv(128), Conv(160, (1, 7)), Conv(192, (7, 1))))
MIXED_7A: Chains = (  # and a max pool
    (Conv(256), Conv(384, (3, 3), 2, "VALID")),
    (Conv(256), Conv(288, (3, 3), 2, "VALID")),
    (Conv(256), Conv(288, (3, 3)), Conv(320, (3, 3), 2, "VALID")),
)
BLOCK8: Chains = ((Conv(192),), (Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1))))
CONV_7B = Conv(1536)
CLASSES = 1000
MIN_SIZE = 75  # the smallest side that leaves one pixel after mixed_7a

EPSILON = 1e-3  # of the batch norm, as Keras trained it; Flax's default is 1e-5
MOMENTUM = 0.99  # Keras's; only used with train=True


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """3x3, stride 2, 'valid': the only max pool of the network."""
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding="VALID")


class Convolution(nn.Module):
    """A convolution with a kernel (h, w, in, out)."""

    spec: Conv
    use_bias: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 f"]:
        """Gives the filtered maps; 1x1 as the matrix product that it is, 2-10 % faster on a CPU."""
        filters, kernel_size, stride, padding = self.spec
        shape = (*kernel_size, x.shape[-1], filters)
        kernel = parameter(self, "kernel", HE_NORMAL, shape)
        if kernel_size == (1, 1) and stride == 1:
            x = x @ kernel[0, 0]
        elif kernel_size == (3, 3) and stride == 1:
            x = cpu.convolve(x, kernel, padding=padding)
        else:
            x = plain.convolve(x, kernel, stride, padding)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (filters,))
            x = x + bias.reshape(1, 1, 1, -1)
        return x


class ConvBN(nn.Module):
    """Convolution, batch norm without scale, ReLU."""

    spec: Conv
    train: bool

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 f"]:
        """Gives maps >= 0."""
        x = Convolution(self.spec, name="conv")(x)
        norm = nn.BatchNorm(
            use_running_average=not self.train,
            momentum=MOMENTUM,
            epsilon=EPSILON,
            use_scale=False,
            name="bn",
        )
        return nn.relu(norm(x))


class Branching(nn.Module):
    """What the figures' modules share: branches of convolutions that read one input."""

    train: bool

    def conv(self, spec: Conv, name: str) -> ConvBN:
        """Names a convolution of this module."""
        return ConvBN(spec, self.train, name=name)

    def branches(
        self, x: Float[Array, "b h w c"], chains: Chains
    ) -> list[Float[Array, "b h2 w2 f"]]:
        """Gives each branch's output, in order."""
        outputs = []
        for number, chain in enumerate(chains):
            y = x
            for step, spec in enumerate(chain):
                y = self.conv(spec, f"branch_{number}_{step}")(y)
            outputs.append(y)
        return outputs


class Stem(Branching):
    """Five convolutions and two max pools."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> Float[Array, "b h2 w2 192"]:
        """Gives the map at an eighth of the side."""
        for number, spec in enumerate(STEM):
            x = self.conv(spec, f"conv_{number}")(x)
            if spec.filters in (64, 192):
                x = max_pool(x)
        return x


class Mixed5b(Branching):
    """An Inception module without residual."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 192"]) -> Float[Array, "b h w 320"]:
        """Gives 96 + 64 + 96 + 64 channels."""
        mean = nn.pool(x, 0.0, lax.add, (3, 3), (1, 1), "SAME") / _pixels_met(x)
        pooled = self.conv(MIXED_5B[3][0], "branch_3_0")(mean)
        return jnp.concatenate([*self.branches(x, MIXED_5B[:3]), pooled], axis=-1)


def _pixels_met(x: Float[Array, "b h w c"]) -> Float[Array, "1 h w 1"]:
    """How many pixels a 3x3 window meets: as in Keras, the padding does not count."""
    rows, columns = (3 - (np.arange(n) == 0) - (np.arange(n) == n - 1) for n in x.shape[1:3])
    return jnp.asarray(np.outer(rows, columns)[None, ..., None], x.dtype)


class Reduction(Branching):
    """Figures 7 and 18: branches and a max pool that halve the side."""

    chains: Chains

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 f"]:
        """Gives the branches' channels and the input's."""
        return jnp.concatenate([*self.branches(x, self.chains), max_pool(x)], axis=-1)


class Block(Branching):
    """Figures 16, 17 and 19: x + scale * up(branches(x)), then ReLU."""

    chains: Chains
    scale: float
    relu: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], _: None = None
    ) -> tuple[Float[Array, "b h w c"], None]:
        """Gives the sum, and None: the form of one step of `nn.scan`."""
        mixed = jnp.concatenate(self.branches(x, self.chains), axis=-1)
        x = x + self.scale * Convolution(Conv(x.shape[-1]), use_bias=True, name="up")(mixed)
        return nn.relu(x) if self.relu else x, None


def repeated(times: int, **fields: Any) -> Any:
    """Chains `times` blocks, as one scanned block."""
    axes: dict[Any, Any] = {"params": 0, "batch_stats": 0}
    scan = nn.scan(Block, variable_axes=axes, split_rngs={"params": True}, length=times)
    return scan(**fields)


class InceptionResNetV2(Backbone):
    """(B, H, W, 3) RGB in [-1, 1] -> (B, 1000) ImageNet logits."""

    input_size: ClassVar[int] = 299

    @staticmethod
    def preprocess(rgb: Float[Array, "*b h w 3"]) -> Float[Array, "*b h w 3"]:
        """RGB in [0, 1] -> the network's input in [-1, 1]."""
        return rgb * 2 - 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "..."], *, train: bool = False, endpoints: bool = False
    ) -> Any:
        """Runs the network.

        Args:
          x: (B, H, W, 3) RGB in [-1, 1], H and W at least 75; 299 is what it was trained on.
          train: batch norm uses the batch's own statistics and updates its running ones, so
            `mutable=["batch_stats"]` is needed.
          endpoints: also gives the named maps, which are all there is without the top.

        Returns:
          Logits (B, 1000), before any softmax. With `endpoints` also a dict; at 299x299: `stem`
          (B, 35, 35, 192), `mixed_5b` and `block35` (B, 35, 35, 320), `mixed_6a` and `block17`
          (B, 17, 17, 1088), `mixed_7a` and `block8` (B, 8, 8, 2080), `conv_7b` (B, 8, 8, 1536)
          after its ReLU, `pooled` (B, 1536).

        Raises:
          ValueError: `x` is no RGB or too small.
        """
        if x.ndim != 4 or x.shape[-1] != 3 or min(x.shape[1:3]) < MIN_SIZE:
            raise ValueError(
                f"input is {x.shape}: Inception-ResNet-v2 takes (batch, height, width, 3), "
                f"sides of {MIN_SIZE} pixels or more"
            )
        maps = {}
        x = maps["stem"] = Stem(train=train, name="stem")(x)
        x = maps["mixed_5b"] = Mixed5b(train=train, name="mixed_5b")(x)
        x, _ = repeated(10, train=train, chains=BLOCK35, scale=0.17, name="block35")(x, None)
        maps["block35"] = x  # (B, 35, 35, 320)
        x = maps["mixed_6a"] = Reduction(train=train, chains=MIXED_6A, name="mixed_6a")(x)
        x, _ = repeated(20, train=train, chains=BLOCK17, scale=0.1, name="block17")(x, None)
        maps["block17"] = x  # (B, 17, 17, 1088)
        x = maps["mixed_7a"] = Reduction(train=train, chains=MIXED_7A, name="mixed_7a")(x)
        x, _ = repeated(9, train=train, chains=BLOCK8, scale=0.2, name="block8")(x, None)
        x, _ = Block(train=train, chains=BLOCK8, scale=1.0, relu=False, name="block8_10")(x)
        maps["block8"] = x  # (B, 8, 8, 2080)
        x = maps["conv_7b"] = ConvBN(CONV_7B, train=train, name="conv_7b")(x)
        x = maps["pooled"] = x.mean(axis=(1, 2))  # (B, 1536)
        if not self.include_top:
            return maps
        logits = nn.Dense(CLASSES, name="classifier")(x)
        return (logits, maps) if endpoints else logits
