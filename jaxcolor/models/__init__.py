"""The networks, as Flax linen modules."""

from jaxcolor.models.colorizer import BACKBONES, Colorizer, Config, Params
from jaxcolor.models.decoder import Decoder
from jaxcolor.models.efficientnet_lite import EfficientNetLite0
from jaxcolor.models.encoder import Encoder
from jaxcolor.models.fusion import Fusion
from jaxcolor.models.inception_resnet_v2 import InceptionResNetV2, fold

__all__ = [
    "BACKBONES",
    "Colorizer",
    "Config",
    "Decoder",
    "EfficientNetLite0",
    "Encoder",
    "Fusion",
    "InceptionResNetV2",
    "Params",
    "fold",
]
