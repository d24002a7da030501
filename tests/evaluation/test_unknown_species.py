import numpy as np
import pytest

from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation import hierarchy, specificity, unknown_species
from tfvision.evaluation.calibration import softmax
from tfvision.evaluation.novelty import NoveltyModel
from tfvision.evaluation.unknown_species import Paths, UnknownAnswers, UnknownRule, confidences, fit_rule, fit_share, leave_species_out, measure_share

TAXONOMY = Taxonomy.from_lineages(
    ("order", "genus", "species"),
    [("A", "Aa", "one"), ("A", "Aa", "two"), ("A", "Ab", "three"), ("B", "Ba", "four"), ("B", "Ba", "five"), ("B", "Bb", "six")],
)
RULE = UnknownRule((1.0,), 0.0, (9.0,), (1.0, 0.8, 0.4, 0.0))


def paths(photos, score, is_unknown=False, seed=0):
    """Photos that are named with much confidence: known ones rightly, unknown ones wrongly below the order."""
    random = np.random.default_rng(seed)
    species = random.integers(len(TAXONOMY), size=photos)
    logits = 8 * np.eye(len(TAXONOMY))[species] + random.normal(0, 1, (photos, len(TAXONOMY)))
    nodes, reached = hierarchy.descend(softmax(logits), TAXONOMY)
    is_correct = hierarchy.judge(nodes, species, TAXONOMY)
    if is_unknown:
        is_correct[:, 2:] = False
    return Paths(nodes, reached, is_correct, score + random.normal(0, 1, (photos, 1)), species)


def test_a_taxons_probability_is_that_of_the_known_and_of_the_unknown_that_it_holds():
    nodes, reached = hierarchy.descend(np.float32([[0.7, 0.2, 0.05, 0.05, 0, 0]]), TAXONOMY)
    got = RULE.probabilities(nodes, reached, np.array([0.25]), TAXONOMY)
    expected = [1, 0.95 * (0.75 + 0.25 * 0.8), 0.9 * (0.75 + 0.25 * 0.4), 0.7 * 0.75]
    np.testing.assert_allclose(got, [expected], rtol=1e-6)


def test_what_is_known_beforehand_stays_certain():
    within = TAXONOMY.find("Aa")
    nodes, reached = hierarchy.descend(np.float32([[0.7, 0.2, 0.05, 0.05, 0, 0]]), TAXONOMY, within)
    got = RULE.probabilities(nodes, reached, np.array([0.25]), TAXONOMY, within)
    np.testing.assert_allclose(got, [[1, 1, 1, 7 / 9 * 0.75]], rtol=1e-6)
    assert unknown_species.holds_all(TAXONOMY, ()).tolist() == [True] + [False] * (TAXONOMY.node_count - 1)


def test_a_larger_share_moves_the_log_odds_as_a_prior_does():
    even = RULE.chance(np.array([[0.3]]), 0.5)[0]
    other = RULE.chance(np.array([[0.3]]), 0.1)[0]
    assert np.log(other / (1 - other)) - np.log(even / (1 - even)) == pytest.approx(np.log(0.1 / 0.9))


def test_a_score_beyond_its_limit_counts_as_much_as_the_limit():
    rule = UnknownRule((1.0,), 0.0, (0.5,), RULE.rates)
    assert rule.chance(np.array([[0.5], [90.0]]), 0.1).tolist() == [RULE.chance(np.array([[0.5]]), 0.1)[0]] * 2


def test_the_threshold_of_confidences_lets_a_risk_grow_with_the_depth():
    """A naive loop: the deepest taxon whose risk is at most risk * depth / deepest, a species having at least its own threshold."""
    photos, risk, least = paths(300, 0.0), 0.4, 0.7
    probabilities = RULE.probabilities(photos.nodes, photos.reached, RULE.chance(photos.scores, 0.2), TAXONOMY)
    found = confidences(probabilities, photos.nodes, TAXONOMY, least)
    assert (np.diff(found, axis=1) <= 0).all()
    threshold = 1 / (1 + risk)
    for row, depth in enumerate(specificity.answer_depths(found, threshold)):
        allowed = [d for d in range(1, 4) if 1 - probabilities[row, d] <= risk * d / 3 and (d < 3 or probabilities[row, d] >= least)]
        assert depth == max(allowed, default=0)


