"""Keras's side of the networks: python -m benchmarks.peers.keras_worker WORK SIZE BATCH."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.measure import serve
from benchmarks.peers.keras_network import BACKBONE_SIZE, base, encoder_to_decoder


def main(work: str, size: int, batch: int) -> None:
    """Works on random pictures."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.uniform(-1, 1, (batch, *shape)).astype(np.float32)

    lightness, logits, truth = draw(size, size, 1), draw(1000), draw(size, size, 2)
    if work == "base":
        model, seen = base(size), [lightness, draw(BACKBONE_SIZE, BACKBONE_SIZE, 3)]
    else:
        model, seen = encoder_to_decoder(size), [lightness, logits]
    if work == "train":
        model.compile(optimizer="adam", loss="mse")
        serve(lambda: np.asarray(model.train_on_batch(seen, truth)))
    else:
        serve(lambda: np.asarray(model.predict_on_batch(seen)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
