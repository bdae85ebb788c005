"""The seed's network on the small backbone, trained on one CPU: the weights `lite`.

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


def get_config() -> ConfigDict:
    """The recipe."""
    config = ConfigDict()

    # What is trained: the fields of jaxcolor.models.Config.
    config.network = ConfigDict(
        {
            "network": "fusion",
            "backbone": "efficientnet_lite0",
            "head": "regression",
            "size": 64,
        }
    )
    config.backbone_weights = "efficientnet_lite0"  # a shipped name, or a ported file
    config.tuned_from = ""  # the first part of the backbone that is trained too; none: frozen
    config.backbone_rate = 0.1  # of the learning rate, for those parts
    config.export_backbone = True  # into weights.safetensors: 9 MB
    config.start_from = ""  # a colorizer's weights to go on from, instead of random ones

    # Photos: folder:PATH, tfds:NAME[:SPLIT] or made:COUNT.
    config.photos = "folder:photos/train"
    config.validation_photos = "folder:photos/val"
    config.crop = 128  # pixels; the backbone sees all of them, encoder and decoder network.size
    config.min_crop_area = 0.3  # of the photo's
    config.aging = 0.0  # share of the photos that are shown as an old photo would be
    config.batch = 16
    config.accumulate = 1  # pieces that a device's part of a batch is worked on in

    # AdamW, a warm-up, a cosine down to zero.
    config.loss = "squared_error"
    config.huber_delta = 0.1  # of the loss "huber", in ab / 110
    config.compute_dtype = "float32"  # or "bfloat16", with parameters in float32 all the same
    config.steps = 3200
    config.schedule = "cosine"
    config.learning_rate = 1e-3
    config.warmup_steps = 200
    config.weight_decay = 1e-2
    config.dropout = 0.0  # share of the channels that a photo does without, while training
    config.clip_norm = 1.0
    config.ema = 0.998
    config.seed = 0

    # When the loop does what else.
    config.log_every = 10
    config.validate_every = 400
    config.checkpoint_every = 100
    config.keep_checkpoints = 2
    config.pictures = 8  # of the validation photos, shown at every validation
    return config
