"""The seed's recipe: Deep Koalarization (arXiv 1712.03400) on Inception-ResNet-v2's logits.

jaxcolor port inception_resnet_v2
python scripts/train.py --config=configs/base.py --workdir=runs/base \
    --config.photos=folder:PHOTOS/train --config.validation_photos=folder:PHOTOS/val

Meant for a GPU, where its time has not been measured. On two CPU cores a photo takes 0.51 s
(`scripts/benchmark.py step base,224,8`), so a step of 100 takes 51 s and the whole run eight days.
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
            "size": 224,
        }
    )
    config.backbone_weights = "inception_resnet_v2"  # in the cache, or a ported file
    config.tuned_from = ""  # the first part of the backbone that is trained too; none: frozen
    config.backbone_rate = 0.1  # of the learning rate, for those parts
    config.export_backbone = False  # 223 MB: the weights name it by its checksum
    config.start_from = ""  # a colorizer's weights to go on from, instead of random ones

    # Photos: folder:PATH, tfds:NAME[:SPLIT] or made:COUNT. Whole ones, brought to 224x224; the
    # backbone sees the grey at 299x299.
    config.photos = "folder:photos/train"
    config.validation_photos = "folder:photos/val"
    config.crop = 299  # pixels
    config.min_crop_area = 1.0  # of the photo's
    config.aging = 0.0  # share of the photos that are shown as an old photo would be
    config.batch = 100
    config.accumulate = 1  # pieces that a device's part of a batch is worked on in

    # Adam with a constant rate, as it stands in the paper: no decay, no clipping, no average.
    config.loss = "squared_error"
    config.huber_delta = 0.1  # of the loss "huber", in ab / 110
    config.compute_dtype = "float32"  # or "bfloat16", with parameters in float32 all the same
    config.steps = 14000
    config.schedule = "constant"
    config.learning_rate = 1e-3
    config.warmup_steps = 0
    config.weight_decay = 0.0
    config.dropout = 0.0  # share of the channels that a photo does without, while training
    config.clip_norm = float("inf")
    config.ema = 0.0
    config.seed = 0

    # When the loop does what else.
    config.log_every = 10
    config.validate_every = 500
    config.checkpoint_every = 100
    config.keep_checkpoints = 2
    config.pictures = 8  # of the validation photos, shown at every validation
    return config
