"""Deep Koalarization's own recipe (arXiv 1712.03400), on Inception-ResNet-v2; and every field.

jaxcolor port inception_resnet_v2
python scripts/train.py --config=configs/base.py --workdir=runs/base \
    --config.photos=folder:PHOTOS/train --config.validation_photos=folder:PHOTOS/val

Meant for a GPU, where its time has not been measured. On two CPU cores a photo takes 0.51 s
(`scripts/benchmark.py step base,224,8`), so a step of 100 takes 51 s and the whole run eight days.

The other recipes start from this one. A field that a function of `jaxcolor.training` has a keyword
of the same name for is handed to it by name (`start.fields`).
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The recipe."""
    config = ConfigDict()

    # What is trained: the fields of jaxcolor.models.Config.
    config.network = ConfigDict(
        {
            "network": "fusion",
            "backbone": "inception_resnet_v2",
            "head": "regression",
            "stretched": False,  # whether it sees black and white points moved towards one pair
            "mended": False,  # whether it sees photos without vignette, scratches and specks
            "size": 224,
        }
    )
    # The backbone's weights: a shipped name, one that is ported to the cache, a ported file, or ""
    # for random ones.
    config.backbone_weights = "inception_resnet_v2"
    config.tuned_from = ""  # the first part of the backbone that is trained too; none: frozen
    config.backbone_rate = 0.1  # of the learning rate, for those parts
    # Whether weights.safetensors holds the backbone (EfficientNet-Lite0: 7 to 9 MB, Inception: 223
    # MB) or names it by its checksum.
    config.export_backbone = False
    config.start_from = ""  # a colorizer's weights to go on from, instead of random ones

    # Photos: folder:PATH, tfds:NAME[:SPLIT], tfds:PATH[:SPLIT] or made:COUNT.
    config.photos = "folder:photos/train"
    config.validation_photos = "folder:photos/val"
    # The side in pixels that a photo's part is brought to; each part of the network takes what it
    # needs of it. Inception sees the grey at 299x299, encoder and decoder at network.size.
    config.crop = 299
    config.min_crop_area = 1.0  # the least share of the photo's area that is shown; 1: whole photos
    config.aging = 0.0  # share of the photos that are shown as an old photo would be
    config.margins = 0.0  # share of the photos that get a margin without colour
    config.colourless = 0.0  # share whose place a picture of something without colour takes
    config.batch = 100  # photos in a step, on all devices together
    config.accumulate = 1  # pieces that a device's part of a batch is worked on in

    # Adam with a constant rate, as it stands in the paper: no decay, no clipping, no average.
    config.loss = "squared_error"  # one of jaxcolor.training.LOSSES
    # How much of the loss it is that colours stay as they are when a photo is cropped a little;
    # above 0, a batch holds each photo twice, cropped twice.
    config.consistency = 0.0
    config.huber_delta = 0.1  # of the loss "huber", in ab / 110
    config.compute_dtype = "float32"  # or "bfloat16", with parameters in float32 all the same
    config.steps = 14000
    config.schedule = "constant"  # or "cosine": down to zero at the last step
    config.learning_rate = 1e-3
    config.warmup_steps = 0  # the rate rises from zero for so many
    config.weight_decay = 0.0  # AdamW's
    config.dropout = 0.0  # share of the channels that a photo does without, while training
    config.clip_norm = float("inf")  # of the gradient's global norm
    config.ema = 0.0  # how much of the moving average of the parameters a step keeps
    config.seed = 0  # of the order of the photos and of all that is random

    # When the loop does what else, in steps.
    config.log_every = 10
    config.validate_every = 500
    config.checkpoint_every = 100
    config.keep_checkpoints = 2  # the latest so many, and the best
    config.pictures = 8  # of the first validation batch, shown at every validation
    return config
