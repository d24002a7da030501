"""CosFace: softmax over cosines, with a margin that the true class must win by.

Source: Wang et al., "CosFace: Large margin cosine loss for deep face recognition", Eq. 4; margin and scale as in
Tani and Wada (feature-tuning, section 4.1).
"""

from typing import Any

import keras
import tensorflow as tf

from tfvision.losses.classification import smoothed_cross_entropy

MARGIN = 0.45
SCALE = 60.0


def cosine_logits(features: tf.Tensor, class_weights: tf.Tensor, scale: float = SCALE) -> tf.Tensor:
    """The cosines of each feature with each class, times the scale: float32 [batch, classes].

    Args:
      features: float [batch, dimension]; their length does not count.
      class_weights: float [dimension, classes]; nor does that of their columns.
    """
    features = tf.math.l2_normalize(tf.cast(features, tf.float32), axis=1)
    return scale * tf.matmul(features, tf.math.l2_normalize(tf.cast(class_weights, tf.float32), axis=0))


def cosface_loss(labels: tf.Tensor, logits: tf.Tensor, margin: float = MARGIN, scale: float = SCALE) -> tf.Tensor:
    """Cross-entropy of cosine logits whose true class is lowered by scale * margin: the margin exists in training only.

    Args:
      labels: int [batch].
      logits: float [batch, classes], of `cosine_logits`.

    Returns:
      float32 [batch].
    """
    logits = tf.cast(logits, tf.float32)
    return smoothed_cross_entropy(labels, logits - scale * margin * tf.one_hot(labels, tf.shape(logits)[1]))


@keras.utils.register_keras_serializable("tfvision")
class CosineLogits(keras.layers.Layer):
    """The last layer of a CosFace network: `cosine_logits`, without a bias.

    Args:
      classes: number of classes.
      scale: of the cosines.
      seed: of the Xavier-initialised class weights.
    """

    def __init__(self, classes: int, scale: float = SCALE, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        self.scale = scale
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...] | tf.TensorShape) -> None:
        initializer = keras.initializers.GlorotUniform(seed=self.seed)
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.classes), initializer=initializer)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return cosine_logits(inputs, tf.convert_to_tensor(self.kernel), self.scale)

    def compute_output_shape(self, input_shape: tuple[int | None, ...] | tf.TensorShape) -> tuple[int | None, int]:
        return (input_shape[0], self.classes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes, "scale": self.scale, "seed": self.seed}
