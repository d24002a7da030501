import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tfvision.errors import DataError, RunError
from tfvision.evaluation import identification, retrieval
from tfvision.evaluation.identification import (
    as_products,
    cmc,
    cmc_curve,
    fnir_at_fpir,
    fnir_intervals,
    judge_probes,
    mean_intervals,
    open_set_points,
    pooled,
    subject_groups,
    unmated_scores,
)
from tfvision.evaluation.retrieval import Question


def _unit(values):
    values = np.asarray(values, np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def _random_search(probes=60, gallery=80, subjects=30, unmated=5, seed=0):
    """Vectors of subjects, those of the last few not in the gallery: (probes, gallery, questions, subjects of probes and gallery)."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(subjects + unmated, 8))
    own, other = random.integers(subjects + unmated, size=probes), random.integers(subjects, size=gallery)
    asked, searched = (_unit(centres[names] + 0.8 * random.normal(size=(len(names), 8))) for names in (own, other))
    return asked, searched, [Question(row, np.flatnonzero(other == name)) for row, name in enumerate(own)], own, other


def _angles(degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_ranks_of_a_hand_made_gallery():
    # Probes at 0 and 90 degrees. Gallery: 10 (other), 20 (mate of the first), 80 (mate of the second), 60 (other).
    judged = judge_probes(_angles([0, 90]), _angles([10, 20, 80, 60]), [Question(0, np.array([1])), Question(1, np.array([2]))])
    assert judged.positions.tolist() == [1, 0] and judged.precisions.tolist() == [0.5, 1.0]
    assert (judged.mates.tolist(), judged.others.tolist()) == ([1, 2], [0, 3])
    assert cmc(judged.positions, (1, 2)) == {"1": 0.5, "2": 1.0}
    np.testing.assert_allclose(judged.mate_scores, np.cos(np.deg2rad([20, 10])), rtol=1e-6)
    np.testing.assert_allclose(judged.other_scores, np.cos(np.deg2rad([10, 30])), rtol=1e-6)
    assert (judged.genuine.count, judged.impostor.count, judged.gallery) == (2, 6, 4)


def test_the_best_ranked_mate_counts():
    judged = judge_probes(_angles([0]), _angles([5, 40, 10]), [Question(0, np.array([0, 1]))])
    assert judged.positions.tolist() == [0] and judged.mates.tolist() == [0]
    assert judged.precisions[0] == pytest.approx((1 / 1 + 2 / 3) / 2)  # mates at positions 0 and 2


def test_ties_count_against_the_model():
    collapsed = np.ones((4, 2), np.float32) / np.sqrt(np.float32(2))
    judged = judge_probes(collapsed[:1], collapsed, [Question(0, np.array([0]))])
    assert judged.positions.tolist() == [3]  # behind three others
    assert cmc_curve(judged.positions, 4).tolist() == [0, 0, 0, 1]


def test_blockwise_search_equals_a_direct_computation(monkeypatch):
    probes, gallery, questions, own, other = _random_search()
    monkeypatch.setattr(retrieval, "SIMILARITIES", 300)  # 3 probes at a time
    monkeypatch.setattr(retrieval, "GALLERY_ROWS", 7)
    judged = judge_probes(probes, gallery, questions)
    scores, is_mate = probes @ gallery.T, own[:, None] == other[None]
    for row in range(len(probes)):
        if not is_mate[row].any():
            assert judged.positions[row] == -1 and np.isnan(judged.precisions[row]) and judged.mates[row] == -1
            continue
        best = scores[row][is_mate[row]].max()
        assert judged.positions[row] == np.count_nonzero(scores[row][~is_mate[row]] >= best - 1e-7)
        assert judged.precisions[row] == pytest.approx(average_precision_score(is_mate[row], scores[row]), abs=1e-6)
    np.testing.assert_allclose(judged.other_scores, np.where(is_mate, -np.inf, scores).max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(judged.genuine.table()[0], np.sort(scores[is_mate]), atol=1e-6)
    np.testing.assert_allclose(np.repeat(*judged.impostor.table()), np.sort(scores[~is_mate]), atol=1e-6)


def test_fnir_by_hand():
    # Mates score 0.9, 0.7, 0.5, 0.3; four probes without a mate have best scores of 0.8, 0.6, 0.4, 0.2.
    judged = _judged([0.9, 0.7, 0.5, 0.3], [0.8, 0.6, 0.4, 0.2])
    assert unmated_scores(judged)[2] is True
    found = fnir_at_fpir(judged, (0.25, 0.5, 0.1))
    # One alarm of four may pass: the threshold is above 0.6, which 0.5 and 0.3 miss.
    assert found["0.25"] == {"fnir": 0.5, "threshold": pytest.approx(0.6)}
    assert found["0.5"]["fnir"] == 0.25
    assert "0.1" not in found  # four probes cannot tell 0.1


def test_a_mate_at_the_threshold_is_missed():
    assert fnir_at_fpir(_judged([0.6, 0.9], [0.8, 0.6, 0.1, 0.1]), (0.25,))["0.25"]["fnir"] == 0.5


def test_where_all_have_mates_each_stands_in_without_them():
    probes, gallery, questions, *_ = _random_search(unmated=0)
    judged = judge_probes(probes, gallery, questions)
    judged = pooled([judged])
    scores, used, is_given = unmated_scores(judged)
    is_mated = judged.is_mated
    if is_mated.all():
        assert not is_given and len(scores) == len(probes)
    else:  # by chance a subject has no gallery photo
        assert is_given and used.tolist() == np.flatnonzero(~is_mated).tolist()
    points = open_set_points(judged)
    assert (np.diff(points[:, 0]) <= 0).all() and (np.diff(points[:, 1]) >= 0).all()


def test_folds_pool_to_the_whole():
    probes, gallery, questions, _own, _ = _random_search()
    whole = judge_probes(probes, gallery, questions)
    parts = pooled([judge_probes(probes, gallery, part) for part in (questions[:13], questions[13:40], [], questions[40:])])
    assert parts.positions.tolist() == whole.positions.tolist() and parts.gallery == whole.gallery
    np.testing.assert_allclose(np.repeat(*parts.impostor.table()), np.repeat(*whole.impostor.table()), atol=1e-6)
    assert {name: one["fnir"] for name, one in fnir_at_fpir(parts).items()} == {name: one["fnir"] for name, one in fnir_at_fpir(whole).items()}


def test_no_fold_with_probes_is_told():
    with pytest.raises(DataError, match="no probe was searched for"):
        pooled([])


def test_intervals_draw_subjects_not_photos():
    # Ten subjects, of each 50 photos that are all right or all wrong: as uncertain as ten coins, not as five hundred.
    right = np.repeat(np.arange(10) % 2, 50).astype(float)
    ((low, high),) = mean_intervals(right, np.repeat(np.arange(10), 50))
    assert low <= 0.3 and high >= 0.7
    ((low, high),) = mean_intervals(right, np.arange(500))
    assert 0.44 < low < 0.5 < high < 0.56


def test_fnir_intervals_hold_the_estimate():
    probes, gallery, questions, own, _ = _random_search(400, 80)
    judged = judge_probes(probes, gallery, questions)
    rates, intervals = fnir_at_fpir(judged), fnir_intervals(judged, own)
    assert rates and intervals.keys() == rates.keys()
    for name, (low, high) in intervals.items():
        assert low <= rates[name]["fnir"] <= high and high > low


def test_photos_of_a_subject_are_in_one_group():
    subjects = [f"subject {number % 100}" for number in range(500)]
    groups = subject_groups(subjects)
    assert len({(subject, group) for subject, group in zip(subjects, groups.tolist(), strict=True)}) == 100
    assert groups.max() < identification.GROUPS


def test_products_are_negative_squared_distances():
    random = np.random.default_rng(3)
    probes, gallery = (100 + random.normal(size=(n, 5)).astype(np.float32) for n in (6, 9))  # far from the origin
    asked, searched, (low, high) = as_products(probes, gallery)
    expected = -((probes[:, None].astype(float) - gallery[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(asked @ searched.T, expected, atol=1e-3)
    assert low <= expected.min() and expected.max() <= high


def test_vectors_that_are_not_finite_are_refused():
    with pytest.raises(RunError, match="not all finite"):
        judge_probes(np.full((1, 2), np.nan, np.float32), _angles([0]), [Question(0, np.array([0]))])


def test_an_empty_gallery_finds_nothing():
    judged = judge_probes(_angles([0]), _angles([])[:0], [Question(0, np.zeros(0, int))])
    assert judged.positions.tolist() == [-1] and judged.others.tolist() == [-1] and cmc(judged.positions) == {}


def _judged(mates, alarms):
    """Probes with mates of these scores, and probes without whose best scores these are."""
    gallery = np.eye(2, dtype=np.float32)
    vectors = [[score, -1.0] for score in mates] + [[-1.0, score] for score in alarms]
    questions = [Question(row, np.array([0])) for row in range(len(mates))]
    questions += [Question(len(mates) + row, np.zeros(0, int)) for row in range(len(alarms))]
    return judge_probes(np.float32(vectors), gallery, questions)
