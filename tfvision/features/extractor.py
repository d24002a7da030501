"""Images -> vectors, as a recipe says: resized, seen at several scales and mirrored, pooled, joined, normalised."""

import copy
import dataclasses
import hashlib
import json
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfvision.data.pipeline import ViewSettings
from tfvision.data.views import as_pixels, target_size
from tfvision.features.networks import FeatureNetwork, open_network
from tfvision.features.recipe import FeatureRecipe
from tfvision.models.pooling import concatenate, normalise, pool

_ELSEWHERE = ("model", "weights", "layers", "image_size")  # of a recipe: the network and its weights stand for them


def open_extractor(recipe: FeatureRecipe) -> "Extractor":
    """Opens the network of a FeatureRecipe.

    Raises:
      RecipeError: the recipe does not fit the network, or names none that is known.
      WeightsError: its weights cannot be had.
      RunError: a run or an export that is damaged or has no features.
    """
    recipe.check()
    return Extractor(recipe, open_network(recipe))


class Extractor:
    """A network and how it is used.

    Attributes:
      network: features.networks.FeatureNetwork.
      image_size: pixels of the largest scale: the size at which photos are best given.
      widths: {layer: channels}, in the order of the recipe's layers.
      dimension: their sum.
      identity: 64 hex digits of all that decides the vectors, weights included: two sets of vectors can be compared
        where these are equal.
    """

    def __init__(self, recipe: FeatureRecipe, network: FeatureNetwork) -> None:
        self.recipe = recipe
        self.network = network
        self._sizes = [max(1, round(scale * network.image_size)) for scale in recipe.scales]
        self.image_size = max(self._sizes)
        images = tf.TensorSpec([None, None, None, 3], tf.uint8)
        self._seen = tf.function(self._seen_of, autograph=False, input_signature=[images])
        blank = np.zeros((1, self.image_size, self.image_size, 3), np.uint8)
        self.widths = {layer: vectors.shape[1] for layer, vectors in self.by_layer(blank).items()}
        self.dimension = sum(self.widths.values())

    def of_changed(self, network: FeatureNetwork) -> "Extractor":
        """The Extractor of its network where that has other weights by now: what it computes is traced already."""
        changed = copy.copy(self)
        changed.network = network
        return changed

    @property
    def identity(self) -> str:
        settings = {key: value for key, value in dataclasses.asdict(self.recipe).items() if key not in _ELSEWHERE}
        facts = {**settings, "layers": list(self.widths), "image_size": self.network.image_size, "network": self.network.identity}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def view_settings(self) -> ViewSettings:
        """ViewSettings with which the pipeline gives photos at the size of the largest scale."""
        is_aspect_kept = self.recipe.resize == "aspect"
        return ViewSettings(("whole",), self.image_size, None, True, is_aspect_kept, self.network.least_image_size)

    def features(self, images: np.ndarray) -> np.ndarray:
        """The vectors of images.

        Args:
          images: uint8 RGB [batch, height, width, 3] of any size.

        Returns:
          float32 [batch, dimension], L2-normalised where the recipe says so.
        """
        return self._seen(images)[0].numpy()

    def by_layer(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The pooled taps: {layer: float32 [batch, channels]}, neither concatenated nor normalised."""
        return {layer: vectors.numpy() for layer, vectors in self._seen(images)[1].items()}

    def at_largest(self, images: np.ndarray) -> np.ndarray:
        """Images as the network sees them at the largest scale: uint8 [batch, height, width, 3]."""
        return self._resized(tf.constant(images), self.image_size).numpy()

    def vectors_of(self, responses: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The vectors that a network's responses to one view make, float32 [batch, dimension]: pooled, joined and normalised as the recipe says."""
        return self._joined(self._pooled_responses(responses))

    def _seen_of(self, images: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """(what `features` returns, what `by_layer` returns), by one graph: large networks take seconds to trace."""
        recipe, seen = self.recipe, self._pooled(images)
        vectors = [self._joined(pooled) for pooled in seen]
        mean = tf.add_n(vectors) / len(vectors)
        by_layer = {layer: tf.add_n([view[layer] for view in seen]) / len(seen) for layer in seen[0]}
        return normalise(mean) if recipe.is_normalised else mean, by_layer

    def _pooled(self, images: tf.Tensor) -> list[dict[str, tf.Tensor]]:
        """[{layer: float32 [batch, channels]}], one a scale and mirror image."""
        views = [self._resized(images, size) for size in self._sizes]
        if self.recipe.is_flipped:
            views += [tf.reverse(view, [2]) for view in views]
        return [self._pooled_responses(self.network.responses(view)) for view in views]

    def _pooled_responses(self, responses: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {layer: pool(maps, self.recipe.pooling, self.recipe.gem_power) for layer, maps in responses.items()}

    def _joined(self, pooled: dict[str, tf.Tensor]) -> tf.Tensor:
        return concatenate(pooled, self.recipe.is_tap_normalised, self.recipe.is_normalised)

    def _resized(self, images: tf.Tensor, size: int) -> tf.Tensor:
        target = target_size(tf.shape(images)[1:3], size, self.recipe.resize == "aspect", self.network.least_image_size)

        def resize():
            return as_pixels(tf.image.resize(images, target, antialias=True))

        resized = tf.cond(tf.reduce_all(tf.shape(images)[1:3] == target), lambda: images, resize)
        return tf.ensure_shape(resized, self.network.input_shape)
