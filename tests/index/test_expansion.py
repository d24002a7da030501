import numpy as np
import pytest

from tfvision.index.expansion import augment_database, expand_queries, normalised


def test_alpha_zero_is_the_plain_mean(unit_vectors):
    queries, neighbours = unit_vectors(4), unit_vectors(12, seed=1).reshape(4, 3, 16)
    mean = (queries + neighbours.sum(axis=1)) / 4
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(expand_queries(queries, neighbours, np.ones((4, 3)), alpha=0), expected, atol=1e-6)


def test_weights_are_powers_of_the_similarity():
    query, neighbours = np.float32([[1, 0]]), np.float32([[[0.6, 0.8], [-1, 0]]])
    raw = np.array([1, 0]) + 0.6**3 * np.array([0.6, 0.8])  # the second is not alike at all: no weight
    np.testing.assert_allclose(expand_queries(query, neighbours, np.float32([[0.6, -1]])), [raw / np.linalg.norm(raw)], atol=1e-6)


def test_nothing_found_leaves_the_query(unit_vectors):
    query = unit_vectors(1)
    np.testing.assert_allclose(expand_queries(query, np.zeros((1, 2, 16)), np.full((1, 2), -np.inf)), query, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3, 100])
def test_a_database_is_augmented_by_its_nearest_others(unit_vectors, count):
    vectors = unit_vectors(30)
    expected = []
    for number, vector in enumerate(vectors):
        others = sorted((other for other in range(30) if other != number), key=lambda other: -(vector @ vectors[other]))[:count]
        raw = vector + sum(max(vector @ vectors[other], 0) ** 3 * vectors[other] for other in others)
        expected.append(raw / np.linalg.norm(raw))
    np.testing.assert_allclose(augment_database(vectors, count, chunk=7), expected, atol=1e-5)


def test_zeros_stay_zeros_and_others_get_length_one():
    assert normalised(np.float32([[0, 0], [3, 4]])).tolist() == [[0, 0], [np.float32(0.6), np.float32(0.8)]]
