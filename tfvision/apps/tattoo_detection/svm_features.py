"""The features of photos that a detector's SVM sees, as a table's extractor."""

import hashlib

import numpy as np
import tensorflow as tf

from tfvision.features.extractor import Extractor
from tfvision.features.networks import FeatureNetwork
from tfvision.features.recipe import FeatureRecipe
from tfvision.trained.detector_network import FEATURES, Detector
from tfvision.trained.detector_run import DetectorRecipe


def features_extractor(detector: Detector, recipe: DetectorRecipe, before: Extractor | None = None) -> Extractor:
    """An Extractor of a detector's features, as its weights are now; it goes on with the graph of one that was made `before` of the same detector."""
    network = features_network(detector, recipe)
    if before is not None:
        return before.of_changed(network)
    return Extractor(FeatureRecipe(recipe.network, recipe.weights, (FEATURES,), image_size=network.image_size, is_normalised=False), network)


def features_network(detector: Detector, recipe: DetectorRecipe, tap: str = FEATURES) -> FeatureNetwork:
    """A detector's network up to what its SVM sees, as its weights are now, which answers by the name of a tap."""
    size, digest = recipe.size_px, hashlib.sha256(repr((recipe.network, recipe.tap, recipe.size_px, recipe.crop_px, recipe.is_normalised)).encode())
    for values in detector.whole.get_weights():
        digest.update(np.ascontiguousarray(values).tobytes())

    def responses(images):
        return {tap: detector.whole(tf.cast(images, tf.float32), training=False)[FEATURES]}

    margin, seen = (size - recipe.crop_px) // 2 / size, recipe.crop_px / size
    box = (margin, margin, seen, seen)
    return FeatureNetwork(responses, size, (None, size, size, 3), f"detector {digest.hexdigest()}", loaded=detector.loaded, view_box=box)
