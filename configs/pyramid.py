"""The default weights' recipe: EfficientNet-Lite0 is the encoder, fine-tuned; skip connections.

python scripts/train.py --config=configs/pyramid.py --workdir=runs/pyramid \
    --config.photos=folder:PHOTOS/train --config.validation_photos=folder:PHOTOS/val

About a second a step on two CPU cores. The shipped weights were trained by it in several runs, each
from the weights of the one before, the last at 224x224: `docs/experiments.md` has them, and what
they came to. They predict at 224x224, averaged with the mirror image.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The recipe."""
    config = ConfigDict()

    # What is trained: the fields of jaxcolor.models.Config.
    config.network = ConfigDict(
        {
            "network": "pyramid",
            "backbone": "efficientnet_lite0",
            "head": "regression",
            "size": 160,
        }
    )
    config.backbone_weights = "efficientnet_lite0"  # a shipped name, or a ported file
    config.tuned_from = (
        "block4a"  # the first part of the backbone that is trained too; none: frozen
    )
    config.backbone_rate = 0.1  # of the learning rate, for those parts
    config.export_backbone = True  # into weights.safetensors: 7 MB
    config.start_from = ""  # a colorizer's weights to go on from, instead of random ones

    # Photos: folder:PATH, tfds:NAME[:SPLIT] or made:COUNT.
    config.photos = "folder:photos/train"
    config.validation_photos = "folder:photos/val"
    config.crop = 160  # pixels
    config.min_crop_area = 0.2  # of the photo's
    config.aging = 0.3  # share of the photos that are shown as an old photo would be
    config.batch = 16
    config.accumulate = 1  # pieces that a device's part of a batch is worked on in

    # AdamW, a warm-up, a cosine down to zero.
    config.loss = "squared_error"
    config.huber_delta = 0.1  # of the loss "huber", in ab / 110
    config.compute_dtype = "float32"  # or "bfloat16", with parameters in float32 all the same
    config.steps = 8000
    config.schedule = "cosine"
    config.learning_rate = 5e-4
    config.warmup_steps = 100
    config.weight_decay = 0.1
    config.dropout = 0.2  # share of the channels that a photo does without, while training
    config.clip_norm = 1.0
    config.ema = 0.999
    config.seed = 0

    # When the loop does what else.
    config.log_every = 10
    config.validate_every = 500
    config.checkpoint_every = 100
    config.keep_checkpoints = 2
    config.pictures = 8  # of the validation photos, shown at every validation
    return config
