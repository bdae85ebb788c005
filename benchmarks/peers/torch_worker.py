"""PyTorch's side of encoder to decoder: python -m benchmarks.peers.torch_worker WORK SIZE BATCH."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

from benchmarks.measure import serve
from benchmarks.peers.shape import ENCODER


class EncoderToDecoder(nn.Module):
    """L / 50 - 1 and 1000 logits -> ab / 110."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for filters, stride in ENCODER:
            layers += [nn.Conv2d(channels, filters, 3, stride, 1), nn.ReLU()]
            channels = filters
        self.encoder = nn.Sequential(*layers)
        self.fusion = nn.Sequential(nn.Conv2d(1256, 256, 1), nn.ReLU())
        double = nn.Upsample(scale_factor=2)
        self.decoder = nn.Sequential(
            *(nn.Conv2d(256, 128, 3, padding=1), nn.ReLU(), double),
            *(nn.Conv2d(128, 64, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), double),
            *(nn.Conv2d(64, 32, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(32, 2, 3, padding=1), nn.Tanh(), double),
        )

    def forward(self, lightness: Any, logits: Any) -> Any:
        """(B, 1, S, S) and (B, 1000) -> (B, 2, S, S)."""
        features = self.encoder(lightness)
        tiled = logits[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return self.decoder(self.fusion(torch.cat([features, tiled], dim=1)))


def main(work: str, size: int, batch: int) -> None:
    """Works on random pictures, in the memory format that is fastest on a CPU."""
    model = EncoderToDecoder().to(memory_format=torch.channels_last)
    lightness = torch.rand(batch, 1, size, size).to(memory_format=torch.channels_last)
    logits, truth = torch.rand(batch, 1000), torch.rand(batch, 2, size, size)
    optimizer = torch.optim.Adam(model.parameters())

    def predict() -> None:
        with torch.inference_mode():
            model(lightness, logits)

    def train() -> None:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(lightness, logits), truth).backward()
        optimizer.step()

    serve(train if work == "train" else predict)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
