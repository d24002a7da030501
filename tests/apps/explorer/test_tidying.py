import numpy as np
import pytest

from tfvision.apps.explorer import tidying


@pytest.fixture
def table():
    """Exact neighbours of random points around three centres, by a naive loop."""
    random = np.random.default_rng(0)
    vectors = np.repeat(np.eye(3), 8, axis=0) + 0.2 * random.normal(size=(24, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    products = vectors @ vectors.T
    positions = np.array([sorted((other for other in range(24) if other != own), key=lambda other: -products[own, other])[:5] for own in range(24)])
    return positions, np.take_along_axis(products, positions, axis=1).astype(np.float32)


def test_duplicates_are_the_connected_components(table):
    positions, scores = table
    least = float(np.quantile(scores, 0.8))
    groups = tidying.near_duplicates(positions, scores, least)
    joined = {own: {own} for own in range(24)}
    for own in range(24):
        for other, score in zip(positions[own], scores[own], strict=True):
            if score >= least:
                whole = joined[own] | joined[int(other)]
                for member in whole:
                    joined[member] = whole
    expected = {tuple(sorted(group)) for group in joined.values() if len(group) > 1}
    assert {tuple(group) for group in groups} == expected
    best = [max(scores[position, 0] for position in group) for group in groups]
    assert best == sorted(best, reverse=True)


def test_nothing_alike_makes_no_group(table):
    assert tidying.near_duplicates(*table, 1.1) == []


def test_outliers_have_the_least_mean_similarity(table):
    positions, scores = table
    positions, scores = positions.copy(), scores.copy()
    positions[3, 2:], scores[3, 2:] = -1, -np.inf  # fewer neighbours
    positions[5], scores[5] = -1, -np.inf  # none: nothing is known of it
    found, means = tidying.outliers(positions, scores, 24)
    expected = {own: np.mean([score for position, score in zip(positions[own], scores[own], strict=True) if position >= 0]) for own in range(24) if own != 5}
    assert found.tolist() == sorted(expected, key=expected.get)
    np.testing.assert_allclose(means, [expected[own] for own in found.tolist()], rtol=1e-5)


def test_occurrences_are_counted(table):
    positions = table[0]
    counts = tidying.occurrences(positions)
    assert counts.tolist() == [sum(own in row for row in positions.tolist()) for own in range(24)] and counts.sum() == positions.size


def test_skewness_is_scipys(table):
    import scipy.stats

    counts = tidying.occurrences(table[0])
    assert tidying.skewness(counts) == pytest.approx(scipy.stats.skew(counts))
    assert tidying.skewness(np.full(4, 3)) == 0


def test_a_swapped_label_is_found_first(table):
    positions, scores = table
    codes = np.repeat([0, 1, 2], 8)
    codes[10], codes[20] = 2, -1  # a wrong label, and one without
    found, suggested, margins = tidying.suspect_labels(positions, scores, codes, 24)
    assert found[0] == 10 and suggested[0] == 1 and 20 not in found

    def support(own, label):
        weights = [max(0, score) * (codes[position] != -1) for position, score in zip(positions[own], scores[own], strict=True)]
        return sum(weight for weight, position in zip(weights, positions[own], strict=True) if codes[position] == label) / sum(weights)

    for position, label, margin in zip(found, suggested, margins, strict=True):
        others = [support(position, other) for other in range(3) if other != codes[position]]
        assert margin == pytest.approx(support(position, label) - support(position, codes[position]), abs=1e-6) and support(position, label) == max(others)
    assert (margins > 0).all()
