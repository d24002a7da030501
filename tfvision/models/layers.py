"""Layers that Keras lacks or has differently on the two stacks."""

import keras
import tensorflow as tf


@keras.utils.register_keras_serializable("tfvision")
class CountedDropout(keras.layers.Layer):
    """Dropout whose masks are decided by a seed and a counter that is saved with the weights.

    Keras's own layer hides its random state on Keras 2, so that a resumed run would draw other masks.

    Args:
      rate: share of values set to zero in training; the others are divided by 1 - rate.
      seed: int.
    """

    def __init__(self, rate, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed

    def build(self, input_shape):
        self.calls = self.add_weight(
            name="calls", shape=(), dtype="int32", initializer="zeros", trainable=False, aggregation=_first_replica()
        )
        super().build(input_shape)

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        calls = tf.convert_to_tensor(self.calls)
        self.calls.assign(calls + 1)
        # Replicas share the counter, so each adds its own number to the seed.
        replica = tf.distribute.get_replica_context()
        place = replica.replica_id_in_sync_group if replica else 0
        draws = tf.random.stateless_uniform(tf.shape(inputs), [self.seed + 7919 * place, calls])
        kept = tf.cast(draws >= self.rate, inputs.dtype)
        return inputs * kept / (1 - self.rate)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def _first_replica():
    """The name of "only the first replica's value counts", which the two Keras versions spell differently."""
    if keras.__version__.startswith("2."):
        return tf.VariableAggregation.ONLY_FIRST_REPLICA
    return "only_first_replica"
