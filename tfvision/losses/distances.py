"""Distances of embeddings: of pairs that are given, and of all pairs of a batch."""

import tensorflow as tf

DISTANCES = ("squared-L2", "L2")
_LEAST_SQUARE = 1e-16


def squared_distances(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Squared Euclidean distance of each row of one batch to that of another: float32 [batch].

    Args:
      left, right: float [batch, dimension].
    """
    return tf.reduce_sum(tf.math.squared_difference(tf.cast(left, tf.float32), tf.cast(right, tf.float32)), axis=1)


def root(squares: tf.Tensor) -> tf.Tensor:
    """Distances of squared ones; where these are 0, so is the gradient, which would be infinite.

    Args:
      squares: float32, not negative.
    """
    is_positive = squares > 0
    return tf.where(is_positive, tf.sqrt(tf.where(is_positive, squares, 1.0)), 0.0)


def pairwise_distances(embeddings: tf.Tensor, distance: str = "squared-L2") -> tf.Tensor:
    """The distance of each row to each other row: float32 [batch, batch].

    As TensorFlow Addons computes it (losses.metric_learning.pairwise_distance), rounding and all, so that a pair that is
    mined by one is mined by the other.

    Args:
      embeddings: float [batch, dimension].
      distance: one of DISTANCES.
    """
    embeddings = tf.cast(embeddings, tf.float32)
    squares = tf.reduce_sum(tf.square(embeddings), axis=1)
    squares = squares[:, None] + squares[None] - 2.0 * tf.matmul(embeddings, embeddings, transpose_b=True)
    squares = tf.maximum(squares, 0.0)
    if distance == "L2":
        is_zero = tf.cast(squares <= 0.0, tf.float32)
        squares = tf.sqrt(squares + is_zero * _LEAST_SQUARE) * (1.0 - is_zero)
    return squares * (1.0 - tf.eye(tf.shape(embeddings)[0]))
