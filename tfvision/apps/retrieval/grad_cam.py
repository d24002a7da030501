"""Grad-CAM of a retriever's layers: which parts of a photo each looks at for the class that the run sees (figure 7)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfvision.data.decoding import read_pixels
from tfvision.errors import DataError
from tfvision.evaluation.picture_sheet import write_layer_pictures
from tfvision.features.grad_cam import grad_cam, overlay
from tfvision.features.layers import layer_name, network_pixels, unknown_layer
from tfvision.models.catalogue import get_network
from tfvision.trained.retriever_network import LOGITS, Retriever, load_retriever
from tfvision.trained.retriever_run import RetrieverRecipe, RetrieverRun


def draw_grad_cams(run: Path | str, photo: Path | str, layers: Sequence[str] = (), label: str | None = None, out: Path | str = ".") -> dict[str, Any]:
    """Writes a picture a layer: the photo with the layer's Grad-CAM over it.

    Args:
      run: folder of a finished retriever run.
      photo: file.
      layers: taps, or names of any layers with positions; () = the first and the last tap (the paper's conv2, conv5).
      label: of the run's classes; None = the one the run sees.
      out: folder.

    Returns:
      dict: "image", "label", "probability" (of the classifier of stage 1), "pictures" {layer: path}.

    Raises:
      RunError, DataError, RecipeError.
    """
    run = RetrieverRun.open(run)
    pixels = read_pixels(photo)
    retriever = load_retriever(run.folder, run.recipe.size_px)
    images = tf.cast(network_pixels(pixels, run.recipe.size_px), tf.float32)
    probabilities = tf.nn.softmax(retriever.classifier(images, training=False))[0].numpy()
    number = _class_number(run.classes, label) if label else int(np.argmax(probabilities))
    taps = run.recipe.tap_names
    pictures = {
        layer: overlay(pixels, grad_cam(layer_and_logits(retriever, run.recipe, layer), lambda logits: logits[:, number], images)[0])
        for layer in layers or dict.fromkeys((taps[0], taps[-1]))
    }
    written = write_layer_pictures(photo, pictures, out)
    return {"image": str(photo), "label": run.classes[number], "probability": float(probabilities[number]), "pictures": written}


def layer_and_logits(retriever: Retriever, recipe: RetrieverRecipe, layer: str) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function: pixels -> (the layer's responses, the classifier's logits), the latter computed from the former.

    Raises:
      RecipeError: there is no such layer; the taps are listed.
    """
    network = get_network(recipe.network)
    name = layer_name(network.taps, layer)
    if name not in {known.name for known in retriever.base.layers}:
        raise unknown_layer(layer, recipe.tap_names, recipe.network)
    last = layer_name(network.taps, recipe.tap_names[-1])
    model = keras.Model(retriever.base.input, [retriever.base.get_layer(name).output, retriever.base.get_layer(last).output])
    logits = retriever.classifier.get_layer(LOGITS)

    def responses_and_logits(images):
        responses, features = model(network.scale * images + network.offset, training=False)
        pooled = features if len(features.shape) == 2 else tf.reduce_mean(features, (1, 2))
        return responses, logits(pooled)

    return responses_and_logits


def _class_number(classes: Sequence[str], label: str) -> int:
    if label not in classes:
        raise DataError(f"--label must be one of the run's {len(classes)} classes ({', '.join(classes[:5])}, ...), got {label!r}")
    return classes.index(label)
