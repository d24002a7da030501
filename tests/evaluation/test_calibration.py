import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax

from tfvision.errors import DataError
from tfvision.evaluation.calibration import Reliability, fit_sigmoid, fit_temperature, negative_log_likelihood, softmax


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_softmax_equals_scipys_and_survives_large_logits(temperature):
    logits = np.array([[1000, 999, -1000], [0, 0, 0], [-5, -np.inf, 3]], np.float32)
    result = softmax(logits, temperature)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, scipy_softmax(logits / temperature, axis=1), rtol=1e-5)
    assert logits[0, 0] == 1000  # the input is left alone unless it is `out`
    assert softmax(logits, temperature, out=logits) is logits
    np.testing.assert_array_equal(logits, result)


def test_likelihood_equals_scipys():
    random = np.random.default_rng(0)
    logits, labels = random.standard_normal((70, 9)).astype(np.float32), random.integers(9, size=70)
    expected = -log_softmax(logits / 1.7, axis=1)[np.arange(70), labels].mean()
    assert negative_log_likelihood(logits, labels, 1.7) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature):
    random = np.random.default_rng(1)
    calibrated = 2 * random.standard_normal((20000, 10))
    gumbel = random.gumbel(size=calibrated.shape)
    labels = (calibrated + gumbel).argmax(axis=1)  # draws from softmax(calibrated)
    logits = (calibrated * temperature).astype(np.float32)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)


def test_no_image_to_fit_a_temperature_on_is_a_user_error():
    with pytest.raises(DataError, match="hold some photos out of training"):
        fit_temperature(np.zeros((0, 3), np.float32), np.zeros(0, int))


def test_reliability_equals_a_naive_loop_and_takes_batches():
    random = np.random.default_rng(2)
    confidence = np.append(random.random(997), [0.0, 0.2, 1.0])  # 0.2 = 3/15 is an edge
    is_right = random.random(1000) < confidence
    reliability = Reliability()
    for start in range(0, 1000, 77):
        reliability.update(confidence[start : start + 77], is_right[start : start + 77])
    error = 0
    for index, row in enumerate(reliability.table()):
        chosen = [(c, r) for c, r in zip(confidence, is_right, strict=True)
                  if index / 15 < c <= (index + 1) / 15 or (index == 0 and c == 0)]  # fmt: skip
        mean_confidence, accuracy = np.mean(chosen, axis=0)
        assert row["count"] == len(chosen)
        assert (row["confidence"], row["accuracy"]) == pytest.approx((mean_confidence, accuracy))
        error += len(chosen) / 1000 * abs(accuracy - mean_confidence)
    assert reliability.error() == pytest.approx(error)


def test_empty_bins_have_no_accuracy():
    reliability = Reliability(bins=2)
    assert reliability.error() == 0
    reliability.update([0.9], [True])
    assert reliability.table()[0] == {"low": 0.0, "high": 0.5, "count": 0, "confidence": None, "accuracy": None}
    assert reliability.error() == pytest.approx(0.1)


def test_platts_probability_is_that_of_a_logistic_regression_on_his_targets():
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    is_positive = random.uniform(size=400) < 0.3
    scores = random.normal(np.where(is_positive, 1.0, -1.5), 1.2)
    positives, negatives = is_positive.sum(), (~is_positive).sum()
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    # A target t is t copies of a positive and 1 - t of a negative.
    target = np.where(is_positive, high, low)
    doubled = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(
        np.r_[scores, scores][:, None], np.r_[np.ones(400), np.zeros(400)], sample_weight=np.r_[target, 1 - target]
    )
    slope, offset = fit_sigmoid(scores, is_positive)
    assert (slope, offset) == pytest.approx((doubled.coef_[0, 0], doubled.intercept_[0]), rel=1e-3)
    assert fit_sigmoid(1e4 * scores, is_positive) == pytest.approx((slope / 1e4, offset), rel=1e-2)


def test_scores_that_part_both_kinds_wholly_have_a_finite_slope():
    slope, offset = fit_sigmoid([-2.0, -1.0, 1.0, 2.0], [False, False, True, True])
    assert 0 < slope < 50 and abs(offset) < 1e-3
    with pytest.raises(DataError, match="got 2 positive and 0 negative"):
        fit_sigmoid([1.0, 2.0], [True, True])