def test_answers_reach_the_target_with_so_many_unknown_and_named_at_most_a_fifth_of_them():
    known, left = paths(400, -1.5), paths(400, 1.5, True, 1)
    rule = fit_rule(known, left)
    assert rule.weights[0] > 0 and rule.rates[0] == 1 and list(rule.rates) == sorted(rule.rates, reverse=True) and rule.rates[-1] == 0
    fresh, strange = paths(600, -1.5, seed=2), paths(600, 1.5, True, 3)
    for share in (0.1, 0.5):
        fitted = fit_share(rule, known, left, TAXONOMY, share, [0.9])
        (point,) = fitted["points"]
        got = measure_share(UnknownAnswers(None, rule, share, fitted["species_threshold"], point["threshold"]), fresh, strange, TAXONOMY)
        assert point["confidence"] == 0.95 and got["right"] >= 0.89 and got["named"] <= 0.22
        rows = np.arange(600)  # the same by hand
        chances = [rule.chance(photos.scores, share) for photos in (fresh, strange)]
        cut = [
            confidences(rule.probabilities(p.nodes, p.reached, c, TAXONOMY), p.nodes, TAXONOMY, fitted["species_threshold"])
            for p, c in zip((fresh, strange), chances, strict=True)
        ]
        of_known, of_unknown = (p.is_correct[rows, specificity.answer_depths(c, point["threshold"])] for p, c in zip((fresh, strange), cut, strict=True))
        by_species = np.mean([of_unknown[strange.species == number].mean() for number in range(6)])
        assert got["right"] == pytest.approx((1 - share) * of_known.mean() + share * by_species)


def test_where_unknown_species_cannot_be_told_known_ones_keep_their_names():
    known, left = paths(200, 0.0), paths(200, 0.0, True, 1)
    fitted = fit_share(fit_rule(known, left), known, left, TAXONOMY, 0.05, [0.9])
    got = measure_share(UnknownAnswers(None, fit_rule(known, left), 0.05, fitted["species_threshold"], fitted["points"][0]["threshold"]), known, left, TAXONOMY)
    assert got["depth"] > 2.6


def test_targets_that_no_margin_reaches_are_met_without_one_or_left_out():
    known, left = paths(12, -1.5), paths(12, 1.5, True, 1)
    left = left.select(left.species < 2)
    points = fit_share(fit_rule(known, left), known, left, TAXONOMY, 0.5, [0.5, 0.9, 0.99])["points"]
    assert [point["target"] for point in points] == [0.5, 0.9]
    assert points[1]["confidence"] is None


def test_species_are_left_out_in_turn_and_seen_without_their_own_head():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 10)
    features = (3 * np.eye(6, 8)[labels] + random.normal(0, 0.3, (60, 8))).astype(np.float32)
    held, held_labels = features[::2], labels[::2]
    left = leave_species_out(features[1::2], labels[1::2], held, held_labels, TAXONOMY).photos
    assert sorted(left.species.tolist()) == sorted(held_labels.tolist())
    named = left.nodes[np.arange(len(left)), 3]
    assert not left.is_correct[:, 3].any() and (named != TAXONOMY.leaf_nodes[left.species]).all()
    assert (left.is_correct[:, 1] == (TAXONOMY.ancestors_at_rank("order")[left.species] == left.nodes[:, 1])).all()
    known = NoveltyModel.fit(features[1::2], labels[1::2], 6).scores(held)
    assert (left.scores.mean(axis=0) > known.mean(axis=0)).all()


def test_a_taxon_holds_an_unknown_species_by_the_names_of_its_lineage():
    nodes = np.array([TAXONOMY.path_to(int(TAXONOMY.leaf_nodes[number])) for number in (0, 1, 2)])
    lineages = [("A", "Aa", "seven"), ("a", "Ab", "seven"), ("B", "Aa", "two")]
    got = unknown_species.is_above(nodes[[0, 0, 1]], lineages, TAXONOMY)
    assert got.tolist() == [[True, True, True, False], [True, True, False, False], [True, False, False, False]]
