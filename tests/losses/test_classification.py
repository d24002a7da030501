import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.losses.classification import smoothed_cross_entropy


def test_two_equal_logits_cost_the_logarithm_of_two():
    loss = smoothed_cross_entropy(tf.constant([0]), tf.constant([[3.0, 3.0]]))
    assert loss.shape == (1,)
    assert loss.numpy()[0] == pytest.approx(math.log(2), rel=1e-6)


def test_smoothing_equals_keras_on_one_hot_targets():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(5, 7)).astype(np.float32), np.array([0, 6, 3, 3, 1])
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1, reduction="none")(keras.utils.to_categorical(labels, 7), logits)
    np.testing.assert_allclose(smoothed_cross_entropy(labels, logits, 0.1), expected, rtol=1e-5)


def test_gradient_is_finite_for_extreme_logits():
    logits = tf.Variable([[1e4, -1e4], [-1e4, 1e4]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(smoothed_cross_entropy(tf.constant([1, 1]), logits, 0.1))
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_empty_batch_gives_no_losses():
    assert smoothed_cross_entropy(tf.zeros([0], tf.int32), tf.zeros([0, 4])).shape == (0,)
