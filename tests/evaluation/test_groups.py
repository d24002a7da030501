import numpy as np
import pytest

from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation import groups
from tfvision.evaluation.calibration import softmax
from tfvision.evaluation.groups import GroupRule, fit_dependence, fit_novelty_dependence, fit_similarity, groups_to_fit_on, join, members

TAXONOMY = Taxonomy.from_lineages(("order", "species"), [("A", "a"), ("A", "b"), ("B", "c"), ("B", "d"), ("C", "e")])
APART = np.eye(3, 8, dtype=np.float32)


@pytest.mark.parametrize("dependence", (0.0, 0.5, 1.0))
def test_independent_photos_multiply_their_probabilities_to_a_power(dependence):
    logits = np.random.default_rng(0).normal(0, 2, (3, 5)).astype(np.float32)
    product = softmax(logits, 1.7).astype(np.float64).prod(axis=0) ** (3**-dependence)
    joined = GroupRule(dependence).joined_logits(logits, GroupRule().weights(APART), 1.7)
    np.testing.assert_allclose(softmax(joined[None], 1.7)[0], product / product.sum(), rtol=1e-5)


def test_one_photo_stays_as_it_is():
    logits = np.random.default_rng(0).normal(0, 2, (1, 5)).astype(np.float32)
    assert np.array_equal(GroupRule(0.3).joined_logits(logits, np.ones(1), 1.7), logits[0])


def test_copies_count_for_one_photo_however_many_they_are():
    logits = np.random.default_rng(1).normal(0, 2, (2, 5)).astype(np.float32)
    rule, rows = GroupRule(0.0, 0.0, 0.8), np.array([0, 0, 0, 1])
    weights = rule.weights(APART[rows])
    np.testing.assert_allclose(weights, [1 / 3, 1 / 3, 1 / 3, 1])
    expected = rule.joined_logits(logits, np.ones(2), 1.0)
    np.testing.assert_allclose(rule.joined_logits(logits[rows], weights, 1.0), expected, atol=1e-5)
    assert rule.joined_novelty(np.array([3.0, 3, 3, -1]), weights) == pytest.approx(2.0)
    np.testing.assert_allclose(GroupRule().weights(np.zeros((4, 0))), 1)  # a model that tells no features
    near = np.array([[1, 0], [0.9, np.sqrt(1 - 0.81)]])
    np.testing.assert_allclose(rule.weights(near), 1 / 1.5)  # (0.9 - 0.8) / (1 - 0.8)


def test_a_thousand_photos_are_weighed_by_parts(monkeypatch):
    features = np.random.default_rng(0).normal(0, 1, (1000, 4))
    expected = GroupRule(similarity=0.5).weights(features)
    monkeypatch.setattr(groups, "_ROWS", 1000)
    np.testing.assert_allclose(GroupRule(similarity=0.5).weights(features), expected)


def test_what_no_photo_sees_first_is_not_named():
    # Each photo's second choice is c of order B, which is the first of none.
    probabilities = np.array([[0.6, 0.01, 0.37, 0.01, 0.01], [0.01, 0.01, 0.37, 0.01, 0.6]])
    logits = np.log(probabilities).astype(np.float32)
    joined = join([np.array([0, 1]), np.array([0])], logits, APART[:2], TAXONOMY, 1.0, GroupRule(0.0))
    assert joined.logits[0].argmax() == 2
    assert joined.nodes[0].tolist() == [0, -1, -1] and joined.reached[0].tolist() == [1, 0, 0]
    assert TAXONOMY.names[joined.nodes[1, 2]] == "a"


def test_groups_are_the_sources_own_or_drawn_within_halves_and_species():
    labels, is_fitting = np.repeat(np.arange(6), 20), np.tile([True, False], 60)
    drawn, is_real = groups_to_fit_on([str(number) for number in range(120)], labels, is_fitting)
    assert not is_real and len(drawn) >= 30 and sorted({len(rows) for rows in drawn}) == [2, 3, 5]
    assert all(len({(labels[row], is_fitting[row]) for row in rows}) == 1 for rows in drawn)
    assert len(np.concatenate(drawn)) == len(np.unique(np.concatenate(drawn)))
    own, is_real = groups_to_fit_on([str(number // 4) for number in range(120)], labels, is_fitting)
    assert is_real and len(own) == 30 and own[1].tolist() == [4, 5, 6, 7]
    mixed, is_real = groups_to_fit_on([str(number % 30) for number in range(120)], labels, is_fitting)  # of several species
    assert not is_real and mixed
    assert {name: rows.tolist() for name, rows in members(["b", "a", "b"]).items()} == {"b": [0, 2], "a": [1]}


def test_dependence_is_found_where_photos_share_their_errors():
    random = np.random.default_rng(0)
    labels, rows = random.integers(0, 5, 300), [np.arange(3 * number, 3 * number + 3) for number in range(300)]
    own = 2 * np.eye(5)[labels] + random.normal(0, 1, (300, 5))  # so scaled that each is calibrated at temperature 1 / 2
    shared, alone = np.repeat(own, 3, axis=0), 2 * np.eye(5)[np.repeat(labels, 3)] + random.normal(0, 1, (900, 5))
    features, of_photos = random.normal(0, 1, (900, 64)), np.repeat(labels, 3)
    assert fit_dependence(rows, shared, features, of_photos, 0.5, 0.9) == pytest.approx(1, abs=0.1)
    assert fit_dependence(rows, alone, features, of_photos, 0.5, 0.9) < 0.4
    copies = np.repeat(random.normal(0, 1, (300, 64)), 3, axis=0)  # which their features tell: the rule knows them by these
    weights = GroupRule().weights(copies[:3])
    np.testing.assert_allclose(weights.sum(), 1)
    assert fit_similarity(copies, of_photos, [str(number // 3) for number in range(900)]) < 0.5


def test_dependence_of_novelty_is_found_likewise():
    random = np.random.default_rng(0)
    known, left = random.normal(-1, 1.4, (200, 1)), random.normal(1, 1.4, (200, 1))
    shared = [[(np.repeat(one, 4), np.ones(4)) for one in side] for side in (known, left)]
    assert fit_novelty_dependence(GroupRule(), *shared) >= 0.9
    alone = [[(one, np.ones(4)) for one in random.normal(mean, 1.4, (200, 4))] for mean in (-1, 1)]
    assert fit_novelty_dependence(GroupRule(), *alone) < 0.5
