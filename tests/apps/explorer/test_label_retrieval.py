import dataclasses
import itertools

import numpy as np
import pytest
import sklearn.metrics

from tfvision.apps.explorer import label_retrieval as module
from tfvision.apps.explorer.label_retrieval import MEASURES, area_under_curve, chance_of, label_retrieval
from tfvision.errors import DataError


def test_measures_are_those_of_a_naive_loop(session, layer):
    found = label_retrieval(session.collection, "colour", 100)
    assert found["queries"] == found["possible"] == 6 and [one["name"] for one in found["layers"]] == ["colours", "other"]
    for number, shown in enumerate(session.collection.layers):
        vectors, labels = np.array(shown.gallery.row_vectors), [0, 0, 1, 1, 2, 2]
        precisions, averages = [], []
        for query in range(6):
            order = sorted((other for other in range(6) if other != query), key=lambda other: -float(vectors[query] @ vectors[other]))
            place = next(place for place, other in enumerate(order, 1) if labels[other] == labels[query])  # the one of the same colour
            precisions.append(place == 1)
            averages.append(1 / place)
        values = dict(zip(MEASURES, found["layers"][number]["values"], strict=True))
        assert values["precision at 1"] == values["R-precision"] == pytest.approx(np.mean(precisions)) and values["mAP"] == pytest.approx(np.mean(averages))
        assert values["precision at 5"] == pytest.approx(1 / 5)  # each has one other of its colour
    assert found["layers"][0]["values"][0] == 1 and found["layers"][0]["chance"][0] == pytest.approx(1 / 5)


def test_chance_is_the_mean_of_all_rankings():
    ranked, relevant = 6, 3
    rankings = itertools.combinations(range(1, ranked + 1), relevant)
    averages = [np.mean([hit / place for hit, place in enumerate(places, 1)]) for places in rankings]
    assert chance_of(relevant, ranked)[-1] == pytest.approx(np.mean(averages)) and chance_of(relevant, ranked)[0] == 0.5
    assert chance_of(1, 1).tolist() == [0.5 if measure == "AUROC" else 1 for measure in MEASURES]


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    is_wanted = np.random.default_rng(0).random(30) < 0.3
    positions = np.flatnonzero(is_wanted)
    assert area_under_curve(positions, 30) == pytest.approx(sklearn.metrics.roc_auc_score(is_wanted, -np.arange(30)))
    assert area_under_curve(np.arange(3), 3) == 0.5


def test_layers_are_compared_on_the_same_queries_by_pairs(session):
    found = label_retrieval(session.collection, "colour", 4)
    first, second = found["layers"]
    assert found["queries"] == 4 and found["possible"] == 6 and first["differences"] == [[0, 0, 0]] * len(MEASURES)
    for value, other, (mean, low, high) in zip(first["values"], second["values"], second["differences"], strict=True):
        assert mean == pytest.approx(other - value) and low <= mean <= high
    for value, (low, high) in zip(second["values"], second["intervals"], strict=True):
        assert low <= value <= high


def test_classes_are_told_the_worst_first(session):
    classes = label_retrieval(session.collection, "colour", 100)["classes"]
    assert sorted(one["value"] for one in classes) == ["blues", "greens", "reds"] and all(one["pictures"] == one["queries"] == 2 for one in classes)
    assert [one["values"][0] for one in classes] == sorted(one["values"][0] for one in classes)


def test_of_more_classes_than_are_told_the_worst_are(session, monkeypatch):
    turned = dataclasses.replace(session.collection, layers=session.collection.layers[::-1])  # the first layer sees hardly any colour
    classes = label_retrieval(turned, "colour", 100)["classes"]
    monkeypatch.setattr(module, "_MOST_CLASSES", 1)
    assert label_retrieval(turned, "colour", 100)["classes"] == [min(classes, key=lambda one: one["values"][0])]


@pytest.mark.parametrize(
    "column, message", [("shape", "there is no column 'shape': take one of colour, number"), ("number", "no two pictures have the same label")]
)
def test_a_column_that_cannot_be_judged_is_told(session, column, message):
    with pytest.raises(DataError, match=message):
        label_retrieval(session.collection, column, 100)
