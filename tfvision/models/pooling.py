"""Maps -> vectors, and vectors of several layers or views -> one.

Sources: of GeM, Radenovic, Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation", Eq. 3; of the
regions, Tolias, Sicre and Jegou, "Particular object retrieval with integral max-pooling of CNN activations", section 3.2.
"""

import keras
import tensorflow as tf

_LEAST = 1e-6  # GeM is of positive responses: others count as this
_REGION_LEVELS = 3
_REGION_STEP = 0.6  # of the shorter side: at most so far apart, about, are the largest regions


def pool(responses: tf.Tensor, pooling: str = "avg", gem_power: float = 3.0) -> tf.Tensor:
    """Pools positions.

    Args:
      responses: float [batch, height, width, channels], or [batch, channels], which is taken as it is.
      pooling: "avg", "max", "gem" or "regions".
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
    if pooling == "regions":
        return _pool_regions(responses)
    # Divided by the largest first, so that a high power does not overflow.
    largest = tf.reduce_max(tf.maximum(responses, _LEAST), (1, 2), keepdims=True)
    powers = (tf.maximum(responses, _LEAST) / largest) ** gem_power
    return largest[:, 0, 0] * tf.reduce_mean(powers, (1, 2)) ** (1 / gem_power)


def mean_layer(responses: tf.Tensor, name: str | None = None) -> tf.Tensor:
    """Pools positions by their mean within a model, as a layer with a name: symbolic float32 [batch, channels]."""
    if len(responses.shape) == 2:
        return keras.layers.Activation("linear", dtype="float32", name=name)(responses)
    return keras.layers.GlobalAveragePooling2D(dtype="float32", name=name)(responses)


def _pool_regions(responses: tf.Tensor) -> tf.Tensor:
    """The sum of the L2-normalised means of squares of three sizes that overlap (R-MAC takes their maxima)."""
    height, width = tf.unstack(tf.shape(responses)[1:3])
    shorter = tf.minimum(height, width)
    sums = tf.cumsum(tf.cumsum(tf.pad(responses, [[0, 0], [1, 0], [1, 0], [0, 0]]), 1), 2)  # [y, x]: of all above and left
    total = 0.0
    for level in range(1, _REGION_LEVELS + 1):
        side = tf.maximum(2 * shorter // (level + 1), 1)
        found = sums
        for axis, length in ((1, height), (2, width)):
            starts = _region_starts(length, shorter, side, level)
            found = tf.gather(found, starts + side, axis=axis) - tf.gather(found, starts, axis=axis)
        total += tf.reduce_sum(tf.math.l2_normalize(found, axis=3, epsilon=1e-24), (1, 2))
    return total


def _region_starts(length: tf.Tensor, shorter: tf.Tensor, side: tf.Tensor, level: int) -> tf.Tensor:
    """int32 [regions]: where they begin along an axis, evenly spread."""
    step = _REGION_STEP * tf.cast(shorter, tf.float32)
    more = tf.cast(tf.math.ceil(tf.cast(length - shorter, tf.float32) / step), tf.int32)
    return tf.cast(tf.round(tf.linspace(0.0, tf.cast(length - side, tf.float32), level + more)), tf.int32)


def concatenate(pooled: dict[str, tf.Tensor], is_tap_normalised: bool = False, is_normalised: bool = True) -> tf.Tensor:
    """{tap: float32 [batch, channels]} -> float32 [batch, sum of channels], in the taps' order.

    Args:
      is_tap_normalised: whether each tap's vector is L2-normalised first (Feature Tuning's "normalised addition").
      is_normalised: whether the result is.
    """
    parts = [normalise(vectors) if is_tap_normalised else vectors for vectors in pooled.values()]
    joined = tf.concat(parts, axis=1)
    return normalise(joined) if is_normalised else joined


def normalise(vectors: tf.Tensor) -> tf.Tensor:
    """L2-normalised rows; a row of zeros stays one."""
    return tf.math.l2_normalize(vectors, axis=1, epsilon=1e-24)
