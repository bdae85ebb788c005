"""The whole way of training in a minute of one CPU, on pictures that it makes itself.

python scripts/train.py --config=configs/smoke.py --workdir=runs/smoke
jaxcolor colorize PHOTO --weights runs/smoke/weights.safetensors

The first thing to run on a new machine: no download, no photos. Nothing of it is left out: the
pretrained backbone, its last parts fine-tuned, old-photo looks, accumulation, validation, pictures,
checkpoints. What it learns is of no use for photos.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """The recipe: what differs from `base`."""
    config = base.get_config()
    config.network.update({"network": "pyramid", "backbone": "efficientnet_lite0", "size": 64})
    config.backbone_weights = "efficientnet_lite0"
    config.tuned_from = "block7a"
    config.export_backbone = True

    config.photos = "made:256"
    config.validation_photos = "made:16"
    config.crop = 64
    config.min_crop_area = 0.3
    config.aging = 0.5
    config.batch = 16

    config.steps = 60
    config.schedule = "cosine"
    config.learning_rate = 2e-3
    config.warmup_steps = 10
    config.weight_decay = 1e-2
    config.dropout = 0.1
    config.clip_norm = 1.0
    config.ema = 0.9

    config.validate_every = 30
    config.checkpoint_every = 20
    return config
