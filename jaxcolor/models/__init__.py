"""The networks, as Flax linen modules."""

from jaxcolor.models.backbones import BACKBONES
from jaxcolor.models.colorizer import NETWORKS, Config, Params, Prediction, forward, make_network
from jaxcolor.models.decoder import Decoder
from jaxcolor.models.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
)
from jaxcolor.models.encoder import Encoder
from jaxcolor.models.fusion import Fusion
from jaxcolor.models.heads import HEADS
from jaxcolor.models.inception_resnet_v2 import InceptionResNetV2
from jaxcolor.models.koalarization import Koalarization
from jaxcolor.models.pyramid import Pyramid

__all__ = [
    "BACKBONES",
    "HEADS",
    "NETWORKS",
    "Config",
    "Decoder",
    "EfficientNetLite0",
    "EfficientNetLite1",
    "EfficientNetLite2",
    "Encoder",
    "Fusion",
    "InceptionResNetV2",
    "Koalarization",
    "Params",
    "Prediction",
    "Pyramid",
    "forward",
    "make_network",
]
