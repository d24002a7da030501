"""Dynamic loss scaling for float16, whose small gradients would vanish."""

from collections.abc import Sequence

import tensorflow as tf

_FIRST_SCALE = 2.0**15
_STEPS_TO_DOUBLE = 2000


class LossScale:
    """Multiplies the loss and divides the gradients; halves on overflow, doubles after 2000 good steps.

    Keras has this on both versions, but under names and types that differ. Source: Micikevicius et al.,
    "Mixed precision training", section 3.2.
    """

    def __init__(self, is_active: bool) -> None:
        self.is_active = is_active
        shared = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self._scale = tf.Variable(_FIRST_SCALE, name="loss_scale", **shared)
        self._good_steps = tf.Variable(0, name="good_steps", **shared)

    def begin(self) -> None:
        """As it was made."""
        self._scale.assign(_FIRST_SCALE)
        self._good_steps.assign(0)

    @property
    def variables(self) -> list[tf.Variable]:
        """What a checkpoint must keep; nothing where scaling is off."""
        return [self._scale, self._good_steps] if self.is_active else []

    def up(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss to differentiate."""
        return loss * self._scale if self.is_active else loss

    def down(self, gradients: Sequence[tf.Tensor]) -> tuple[Sequence[tf.Tensor], tf.Tensor]:
        """Gradients at their true scale, and whether all are finite, bool scalar; adapts the scale."""
        if not self.is_active:
            return gradients, tf.constant(True)
        gradients = [gradient / self._scale for gradient in gradients]
        is_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
        good = tf.where(is_finite, self._good_steps + 1, 0)
        doubles = good >= _STEPS_TO_DOUBLE
        factor = tf.where(is_finite, tf.where(doubles, 2.0, 1.0), 0.5)
        self._scale.assign(tf.maximum(self._scale * factor, 1.0))
        self._good_steps.assign(tf.where(doubles, 0, good))
        return gradients, is_finite
