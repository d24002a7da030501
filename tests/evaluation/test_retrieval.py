import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tfvision.errors import DataError, RunError
from tfvision.evaluation import retrieval
from tfvision.evaluation.retrieval import (
    Question,
    average_precision,
    bootstrap_interval,
    holidays_questions,
    judge,
    labels_questions,
    map_at_r,
    ns_score,
    positions_of,
    recall_at_k,
    similarity_rows,
    trapezoid_average_precision,
    ukbench_questions,
    without,
)

POSITIONS = np.array([0, 2, 5])  # a ranking + - + - - + -


def _unit(values):
    values = np.asarray(values, np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def _random_table(photos=40, labels=5, seed=0):
    random = np.random.default_rng(seed)
    names = random.integers(labels, size=photos)
    return _unit(random.normal(size=(photos, 6)) + 0.8 * np.eye(6)[names]), [f"label {name}" for name in names]


def test_measures_of_a_ranking_by_hand():
    assert average_precision(POSITIONS) == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)
    # Before the hits precision is 1 (by convention), 1/2 and 2/5.
    assert trapezoid_average_precision(POSITIONS) == pytest.approx(((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2 + (2 / 5 + 3 / 6) / 2) / 3)
    assert map_at_r(POSITIONS) == pytest.approx((1 / 1 + 2 / 3) / 3)  # R = 3: the hit at position 5 is beyond
    assert [recall_at_k(POSITIONS, k) for k in (1, 5)] == [1.0, 1.0]
    assert [recall_at_k(POSITIONS + 2, k) for k in (1, 2, 3)] == [0.0, 0.0, 1.0]
    assert ns_score(np.array([0, 1, 3, 9])) == 3.0
    assert ns_score(np.array([0, 1, 2, 3])) == 4.0


@pytest.mark.parametrize("measure", [average_precision, trapezoid_average_precision, map_at_r])
def test_a_perfect_ranking_is_1(measure):
    assert measure(np.arange(7)) == 1.0


def test_average_precision_equals_scikit_learns():
    random = np.random.default_rng(1)
    for _ in range(20):
        scores, is_relevant = random.normal(size=50), random.random(50) < 0.2
        is_relevant[0] = True
        positions = positions_of(scores, Question(0, np.flatnonzero(is_relevant)))
        assert average_precision(positions) == pytest.approx(average_precision_score(is_relevant, scores))


def _official_oxford(ranking, relevant, junk):
    """compute_ap.cpp of the benchmark, line by line."""
    old_recall, old_precision, ap, found, seen = 0.0, 1.0, 0.0, 0, 0
    for image in ranking:
        if image in junk:
            continue
        found += image in relevant
        recall, precision = found / len(relevant), found / (seen + 1)
        ap += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision, seen = recall, precision, seen + 1
    return ap


def test_trapezoid_average_precision_with_junk_equals_the_official_programme():
    random = np.random.default_rng(2)
    for _ in range(20):
        scores = random.normal(size=60)
        images = random.permutation(60)
        relevant, junk = images[:7], images[7:12]
        ranking = np.argsort(-scores).tolist()
        positions = positions_of(scores, Question(0, relevant, junk))
        assert trapezoid_average_precision(positions) == pytest.approx(_official_oxford(ranking, set(relevant), set(junk)))


def test_map_at_r_equals_a_naive_loop():
    vectors, labels = _random_table()
    expected = []
    for query in range(len(labels)):
        ranking = [row for row in np.argsort(-(vectors @ vectors[query])) if row != query]
        relevant = [row for row in ranking if labels[row] == labels[query]]
        hits = [labels[row] == labels[query] for row in ranking]
        expected.append(sum(sum(hits[: row + 1]) / (row + 1) for row in range(len(relevant)) if hits[row]) / len(relevant))
    result = judge("labels", vectors, vectors, labels_questions(labels))
    assert result["queries"] == 40
    assert result["map"] == pytest.approx(np.mean(expected))
    assert result["interval"][0] < result["map"] < result["interval"][1]


def test_recall_at_k_equals_a_naive_loop():
    vectors, labels = _random_table(seed=3)
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    ranked = np.array(labels)[np.argsort(-similarities)]
    expected = {str(k): np.mean([label in row[:k] for label, row in zip(labels, ranked, strict=True)]) for k in (1, 5, 10)}
    assert judge("labels", vectors, vectors, labels_questions(labels))["recall"] == pytest.approx(expected)


def test_ns_score_counts_the_query_itself():
    # Directions in degrees; the last image of the first group lies beside the second group.
    degrees = np.radians([0, 3, 7, 80, 83, 87, 92, 98])
    vectors = _unit(np.stack([np.cos(degrees), np.sin(degrees)], axis=1))
    result = judge("ukbench", vectors, vectors, ukbench_questions(list("aaaabbbb")))
    # 0, 3 and 7 find each other and, fourth, 80, which is theirs: 4 each. 80 finds itself, 83, 87, 92: 1. 83 finds
    # itself, 80, 87, 92: 3. 87: itself, 83, 92, 80: 3. 92 and 98 find the four of b: 4 each.
    assert result["ns_score"] == pytest.approx((4 + 4 + 4 + 1 + 3 + 3 + 4 + 4) / 8)
    assert result["queries"] == 8


def test_holidays_drops_the_query_from_its_own_ranking():
    # Two groups and a distractor. The first of a asks for one image: before it, once itself is dropped, stands c.
    vectors = _unit([[1, 0], [1, 0.2], [0, 1], [0.1, 1], [1, 0.1]])
    result = judge("holidays", vectors, vectors, holidays_questions(list("aabbc")))
    assert result["queries"] == 2  # c has nothing to find
    assert result["map"] == pytest.approx(((0 + 1 / 2) / 2 + 1) / 2)
    asked = holidays_questions(list("aabbc"), np.array([False, True, False, False, False]))
    assert [question.query for question in asked] == [1]


def test_queries_with_a_role_are_no_part_of_the_gallery():
    questions = labels_questions(list("aaab"), np.array([True, True, False, False]))
    assert [(question.query, question.ignored.tolist()) for question in questions] == [(0, [0, 1]), (1, [0, 1])]
    assert positions_of(np.array([0.9, 0.8, 0.1, 0.5]), questions[0]).tolist() == [1]  # of rows 2 and 3 only


def test_of_equals_the_irrelevant_come_first():
    assert positions_of(np.ones(6), Question(0, np.array([1, 2]))).tolist() == [4, 5]
    collapsed = _unit(np.ones((8, 3)))
    assert judge("ukbench", collapsed, collapsed, ukbench_questions(list("aaaabbbb")))["ns_score"] == 0.0


def test_chunks_do_not_change_the_places(monkeypatch):
    vectors, labels = _random_table(seed=4)
    questions = labels_questions(labels)

    def places():
        return [positions_of(similarities, question).tolist() for question, similarities in similarity_rows(vectors, vectors, questions)]

    whole = places()
    monkeypatch.setattr(retrieval, "SIMILARITIES", 90)  # two queries at a time
    monkeypatch.setattr(retrieval, "GALLERY_ROWS", 7)
    assert places() == whole


def test_lost_images_neither_ask_nor_are_missed():
    questions = without(labels_questions(list("aabb")), [False, True, False, False])
    assert [question.query for question in questions] == [0, 2, 3]
    assert positions_of(np.array([1, 0.9, 0.2, 0.1]), questions[0]).tolist() == []


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide():
    values = np.random.default_rng(5).normal(size=400)
    low, high = bootstrap_interval(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)
    assert bootstrap_interval(values) == [low, high]  # seeded


def test_groups_of_another_size_are_refused():
    with pytest.raises(DataError, match="groups of 4: group 'b' has 3 photos"):
        ukbench_questions(list("aaaabbb"))


def test_nothing_to_find_is_refused():
    with pytest.raises(DataError, match="no query that anything else is relevant to"):
        judge("labels", np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), labels_questions(list("abc")))


