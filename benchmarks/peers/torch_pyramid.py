"""The default network written by hand in PyTorch, and exported by it to ONNX.

python benchmarks/peers/torch_pyramid.py jaxcolor/weights/pyramid.safetensors OUT.onnx

In an environment with torch, onnx, onnxscript and safetensors; nothing of jaxcolor is imported. It
takes L / 50 - 1 of (batch, 1, height, width) and gives ab / 110, as the network of `jaxcolor export
--part network` does. `scripts/benchmark.py exported OUT.onnx` compares the two files.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

# repeats, kernel, stride, expansion, filters; the stages that the decoder takes maps of
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAKEN = {1: 5.4, 2: 8.1, 3: 7.3, 5: 6.4, 7: 3.0}  # and what their maps are divided by
LEVELS = (("P16", 5, 256), ("P8", 3, 160), ("P4", 2, 96), ("P2", 1, 48))
EPSILON = 1e-3


class ConvBN(nn.Module):
    """Convolution, batch norm and, if it is wanted, ReLU6; padded as TensorFlow pads."""

    def __init__(
        self,
        name: str,
        inputs: int,
        filters: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ):
        super().__init__()
        self.name, self.linear = name, linear
        even = kernel // 2 if stride == 1 else 0
        self.pad = (kernel - 2) // 2, (kernel - 1) // 2
        self.stride = stride
        self.conv = nn.Conv2d(inputs, filters, kernel, stride, even, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(filters, EPSILON)

    def forward(self, x: Any) -> Any:
        """Maps to maps."""
        if self.stride == 2:
            x = functional.pad(x, (*self.pad, *self.pad))
        x = self.bn(self.conv(x))
        return x if self.linear else functional.relu6(x)


class Block(nn.Module):
    """An inverted residual."""

    def __init__(self, name: str, inputs: int, row: tuple[int, ...], stride: int):
        super().__init__()
        _, kernel, _, expansion, filters = row
        wide = inputs * expansion
        layers = [] if expansion == 1 else [ConvBN(f"{name}/expand", inputs, wide)]
        layers.append(ConvBN(f"{name}/depthwise", wide, wide, kernel, stride, wide))
        layers.append(ConvBN(f"{name}/project", wide, filters, linear=True))
        self.layers = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == filters

    def forward(self, x: Any) -> Any:
        """Maps to maps."""
        return x + self.layers(x) if self.shortcut else self.layers(x)


class Pyramid(nn.Module):
    """L / 50 - 1 to ab / 110."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBN("stem", 3, 32, 3, 2)
        channels, counts, stages = 32, {}, []
        for number, row in enumerate(STAGES, start=1):
            made = []
            for repeat in range(row[0]):
                name = f"block{number}{'abcd'[repeat]}"
                made.append(Block(name, channels, row, 1 if repeat else row[2]))
                channels = row[4]
            counts[number] = channels
            stages.append(nn.Sequential(*made))
        self.stages = nn.ModuleList(stages)
        self.head = ConvBN("head", channels, 1280)
        self.fusion = nn.Conv2d(320 + 1280, 256, 1)
        self.p32 = nn.Conv2d(256, 256, 3, padding=1)
        channels, levels = 256, []
        for _, stage, filters in LEVELS:
            levels.append(nn.Conv2d(channels + counts[stage], filters, 3, padding=1))
            channels = filters
        self.levels = nn.ModuleList(levels)
        self.chroma = nn.Conv2d(channels, 2, 3, padding=1)

    def forward(self, lightness: Any) -> Any:
        """(B, 1, H, W) to (B, 2, H, W)."""
        x = self.stem(_seen(lightness).expand(-1, 3, -1, -1))
        maps = {}
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            maps[number] = x
        scaled = {number: maps[number] / scale for number, scale in TAKEN.items()}
        pooled = self.head(x).mean((2, 3), keepdim=True)
        tiled = pooled.expand(-1, -1, *x.shape[2:])
        x = functional.relu(self.fusion(torch.cat([scaled[7], tiled], 1)))
        x = functional.relu(self.p32(x))
        for (_, stage, _), level in zip(LEVELS, self.levels, strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = functional.relu(level(torch.cat([x, scaled[stage]], 1)))
        x = torch.tanh(self.chroma(x))
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _seen(lightness: Any) -> Any:
    """L / 50 - 1 to the grey value that the backbone was trained with."""
    fy = ((lightness + 1) * 50 + 16) / 116
    light = torch.where(fy > 6 / 29, fy**3, (fy - 4 / 29) * (3 * (6 / 29) ** 2)).clamp(0, 1)
    grey = torch.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    return (grey * 255 - 127) / 128


def filled(file: str) -> Pyramid:
    """The network with the weights of a file of jaxcolor's."""
    held = {name: values.float() for name, values in load_file(file).items()}

    def kernel(name: str) -> Any:
        return held[f"params/{name}/kernel"].permute(3, 2, 0, 1)

    network = Pyramid().eval()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, ConvBN):
                home = f"backbone/{layer.name}"
                layer.conv.weight.copy_(kernel(f"{home}/conv"))
                layer.bn.weight.copy_(held[f"params/{home}/bn/scale"])
                layer.bn.bias.copy_(held[f"params/{home}/bn/bias"])
                layer.bn.running_mean.copy_(held[f"batch_stats/{home}/bn/mean"])
                layer.bn.running_var.copy_(held[f"batch_stats/{home}/bn/var"])
        names = {"fusion/F1": network.fusion, "P32": network.p32, "chroma": network.chroma}
        names |= {name: level for (name, *_), level in zip(LEVELS, network.levels, strict=True)}
        for name, convolution in names.items():
            convolution.weight.copy_(kernel(name))
            convolution.bias.copy_(held[f"params/{name}/bias"])
    return network


def main(weights: str, output: str) -> None:
    """Writes the file; batch, height and width are free."""
    free = {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        filled(weights),
        (torch.zeros(2, 1, 224, 224),),
        output,
        input_names=["lightness"],
        output_names=["ab"],
        opset_version=18,
        dynamic_axes={"lightness": free, "ab": free},
        dynamo=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
