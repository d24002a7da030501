import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats

from tfvision.apps.explorer import distributions


@pytest.fixture
def samples():
    random = np.random.default_rng(0)
    return random.normal(0.3, 0.1, 500).astype(np.float32), random.normal(0.4, 0.2, 700).astype(np.float32).round(2)  # with ties


def test_the_kolmogorov_smirnov_distance_is_scipys(samples):
    assert distributions.kolmogorov_smirnov(*samples) == pytest.approx(scipy.stats.ks_2samp(*samples).statistic)
    assert distributions.kolmogorov_smirnov(samples[0], samples[0]) == 0
    assert distributions.kolmogorov_smirnov(np.zeros(3), np.ones(2)) == 1
    value, below_a, below_b = distributions.widest_gap(*samples)
    assert [below_a, below_b] == [(sample <= value).mean() for sample in samples]


def test_the_jensen_shannon_distance_is_scipys(samples):
    edges = distributions.common_edges(samples, 40)
    counts = [distributions.histogram(sample, edges) for sample in samples]
    assert distributions.jensen_shannon(*counts) == pytest.approx(scipy.spatial.distance.jensenshannon(*counts, base=2))
    assert distributions.jensen_shannon(np.array([3, 0]), np.array([0, 5])) == 1
    assert distributions.jensen_shannon(np.array([3, 1]), np.array([6, 2])) == 0


def test_a_histogram_counts_everything_once(samples):
    edges = distributions.common_edges(samples, 30)
    for sample in samples:
        counts = distributions.histogram(sample, edges)
        naive = [sum(edges[position] <= value and (value < edges[position + 1] or position == 29) for value in sample.astype(float)) for position in range(30)]
        assert counts.tolist() == naive and counts.sum() == len(sample)


@pytest.mark.parametrize("sample", [np.zeros(0), np.full(4, 0.7)])
def test_degenerate_samples_have_bins_of_some_width(sample):
    edges = distributions.common_edges([sample], 10)
    assert len(edges) == 11 and edges[-1] > edges[0] and distributions.histogram(sample, edges).sum() == len(sample)


def test_nothing_has_no_distance_and_no_summary():
    assert np.isnan(distributions.kolmogorov_smirnov(np.zeros(0), np.ones(2))) and np.isnan(distributions.jensen_shannon(np.zeros(3), np.ones(3)))
    assert distributions.summary(np.zeros(0))["mean"] is None
    assert distributions.summary(np.array([1.0, 2, 6])) == pytest.approx(
        {"count": 3, "mean": 3, "deviation": np.sqrt(14 / 3), "low": 1, "high": 6, "median": 2}
    )
