"""How far pictures are from their photos in content and from a painting in style: a batch at a time.

The same losses as the optimiser's (losses/style.py), for networks that paint in one pass.
"""

from collections.abc import Sequence
from typing import Protocol

import keras
import tensorflow as tf

from tfvision.losses.style import content_loss, gram_matrix, style_loss, total_variation


class PaintingWeights(Protocol):
    """What a recipe says of the loss."""

    @property
    def content_layer(self) -> str: ...
    @property
    def style_layers(self) -> Sequence[str]: ...
    @property
    def content_weight(self) -> float: ...
    @property
    def style_weight(self) -> float: ...
    @property
    def total_variation_weight(self) -> float: ...


class PaintingLoss:
    """Alpha * content + beta * style (eq. 7), plus total variation; content averaged over responses, as in the preset `default`.

    Args:
      model: perceptual network: float32 RGB 0-255 [batch, height, width, 3] -> {layer: responses}.
    """

    def __init__(self, model: keras.Model, recipe: PaintingWeights) -> None:
        self._recipe, self._model = recipe, model
        self._content = keras.Model(model.input, model.output[recipe.content_layer])

    def targets(self, paintings: tf.Tensor) -> dict[str, tf.Tensor]:
        """Style targets of paintings, float32 [batch, height, width, 3]: {layer: float32 [batch, channels, channels]}."""
        return self._grams(self._model(paintings))

    def __call__(self, pictures: tf.Tensor, photos: tf.Tensor, targets: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Losses of pictures.

        Args:
          pictures, photos: float32 RGB 0-255 [batch, height, width, 3].
          targets: what `targets` returned, for one painting or one a picture.

        Returns:
          dict of float32 [batch]: "total", and "content" and "style", which are not weighted.
        """
        recipe, responses = self._recipe, self._model(pictures)
        wanted = tf.stop_gradient(self._content(photos))
        content = content_loss(responses[recipe.content_layer], wanted) / tf.cast(tf.reduce_prod(tf.shape(wanted)[1:]), tf.float32)
        grams = self._grams(responses)
        style = tf.add_n([style_loss(grams[layer], targets[layer]) for layer in recipe.style_layers]) / len(recipe.style_layers)
        total = recipe.content_weight * content + recipe.style_weight * style
        if recipe.total_variation_weight:
            total += recipe.total_variation_weight * total_variation(pictures)
        return {"total": total, "content": content, "style": style}

    def _grams(self, responses: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Gram matrices, each divided by its number of positions."""
        return {layer: gram_matrix(responses[layer]) / _positions(responses[layer]) for layer in self._recipe.style_layers}


def _positions(responses: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.reduce_prod(tf.shape(responses)[1:3]), tf.float32)
