import numpy as np
import pytest

from tfvision.apps.explorer import similarity


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(203, 7)).astype(np.float32)


def test_similarities_in_chunks_are_the_inner_products(vectors, monkeypatch):
    monkeypatch.setattr(similarity, "_CHUNK_ROWS", 50)
    expected = [sum(float(a) * float(b) for a, b in zip(vectors[3], row, strict=True)) for row in vectors]
    np.testing.assert_allclose(similarity.similarities(vectors, vectors[3]), expected, rtol=1e-4, atol=1e-5)


def test_random_pairs_are_pairs_of_two_different_pictures(monkeypatch):
    monkeypatch.setattr(similarity, "_CHUNK_PAIRS", 16)
    vectors = np.eye(5, dtype=np.float32) + 1  # a picture with itself would have 8, two different ones have 7
    found = similarity.random_pair_similarities(vectors, 100)
    assert found.tolist() == [7.0] * 100
    np.testing.assert_array_equal(found, similarity.random_pair_similarities(vectors, 100))  # seeded


def test_their_mean_is_that_of_all_pairs(vectors):
    products = vectors.astype(float) @ vectors.T
    expected = (products.sum() - np.trace(products)) / (len(vectors) * (len(vectors) - 1))
    assert similarity.random_pair_similarities(vectors, 20_000).mean() == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("count", [0, 1])
def test_below_two_pictures_there_are_no_pairs(count):
    assert similarity.random_pair_similarities(np.ones((count, 3), np.float32), 10).shape == (0,)


def test_nearest_is_a_sort_that_leaves_out_what_is_not_known():
    scores = np.random.default_rng(1).integers(0, 9, 60).astype(np.float32)  # many are equal
    scores[[4, 20]] = np.nan
    expected = sorted((position for position in range(60) if position not in (4, 20)), key=lambda position: (-scores[position], position))
    for k in (0, 1, 7, 58, 100):
        assert similarity.nearest(scores, k).tolist() == expected[:k]


def test_a_range_holds_its_ends_and_can_begin_with_the_least_alike():
    scores = np.float32([0.1, np.nan, 0.5, 0.3, 0.5, 0.9])
    assert (similarity.within(scores, 0.3, 0.5, 10)[0].tolist(), similarity.within(scores, 0.3, 0.5, 2)[1]) == ([2, 4, 3], 3)
    assert similarity.within(scores, 0.0, 0.5, 2, is_lowest_first=True)[0].tolist() == [0, 3]


def test_percentiles_of_the_first_hits_are_those_of_all(vectors):
    scores = np.round(vectors @ vectors[0], 1)  # many are equal
    scores[[0, 9]] = np.nan
    for k in (1, 10, 201):
        hits = similarity.nearest(scores, k)
        expected = similarity.shares_below(scores[hits], np.sort(scores[~np.isnan(scores)]))
        np.testing.assert_allclose(similarity.shares_below_hits(scores, hits), expected)
    assert similarity.shares_below_hits(scores, hits[:0]).shape == (0,)


def test_percentiles_are_the_share_that_is_less_alike():
    ordered, values = np.float32([0.1, 0.2, 0.2, 0.8]), np.float32([0.0, 0.2, 0.5, 1.0])
    assert similarity.shares_below(values, ordered).tolist() == [(ordered < value).sum() / 4 for value in values] == [0, 0.25, 0.75, 1]
