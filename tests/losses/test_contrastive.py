import keras
import numpy as np
import tensorflow as tf

from tfvision.losses.contrastive import ContrastiveLoss, contrastive_loss

RANDOM = np.random.default_rng(0)
LEFT, RIGHT = RANDOM.normal(size=(2, 6, 2)).astype(np.float32) / 2
IS_GENUINE = np.array([1, 0, 1, 0, 0, 1])


def _naive(is_genuine, left, right, margin):
    losses = []
    for s, a, b in zip(is_genuine, left.astype(float), right.astype(float), strict=True):
        d = np.sqrt(np.sum((a - b) ** 2))
        losses.append((s * d**2 + (1 - s) * max(margin - d, 0) ** 2) / 2)
    return losses


def test_the_loss_equals_a_naive_loop():
    for margin in (0.5, 1.0, 3.0):
        np.testing.assert_allclose(contrastive_loss(IS_GENUINE, LEFT, RIGHT, margin), _naive(IS_GENUINE, LEFT, RIGHT, margin), rtol=1e-5, atol=1e-7)


def test_values_by_hand():
    # Distances 5, 0.6 and 2. Genuine: 25 / 2. Impostors with margin 1: (1 - 0.6)^2 / 2, and none beyond the margin.
    left = np.float32([[3, 4], [0.6, 0], [0, 2]])
    np.testing.assert_allclose(contrastive_loss([True, False, False], left, np.zeros((3, 2)), 1.0), [12.5, 0.08, 0.0], rtol=1e-6)


def test_the_batch_mean_is_caffes_loss():
    # Caffe: 1 / (2 N) of the sum over N pairs.
    squares = np.sum((LEFT - RIGHT).astype(float) ** 2, axis=1)
    total = np.sum(IS_GENUINE * squares + (1 - IS_GENUINE) * np.maximum(1 - np.sqrt(squares), 0) ** 2)
    np.testing.assert_allclose(tf.reduce_mean(contrastive_loss(IS_GENUINE, LEFT, RIGHT)), total / (2 * 6), rtol=1e-5)


def test_gradients_of_equal_photos_are_finite():
    left = tf.constant(np.ones((2, 2)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(left)
        loss = contrastive_loss([True, False], left, np.ones((2, 2), np.float32))
    np.testing.assert_allclose(loss, [0, 0.5])
    assert np.isfinite(tape.gradient(loss, left)).all()


def test_the_class_is_a_shell():
    stacked = np.stack([LEFT, RIGHT], axis=1)
    loss = ContrastiveLoss(margin=2.0)
    assert loss.call(IS_GENUINE, stacked).shape == (6,)
    np.testing.assert_allclose(loss(IS_GENUINE, stacked), np.mean(_naive(IS_GENUINE, LEFT, RIGHT, 2.0)), rtol=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (type(again), again.margin) == (ContrastiveLoss, 2.0)
