import numpy as np
import pytest
from scipy.stats import binomtest

from tfvision.evaluation.detection import judge_detection


def test_accuracies_of_both_kinds_by_hand():
    judged = judge_detection([True, True, True, False, False], [0.5, -0.1, 0.0, -2.0, 3.0])  # right: 0 and 3; 0 is no positive
    assert [(judged[kind]["right"], judged[kind]["photos"]) for kind in ("positive", "negative", "overall")] == [(1, 3), (1, 2), (2, 5)]
    assert judged["overall"]["accuracy"] == pytest.approx(0.4)
    expected = binomtest(1, 3).proportion_ci(0.95, "exact")
    assert judged["positive"]["interval"] == pytest.approx([expected.low, expected.high])


def test_a_kind_without_photos_has_no_accuracy():
    judged = judge_detection(np.array([False, False]), np.array([-1.0, 1.0]))
    assert judged["positive"] == {"right": 0, "photos": 0, "accuracy": None, "interval": None}
    assert judged["negative"]["accuracy"] == judged["overall"]["accuracy"] == 0.5
