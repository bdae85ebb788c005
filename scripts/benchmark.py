"""Measures how fast things are on this machine, beside other ways of doing them.

python scripts/benchmark.py cold        # whole processes, one photo of 12 megapixels
python scripts/benchmark.py predict     # the networks alone, batch 8 and 1
python scripts/benchmark.py train       # a step of Deep Koalarization without its backbone
python scripts/benchmark.py step        # whole train steps of the recipes in configs/
python scripts/benchmark.py lab         # sRGB to Lab and back
python scripts/benchmark.py scale       # 1 to 100 megapixels, batches of 1 to 64
python scripts/benchmark.py folder      # many photos through our command
python scripts/benchmark.py exported PEER.onnx  # our ONNX file beside PyTorch's of the same network
python scripts/benchmark.py data        # the input alone, and how long a train step waits for it
python scripts/benchmark.py port        # porting Inception-ResNet-v2: time and peak memory

`--json FILE` before the WORK adds the figures to a file, `--repeats` says how often; `--help` after
it tells of its options, such as `--profile`. `docs/performance.md` has what came out.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.commands import main

if __name__ == "__main__":
    main()
