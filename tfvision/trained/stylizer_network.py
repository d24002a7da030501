"""A stylizer's network: loaded from a run, and asked to paint."""

import keras
import numpy as np
import tensorflow as tf

from tfvision.data.views import as_pixels
from tfvision.models.stylizer import build_stylizer
from tfvision.trained.stylizer_run import StylizerRun
from tfvision.training.run import load_run_weights


def load_stylizer(run: StylizerRun) -> keras.Model:
    """The network of a finished run, in float32. Raises RunError."""
    with run.building():
        model = build_stylizer(run.recipe.width, run.recipe.blocks)
    load_run_weights(model, run.weights_path)
    return model


def paint(model: keras.Model, photos: np.ndarray | tf.Tensor) -> np.ndarray:
    """uint8 RGB [batch, height, width, 3] in the network's style, from photos of any numeric type."""
    return as_pixels(model(tf.cast(photos, tf.uint8), training=False)).numpy()
