"""Mixup: each photo is blended with another of its batch, and so is its loss."""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf


def draw_share(alpha: float, seed: tf.Tensor | Sequence[int | tf.Tensor]) -> tf.Tensor:
    """The share that each photo keeps, drawn from Beta(alpha, alpha), at least a half: float32 scalar.

    Args:
      alpha: 0 keeps photos whole.
      seed: int32 [2].

    Source: Zhang et al., "mixup: beyond empirical risk minimization", algorithm 1.
    """
    if not alpha:
        return tf.constant(1.0)
    # As a ratio of gammas in logarithms: for a small alpha both may underflow.
    first, second = tf.unstack(tf.math.log(tf.random.stateless_gamma([2], seed, alpha) + 1e-30))
    share = tf.sigmoid(first - second)
    return tf.maximum(share, 1 - share)


def blend(views: Mapping[str, tf.Tensor], share: tf.Tensor) -> dict[str, tf.Tensor]:
    """share * photo + (1 - share) * its partner, which is as far from the batch's end as it is from the start; uint8 as it came.

    Args:
      views: {name: uint8 [batch, height, width, 3]}.
    """

    def blend_one(images: tf.Tensor) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        return tf.cast(tf.round(share * images + (1 - share) * tf.reverse(images, [0])), tf.uint8)

    return {name: blend_one(images) for name, images in views.items()}


def blend_loss(loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """share * loss of the own label + (1 - share) * loss of the partner's: float32 [batch], broken photos weigh 0."""
    own = loss(labels, logits) * weights
    partners = loss(tf.reverse(labels, [0]), logits) * tf.reverse(weights, [0])
    return share * own + (1 - share) * partners
