import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, top_k_accuracy_score

from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError, RecipeError, RunError
from tfvision.evaluation.calibration import softmax
from tfvision.evaluation.classification import Evaluation
from tfvision.evaluation.hierarchy import answer, descend, judge, node_probabilities

RANKS = ("kingdom", "family", "species")
CLASSES = 30
TAXONOMY = Taxonomy.from_lineages(RANKS, [(f"k{index % 3}", f"f{index % 7}" if index % 5 else "", f"s{index}") for index in range(CLASSES)])
SIZES = np.arange(CLASSES)


def simulated(images=600, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES - 1, size=images)  # the last class has no image
    logits = random.standard_normal((images, CLASSES)).astype(np.float32)
    logits[np.arange(images), labels] += random.normal(2, 1.5, images).astype(np.float32)
    return logits, labels, [f"{index}.jpg" for index in range(images)], random.random(images) < 0.5


def evaluated(data, batch=64, **options):
    evaluation = Evaluation(TAXONOMY, SIZES, **options)
    for start in range(0, len(data[1]), batch):
        evaluation.update(*(part[start : start + batch] for part in data))
    return evaluation


def test_accuracies_equal_scikit_learns():
    logits, labels, *_ = data = simulated()
    result = evaluated(data).result()
    predicted = logits.argmax(axis=1)
    assert result["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert result["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=range(CLASSES)))
    assert result["macro_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert result["images"] == 600 and result["classes"] == CLASSES
    assert result["accuracy_interval"][0] < result["accuracy"] < result["accuracy_interval"][1]


def test_result_is_plain_json():
    result = evaluated(simulated()).result()
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_batches_of_any_size_give_the_same_result():
    data = simulated()
    results = [evaluated(data, batch).result() for batch in (600, 64, 7, 1)]
    assert results[0] == results[1] == results[2] == results[3]


def test_inputs_are_left_as_they_are():
    data = simulated()
    before = data[0].copy()
    evaluated(data, within=(1,))
    np.testing.assert_array_equal(data[0], before)


def test_accuracy_by_rank_judges_the_named_species_and_the_summed_one_asks_each_rank():
    logits, labels, *_ = data = simulated()
    result = evaluated(data).result()
    probabilities = softmax(logits)
    sums = node_probabilities(probabilities, TAXONOMY)
    for rank in RANKS:
        group = TAXONOMY.ancestors_at_rank(rank)
        named = np.mean(group[logits.argmax(axis=1)] == group[labels])
        assert result["accuracy_by_rank"][rank] == pytest.approx(named)
        answers = [max(sorted(set(group)), key=lambda node: sum(row[group == node])) for row in probabilities]
        assert result["accuracy_by_rank_summed"][rank] == pytest.approx(np.mean(answers == group[labels]))
    assert result["accuracy_by_rank"]["species"] == result["accuracy_by_rank_summed"]["species"] == result["accuracy"]
    assert sums.shape[1] == TAXONOMY.node_count


def test_specificity_is_fitted_on_one_half_and_reported_on_the_other():
    logits, labels, _, is_fitting = data = simulated(3000)
    named = evaluated(data).result(target_accuracy=0.8)["specificity"]
    nodes, reached = descend(softmax(logits), TAXONOMY)
    answers = answer(nodes, reached, named["threshold"])
    is_right = judge(answers[:, None], labels, TAXONOMY)[:, 0]
    assert named["fitted_accuracy"] == pytest.approx(is_right[is_fitting].mean()) and named["fitted_accuracy"] >= 0.8
    assert named["accuracy"] == pytest.approx(is_right[~is_fitting].mean())
    assert named["depth"] == pytest.approx(TAXONOMY.depths[answers[~is_fitting]].mean())
    assert named["abstained"] == pytest.approx((answers[~is_fitting] == 0).mean())
    assert (named["fitted_on"], named["reported_on"]) == (is_fitting.sum(), (~is_fitting).sum())
    for rank, row in named["answers_by_rank"].items():
        assert row["images"] == sum(TAXONOMY.node_ranks[node] == rank for node in answers[~is_fitting])
    assert named["is_held_out"]


def test_hill_climbing_agrees_in_the_result():
    evaluation = evaluated(simulated(20000), 5000)
    exact, climbed = (evaluation.result(0.8, method=method)["specificity"] for method in ("exact", "climb"))
    assert climbed["accuracy"] == pytest.approx(exact["accuracy"], abs=0.015)


def test_one_image_is_evaluated_and_marked_as_not_held_out():
    result = evaluated(simulated(1)).result()
    assert result["images"] == 1 and result["specificity"]["is_held_out"] is False
    assert result["specificity"]["fitted_on"] == result["specificity"]["reported_on"] == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_all_right_and_all_wrong(sign):
    labels = np.arange(CLASSES)
    logits = (sign * 50 * np.eye(CLASSES)).astype(np.float32)
    result = evaluated((logits, labels, [str(label) for label in labels], labels % 2 == 0)).result()
    assert result["accuracy"] == (sign > 0) and len(result["confusions"]) == (0 if sign > 0 else 12)
    assert result["top5"] == (1.0 if sign > 0 else 0.0)
    if sign > 0:
        assert result["specificity"]["accuracy"] == 1 and result["specificity"]["abstained"] == 0


def test_top5_counts_equals_in_their_order():
    labels = np.arange(CLASSES)
    result = evaluated((np.zeros((CLASSES, CLASSES), np.float32), labels, labels.astype(str).tolist(), labels > 3)).result()
    assert (result["accuracy"], result["top5"]) == (1 / CLASSES, 5 / CLASSES)


def test_prior_nodes_raise_accuracy_and_never_name_what_they_exclude():
    logits, labels, _, _ = data = simulated()
    (kingdom,) = TAXONOMY.find("k0")
    result = evaluated(data, within=(kingdom,)).result()
    inside = np.arange(TAXONOMY.first_leaves[kingdom], TAXONOMY.end_leaves[kingdom])
    predicted = inside[logits[:, inside].argmax(axis=1)]
    assert result["accuracy"] == pytest.approx(np.mean(predicted == labels))
    top5 = [label in inside[np.argsort(-row[inside])[:5]] for row, label in zip(logits, labels, strict=True)]
    assert result["top5"] == pytest.approx(np.mean(top5))


def test_accuracy_by_class_size_bins_in_powers_of_two():
    logits, labels, *_ = data = simulated()
    is_right = logits.argmax(axis=1) == labels
    rows = evaluated(data).result()["by_class_size"]
    assert [(row["smallest"], row["largest"]) for row in rows] == [(0, 0), (1, 1), (2, 3), (4, 7), (8, 15), (16, 31)]
    for row in rows:
        chosen = [right for label, right in zip(labels, is_right, strict=True)
                  if row["smallest"] <= SIZES[label] <= row["largest"]]  # fmt: skip
        assert row["images"] == len(chosen) and row["accuracy"] == pytest.approx(np.mean(chosen))
        assert row["classes"] == sum(row["smallest"] <= size <= row["largest"] for size in SIZES)


def test_confusions_list_the_most_frequent_pairs_with_photos():
    labels = np.array([0, 0, 0, 0, 1, 2, 2])
    predicted = np.array([1, 1, 1, 1, 1, 0, 2])
    logits = np.eye(CLASSES, dtype=np.float32)[predicted]
    data = (logits, labels, list("abcdefg"), np.arange(7) % 2 == 0)
    first, second = evaluated(data).result()["confusions"]
    names = TAXONOMY.class_names
    assert first == {
        "true": names[0],
        "predicted": names[1],
        "count": 4,
        "share": 1.0,
        "images": ["a", "b", "c"],
        "reference": "e",
    }
    assert (second["count"], second["share"], second["images"], second["reference"]) == (1, 0.5, ["f"], "a")


def test_temperature_changes_confidence_but_no_species():
    data = simulated()
    cool, warm = evaluated(data).result(), evaluated(data, temperature=5).result()
    assert cool["accuracy"] == warm["accuracy"] and warm["temperature"] == 5.0
    expected = softmax(data[0], 5.0).max(axis=1)
    filled = [row for row in warm["reliability"] if row["count"]]
    assert sum(row["count"] * row["confidence"] for row in filled) == pytest.approx(expected.sum(), rel=1e-5)


def test_bad_input_is_refused():
    logits, labels, images, is_fitting = simulated(4)
    evaluation = Evaluation(TAXONOMY, SIZES)
    with pytest.raises(DataError, match="logits must be"):
        evaluation.update(logits[:, :5], labels, images, is_fitting)
    with pytest.raises(DataError, match="labels must lie from 0 to 29, got -1 to"):
        evaluation.update(logits, np.array([-1, 0, 1, 2]), images, is_fitting)
    logits[2, 3] = np.nan
    with pytest.raises(RunError, match="output for 2.jpg is not a number: its training diverged"):
        evaluation.update(logits, labels, images, is_fitting)
    with pytest.raises(DataError, match="class_sizes must have 30 entries"):
        Evaluation(TAXONOMY, SIZES[:3])
    with pytest.raises(DataError, match="no photo could be evaluated"):
        Evaluation(TAXONOMY, SIZES).result()
    with pytest.raises(RecipeError, match="--method must be 'exact' or 'climb', got 'fast'"):
        evaluated(simulated(4)).result(method="fast")
    with pytest.raises(RecipeError, match="--confidence needs --method exact"):
        evaluated(simulated(4)).result(method="climb", confidence=0.9)


def test_each_species_has_its_recall_precision_and_depth():
    taxonomy = Taxonomy.from_lineages(("genus", "species"), [("a", "a1"), ("a", "a2"), ("b", "b1")])
    evaluation = Evaluation(taxonomy, np.ones(3, int))
    logits = np.log(np.float32([[0.9, 0.05, 0.05], [0.5, 0.4, 0.1], [0.05, 0.9, 0.05], [0.1, 0.45, 0.45]]))  # named a1, a1, a2, a2
    evaluation.update(logits, [0, 1, 1, 1], list("wxyz"), [True, True, False, False])
    rows = {row["species"]: row for row in evaluation.result(standing={"threshold": 0.6, "target": 0.9, "confidence": None})["by_species"]}
    assert rows["a1"] == {"species": "a1", "lineage": ["a", "a1"], "images": 1, "recall": 1.0, "precision": 0.5, "depth": 2.0}
    assert rows["a2"]["images"] == 3 and rows["a2"]["recall"] == pytest.approx(2 / 3) and rows["a2"]["precision"] == 1
    assert rows["a2"]["depth"] == pytest.approx((1 + 2 + 0) / 3) and "b1" not in rows
    header, *answers = evaluation.answers(0.6)
    assert [dict(zip(header, row, strict=True))["taxon"] for row in answers] == ["a1", "a", "a2", "life"]


def test_the_standing_threshold_is_measured_on_all_and_set_against_the_refit():
    """40 photos, all named wrongly with 0.8: at a threshold of 0.5 none is right; refitted, all abstain and are right."""
    taxonomy = Taxonomy.from_lineages(("species",), [("x",), ("y",)])
    evaluation = Evaluation(taxonomy, np.ones(2, int))
    evaluation.update(np.tile(np.log(np.float32([[0.8, 0.2]])), (40, 1)), np.ones(40, int), list(map(str, range(40))), np.arange(40) < 20)
    standing = evaluation.result(standing={"threshold": 0.5, "target": 0.9, "confidence": 0.95})["as_it_stands"]
    assert (standing["accuracy"], standing["depth"], standing["abstained"], standing["is_apart"]) == (0, 1, 0, True)
    assert not evaluation.result(standing={"threshold": 0.9, "target": 0.9, "confidence": 0.95})["as_it_stands"]["is_apart"]
    assert "as_it_stands" not in evaluation.result()
