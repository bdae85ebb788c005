"""Deep Koalarization's network on the small backbone, trained on one CPU: the weights `lite`.

Two runs, the first on small pictures, where a step is cheap, the second on the size that is used:

python scripts/train.py --config=configs/lite.py --workdir=runs/lite64 \
    --config.photos=folder:PHOTOS/train --config.validation_photos=folder:PHOTOS/val
python scripts/train.py --config=configs/lite.py --workdir=runs/lite128 \
    --config.photos=folder:PHOTOS/train --config.validation_photos=folder:PHOTOS/val \
    --config.start_from=runs/lite64/weights.safetensors --config.network.size=128 \
    --config.crop=160 --config.learning_rate=3e-4 --config.steps=780

On two CPU cores: 36 and 26 minutes. Validation loss 0.0181 (grey 0.0273) after the first run, at
64x64; 0.0191 (grey 0.0279) after the second, at 128x128. PSNR on the 320 photos to validate, by
`scripts/evaluate.py`: 22.52 dB, grey 21.30 dB.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """The recipe: what differs from `base`."""
    config = base.get_config()
    config.network.update({"backbone": "efficientnet_lite0", "size": 64})
    config.backbone_weights = "efficientnet_lite0"
    config.export_backbone = True

    config.crop = 128
    config.min_crop_area = 0.3
    config.batch = 16

    config.steps = 3200
    config.schedule = "cosine"
    config.warmup_steps = 200
    config.weight_decay = 1e-2
    config.clip_norm = 1.0
    config.ema = 0.998

    config.validate_every = 400
    return config
