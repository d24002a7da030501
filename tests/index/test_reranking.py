import numpy as np
import pytest

from tfvision.index.reranking import k_reciprocal


def by_sets(queries, vectors, k1, k2, original_weight):
    """The paper's equations 1 to 12, a loop and a Python set at a time."""
    every = np.concatenate([queries, vectors]).astype(np.float64)
    distance = ((every[:, None] - every) ** 2).sum(axis=2)
    distance /= distance.max(axis=1, keepdims=True)
    order = [sorted(range(len(every)), key=lambda other: (distance[own, other], other)) for own in range(len(every))]

    def reciprocal(own, k):
        return {other for other in order[own][: k + 1] if own in order[other][: k + 1]}

    encoding = np.zeros_like(distance)
    for own in range(len(every)):
        members = set(near := reciprocal(own, k1))
        for other in near:
            half = reciprocal(other, round(k1 / 2))
            if len(near & half) > 2 / 3 * len(half):
                members |= half
        for other in members:
            encoding[own, other] = np.exp(-distance[own, other])
        encoding[own] /= encoding[own].sum()
    encoding = np.array([np.mean([encoding[other] for other in order[own][:k2]], axis=0) for own in range(len(every))])
    result = np.zeros((len(queries), len(vectors)))
    for query in range(len(queries)):
        for place in range(len(vectors)):
            pair = encoding[query], encoding[len(queries) + place]
            jaccard = 1 - np.minimum(*pair).sum() / np.maximum(*pair).sum()
            result[query, place] = (1 - original_weight) * jaccard + original_weight * distance[query, len(queries) + place]
    return result


@pytest.mark.parametrize(("k1", "k2", "original_weight"), [(20, 6, 0.3), (6, 1, 0.0), (5, 3, 1.0), (100, 6, 0.3)])
def test_distances_are_those_of_the_papers_equations(unit_vectors, k1, k2, original_weight):
    queries, vectors = unit_vectors(5, seed=1), unit_vectors(60)
    expected = by_sets(queries, vectors, k1, k2, original_weight)
    np.testing.assert_allclose(k_reciprocal(queries, vectors, k1, k2, original_weight), expected, atol=2e-5)


def test_a_stray_neighbour_falls_behind_those_that_share_neighbours():
    """The stray point is a little nearer to the query, but at home in another cluster."""
    random = np.random.default_rng(0)
    home = np.array([1.0, 0.0]) + 0.05 * random.normal(size=(10, 2))
    other = np.array([0.0, 0.0]) + 0.05 * random.normal(size=(10, 2))
    query, stray = np.array([[0.62, 0.0]]), np.array([[0.25, 0.0]])
    vectors = np.concatenate([home, other, stray]).astype(np.float32)
    plain = ((vectors - query) ** 2).sum(axis=1)
    assert plain[20] < np.sort(plain[:10])[7]
    ranking = np.argsort(k_reciprocal(query.astype(np.float32), vectors, k1=8, k2=3)[0])
    assert set(ranking[:10]) == set(range(10))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_or_equal_vectors_are_ranked_all_the_same(count):
    distances = k_reciprocal(np.ones((1, 4), np.float32), np.ones((count, 4), np.float32))
    assert distances.shape == (1, count) and np.isfinite(distances).all()


def test_many_twins_are_finite():
    distances = k_reciprocal(np.ones((2, 4), np.float32), np.ones((50, 4), np.float32))
    assert np.isfinite(distances).all() and (distances >= -1e-6).all() and (distances <= 1 + 1e-6).all()
