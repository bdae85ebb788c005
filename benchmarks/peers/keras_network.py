"""Deep Koalarization in Keras, as one writes it down: tile, concatenate, 1x1 (arXiv 1712.03400)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from benchmarks.peers.shape import ENCODER

BACKBONE_SIZE = 299


def encoder_to_decoder(size: int) -> Any:
    """L / 50 - 1 of (size, size, 1) and 1000 logits -> ab / 110 of (size, size, 2)."""
    lightness = keras.Input((size, size, 1))
    logits = keras.Input((1000,))
    x = lightness
    for filters, stride in ENCODER:
        x = layers.Conv2D(filters, 3, stride, padding="same", activation="relu")(x)
    tiled = layers.RepeatVector((size // 8) ** 2)(logits)
    tiled = layers.Reshape((size // 8, size // 8, 1000))(tiled)
    x = layers.Concatenate()([x, tiled])
    x = layers.Conv2D(256, 1, activation="relu")(x)
    x = layers.Conv2D(128, 3, padding="same", activation="relu")(x)
    x = layers.UpSampling2D(2)(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.UpSampling2D(2)(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(2, 3, padding="same", activation="tanh")(x)
    x = layers.UpSampling2D(2)(x)
    return keras.Model([lightness, logits], x)


def base(size: int) -> Any:
    """L of (size, size, 1) and the grey picture (299, 299, 3) -> ab / 110; random weights."""
    backbone = keras.applications.InceptionResNetV2(weights=None, classifier_activation=None)
    backbone.trainable = False
    lightness = keras.Input((size, size, 1))
    grey = keras.Input((BACKBONE_SIZE, BACKBONE_SIZE, 3))
    return keras.Model([lightness, grey], encoder_to_decoder(size)([lightness, backbone(grey)]))
