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

    place = next(place for place, layer in enumerate(whole.layers) if isinstance(layer, keras.Model))
    before, network = whole.layers[1:place], whole.layers[place]  # they stand in a line up to there

    def parts(images: tf.Tensor) -> Iterator[Part]:
        for layer in before:
            images = layer(images)
        # Trained from scratch, the network is cut behind its own pixels.
        start = next((layer.output for layer in before if layer.name == "pixels"), None)
        yield Part(network, images, start)

    return LayeredNetwork(run.recipe.network, parts, run.recipe.size_px, get_network(run.recipe.network).taps)
