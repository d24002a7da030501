"""The loss of a classifier in THE training loop: outputs by name, mixup, accuracy."""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from tfvision.training.loop import Batch, LossFunction, Measures, sum_and_weight
from tfvision.training.mixup import blend, blend_loss, draw_share


def classification_loss(
    model: keras.Model,
    losses: Mapping[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]],
    loss_weights: Mapping[str, float],
    mixup: float = 0.0,
    seed: int = 0,
    main_output: str = "species",
) -> LossFunction:
    """The `loss` of a Task whose batches are {"views", "label", "weight"}.

    Args:
      model: views -> {output name: float32 logits}.
      losses: output name -> (labels, logits) -> float32 [batch].
      loss_weights: output name -> weight of its loss.
      mixup: alpha of mixup; 0 = none.
      seed: of mixup's draws.
      main_output: whose accuracy is logged.

    Returns:
      (batch, step) -> (float32 [batch], {"accuracy": (right, photos)}).
    """

    def loss(batch: Batch, step: tf.Tensor) -> tuple[tf.Tensor, Measures]:
        labels, weights = batch["label"], batch["weight"]
        share = draw_share(mixup, [seed % 2**31, step])
        logits = model(blend(batch["views"], share) if mixup else batch["views"], training=True)
        per_photo = tf.add_n([loss_weights[name] * blend_loss(one, labels, logits[name], weights, share) for name, one in losses.items()])
        return per_photo, accuracy(labels, logits[main_output], weights)

    return loss


def accuracy(labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> Measures:
    """{"accuracy": (right, photos)}.

    Args:
      labels: int32 [batch].
      logits: float32 [batch, classes].
      weights: float32 [batch]; 0 = a photo that does not count.
    """
    is_right = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
    return {"accuracy": sum_and_weight(is_right, weights)}
