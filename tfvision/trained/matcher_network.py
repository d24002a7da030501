"""A network that makes vectors of photos, to be compared by their distance: one tower, whatever pairs it was trained on."""

import dataclasses
from pathlib import Path

import keras
import tensorflow as tf

from tfvision.models.catalogue import Network, get_network
from tfvision.models.pooling import mean_layer
from tfvision.models.taps import tap_outputs
from tfvision.models.weights import load_pretrained
from tfvision.trained.matcher_run import MatcherRecipe, MatcherRun
from tfvision.training.loop import precision_policy
from tfvision.training.run import load_run_weights

EMBEDDING, TRAINED = "embedding", "trained"
RANDOM_WEIGHTS = "random weights"


@dataclasses.dataclass(frozen=True)
class Embedder:
    """A network and what was put on it.

    Attributes:
      model: float32 RGB 0-255 [batch, size, size, 3] -> {"embedding": float32 [batch, dimension], what a photo's
        vector is; "trained": float32 [batch, any], what the loss is computed on, mostly the same}.
      new_layers: those that were not in the network.
      loaded: one sentence on the network's weights.
    """

    model: keras.Model
    new_layers: tuple[keras.layers.Layer, ...]
    loaded: str


def build_embedder(recipe: MatcherRecipe, image_size: int | None = None, weights: str = "none", precision: str = "float32") -> Embedder:
    """Builds a recipe's tower.

    Args:
      image_size: pixels a side; None = any.
      weights: of the network, as `load_pretrained` takes them.
      precision: of training.loop.precision_policy.

    Raises:
      RecipeError, WeightsError.
    """
    network = get_network(recipe.network)
    with precision_policy(precision):
        base = network.build(image_size)
        loaded = load_pretrained(base, recipe.network, weights)
        taps = {recipe.tap_name, recipe.loss_tap or recipe.tap_name}
        outputs = tap_outputs(base, network, recipe.network, tuple(sorted(taps)))
        _freeze(base, network, recipe, is_pretrained=not loaded.startswith(RANDOM_WEIGHTS))
        image = keras.Input((image_size, image_size, 3), name="image")
        pixels = keras.layers.Rescaling(network.scale, network.offset, name="scaled")(image)
        maps = keras.Model(base.input, outputs, name=base.name)(pixels)
        vectors = {tap: mean_layer(maps[tap], f"{tap}_mean") for tap in outputs}
        embedding, new_layers = vectors[recipe.tap_name], []
        if recipe.embedding:
            projection = keras.layers.Dense(recipe.embedding, use_bias=False, dtype="float32", name="projection")
            embedding, new_layers = projection(embedding), [projection]
        if recipe.is_normalised:
            embedding = keras.layers.UnitNormalization(dtype="float32", name="unit_length")(embedding)
    trained = vectors[recipe.loss_tap] if recipe.loss_tap else embedding
    return Embedder(keras.Model(image, {EMBEDDING: embedding, TRAINED: trained}, name="embedder"), tuple(new_layers), loaded)


def load_embedder(folder: str | Path, image_size: int | None = None) -> Embedder:
    """The tower of a finished run, with its weights. Raises RunError."""
    run = MatcherRun.open(folder)
    with run.building():
        embedder = build_embedder(run.recipe, image_size)
    load_run_weights(embedder.model, run.weights_path)
    return embedder


def embed(model: keras.Model, images: tf.Tensor, recipe: MatcherRecipe) -> tf.Tensor:
    """The vectors of photos, as a finished run makes them: float32 [batch, dimension].

    Args:
      model: of an Embedder.
      images: uint8 RGB [batch, size, size, 3].
    """
    turns = range(0, 4, 4 // recipe.rotations)
    vectors = [model(tf.cast(tf.image.rot90(images, turn), tf.float32), training=False)[EMBEDDING] for turn in turns]
    mean = tf.add_n(vectors) / len(vectors)
    return tf.math.l2_normalize(mean, axis=1) if recipe.is_normalised else mean


def _freeze(base: keras.Model, network: Network, recipe: MatcherRecipe, is_pretrained: bool) -> None:
    """Of random weights nothing is worth keeping."""
    if not is_pretrained:
        return
    fixed: list[keras.layers.Layer] = []
    if recipe.frozen:
        (end,) = tap_outputs(base, network, recipe.network, (recipe.frozen,)).values()
        fixed = keras.Model(base.input, end).layers
    for layer in base.layers:
        if layer in fixed or (recipe.is_batch_norm_frozen and isinstance(layer, keras.layers.BatchNormalization)):
            layer.trainable = False
