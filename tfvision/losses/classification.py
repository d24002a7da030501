"""Cross-entropy of class logits."""

import tensorflow as tf


def smoothed_cross_entropy(labels: tf.Tensor, logits: tf.Tensor, label_smoothing: float = 0.0) -> tf.Tensor:
    """Softmax cross-entropy against targets that keep 1 - s for the label and spread s over all classes.

    Args:
      labels: int [batch].
      logits: float [batch, classes].
      label_smoothing: s, in [0, 1]. Source: Szegedy et al., "Rethinking the Inception architecture", section 7.

    Returns:
      float32 [batch].
    """
    log_probabilities = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    own = tf.gather(log_probabilities, labels, batch_dims=1)
    return -((1 - label_smoothing) * own + label_smoothing * tf.reduce_mean(log_probabilities, axis=1))
