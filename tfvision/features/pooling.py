"""Maps -> vectors, and vectors of several layers or views -> one.

Source of GeM: Radenovic, Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation", Eq. 3.
"""

import tensorflow as tf

_LEAST = 1e-6  # GeM is of positive responses: others count as this


def pool(responses, pooling="avg", gem_power=3.0):
    """Pools positions.

    Args:
      responses: float [batch, height, width, channels], or [batch, channels], which is taken as it is.
      pooling: "avg", "max" or "gem".
      gem_power: p of GeM.

    Returns:
      float32 [batch, channels].
    """
    responses = tf.cast(responses, tf.float32)
    if responses.shape.rank == 2:
        return responses
    if pooling == "max":
        return tf.reduce_max(responses, (1, 2))
    if pooling == "avg":
        return tf.reduce_mean(responses, (1, 2))
    # Divided by the largest first, so that a high power does not overflow.
    largest = tf.reduce_max(tf.maximum(responses, _LEAST), (1, 2), keepdims=True)
    powers = (tf.maximum(responses, _LEAST) / largest) ** gem_power
    return largest[:, 0, 0] * tf.reduce_mean(powers, (1, 2)) ** (1 / gem_power)


def concatenate(pooled, is_tap_normalised=False, is_normalised=True):
    """{tap: float32 [batch, channels]} -> float32 [batch, sum of channels], in the taps' order.

    Args:
      is_tap_normalised: whether each tap's vector is L2-normalised first (Feature Tuning's "normalised addition").
      is_normalised: whether the result is.
    """
    parts = [normalise(vectors) if is_tap_normalised else vectors for vectors in pooled.values()]
    joined = tf.concat(parts, axis=1)
    return normalise(joined) if is_normalised else joined


def normalise(vectors):
    """L2-normalised rows; a row of zeros stays one."""
    return tf.math.l2_normalize(vectors, axis=1, epsilon=1e-24)
