import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import RecipeError
from tfvision.losses import triplet
from tfvision.losses.triplet import MARGIN, MinedTripletLoss, hard_loss, mined_triplet_loss, semi_hard_loss, triplet_loss

RANDOM = np.random.default_rng(0)
PLAIN = {"semi-hard": semi_hard_loss, "hard": hard_loss}
HAS_ADDONS = importlib.util.find_spec("tensorflow_addons") is not None


def _batch(seed, dimension=8):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(12, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return random.integers(0, 4, 12), vectors.astype(np.float32)


def _distances(vectors, distance):
    squares = np.sum((vectors[:, None].astype(float) - vectors[None]) ** 2, axis=2)
    return np.sqrt(squares) if distance == "L2" else squares


def _naive_semi_hard(labels, vectors, margin, distance):
    distances, losses = _distances(vectors, distance), []
    for a in range(len(labels)):
        for p in range(len(labels)):
            if a == p or labels[a] != labels[p]:
                continue
            negatives = [distances[a, n] for n in range(len(labels)) if labels[n] != labels[a]]
            outside = [d for d in negatives if d > distances[a, p]]
            losses.append(max(margin + distances[a, p] - (min(outside) if outside else max(negatives)), 0))
    return np.mean(losses)


def _naive_hard(labels, vectors, margin, distance):
    distances, losses = _distances(vectors, distance), []
    for a in range(len(labels)):
        others = [n for n in range(len(labels)) if n != a]
        farthest = max([distances[a, p] for p in others if labels[p] == labels[a]], default=0)
        losses.append(max(margin + farthest - min(distances[a, n] for n in others if labels[n] != labels[a]), 0))
    return np.mean(losses)


NAIVE = {"semi-hard": _naive_semi_hard, "hard": _naive_hard}


def test_the_papers_margin():
    assert MARGIN == 0.005


def test_given_triplets_by_hand():
    # |a - p|^2 = 1 and |a - n|^2 = 4, then the other way round; with margin 0.5: 1 - 4 + 0.5 < 0, and 4 - 1 + 0.5.
    anchor, near, far = np.zeros((2, 2)), [[1, 0], [0, 2]], [[0, 2], [1, 0]]
    np.testing.assert_allclose(triplet_loss(anchor, near, far, 0.5), [0.0, 3.5])


@pytest.mark.parametrize("distance", ["squared-L2", "L2"])
@pytest.mark.parametrize("mining", ["semi-hard", "hard"])
@pytest.mark.parametrize("seed", range(3))
def test_mined_losses_equal_a_naive_loop(mining, distance, seed):
    labels, vectors = _batch(seed)
    loss = mined_triplet_loss(labels, vectors, 0.3, mining, distance)
    assert loss.shape == (12,) and loss.dtype == tf.float32
    np.testing.assert_allclose(loss, np.full(12, NAIVE[mining](labels, vectors, 0.3, distance)), rtol=1e-4)


@pytest.mark.skipif(not HAS_ADDONS, reason="tensorflow-addons cannot be installed here")
@pytest.mark.parametrize("distance", ["squared-L2", "L2"])
@pytest.mark.parametrize("mining", ["semi-hard", "hard"])
@pytest.mark.parametrize("seed", range(4))
def test_plain_tensorflow_equals_tensorflow_addons_in_value_and_gradient(mining, distance, seed):
    labels, vectors = _batch(seed)
    labels, results = tf.constant(labels), []
    for function in (PLAIN[mining], triplet._mining_functions()[mining]):
        embeddings = tf.constant(vectors)
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            loss = function(labels, embeddings, 0.3, distance)
        results.append((loss.numpy(), tape.gradient(loss, embeddings).numpy()))
    assert triplet._mining_functions()[mining] is not PLAIN[mining]
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-6)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-6)


@pytest.mark.skipif(not HAS_ADDONS, reason="tensorflow-addons cannot be installed here")
@pytest.mark.parametrize("mining", ["semi-hard", "hard"])
def test_they_are_equal_for_photos_that_are_the_same(mining):
    vectors = np.repeat(_batch(0)[1][:4], 3, axis=0)
    labels = tf.constant(np.repeat(np.arange(4), 3))
    plain, addons = (function(labels, tf.constant(vectors), 0.2, "L2") for function in (PLAIN[mining], triplet._mining_functions()[mining]))
    np.testing.assert_allclose(plain, addons, atol=1e-6)


@pytest.mark.parametrize("distance", ["squared-L2", "L2"])
@pytest.mark.parametrize("mining", ["semi-hard", "hard"])
@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 0]], ids=["no positive pair", "no negative"])
def test_degenerate_batches_are_finite(mining, distance, labels):
    vectors = tf.constant(_batch(0)[1][:4])
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        loss = mined_triplet_loss(labels, vectors, 0.2, mining, distance)
    gradient = tape.gradient(loss, vectors)
    assert np.isfinite(loss).all() and np.isfinite(gradient).all()
    if labels == [0, 1, 2, 3]:
        assert not np.any(loss) and not np.any(gradient)


def test_in_a_graph_of_any_batch_size_and_half_precision():
    run = tf.function(
        lambda labels, vectors: mined_triplet_loss(labels, vectors, 0.3),
        input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, 8], tf.float16)],
    )
    for labels, vectors in (_batch(0), _batch(1)):
        np.testing.assert_allclose(run(labels, vectors.astype(np.float16)), np.full(12, _naive_semi_hard(labels, vectors, 0.3, "squared-L2")), rtol=0.02)
    assert run(np.zeros(0, np.int32), np.zeros((0, 8), np.float16)).shape == (0,)


def test_the_class_is_a_shell():
    labels, vectors = _batch(0)
    loss = MinedTripletLoss(0.3, "hard", "L2")
    np.testing.assert_allclose(loss(labels, vectors), _naive_hard(labels, vectors, 0.3, "L2"), rtol=1e-4)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (again.margin, again.mining, again.distance) == (0.3, "hard", "L2")


def test_an_unknown_mining_is_named():
    with pytest.raises(RecipeError, match="mining must be one of semi-hard, hard, got 'easy'"):
        mined_triplet_loss([0, 0], np.eye(2), 0.1, "easy")
