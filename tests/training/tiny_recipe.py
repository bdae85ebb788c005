"""configs/smoke.py made smaller still, on a network of three layers: each step takes milliseconds.

For `scripts/train.py --config=tests/training/tiny_recipe.py`, with `start_from` set to a tiny
network's weights: its backbone has no file of its own.
"""

import tiny_network  # noqa: F401 (makes it known)
from ml_collections import ConfigDict
from training_runs import load_recipe


def get_config() -> ConfigDict:
    config = load_recipe("smoke")
    config.update(
        {
            "photos": "made:24",
            "validation_photos": "made:6",
            "crop": 32,
            "tuned_from": "head",
            "batch": 8,
            "schedule": "constant",
            # Gently: rounding, which differs from mesh to mesh, must not grow.
            "learning_rate": 2e-4,
            "steps": 40,
            "warmup_steps": 2,
            "log_every": 1,
            "validate_every": 100,
            "checkpoint_every": 5,
            "keep_checkpoints": 4,
            "pictures": 0,
        }
    )
    config.network.update({"network": "tiny", "size": 32})
    return config
