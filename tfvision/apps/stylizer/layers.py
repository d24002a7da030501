"""The layers of a stylizer's network."""

from pathlib import Path

import keras
import tensorflow as tf

from tfvision.features.layers import LayeredNetwork, Part
from tfvision.trained.stylizer_network import load_stylizer
from tfvision.trained.stylizer_run import StylizerRun


def open_layers(folder: Path) -> LayeredNetwork:
    """Those with responses to a photo as it is; taps are its convolutions. Raises RunError."""
    model = load_stylizer(StylizerRun.open(folder))
    convolutions = {layer.name: layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    return LayeredNetwork("the stylizer", lambda images: iter([Part(model, tf.cast(images, tf.uint8))]), 0, convolutions)
