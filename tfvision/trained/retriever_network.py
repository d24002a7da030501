"""Feature Tuning's networks: taps of a catalogue network, its classifier, and what is trained on its taps.

Source: Tani and Wada, feature-tuning, section 3.2, figures 5 and 6; READINGS, section 5.
"""

import dataclasses
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfvision.losses.cosface import CosineLogits
from tfvision.models.catalogue import get_network
from tfvision.models.pooling import concatenate, mean_layer, pool
from tfvision.models.taps import tap_outputs
from tfvision.models.weights import load_pretrained
from tfvision.trained.retriever_run import ADDITIONS, WHITENED, RetrieverRecipe, RetrieverRun
from tfvision.training.loop import precision_policy
from tfvision.training.run import load_run_weights

INDEX, LOGITS = "index", "logits"
_HIDDEN = {3: (1024, 512), 6: (None, 1280, 1024, 768, 512)}  # widths; None = that of the input


@dataclasses.dataclass(frozen=True)
class Retriever:
    """A network and what was put on it; all share its layers.

    Attributes:
      base: of the catalogue, on scaled pixels.
      maps: float32 RGB 0-255 [batch, size, size, 3] -> {tap: responses}.
      widths: {tap: channels}, shallow to deep.
      classifier: the same -> float32 logits [batch, classes], on the mean of the last tap.
      tuned: name -> network, concatenated taps float32 [batch, width] -> {"index": [batch, 512], "logits"}, and, where the recipe has it, WHITENED
        -> {"index": [batch, width]}, which nothing trains.
      whole: pixels -> {tap: maps, "logits", and each tuned network's index}: what a run's weights are of.
      loaded: one sentence on the base's weights.
    """

    base: keras.Model
    maps: keras.Model
    widths: dict[str, int]
    classifier: keras.Model
    tuned: dict[str, keras.Model]
    whole: keras.Model
    loaded: str


def build_retriever(recipe: RetrieverRecipe, classes: int, image_size: int | None = None, weights: str = "none", precision: str = "float32") -> Retriever:
    """Builds all of a recipe's networks.

    Args:
      classes: their number.
      image_size: pixels a side; None = any.
      weights: of the base, as `load_pretrained` takes them.
      precision: of training.loop.precision_policy.

    Raises:
      RecipeError, WeightsError.
    """
    network = get_network(recipe.network)
    with precision_policy(precision):
        base = network.build(image_size)
        loaded = load_pretrained(base, recipe.network, weights)
        for layer in base.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = recipe.batch_norm_momentum
        outputs = tap_outputs(base, network, recipe.network, recipe.tap_names)
        image = keras.Input((image_size, image_size, 3), name="image")
        pixels = keras.layers.Rescaling(network.scale, network.offset, name="scaled")(image)
        maps = keras.Model(base.input, outputs, name=base.name)(pixels)
        pooled = {tap: mean_layer(maps[tap], f"{tap}_mean") for tap in recipe.tap_names}  # Keras sorts the outputs of a model by name
        logits = _classifier(recipe, classes, LOGITS, recipe.seed)(pooled[recipe.tap_names[-1]])
        joined = keras.layers.Concatenate(name="taps")([*pooled.values()]) if len(pooled) > 1 else pooled[recipe.tap_names[0]]
        widths = {tap: vectors.shape[-1] for tap, vectors in pooled.items()}
        tuned = {f"tuned{layers}": build_tuning(recipe, tuple(widths.values()), classes, layers) for layers in recipe.tuning}
        if recipe.whitening:
            tuned[WHITENED] = build_whitening(sum(widths.values()))
        answers = {name: model(joined) for name, model in tuned.items()}
    whole = {**maps, LOGITS: logits, **{name: answer[INDEX] for name, answer in answers.items()}}
    return Retriever(
        base,
        keras.Model(image, maps, name="maps"),
        widths,
        keras.Model(image, logits, name="classifier"),
        tuned,
        keras.Model(image, whole, name="retriever"),
        loaded,
    )


