"""One photo in, the same photo in colour out, by Keras and scikit-image.

KERAS_BACKEND=tensorflow python -m benchmarks.peers.keras_colorize PHOTO RESULT

What a good script does for Deep Koalarization: Lab by scikit-image in float32, the network at
224x224 beside Inception-ResNet-v2 at 299x299 (random weights: speed does not depend on them), ab
brought back to the photo's size, joined to its own L.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from skimage.transform import resize

from benchmarks.peers.keras_network import BACKBONE_SIZE, base

SIZE = 224


def colorize(photo: str, result: str) -> None:
    """From file to file."""
    rgb = np.asarray(Image.open(photo).convert("RGB"))
    lightness = rgb2lab((rgb / np.float32(255)).astype(np.float32))[..., 0]
    grey = resize(rgb.astype(np.float32), (BACKBONE_SIZE, BACKBONE_SIZE), anti_aliasing=True)
    small = resize(lightness, (SIZE, SIZE), anti_aliasing=True)
    model = base(SIZE)
    (ab,) = model.predict([small[None, ..., None] / 50 - 1, grey[None] / 127.5 - 1], verbose=0)
    ab = resize(np.asarray(ab) * 110, lightness.shape, order=1)
    lab = np.concatenate([lightness[..., None], ab], axis=-1).astype(np.float32)
    Image.fromarray((lab2rgb(lab) * 255 + 0.5).astype(np.uint8)).save(result, quality=95)


if __name__ == "__main__":
    colorize(*sys.argv[1:])