def test_vectors_that_are_not_finite_are_refused():
    vectors, labels = _random_table()
    vectors[3] = np.nan
    with pytest.raises(RunError, match="not all finite"):
        judge("labels", vectors, vectors, labels_questions(labels))


def test_mistakes_are_first_hits_that_are_wrong():
    random = np.random.default_rng(1)
    vectors = random.standard_normal((24, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[5] = vectors[4]  # of another label: of equals the wrong one comes first
    labels = [str(row // 4) for row in range(24)]
    labels[5] = "9"
    found = {mistake.query: (mistake.found, mistake.similarity) for mistake in judge("labels", vectors, vectors, labels_questions(labels))["mistakes"]}
    expected = {}
    for row in range(24):
        others = [other for other in range(24) if other != row]
        mates = [other for other in others if labels[other] == labels[row]]
        wrong = max((other for other in others if other not in mates), key=lambda other: vectors[row] @ vectors[other])
        if mates and vectors[row] @ vectors[wrong] >= max(vectors[row] @ vectors[mate] for mate in mates):
            expected[row] = wrong
    assert {query: hit for query, (hit, _) in found.items()} == expected and found[4][0] == 5
    assert found[4][1] == pytest.approx(1, abs=1e-6)


def test_a_query_of_ukbench_is_not_its_own_first_hit():
    vectors = np.eye(8, dtype=np.float32)[[0, 1, 2, 3, 0, 5, 6, 7]]  # 0 and 4 are alike, and of two groups
    mistakes = judge("ukbench", vectors, vectors, ukbench_questions([*"aaaabbbb"]))["mistakes"]
    assert {mistake.query: mistake.found for mistake in mistakes}[0] == 4
