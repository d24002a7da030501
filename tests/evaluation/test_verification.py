import numpy as np
import pytest
from sklearn.metrics import roc_curve

from tfvision.errors import DataError
from tfvision.evaluation import verification
from tfvision.evaluation.verification import GROUPS, Scores, det_curve, eer_interval, equal_error_rate


def _scores(values, exact=1000, group=0):
    scores = Scores(exact=exact)
    scores.add(np.array(values, np.float32), group)
    return scores


def _random_scores(genuine=300, impostor=2000, exact=10**6, seed=0):
    random = np.random.default_rng(seed)
    drawn = [np.clip(random.normal(0.5, 0.2, genuine), -1, 1), np.clip(random.normal(0, 0.25, impostor), -1, 1)]
    made = [Scores(exact=exact) for _ in drawn]
    for scores, values in zip(made, drawn, strict=True):
        for number, value in enumerate(np.array_split(values, 100)):
            scores.add(value.astype(np.float32), number % GROUPS)
    return *made, *(values.astype(np.float32) for values in drawn)


def test_rates_by_hand():
    # genuine 0.2 0.6 0.8 0.9, impostor 0.1 0.3 0.5 0.7: at 0.6 one of four genuine is refused and one of four impostors accepted.
    curve = det_curve(_scores([0.2, 0.6, 0.8, 0.9]), _scores([0.1, 0.3, 0.5, 0.7]))
    row = np.searchsorted(curve.thresholds, np.float64(np.float32(0.6)))
    assert (curve.fmr[row], curve.fnmr[row]) == (0.25, 0.25)
    assert curve.eer == 0.25
    assert curve.at_fmr(0)[0] == 0.5  # above 0.7: 0.2 and 0.6 are refused
    assert curve.at_fmr(0.5)[0] == 0.25  # from 0.5 on
    assert (curve.fmr[0], curve.fnmr[0], curve.fmr[-1], curve.fnmr[-1]) == (1, 0, 0, 1)


def test_a_score_at_the_threshold_is_accepted_so_that_ties_count_as_false_matches():
    curve = det_curve(_scores([0.5, 0.5]), _scores([0.5, 0.5, 0.5]))
    assert curve.fmr.tolist() == [1, 0] and curve.fnmr.tolist() == [0, 1]
    assert curve.eer == 0.5  # a model that says the same of all pairs is as good as a coin
    assert curve.at_fmr(0.1)[0] == 1.0


def test_perfect_separation_has_no_error():
    curve = det_curve(_scores([0.8, 0.9]), _scores([-0.1, 0.2]))
    assert curve.eer == 0 and curve.at_fmr(0)[0] == 0


def test_rates_equal_scikit_learns():
    genuine, impostor, same, other = _random_scores()
    curve = det_curve(genuine, impostor)
    labels = np.concatenate([np.ones(len(same)), np.zeros(len(other))])
    fmr, hit_rate, thresholds = roc_curve(labels, np.concatenate([same, other]), drop_intermediate=False)
    np.testing.assert_allclose(curve.fmr[:-1], fmr[:0:-1], atol=1e-12)
    np.testing.assert_allclose(curve.fnmr[:-1], 1 - hit_rate[:0:-1], atol=1e-12)
    np.testing.assert_allclose(curve.thresholds[:-1], thresholds[:0:-1])
    assert curve.at_fmr(0.01)[0] == pytest.approx((1 - hit_rate)[fmr <= 0.01].min())


def test_many_scores_are_counted_in_bins_of_known_width():
    exact, binned = _random_scores(), _random_scores(exact=100)
    assert (exact[1].resolution, binned[1].resolution) == (0, 2 / verification.BINS)
    assert not binned[1].is_exact and binned[1].count == 2000
    one, other = det_curve(*exact[:2]), det_curve(*binned[:2])
    assert other.eer == pytest.approx(one.eer, abs=1e-3) and other.resolution == 2 / verification.BINS
    # Each rate is that of all scores at its threshold.
    for row in range(0, len(other.thresholds), 97):
        threshold = np.float32(other.thresholds[row])
        assert other.fmr[row] == pytest.approx(np.mean(exact[3] >= threshold), abs=1 / 2000)
        assert other.fnmr[row] == pytest.approx(np.mean(exact[2] < threshold), abs=1 / 300)


def test_bins_also_where_only_impostors_are_many():
    genuine, impostor, _same, _other = _random_scores(exact=500)
    assert genuine.is_exact and not impostor.is_exact
    assert det_curve(genuine, impostor).eer == pytest.approx(det_curve(*_random_scores()[:2]).eer, abs=1e-3)


def test_scores_of_folds_are_those_of_all():
    _genuine, impostor, _same, other = _random_scores(exact=100)
    parts = [_scores(part, exact=100) for part in np.array_split(other, 7)]
    whole = Scores(exact=100)
    for part in parts:
        whole.merge(part)
    np.testing.assert_array_equal(whole.table()[1], impostor.table()[1])
    assert (whole.count, whole.lowest, whole.highest) == (impostor.count, impostor.lowest, impostor.highest)


def test_pending_scores_are_counted_now_and_then(monkeypatch):
    monkeypatch.setattr(verification, "_PENDING", 50)
    some = _random_scores(exact=10)[1]
    assert some._waiting < 50 and some.table()[1].sum() == 2000


def test_scores_beyond_the_limits_go_to_the_border():
    scores = _scores([-1.00001, 1.00001], exact=1)
    assert scores.table()[1].tolist() == [1, 1]


def test_equal_error_rate_lies_on_the_line_between_two_thresholds():
    # From (0.4, 0.1) to (0.2, 0.2): they meet at the end; to (0.1, 0.4): halfway, at 0.25.
    assert equal_error_rate(np.array([1, 0.4, 0.2, 0]), np.array([0, 0.1, 0.2, 1])) == pytest.approx(0.2)
    assert equal_error_rate(np.array([1, 0.4, 0.1, 0]), np.array([0, 0.1, 0.4, 1])) == pytest.approx(0.25)


@pytest.mark.slow
def test_the_interval_holds_the_estimate_and_shrinks_with_data():
    few, many = _random_scores(60, 400), _random_scores(6000, 40000)
    widths = []
    for genuine, impostor, *_ in (few, many):
        low, high = eer_interval(genuine, impostor)
        assert low <= det_curve(genuine, impostor).eer <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_one_group_has_no_interval():
    assert eer_interval(_scores([0.5, 0.6]), _scores([0.1, 0.2])) is None


@pytest.mark.parametrize(("genuine", "impostor", "message"), [([], [0.1], "no genuine pair"), ([0.1], [], "no impostor pair")])
def test_one_kind_of_pair_alone_has_no_rates(genuine, impostor, message):
    with pytest.raises(DataError, match=message):
        det_curve(_scores(genuine), _scores(impostor))


def test_points_of_a_long_curve_keep_both_ends():
    genuine, impostor, *_ = _random_scores(3000, 20000)
    curve = det_curve(genuine, impostor)
    points = curve.points(100)
    assert len(points) <= 102 and points[0].tolist() == [1, 0] and points[-1].tolist() == [0, 1]
    rows = {(x, y) for x, y in zip(curve.fmr, curve.fnmr, strict=True)}
    assert all((x, y) in rows for x, y in points)
