import numpy as np
import pytest

from tfvision.apps.explorer import tidying


@pytest.fixture
def vectors():
    """Random unit vectors around three centres."""
    random = np.random.default_rng(0)
    vectors = np.repeat(np.eye(3), 8, axis=0) + 0.2 * random.normal(size=(24, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def table(vectors):
    return _table(vectors, 5)


def _table(vectors, k):
    """Exact neighbours, by a naive loop."""
    products = vectors @ vectors.T
    positions = np.array(
        [sorted((other for other in range(len(vectors)) if other != own), key=lambda other: -products[own, other])[:k] for own in range(len(vectors))]
    )
    return positions, np.take_along_axis(products, positions, axis=1).astype(np.float32)


def _groups(vectors, k, least):
    return tidying.near_duplicates(*_table(vectors, k), least, lambda positions: vectors[positions] @ vectors[positions].T)


def test_duplicates_are_those_of_complete_linkage(vectors):
    products, least = vectors @ vectors.T, 0.95
    clusters = [[own] for own in range(24)]
    while True:  # the two whose least similar pair is the most alike become one
        pairs = [(min(products[a, b] for a in one for b in other), one, other) for index, one in enumerate(clusters) for other in clusters[:index]]
        weakest, one, other = max(pairs, key=lambda pair: pair[0])
        if weakest < least:
            break
        clusters = [cluster for cluster in clusters if cluster not in (one, other)] + [one + other]
    groups = _groups(vectors, 23, least)
    assert {tuple(group.positions) for group in groups} == {tuple(sorted(cluster)) for cluster in clusters if len(cluster) > 1}
    for group in groups:
        pairs = {(a, b): products[a, b] for a in group.positions for b in group.positions if a < b}
        assert group.weakest == pytest.approx(min(pairs.values())) and pairs[tuple(sorted(group.pair))] == pytest.approx(group.weakest)
    assert [group.weakest for group in groups] == sorted((group.weakest for group in groups), reverse=True)


def test_a_chain_is_no_group():
    angles = np.radians([0, 10, 20.5])  # the first and the last are less alike than the threshold
    groups = _groups(np.stack([np.cos(angles), np.sin(angles)], axis=1), 2, np.cos(np.radians(15)))
    assert [group.positions for group in groups] == [[0, 1]]


def test_nothing_alike_makes_no_group(vectors):
    assert _groups(vectors, 5, 1.1) == []


@pytest.mark.parametrize("angles, sizes", [([0, 1, 2, 20, 21, 22], [2, 2]), ([0] * 7, [3, 3])])
def test_a_long_chain_is_cut(monkeypatch, angles, sizes):
    monkeypatch.setattr(tidying, "_LONGEST_CHAIN", 3)
    angles = np.radians(np.array(angles) + np.where(np.array(angles) > 0, 0.01 * np.arange(len(angles)), 0))
    groups = _groups(np.stack([np.cos(angles), np.sin(angles)], axis=1), len(angles) - 1, np.cos(np.radians(60)))
    assert all(2 <= len(group.positions) <= 3 for group in groups) and len(groups) >= len(sizes)


def test_loneliness_is_the_mean_similarity_and_tukeys_fence_cuts(table):
    positions, scores = (array.copy() for array in table)
    positions[3, 2:], scores[3, 2:] = -1, -np.inf  # fewer neighbours
    positions[5], scores[5] = -1, -np.inf  # none: nothing is known of it
    means = tidying.mean_similarities(positions, scores)
    expected = [np.mean([score for position, score in zip(positions[own], scores[own], strict=True) if position >= 0]) for own in range(24) if own != 5]
    assert np.isnan(means[5])
    np.testing.assert_allclose(np.delete(means, 5), expected, rtol=1e-5)
    assert tidying.lower_fence(np.array([1.0, 2, 3, 4, 5])) == 2 - 1.5 * (4 - 2)


def test_occurrences_are_counted(table):
    positions = table[0]
    counts = tidying.occurrences(positions)
    assert counts.tolist() == [sum(own in row for row in positions.tolist()) for own in range(24)] and counts.sum() == positions.size


def test_skewness_is_scipys(table):
    import scipy.stats

    counts = tidying.occurrences(table[0])
    assert tidying.skewness(counts) == pytest.approx(scipy.stats.skew(counts))
    assert tidying.skewness(np.full(4, 3)) == 0


def test_a_swapped_label_is_found_first_with_its_supports(table):
    positions, scores = table
    codes = np.repeat([0, 1, 2], 8)
    codes[10], codes[20] = 2, -1  # a wrong label, and one without
    found = tidying.suspect_labels(positions, scores, codes)
    assert found.positions[0] == 10 and found.suggested[0] == 1 and 20 not in found.positions and found.unjudged == 0

    def support(own, label):
        others = sum(codes == label) - (codes[own] == label)
        chance, k = others / (sum(codes != -1) - 1), min(others, 5)
        weights = [max(0, score) * (codes[position] != -1) for position, score in zip(positions[own], scores[own], strict=True)][:k]
        share = sum(weight for weight, position in zip(weights, positions[own], strict=False) if codes[position] == label) / sum(weights)
        return (k * share + chance) / (k + 1)

    for index, (own, label) in enumerate(zip(found.positions, found.suggested, strict=True)):
        typical = np.mean([support(other, codes[own]) for other in np.flatnonzero(codes == codes[own]) if other != own])
        expected = support(own, codes[own]), support(own, label), typical
        assert (found.given_support[index], found.suggested_support[index], found.typical_support[index]) == pytest.approx(expected, abs=1e-6)
        assert found.scores[index] == pytest.approx(min(expected[1:]) - expected[0], abs=1e-6)
    assert (found.scores >= 0.2).all() and (np.diff(found.scores) <= 0).all()


def test_small_classes_are_judged_by_as_many_neighbours_as_they_have():
    """Of 96 pictures, four a label, each label apart from the others: no more than three of the sixteen nearest can speak for it."""
    random = np.random.default_rng(0)
    vectors = np.repeat(np.eye(24), 4, axis=0) + 0.05 * random.normal(size=(96, 24))
    table, codes = _table(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), 16), np.repeat(np.arange(24), 4)
    assert len(tidying.suspect_labels(*table, codes).positions) == 0
    codes[5] = 7  # which is of 1
    found = tidying.suspect_labels(*table, codes)
    assert found.positions.tolist() == [5] and found.suggested.tolist() == [1]
    codes[[0, 1, 2, 3]] = [24, 25, 26, 27]  # alone with their labels: nothing can speak for these
    found = tidying.suspect_labels(*table, codes)
    assert found.unjudged == 4 and not set(found.positions) & {0, 1, 2, 3}
