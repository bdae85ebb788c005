"""How near a colorized picture is to the true one."""

from __future__ import annotations

import math

import numpy as np


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 RGB pictures, in dB (data range 255).

    Raises:
      ValueError: the shapes differ, or the type is not uint8.
    """
    if picture.shape != truth.shape or picture.dtype != np.uint8 or truth.dtype != np.uint8:
        raise ValueError(
            f"psnr of {picture.dtype} {picture.shape} and {truth.dtype} {truth.shape}: "
            "both must be uint8 of one shape"
        )
    error = np.mean(np.square(picture.astype(np.float64) - truth))
    return 10 * math.log10(255**2 / error) if error else math.inf
