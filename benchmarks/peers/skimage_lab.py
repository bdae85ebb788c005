"""scikit-image's side of `lab`: python -m benchmarks.peers.skimage_lab MEGAPIXELS."""

from __future__ import annotations

import sys

import numpy as np
from skimage.color import lab2rgb, rgb2lab

from benchmarks.measure import serve
from benchmarks.ours import random_picture


def main(megapixels: float) -> None:
    """The same picture, in float32, which is scikit-image's faster way."""
    rgb = random_picture(megapixels)

    def there_and_back() -> None:
        lab = rgb2lab(rgb.astype(np.float32) / 255)
        (lab2rgb(lab) * 255 + 0.5).astype(np.uint8)

    serve(there_and_back)


if __name__ == "__main__":
    main(float(sys.argv[1]))
