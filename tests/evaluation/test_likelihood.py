import json

import numpy as np
import pytest

from tfvision.errors import DataError, RunError
from tfvision.evaluation.likelihood import FILE_NAME, MatchCalibration, cllr, fit_calibration, load_calibration
from tfvision.evaluation.verification import GROUPS, Scores


def _scores(values, exact=10**6):
    scores = Scores(exact=exact)
    for number, part in enumerate(np.array_split(np.float32(values), 100)):
        scores.add(part, number % GROUPS)
    return scores


def _normal(genuine=4000, impostor=20000, exact=10**6):
    """Genuine scores about 0.4 and impostor scores about 0, both with a deviation of 0.1."""
    random = np.random.default_rng(0)
    return _scores(random.normal(0.4, 0.1, genuine), exact), _scores(random.normal(0, 0.1, impostor), exact)


def test_ratios_of_two_normal_distributions_are_those_of_their_densities():
    calibration = fit_calibration(*_normal(), probes=4000)
    for score in (0.1, 0.15, 0.2, 0.25, 0.3):  # log LR = ((s - 0)^2 - (s - 0.4)^2) / (2 0.1^2)
        expected = (score**2 - (score - 0.4) ** 2) / (2 * 0.1**2) / np.log(10)
        assert calibration.log10_ratio(score) == pytest.approx(expected, abs=0.35)


def test_ratios_rise_with_the_score_and_are_bounded_by_the_probes():
    calibration = fit_calibration(*_normal(), probes=50)
    ratios = calibration.log10_ratio(np.linspace(-1, 1, 500))
    assert (np.diff(ratios) >= 0).all()
    assert np.abs(ratios).max() <= np.log10(51) + 1e-9  # fifty probes cannot show more, however many their pairs
    assert calibration.ratio(0.9) == (pytest.approx(10 ** ratios.max(), rel=0.05), True)
    assert calibration.ratio(-0.9)[1] and not calibration.ratio(0.2)[1]


def test_two_alike_distributions_say_nothing():
    random = np.random.default_rng(1)
    calibration = fit_calibration(_scores(random.normal(0, 0.1, 3000)), _scores(random.normal(0, 0.1, 3000)), probes=1000)
    assert abs(calibration.log10_ratio(0.0)) < 0.1
    assert calibration.cllr == pytest.approx(1, abs=0.05)


def test_cllr_by_hand():
    zero = np.zeros(1)
    assert cllr(zero, [1], zero, [1]) == pytest.approx(1)  # log2(1 + 1), on both sides
    one = np.log10([3.0])  # same: LR 3 costs log2(4/3); different: LR 1/3 costs the same
    assert cllr(one, [2], -one, [5]) == pytest.approx(np.log2(4 / 3))


def test_cllr_of_well_separated_scores_is_small():
    assert fit_calibration(*_normal(), probes=4000).cllr < 0.15


def test_counted_scores_give_nearly_the_same_map():
    one, other = fit_calibration(*_normal(), probes=1000), fit_calibration(*_normal(exact=100), probes=1000)
    scores = np.linspace(0.05, 0.35, 30)
    np.testing.assert_allclose(one.log10_ratio(scores), other.log10_ratio(scores), atol=0.3)


def test_a_calibration_is_read_as_it_was_written(tmp_path):
    calibration = fit_calibration(*_normal(), probes=100, identity="abc", source="photos", protocol="roi")
    calibration.save(tmp_path)
    assert load_calibration(tmp_path) == calibration
    assert load_calibration(tmp_path / "elsewhere") is None


def test_a_damaged_calibration_is_told(tmp_path):
    (tmp_path / FILE_NAME).write_text(json.dumps({"scores": [1]}))
    with pytest.raises(RunError, match="is no calibration"):
        load_calibration(tmp_path)


def test_one_kind_of_pair_cannot_be_calibrated():
    with pytest.raises(DataError, match="needs genuine and impostor pairs, got 0 and 3"):
        fit_calibration(Scores(), _scores([0.1, 0.2, 0.3]), probes=3)


def test_a_single_pair_of_each_kind_says_little():
    calibration = fit_calibration(_scores([0.9]), _scores([0.1]), probes=1)
    assert isinstance(calibration, MatchCalibration) and calibration.cllr is None
    assert np.abs(calibration.log10_ratio(np.array([0.1, 0.9]))).max() <= np.log10(2) + 1e-9
