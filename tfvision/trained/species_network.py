"""The species network: built from a recipe, or loaded from a run, and asked for logits."""

from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos, ViewSettings, evaluation_batches
from tfvision.models.catalogue import get_network
from tfvision.models.multi_view import add_heads, build_trunk, start_from_equal_views
from tfvision.models.weights import load_pretrained
from tfvision.trained.species_run import SpeciesRecipe, SpeciesRun
from tfvision.training.loop import precision_policy
from tfvision.training.run import load_run_weights

PREDICTION_BATCH = 32

Predictor = Callable[[Mapping[str, tf.Tensor]], tf.Tensor]  # {view: uint8 [batch, size, size, 3]} -> float32 logits [batch, classes]


def build_species_trunk(recipe: SpeciesRecipe, precision: str = "float32", weights: str | None = None) -> tuple[keras.Model, str]:
    """Builds the network up to its classifying layers, as the recipe says.

    Args:
      precision: "float32", "bfloat16" or "float16".
      weights: instead of the recipe's, e.g. "none" where a run's weights follow.

    Returns:
      The trunk, and one sentence on the weights that were loaded. Raises WeightsError.
    """
    catalogued = get_network(recipe.network)
    with precision_policy(precision):
        base = catalogued.build(image_size_of(recipe))
        loaded = load_pretrained(base, recipe.network, recipe.weights if weights is None else weights)
        trunk = build_trunk(
            recipe.network,
            recipe.views,
            image_size_of(recipe),
            recipe.has_auxiliary_head,
            recipe.dropout,
            recipe.seed,
            base,
        )
    if recipe.is_crop_branch_pretrained and len(recipe.views) > 1:
        start_from_equal_views(trunk, recipe.views)
    for name in recipe.frozen:
        trunk.get_layer(name).trainable = False
    for layer in _all_layers(trunk):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum, layer.epsilon = recipe.batch_norm_momentum, recipe.batch_norm_epsilon
    return trunk, loaded


def load_species_network(run: SpeciesRun) -> keras.Model:
    """The network of a finished run, with its weights. Raises RunError."""
    with run.building():
        trunk, _ = build_species_trunk(run.recipe, weights="none")
        model = add_heads(trunk, len(run.taxonomy))
    load_run_weights(model, run.weights_path)
    return model


def features_model(model: keras.Model) -> keras.Model:
    """{view: uint8 [batch, size, size, 3]} -> float [batch, channels], what the last layer of a species network sees."""
    return keras.Model(model.input, model.get_layer("species_logits").input)


def image_size_of(recipe: SpeciesRecipe) -> int:
    """Pixels a side of the network's inputs."""
    return recipe.image_size or get_network(recipe.network).image_size


def view_settings(recipe: SpeciesRecipe) -> ViewSettings:
    """Of a recipe, which is its own augmentation."""
    return ViewSettings(recipe.views, image_size_of(recipe), recipe)


def make_predictor(model: keras.Model, is_mirrored: bool = False, output: str = "species", with_features: bool = False) -> Predictor:
    """A compiled function: views -> logits.

    Args:
      is_mirrored: whether logits are averaged over the photos and their mirror images.
      with_features: whether the features that the last layer sees follow the logits in each row.
    """
    answers = model.output[output]
    if with_features:
        features = keras.layers.Activation("linear", dtype="float32")(model.get_layer("species_logits").input)
        answers = keras.layers.Concatenate(dtype="float32")([answers, features])
    inference = keras.Model(model.input, answers)

    def predict_logits(views: Mapping[str, tf.Tensor]) -> tf.Tensor:
        logits = tf.cast(inference(views, training=False), tf.float32)
        if is_mirrored:
            mirrored = {name: tf.reverse(images, [2]) for name, images in views.items()}
            logits = (logits + tf.cast(inference(mirrored, training=False), tf.float32)) / 2
        return logits

    signature = {name: tf.TensorSpec([None, *tensor.shape[1:]], tf.uint8) for name, tensor in model.input.items()}
    return tf.function(predict_logits, autograph=False, input_signature=[signature])


def predict(
    predictor: Predictor, manifest: Manifest, recipe: SpeciesRecipe, broken: BrokenPhotos | None = None, batch_size: int = PREDICTION_BATCH
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Streams logits of photos; broken ones are left out and recorded.

    Yields:
      (photo numbers int [n], logits float32 [n, classes]), photos in order.
    """
    return predict_batches(predictor, prediction_batches(manifest, recipe, broken, batch_size))


def predict_with_features(
    predictor: Predictor, manifest: Manifest, recipe: SpeciesRecipe, classes: int, broken: BrokenPhotos | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`predict` by a predictor with features: (photo numbers, logits, float32 features [n, channels])."""
    for numbers, rows in predict(predictor, manifest, recipe, broken):
        yield numbers, rows[:, :classes], rows[:, classes:]


def prediction_batches(manifest: Manifest, recipe: SpeciesRecipe, broken: BrokenPhotos | None = None, batch_size: int = PREDICTION_BATCH) -> tf.data.Dataset:
    """The photos as `predict` sees them, for those who ask of the same ones again and again."""
    broken = BrokenPhotos() if broken is None else broken
    return evaluation_batches(manifest, np.zeros(len(manifest), np.int32), view_settings(recipe), batch_size, broken)


def predict_batches(predictor: Predictor, batches: tf.data.Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`predict` of `prediction_batches`."""
    for batch in batches:
        logits = predictor(batch["views"]).numpy()
        is_good = batch["weight"].numpy() > 0
        yield batch["index"].numpy()[is_good], logits[is_good]


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
