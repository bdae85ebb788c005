"""An ONNX file in ONNX Runtime: python -m benchmarks.peers.onnx_worker FILE SIZE BATCH."""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime

from benchmarks.measure import serve


def main(file: str, size: int, batch: int) -> None:
    """Works on random pictures, of as many dimensions as the file's input has."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    shape = (batch, *(1,) * (len(taken.shape) - 3), size, size)
    lightness = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    serve(lambda: session.run(None, {taken.name: lightness}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
