import itertools
import json

import numpy as np
import pytest
import sklearn.metrics

from tfvision.apps.explorer import answers
from tfvision.apps.explorer.judges import agreement, by_judge, cohens_kappa, fleiss_kappa, majority
from tfvision.apps.explorer.precision import wilson_interval
from tfvision.apps.explorer.state import Notes

OLD = {"version": 7, "tags": {}, "questions": {"faces": {"conclusion": "no", "marks": {"id:a": {"b": True}}}}}  # as tfvision 0.4 wrote it


@pytest.fixture
def said():
    random = np.random.default_rng(1)
    first = random.random(60) < 0.4
    return first, np.where(random.random(60) < 0.8, first, ~first)


def test_cohens_kappa_is_that_of_scikit_learn(said):
    found = cohens_kappa(*said)
    assert found.kappa == pytest.approx(sklearn.metrics.cohen_kappa_score(*said)) and found.pictures == 60
    assert (found.low, found.high) == pytest.approx([(one - found.expected) / (1 - found.expected) for one in wilson_interval(round(60 * found.same), 60)])
    assert found.low < found.kappa < found.high


def test_of_a_few_pictures_that_are_all_the_same_kappa_is_not_sure():
    found = cohens_kappa([True, True, False, False], [True, True, False, False])
    assert found.kappa == 1 and found.low < 0.3 and found.high == 1


def test_judges_who_always_say_the_same_have_no_kappa():
    assert cohens_kappa([True] * 5, [True] * 5)[2:] == (1, None, None, None)
    assert cohens_kappa([], []) == (0, 0, 0, None, None, None)


def test_fleiss_kappa_is_that_of_a_naive_loop(said):
    votes = np.stack([*said, np.roll(said[0], 1)], axis=1)
    pairs = [np.mean([a == b for a, b in itertools.combinations(row, 2)]) for row in votes]
    share = votes.mean()
    chance = share**2 + (1 - share) ** 2
    found = fleiss_kappa(votes.tolist())
    assert found.same == pytest.approx(np.mean(pairs)) and found.kappa == pytest.approx((np.mean(pairs) - chance) / (1 - chance))
    assert found.low < found.kappa < found.high


def test_judges_are_kept_apart_and_files_of_before_open_unchanged(tmp_path):
    (tmp_path / "notes.json").write_text(json.dumps(OLD))
    notes = Notes(tmp_path)
    assert notes.read() == OLD and by_judge(notes.read()["questions"]["faces"]) == {"": {"id:a": {"b": True}}}
    notes.mark("faces", "id:a", {"b": False, "c": True}, "Ann")
    notes.mark("faces", "id:a", {"c": False}, "Ben")
    entry = notes.read()["questions"]["faces"]
    assert entry["marks"] == OLD["questions"]["faces"]["marks"] and entry["conclusion"] == "no"
    assert entry["judges"] == {"Ann": {"id:a": {"b": False, "c": True}}, "Ben": {"id:a": {"c": False}}}
    for judge, ids in (("Ann", "bc"), ("Ben", "c")):  # taken back, nothing is left of them
        notes.mark("faces", "id:a", dict.fromkeys(ids), judge)
    assert notes.read()["questions"] == OLD["questions"]


def test_most_judges_decide_and_a_draw_is_not_judged():
    judged = {"": {"q": {"a": True, "b": True, "c": False}}, "Ann": {"q": {"a": True, "b": False}}, "Ben": {"q": {"a": False}, "r": {"a": False}}}
    assert majority(judged) == {"q": {"a": True, "c": False}, "r": {"a": False}}
    found = agreement(judged)
    assert [pair["judges"] for pair in found["pairs"]] == [["", "Ann"], ["", "Ben"], ["Ann", "Ben"]]
    assert [(pair["pictures"], pair["same"]) for pair in found["pairs"]] == [(2, 0.5), (1, 0), (1, 0)] and found["all"]["pictures"] == 1
    assert agreement({"Ann": judged["Ann"]}) is None


def test_a_verdict_is_of_one_judge_or_of_most(session):
    for judge, is_right in (("", True), ("Ann", True), ("Ben", False)):
        session.notes.mark("its colour", "id:reds/red 1.png", {"reds/red 2.png": is_right}, judge)

    def first(judge):
        found = answers.verdict(session.collection, session.queries, session.notes.read(), "its colour", judge)
        assert [one["name"] for one in found["judges"]] == ["", "Ann", "Ben"]
        return found["pooled"][0][0]["share"]

    assert [first(judge) for judge in (None, "", "Ann", "Ben")] == [1, 1, 1, 0]
    assert answers.verdict(session.collection, session.queries, session.notes.read(), "its colour", "nobody")["queries"] == []
