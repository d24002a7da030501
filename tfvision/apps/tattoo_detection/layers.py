"""The layers of a detector's network."""

from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from tfvision.features.layers import LayeredNetwork, Part
from tfvision.models.catalogue import get_network
from tfvision.trained.detector_network import load_detector_network
from tfvision.trained.detector_run import DetectorRun


def open_layers(folder: Path) -> LayeredNetwork:
    """Those up to what the SVM sees (figure 3 of tattoo-recognition). Raises RunError."""
    run = DetectorRun.open(folder)
    whole = load_detector_network(run).whole

    def parts(images: tf.Tensor) -> Iterator[Part]:
        entered = keras.Model(whole.input, whole.layers[_network_place(whole) - 1].output)
        yield Part(whole.layers[_network_place(whole)], entered(images))

    return LayeredNetwork(run.recipe.network, parts, run.recipe.size_px, get_network(run.recipe.network).taps)


def _network_place(whole: keras.Model) -> int:
    """Where among the layers, which stand in a line up to there, the network is."""
    return next(place for place, layer in enumerate(whole.layers) if isinstance(layer, keras.Model))
