import numpy as np
import pytest
import tensorflow as tf

from tfvision.losses.distances import pairwise_distances, root, squared_distances

VECTORS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


@pytest.mark.parametrize("distance", ["squared-L2", "L2"])
def test_all_pairs_equal_a_naive_loop(distance):
    expected = [[np.sum((a - b) ** 2) ** (0.5 if distance == "L2" else 1) for b in VECTORS.astype(float)] for a in VECTORS.astype(float)]
    np.testing.assert_allclose(pairwise_distances(VECTORS, distance), expected, rtol=1e-5, atol=1e-6)


def test_given_pairs_equal_a_naive_loop():
    expected = [sum((a - b) ** 2) for a, b in zip(VECTORS[:2].astype(float), VECTORS[2:4].astype(float), strict=True)]
    np.testing.assert_allclose(squared_distances(VECTORS[:2], VECTORS[2:4]), expected, rtol=1e-5)


def test_the_root_of_nothing_has_a_finite_gradient():
    squares = tf.constant([0.0, 9.0])
    with tf.GradientTape() as tape:
        tape.watch(squares)
        distances = root(squares)
    np.testing.assert_allclose(distances, [0, 3])
    np.testing.assert_allclose(tape.gradient(distances, squares), [0, 1 / 6], rtol=1e-6)


@pytest.mark.parametrize("distance", ["squared-L2", "L2"])
def test_equal_vectors_have_distance_and_gradient_0(distance):
    vectors = tf.constant([[1.0, 2.0], [1.0, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        distances = pairwise_distances(vectors, distance)
    np.testing.assert_array_equal(distances, np.zeros((2, 2)))
    np.testing.assert_array_equal(tape.gradient(distances, vectors), np.zeros((2, 2)))
