import pytest
import scipy.stats

from tfvision.apps.explorer.precision import overlap, pooled, precision_at, wilson_interval


@pytest.mark.parametrize("right, trials", [(0, 5), (3, 10), (10, 10), (37, 50)])
def test_wilsons_interval_is_scipys(right, trials):
    interval = scipy.stats.binomtest(right, trials).proportion_ci(0.95, "wilson")
    assert wilson_interval(right, trials) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_of_nothing_everything_is_possible():
    assert wilson_interval(0, 0) == (0, 1)


def test_precision_counts_what_was_judged_of_the_first_k():
    marks = {7: True, 3: False, 9: True, 100: True}  # 100 is no hit
    found = precision_at([7, 5, 3, 9], marks, 3)
    assert (found.k, found.right, found.judged, found.share) == (3, 1, 2, 0.5)
    assert (found.low, found.high) == wilson_interval(1, 2)
    assert (found.least, found.most) == (1 / 3, 2 / 3)  # the one that is not judged may be wrong or right
    assert precision_at([7, 5], marks, 50).k == 2
    assert precision_at([5], marks, 1) == (1, 1, 0, 0, None, None, None, 0, 1) and precision_at([], marks, 1).least is None


def test_queries_are_pooled_by_their_judgements():
    found = pooled([precision_at([1, 2], {1: True, 2: True}, 2), precision_at([3, 4], {3: False}, 2)])
    assert (found.hits, found.right, found.judged, found.share) == (4, 2, 3, 2 / 3)
    assert (found.low, found.high) == wilson_interval(2, 3)


def test_of_several_queries_the_interval_is_as_wide_as_other_queries_would_have_it():
    alike = [precision_at(range(10), dict.fromkeys(range(10), query < 3), 10) for query in range(6)]  # all right or all wrong
    found = pooled(alike)
    assert found.low < 0.2 and found.high > 0.8 and pooled(alike) == found  # of 60 hits Wilson has 0.38 to 0.62
    right = pooled([precision_at(range(10), dict.fromkeys(range(10), True), 10)] * 6)
    assert (right.low, right.high) == wilson_interval(60, 60)


def test_overlap_is_a_share_of_the_shorter_list():
    assert overlap([1, 2, 3, 4], [4, 2, 9]) == 2 / 3
    assert overlap([], [1]) == 0
