"""Photos in, the same photos in colour out, by OpenCV and ONNX Runtime.

python -m benchmarks.peers.opencv_onnx MODEL.onnx PHOTO RESULT
python -m benchmarks.peers.opencv_onnx MODEL.onnx FOLDER RESULTS

What a good engineer writes for this very network, of `jaxcolor export`: L in float32, small by
area, ab enlarged by OpenCV and joined to the photo's own L. One photo has all processors; in a
folder each photo has one, which keeps them all busy from end to end. Edges, gamut and metadata are
not looked after.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

SIZE, MULTIPLE = 224, 32


def colorize(session: onnxruntime.InferenceSession, photo: Path, result: Path) -> None:
    """From file to file."""
    grey = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)
    assert grey is not None, photo
    levels = np.repeat(np.arange(256, dtype=np.float32)[:, None, None] / 255, 3, axis=2)
    lightness = cv2.LUT(grey, cv2.cvtColor(levels, cv2.COLOR_BGR2Lab)[..., 0].ravel())
    height, width = grey.shape
    scale = SIZE / (height * width) ** 0.5
    shape = [max(1, round(side * scale / MULTIPLE)) * MULTIPLE for side in (width, height)]
    small = cv2.resize(lightness, shape, interpolation=cv2.INTER_AREA)
    (ab,) = session.run(None, {"lightness": small[None]})
    planes = [cv2.resize(plane, (width, height)) for plane in ab[0]]
    colour = cv2.cvtColor(cv2.merge([lightness, *planes]), cv2.COLOR_Lab2BGR)
    pixels = cv2.convertScaleAbs(colour, alpha=255)
    cv2.imwrite(str(result), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])


def main(model: str, source: Path, target: Path) -> None:
    """One photo, or all of a folder."""
    options = onnxruntime.SessionOptions()
    if source.is_file():
        colorize(onnxruntime.InferenceSession(model, options), source, target)
        return
    options.intra_op_num_threads = 1
    cv2.setNumThreads(1)
    session = onnxruntime.InferenceSession(model, options)
    target.mkdir(exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        photos = sorted(source.iterdir())
        for _ in pool.map(lambda photo: colorize(session, photo, target / photo.name), photos):
            pass


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
