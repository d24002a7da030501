"""The losses of artistic style, with the gradients that the paper states for them.

Source: Gatys, Ecker, Bethge, "A neural algorithm of artistic style", equations 1 to 6. Responses F are those behind the
rectification, float32 [batch, height, width, channels]: N = channels filters, M = height * width positions.
"""

import tensorflow as tf


def content_loss(responses: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Eq. 1, 1/2 sum (F - P)^2: float32 [batch]."""
    return tf.reduce_sum(tf.math.squared_difference(responses, target), axis=[1, 2, 3]) / 2


def content_gradient(responses: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Eq. 2, of `content_loss` by the responses: F - P where F > 0, else 0."""
    return tf.where(responses > 0, responses - target, 0.0)


def gram_matrix(responses: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Eq. 3, G_ij = sum_k F_ik F_jk: float32 [batch, channels, channels].

    Args:
      responses: F.
      mask: float32 [batch, height, width]: how much each position counts; None = 1.
    """
    weighted = responses if mask is None else responses * mask[..., None]
    return tf.einsum("bhwi,bhwj->bij", weighted, responses)


def style_loss(gram: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Eq. 4, E_l = 1 / (4 N^2) sum (G - A)^2: float32 [batch].

    Args:
      gram, target: Gram matrices [batch, N, N], each divided by its own number of positions M, since the two images
        may differ in size (for one size this is the paper's 1 / (4 N^2 M^2)).
    """
    filters = tf.cast(tf.shape(gram)[-1], tf.float32)
    return tf.reduce_sum(tf.math.squared_difference(gram, target), axis=[1, 2]) / (4 * filters**2)


def style_gradient(responses: tf.Tensor, gram: tf.Tensor, target: tf.Tensor, positions: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Eq. 6, of `style_loss` by the responses: 1 / (N^2 M) F (G - A) where F > 0, else 0.

    Args:
      responses: F.
      gram, target: as in `style_loss`.
      positions: M, float scalar or [batch], behind `gram`.
      mask: as in `gram_matrix`.
    """
    filters = tf.cast(tf.shape(gram)[-1], tf.float32)
    gradient = tf.einsum("bhwi,bij->bhwj", responses, gram - target) / (filters**2 * tf.reshape(positions, [-1, 1, 1, 1]))
    gradient = gradient if mask is None else gradient * mask[..., None]
    return tf.where(responses > 0, gradient, 0.0)


def total_variation(images: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of neighbours, of values on a range of 1: float32 [batch].

    Args:
      images: float32 [batch, height, width, 3] on 0-255.
    """
    rows = tf.math.squared_difference(images[:, 1:], images[:, :-1])
    columns = tf.math.squared_difference(images[:, :, 1:], images[:, :, :-1])
    count = tf.cast(tf.reduce_prod(tf.shape(images)[1:]), tf.float32)
    return (tf.reduce_sum(rows, axis=[1, 2, 3]) + tf.reduce_sum(columns, axis=[1, 2, 3])) / (count * 255.0**2)
