"""A detector's network: features of a catalogue network, a classifier to fine-tune it by, and the linear SVM as its last layer.

Source: tattoo-recognition, table 1 and section 2.1; READINGS, section 2.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfvision.models.catalogue import Network, get_network
from tfvision.models.layers import CountedDropout
from tfvision.models.pooling import mean_layer
from tfvision.models.taps import tap_outputs
from tfvision.models.weights import load_pretrained
from tfvision.trained.detector_run import DetectorRecipe, DetectorRun
from tfvision.training.loop import precision_policy
from tfvision.training.run import load_run_weights

FEATURES, SCORE, MAPS = "features", "score", "maps"
FINENESS = 3
_HIDDEN = "fc6"  # drop6 of table 1 stands behind it
_DEVIATIONS = {"fc6": 0.005, "fc7": 0.005}
_DEVIATION = 0.01
_BIASED = ("conv2", "conv4", "conv5", "fc6", "fc7")


@dataclasses.dataclass(frozen=True)
class Detector:
    """Models that share their layers.

    Attributes:
      classifier: float32 RGB 0-255 [batch, crop, crop, 3] -> float32 logits [batch, 2] (other, tattoo).
      whole: the same of [batch, size, size, 3], whose centre it sees -> {"features": [batch, dimension], as the SVM sees them,
        "score": [batch, 1], "maps": responses of the last tap with positions}.
      finer: the same layers for photos `FINENESS` times as large a side, where the features are means over positions and the
        network thus takes any size; else `whole` itself.
      logits, svm: their last layers.
      loaded: one sentence on the weights that were loaded.
    """

    classifier: keras.Model
    whole: keras.Model
    finer: keras.Model
    logits: keras.layers.Layer
    svm: keras.layers.Layer
    loaded: str


def build_detector(recipe: DetectorRecipe, weights: str | None = None, precision: str = "float32") -> Detector:
    """Builds a recipe's networks.

    Args:
      weights: instead of the recipe's, e.g. "none" where a run's follow.
      precision: of training.loop.precision_policy.

    Raises:
      RecipeError, WeightsError.
    """
    network = get_network(recipe.network)
    with precision_policy(precision):
        base = network.build(recipe.crop_px)
        loaded = load_pretrained(base, recipe.network, recipe.weights if weights is None else weights)
        is_from_scratch = recipe.weights == "none" and network.pixels == "caffe"
        if is_from_scratch and recipe.network.startswith("alexnet"):
            _draw_paper_weights(base, recipe)
        for layer in base.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = recipe.batch_norm_momentum
        tapped = tap_outputs(base, network, recipe.network, (recipe.tap,))[recipe.tap]
        maps = _last_maps(base, network, tapped)
        entrance, enter = _entrance(base, network, is_from_scratch)

        crop = keras.Input((recipe.crop_px, recipe.crop_px, 3), name="crop")
        x, below = enter(crop), entrance
        if _HIDDEN in network.taps and recipe.dropout and (hidden := base.get_layer(network.taps[_HIDDEN]).output) is not tapped:
            x, below = CountedDropout(recipe.dropout, recipe.seed, name="drop6")(keras.Model(entrance, hidden, name="below")(x)), hidden
        x = mean_layer(keras.Model(below, tapped, name="above")(x))
        logits = keras.layers.Dense(2, dtype="float32", kernel_initializer=keras.initializers.RandomNormal(0, _DEVIATION, seed=recipe.seed), name="logits")
        classifier = keras.Model(crop, logits(CountedDropout(recipe.dropout, recipe.seed + 1, name="drop7")(x)), name="classifier")

        layers = keras.Model(entrance, {MAPS: maps, "tap": tapped}, name="network")
        svm = keras.layers.Dense(1, dtype="float32", kernel_initializer="zeros", name="svm")

        def whole(times: int) -> keras.Model:
            network = layers if times == 1 else _of_larger_images(layers, times)
            image = keras.Input((times * recipe.size_px, times * recipe.size_px, 3), name="image")
            sides = (times * recipe.crop_px, times * recipe.crop_px)
            seen = keras.layers.CenterCrop(*sides, name="centre")(image) if recipe.crop_px < recipe.size_px else image
            answers = network(enter(seen))
            features = mean_layer(answers["tap"])
            if recipe.is_normalised:
                features = keras.layers.UnitNormalization(dtype="float32", name="normalised")(features)
            return keras.Model(image, {FEATURES: features, SCORE: svm(features), MAPS: answers[MAPS]}, name="detector")

        asked = whole(1)
        finer = whole(FINENESS) if len(tapped.shape) == 4 else asked
    return Detector(classifier, asked, finer, logits, svm, loaded)


def load_detector_network(run: DetectorRun) -> Detector:
    """The network of a finished run, with its weights. Raises RunError."""
    with run.building():
        detector = build_detector(run.recipe, "none")
    load_run_weights(detector.whole, run.weights_path)
    return detector


def _of_larger_images(model: keras.Model, times: int) -> keras.Model:
    """The same layers, which must take any size, applied to images `times` as large a side."""
    size, channels = times * model.inputs[0].shape[1], model.inputs[0].shape[-1]
    return keras.models.clone_model(model, input_tensors=keras.Input((size, size, channels)), clone_function=lambda layer: layer)


def _last_maps(base: keras.Model, network: Network, tapped: tf.Tensor) -> tf.Tensor:
    """The deepest tap up to `tapped` that has more than one position; `tapped` itself where none has."""
    outputs = [base.get_layer(layer).output for layer in network.taps.values()]
    names = [output.name for output in outputs]
    until = outputs[: names.index(tapped.name) + 1] if tapped.name in names else [tapped]
    return next((maps for maps in reversed(until) if len(maps.shape) == 4 and maps.shape[1] * maps.shape[2] > 1), tapped)


def _entrance(base: keras.Model, network: Network, is_from_scratch: bool) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The tensor where sub-models begin, and a function from RGB 0-255 to what they take there."""
    scaled = keras.layers.Rescaling(network.scale, network.offset, name="scaled")
    if not is_from_scratch:
        return base.input, scaled
    pixels, unit = base.get_layer("pixels"), keras.layers.Rescaling(1 / 255, name="unit")
    return pixels.output, lambda image: unit(pixels(scaled(image)))


def _draw_paper_weights(base: keras.Model, recipe: DetectorRecipe) -> None:
    """Gaussian kernels and the biases of AlexNet as it is trained from scratch, by the recipe's seed."""
    generator = np.random.default_rng(recipe.seed)
    for layer in base.layers:
        deviation, bias = _DEVIATIONS.get(layer.name, _DEVIATION), recipe.initial_bias if layer.name in _BIASED else 0.0
        drawn = [generator.normal(0, deviation, values.shape) if values.ndim > 1 else np.full(values.shape, bias) for values in layer.get_weights()]
        layer.set_weights(drawn)
