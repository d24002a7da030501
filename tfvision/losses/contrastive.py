"""The contrastive loss: genuine pairs are drawn together, impostor pairs pushed a margin apart.

Source: Chopra, Hadsell and LeCun, "Learning a similarity metric discriminatively"; tattoo-recognition, Eq. 1, with what
Caffe computes for it (READINGS, section 2).
"""

from typing import Any

import keras
import tensorflow as tf

from tfvision.losses.distances import root, squared_distances

MARGIN = 1.0


def contrastive_loss(is_genuine: tf.Tensor, left: tf.Tensor, right: tf.Tensor, margin: float = MARGIN) -> tf.Tensor:
    """1/2 (s d^2 + (1 - s) max(margin - d, 0)^2), whose mean over a batch is Eq. 1.

    Args:
      is_genuine: s, bool or 0 and 1, [batch]: whether both are of one subject.
      left, right: float [batch, dimension], embeddings.
      margin: beyond which an impostor pair is left alone.

    Returns:
      float32 [batch].
    """
    is_genuine = tf.cast(is_genuine, tf.float32)
    squares = squared_distances(left, right)
    impostor = tf.square(tf.maximum(margin - root(squares), 0.0))
    return 0.5 * (is_genuine * squares + (1.0 - is_genuine) * impostor)


@keras.utils.register_keras_serializable("tfvision")
class ContrastiveLoss(keras.losses.Loss):
    """`contrastive_loss` of stacked pairs: y_true [batch], y_pred float [batch, 2, dimension]."""

    def __init__(self, margin: float = MARGIN, name: str = "contrastive_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return contrastive_loss(tf.reshape(y_true, [-1]), y_pred[:, 0], y_pred[:, 1], self.margin)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin}
