"""Triplet losses: of given triplets, and of those mined in a batch. The one file that knows tensorflow_addons.

Sources: Schroff, Kalenichenko and Philbin, "FaceNet", Eq. 2 and section 3.2 (semi-hard); Hermans, Beyer and Leibe, "In defense
of the triplet loss for person re-identification", Eq. 5 (hard); tattoo-recognition, Eq. 2.

Where TensorFlow Addons can be installed (Python 3.11), mining is its own; elsewhere the same formulas stand below. A test
holds them equal.
"""

import functools
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfvision.errors import RecipeError
from tfvision.losses.distances import pairwise_distances, squared_distances

MARGIN = 0.005  # the paper's
MININGS = ("semi-hard", "hard")


def triplet_loss(anchor: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor, margin: float = MARGIN) -> tf.Tensor:
    """max(|a - p|^2 - |a - n|^2 + margin, 0), Eq. 2.

    Args:
      anchor, positive, negative: float [batch, dimension], embeddings.

    Returns:
      float32 [batch].
    """
    return tf.maximum(squared_distances(anchor, positive) - squared_distances(anchor, negative) + margin, 0.0)


def mined_triplet_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float, mining: str = "semi-hard", distance: str = "squared-L2") -> tf.Tensor:
    """The triplet loss of what is mined in the batch.

    "semi-hard": for each positive pair the nearest negative that is farther than the positive, else the farthest; the mean
    over positive pairs. "hard": for each photo the farthest positive and the nearest negative; the mean over photos.

    Args:
      labels: int [batch].
      embeddings: float [batch, dimension].
      margin: that a negative has to be farther than a positive.
      mining: one of MININGS.
      distance: one of losses.distances.DISTANCES.

    Returns:
      float32 [batch], the batch's loss in each row; 0, with gradients of 0, where no two labels are equal.
    """
    if mining not in MININGS:
        raise RecipeError(f"mining must be one of {', '.join(MININGS)}, got {mining!r}")
    labels, embeddings = tf.convert_to_tensor(labels), tf.cast(embeddings, tf.float32)
    compute = functools.partial(_mining_functions()[mining], labels, embeddings, margin, distance)
    has_positive = tf.reduce_sum(tf.cast(_is_same(labels), tf.int32)) > tf.size(labels)
    # TensorFlow Addons divides by the number of positive pairs.
    loss = tf.cond(has_positive, compute, lambda: 0.0 * tf.reduce_sum(embeddings))
    return tf.fill(tf.shape(labels), loss)


@keras.utils.register_keras_serializable("tfvision")
class MinedTripletLoss(keras.losses.Loss):
    """`mined_triplet_loss`: y_true int [batch], y_pred float [batch, dimension]."""

    def __init__(self, margin: float, mining: str = "semi-hard", distance: str = "squared-L2", name: str = "mined_triplet_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.margin, self.mining, self.distance = margin, mining, distance

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return mined_triplet_loss(tf.reshape(y_true, [-1]), y_pred, self.margin, self.mining, self.distance)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "mining": self.mining, "distance": self.distance}


def semi_hard_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float, distance: str) -> tf.Tensor:
    """In plain TensorFlow: float32 scalar; see `mined_triplet_loss`. NaN where there is no positive pair, as in TensorFlow Addons."""
    distances, is_same = pairwise_distances(embeddings, distance), _is_same(labels)
    is_farther = ~is_same[:, None] & (distances[:, None] > distances[:, :, None])  # [anchor, positive, negative]
    nearest_outside = _masked_minimum(distances[:, None], tf.cast(is_farther, tf.float32))
    farthest = _masked_maximum(distances, tf.cast(~is_same, tf.float32))[:, None]
    negatives = tf.where(tf.reduce_any(is_farther, axis=2), nearest_outside, farthest)
    is_positive = _is_positive(is_same)
    losses = tf.maximum((margin + distances - negatives) * is_positive, 0.0)
    return tf.reduce_sum(losses) / tf.reduce_sum(is_positive)


def hard_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float, distance: str) -> tf.Tensor:
    """In plain TensorFlow: float32 scalar; see `mined_triplet_loss`."""
    distances, is_same = pairwise_distances(embeddings, distance), _is_same(labels)
    farthest_positive = _masked_maximum(distances, _is_positive(is_same))
    nearest_negative = _masked_minimum(distances, tf.cast(~is_same, tf.float32))
    return tf.reduce_mean(tf.maximum(farthest_positive - nearest_negative + margin, 0.0))


@functools.cache
def _mining_functions() -> dict[str, Callable[[tf.Tensor, tf.Tensor, float, str], tf.Tensor]]:
    """{mining: (labels, embeddings, margin, distance) -> scalar}."""
    if importlib.util.find_spec("tensorflow_addons") is None:
        return {"semi-hard": semi_hard_loss, "hard": hard_loss}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is no longer developed, and which TensorFlow it likes best
        from tensorflow_addons import losses
    return {
        "semi-hard": losses.triplet_semihard_loss,
        "hard": lambda labels, embeddings, margin, distance: losses.triplet_hard_loss(labels, embeddings, margin, distance_metric=distance),
    }


def _is_same(labels: tf.Tensor) -> tf.Tensor:
    return labels[:, None] == labels[None]


def _is_positive(is_same: tf.Tensor) -> tf.Tensor:
    """Of one label, and two photos: float32 [batch, batch]."""
    return tf.cast(is_same, tf.float32) - tf.eye(tf.shape(is_same)[0])


def _masked_minimum(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Over the last axis, of those where the mask is 1; the maximum of all where it never is."""
    highest = tf.reduce_max(values, axis=-1, keepdims=True)
    return tf.reduce_min((values - highest) * mask, axis=-1) + highest[..., 0]


def _masked_maximum(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Over the last axis, of those where the mask is 1; the minimum of all where it never is."""
    lowest = tf.reduce_min(values, axis=-1, keepdims=True)
    return tf.reduce_max((values - lowest) * mask, axis=-1) + lowest[..., 0]