def build_tuning(recipe: RetrieverRecipe, widths: Sequence[int], classes: int, layers: int) -> keras.Model:
    """The fully connected network of stage 2.

    Args:
      widths: channels of each tap.
      classes: their number.
      layers: 3 (1472-1024-512-classes, for ResNet18) or 6 (1472-1472-1280-1024-768-512-classes).

    Returns:
      Concatenated taps float32 [batch, sum(widths)] -> {"index": [batch, 512], "logits": [batch, classes]}.
    """
    x = inputs = keras.Input((sum(widths),), name="taps")
    if recipe.tuning_input == "normalised_addition":
        x = TapNormalization(widths, name="normalised")(x)
    for number, units in enumerate(_HIDDEN[layers], 1):
        initializer = keras.initializers.HeNormal(seed=recipe.seed + 100 * layers + number)
        x = keras.layers.Dense(units or sum(widths), "relu", kernel_initializer=initializer, name=f"fully{number}")(x)
    index = keras.layers.Activation("linear", dtype="float32", name=INDEX)(x)
    logits = _classifier(recipe, classes, LOGITS, recipe.seed + layers)(index)
    return keras.Model(inputs, {INDEX: index, LOGITS: logits}, name=f"tuned{layers}")


def build_whitening(width: int) -> keras.Model:
    """The whitened addition: concatenated taps float32 [batch, width] -> {"index": [batch, width]}; the addition itself until WHITENED has weights."""
    inputs = keras.Input((width,), name="taps")
    x = keras.layers.UnitNormalization(dtype="float32", name="unit")(inputs)
    index = keras.layers.Dense(width, kernel_initializer="identity", trainable=False, dtype="float32", name=WHITENED)(x)
    return keras.Model(inputs, {INDEX: index}, name=WHITENED)


def load_retriever(folder: str | Path, image_size: int | None = None) -> Retriever:
    """The networks of a finished run, with its weights. Raises RunError."""
    run = RetrieverRun.open(folder)
    with run.building():
        retriever = build_retriever(run.recipe, len(run.classes), image_size)
    load_run_weights(retriever.whole, run.weights_path)
    return retriever


def index_responses(retriever: Retriever, recipe: RetrieverRecipe, names: Sequence[str]) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function: uint8 RGB [batch, height, width, 3] -> {name: maps of a tap, or vectors of another index}, for some indices."""

    def responses(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = retriever.whole(tf.cast(images, tf.float32), training=False)
        pooled = {tap: pool(outputs[tap]) for tap in recipe.tap_names}
        added = {name: concatenate(pooled, name == "normalised_addition", is_normalised=False) for name in ADDITIONS}
        return {name: added[name] if name in ADDITIONS else outputs[name] for name in names}

    return responses


@keras.utils.register_keras_serializable("tfvision")
class TapNormalization(keras.layers.Layer):
    """Concatenated taps [batch, sum(widths)]: each tap L2-normalised, times the root of its width, so that a value is about 1.

    Args:
      widths: channels of each tap.
    """

    def __init__(self, widths: Sequence[int], **kwargs: typing.Any) -> None:
        super().__init__(**kwargs)
        self.widths = tuple(widths)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        parts = tf.split(tf.cast(inputs, tf.float32), self.widths, axis=1)
        normalised = [np.sqrt(width) * tf.math.l2_normalize(part, axis=1) for part, width in zip(parts, self.widths, strict=True)]
        return tf.cast(tf.concat(normalised, axis=1), inputs.dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Sequence[int | None]:
        return input_shape

    def get_config(self) -> dict[str, typing.Any]:
        return {**super().get_config(), "widths": self.widths}


def _classifier(recipe: RetrieverRecipe, classes: int, name: str, seed: int) -> keras.layers.Layer:
    if recipe.loss == "cosface":
        return CosineLogits(classes, recipe.scale, seed, dtype="float32", name=name)
    return keras.layers.Dense(classes, dtype="float32", kernel_initializer=keras.initializers.GlorotUniform(seed=seed), name=name)
