"""Mixup: each photo is blended with another of its batch, and so is its loss."""

import tensorflow as tf


def draw_share(alpha, seed):
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


def blend(views, share):
    """share * photo + (1 - share) * the photo at the mirrored place of the batch, uint8 as it came.

    Args:
      views: {name: uint8 [batch, height, width, 3]}.
    """

    def blend_one(images):
        images = tf.cast(images, tf.float32)
        return tf.cast(tf.round(share * images + (1 - share) * tf.reverse(images, [0])), tf.uint8)

    return {name: blend_one(images) for name, images in views.items()}


def blend_loss(loss, labels, logits, weights, share):
    """share * loss of the own label + (1 - share) * loss of the partner's: float32 [batch], broken photos weigh 0."""
    own = loss(labels, logits) * weights
    partners = loss(tf.reverse(labels, [0]), logits) * tf.reverse(weights, [0])
    return share * own + (1 - share) * partners
