"""The default weights' recipe: EfficientNet-Lite0 is the encoder, fine-tuned; skip connections.

python scripts/train.py --config=configs/pyramid.py --workdir=runs/pyramid \
    --config.photos=folder:PHOTOS/train --config.validation_photos=folder:PHOTOS/val

A step takes 2.8 CPU seconds. The shipped weights had 1,850 steps of it, neither `mended` nor for
`consistency`, after eight CPU hours of other runs, and then 5,030 with other rates and squares:
`docs/experiments.md` has all of them and their figures. To go on from them:
--config.start_from=pyramid. They predict in shapes of about 224x224 pixels, averaged with the
mirror image.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """The recipe: what differs from `base`."""
    config = base.get_config()
    config.network.update(
        {
            "network": "pyramid",
            "backbone": "efficientnet_lite0",
            "stretched": True,
            "mended": True,
            "size": 160,
        }
    )
    config.backbone_weights = "efficientnet_lite0"
    config.tuned_from = "block4a"
    config.export_backbone = True

    config.crop = 160
    config.min_crop_area = 0.2
    config.aging = 0.25
    config.colourless = 0.03
    config.batch = 16

    config.steps = 1850
    config.schedule = "cosine"
    config.learning_rate = 5e-4
    config.warmup_steps = 50
    config.weight_decay = 0.1
    config.dropout = 0.1
    config.consistency = 2.0
    config.clip_norm = 1.0
    config.ema = 0.998
    return config
