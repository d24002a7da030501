"""The loss of a classifier in THE training loop: outputs by name, mixup, accuracy."""

import tensorflow as tf

from tfvision.training.mixup import blend, blend_loss, draw_share


def classification_loss(model, losses, loss_weights, mixup=0.0, seed=0, main_output="species"):
    """The `loss` of a Task whose batches are {"views", "label", "weight"}.

    Args:
      model: keras.Model: views -> dict of float32 logits.
      losses: output name -> function of (labels, logits) -> [batch].
      loss_weights: output name -> weight of its loss.
      mixup: alpha of mixup; 0 = none.
      seed: of mixup's draws.
      main_output: whose accuracy is logged.

    Returns:
      (batch, step) -> (float32 [batch], {"accuracy": (right, photos)}).
    """

    def loss(batch, step):
        labels, weights = batch["label"], batch["weight"]
        share = draw_share(mixup, [seed % 2**31, step])
        logits = model(blend(batch["views"], share) if mixup else batch["views"], training=True)
        per_photo = tf.add_n([loss_weights[name] * blend_loss(one, labels, logits[name], weights, share) for name, one in losses.items()])
        answers = tf.argmax(logits[main_output], axis=1, output_type=tf.int32)
        right = tf.reduce_sum(tf.cast(answers == labels, tf.float32) * weights)
        return per_photo, {"accuracy": (right, tf.reduce_sum(weights))}

    return loss
