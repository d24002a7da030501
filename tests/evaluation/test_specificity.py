import numpy as np
import pytest
from scipy.stats import binomtest

from tfvision.errors import DataError, RecipeError
from tfvision.evaluation import specificity
from tfvision.evaluation.hierarchy import answer


def calibrated_paths(images, depth=7, seed=0):
    """Paths whose nodes are right exactly as often as their probability says."""
    random = np.random.default_rng(seed)
    factors = random.beta(8, 1.2, (images, depth)).astype(np.float32)
    probabilities = np.cumprod(np.hstack([np.ones((images, 1), np.float32), factors]), axis=1, dtype=np.float32)
    is_correct = random.random((images, 1)) <= probabilities  # P(right to depth d) = probability at d
    is_correct[:, 0] = True
    return probabilities, is_correct


def naive_accuracy_and_depth(probabilities, is_correct, threshold):
    right, depths = [], []
    for path, judged in zip(probabilities.astype(np.float64), is_correct, strict=True):
        depth = max([0] + [d for d in range(1, len(path)) if path[d] >= threshold and path[d] > 0])
        depths.append(depth)
        right.append(judged[depth])
    return np.mean(right), np.mean(depths)


@pytest.mark.parametrize("target", [0.3, 0.5, 0.7, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_exact_threshold_is_the_smallest_of_all_candidates(target, seed):
    probabilities, is_correct = calibrated_paths(60, seed=seed)
    fitted = specificity.fit_threshold(probabilities, is_correct, target)
    candidates = np.unique(probabilities)
    good = [t for t in candidates if naive_accuracy_and_depth(probabilities, is_correct, t)[0] >= target]
    # A threshold anywhere up to the smallest good probability, and above the one before, answers alike.
    assert fitted.threshold <= min(good)
    assert fitted.threshold > max(candidates[candidates < min(good)], default=0)
    expected = naive_accuracy_and_depth(probabilities, is_correct, min(good))
    assert (fitted.accuracy, fitted.depth) == pytest.approx(expected)


def test_exact_threshold_holds_in_answer_and_in_float32():
    probabilities, is_correct = calibrated_paths(500)
    probabilities = np.round(probabilities, 2)  # many ties
    fitted = specificity.fit_threshold(probabilities, is_correct, 0.9)
    assert float(np.float32(fitted.threshold)) == fitted.threshold
    nodes = np.tile(np.arange(8), (500, 1))
    depths = answer(nodes, probabilities, fitted.threshold)
    assert is_correct[np.arange(500), depths].mean() == fitted.accuracy >= 0.9
    assert depths.mean() == pytest.approx(fitted.depth)


def test_neighbouring_float32_probabilities_are_told_apart():
    wrong, right = np.float32(0.7), np.nextafter(np.float32(0.7), np.float32(1))
    probabilities = np.array([[1, wrong], [1, right]], np.float32)
    fitted = specificity.fit_threshold(probabilities, np.array([[True, False], [True, True]]), 1.0)
    assert fitted.threshold == right and fitted.accuracy == 1 and fitted.depth == 0.5


def test_accuracy_is_monotone_in_every_threshold():
    probabilities, is_correct = calibrated_paths(300)
    accuracies = [naive_accuracy_and_depth(probabilities, is_correct, t)[0] for t in np.linspace(0.01, 1, 60)]
    assert (np.diff(accuracies) >= 0).all()


@pytest.mark.parametrize(("depth_right", "accuracy", "depth"), [(7, 1.0, 7.0), (0, 1.0, 0.0)])
def test_all_right_answers_with_species_and_all_wrong_abstains(depth_right, accuracy, depth):
    probabilities = np.tile(np.linspace(1, 0.3, 8, dtype=np.float32), (10, 1))
    fitted = specificity.fit_threshold(probabilities, np.tile(np.arange(8) <= depth_right, (10, 1)), 0.9)
    assert (fitted.accuracy, fitted.depth) == (accuracy, depth)


def test_wrong_answers_of_full_probability_leave_only_abstention():
    fitted = specificity.fit_threshold(np.ones((5, 3), np.float32), np.tile([True, False, False], (5, 1)), 0.9)
    assert fitted.threshold > 1 and fitted.accuracy == 1 and fitted.depth == 0


def test_one_image_is_enough_without_confidence():
    fitted = specificity.fit_threshold(np.array([[1, 0.8, 0.6]], np.float32), np.array([[True, True, False]]), 0.9)
    assert (fitted.images, fitted.depth) == (1, 1.0) and 0.6 < fitted.threshold < 0.8


def test_targets_that_floats_cannot_hold_need_no_image_too_many():
    # 0.7 * 10 is 7.000000000000001 in floating point; seven right of ten are enough.
    probabilities = np.column_stack([np.ones(10), np.linspace(0.1, 0.9, 10)]).astype(np.float32)
    is_correct = np.column_stack([np.ones(10, bool), np.arange(10) >= 3])
    assert specificity.fit_threshold(probabilities, is_correct, 0.7).accuracy == 0.7


def test_with_confidence_the_lower_bound_reaches_the_target_and_is_no_larger_than_needed():
    probabilities, is_correct = calibrated_paths(800)
    plain = specificity.fit_threshold(probabilities, is_correct, 0.9)
    sure = specificity.fit_threshold(probabilities, is_correct, 0.9, confidence=0.95)
    assert plain.lower_bound < 0.9 <= sure.lower_bound
    assert sure.depth < plain.depth
    fewer = round(sure.accuracy * 800) - 1
    bound = binomtest(fewer, 800, alternative="greater").proportion_ci(0.95, method="exact").low
    assert bound < 0.9


def test_too_few_images_for_a_confidence_say_how_many_are_needed():
    probabilities, is_correct = calibrated_paths(20)
    with pytest.raises(DataError, match=r"needs 299 photos to fit the threshold on, got 20: evaluate more"):
        specificity.fit_threshold(probabilities, is_correct, 0.99, confidence=0.95)  # 0.99 ** 299 < 0.05
    with pytest.raises(RecipeError, match="ask for 0.99 or less"):
        specificity.fit_threshold(probabilities, is_correct, 1.0, confidence=0.95)


@pytest.mark.parametrize("target", [0, 1.5, -1])
def test_targets_out_of_range_are_refused(target):
    for fit in (specificity.fit_threshold, specificity.climb_threshold):
        with pytest.raises(RecipeError, match=f"--target-accuracy must be above 0 and at most 1, got {target}"):
            fit(*calibrated_paths(5), target)


def test_no_image_to_fit_on_is_a_user_error():
    for fit in (specificity.fit_threshold, specificity.climb_threshold):
        with pytest.raises(DataError, match="evaluate more photos"):
            fit(np.zeros((0, 8), np.float32), np.zeros((0, 8), bool), 0.9)
    with pytest.raises(DataError, match="evaluate at least one"):
        specificity.measure(np.zeros((0, 8), np.float32), np.zeros((0, 8), bool), 0.9)


@pytest.mark.parametrize("target", [0.6, 0.8, 0.9, 0.97])
def test_hill_climbing_agrees_with_the_exact_threshold(target):
    probabilities, is_correct = calibrated_paths(20000)
    exact = specificity.fit_threshold(probabilities, is_correct, target)
    climbed = specificity.climb_threshold(probabilities, is_correct, target)
    assert climbed.accuracy == pytest.approx(exact.accuracy, abs=0.01)
    assert climbed.depth == pytest.approx(exact.depth, abs=0.15)
    assert climbed.threshold == pytest.approx(exact.threshold, abs=0.03)


def test_measure_equals_a_naive_count():
    probabilities, is_correct = calibrated_paths(400)
    measured = specificity.measure(probabilities, is_correct, 0.8)
    accuracy, depth = naive_accuracy_and_depth(probabilities, is_correct, 0.8)
    assert (measured["accuracy"], measured["depth"]) == pytest.approx((accuracy, depth))
    assert measured["abstained"] == pytest.approx((probabilities[:, 1] < 0.8).mean())
    rows = measured["answers_by_depth"]
    assert sum(row["images"] for row in rows) == 400 and rows[0]["accuracy"] in (None, 1.0)
    assert sum(row["images"] * (row["accuracy"] or 0) for row in rows) == pytest.approx(accuracy * 400)
    interval = binomtest(round(accuracy * 400), 400).proportion_ci(0.95, method="exact")
    assert measured["interval"] == pytest.approx([interval.low, interval.high])


def test_depth_curve_falls_and_keeps_its_promise_on_the_unseen_half():
    fitting, reporting = calibrated_paths(20000, seed=3), calibrated_paths(20000, seed=4)
    curve = specificity.depth_curve(fitting, reporting)
    assert [point["target"] for point in curve] == list(specificity.TARGETS)
    assert (np.diff([point["depth"] for point in curve]) <= 0).all()
    for point in curve[4:]:
        assert point["accuracy"] == pytest.approx(point["target"], abs=0.02)
        assert naive_accuracy_and_depth(*reporting, point["threshold"])[0] == pytest.approx(point["accuracy"])


def test_thresholds_are_looked_up_in_the_curve():
    curve = [{"target": 0.8, "threshold": 0.4}, {"target": 0.9, "threshold": 0.6}]
    assert [specificity.threshold_for(curve, target) for target in (0.8, 0.85, 0.9)] == [0.4, 0.6, 0.6]
    with pytest.raises(RecipeError, match="must be at most 0.9 for this model, got 0.95"):
        specificity.threshold_for(curve, 0.95)


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (3, 10), (899, 1000), (1, 1), (0, 1)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_clopper_pearson_equals_scipys_binomial_test(successes, trials, confidence):
    for side, alternative in (("both", "two-sided"), ("lower", "greater"), ("upper", "less")):
        expected = binomtest(successes, trials, alternative=alternative).proportion_ci(confidence, method="exact")
        interval = specificity.clopper_pearson(successes, trials, confidence, side)
        assert interval == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_with_confidence_the_curve_ends_where_images_run_out():
    fitting = reporting = calibrated_paths(100)
    curve = specificity.depth_curve(fitting, reporting, confidence=0.95)
    # All of 100 right shows 0.05 ** (1 / 100) = 0.9705 with 95 % confidence, and no more.
    assert [point["target"] for point in curve] == [target for target in specificity.TARGETS if target <= 0.97]
    plain = specificity.depth_curve(fitting, reporting)
    assert all(sure["threshold"] >= point["threshold"] for sure, point in zip(curve, plain, strict=False))
