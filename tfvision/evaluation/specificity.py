"""Automatic specificity control (section 3.3): answer as deep as a target accuracy allows.

An answer is right if it is the true class or above it; the root, an abstention, is always right. Depth is
the level on the path: root 0, kingdom 1, ..., species 7 (less where a lineage skips ranks). The greedy path
is fixed, so an image is right at a threshold exactly when the threshold exceeds the probability of the first
wrong node on its path: one number an image, and fitting a threshold is finding a quantile of it.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfvision.errors import DataError, RecipeError

Half = tuple[np.ndarray, np.ndarray]  # path_probabilities and is_correct of some images
TARGETS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)

NEVER_ABSTAIN = 1e-6  # below any probability on a greedy path through fewer than a million classes
ALWAYS_ABSTAIN = float(np.nextafter(np.float32(1), np.float32(2)))


@dataclasses.dataclass(frozen=True)
class Specificity:
    """A fitted threshold and what it gives on the images it was fitted on.

    Attributes:
      threshold: answer with the deepest node at least this probable; above 1 means to abstain always.
      accuracy: share of right answers, 0 to 1.
      lower_bound: one-sided 95 % Clopper-Pearson bound of the accuracy.
      depth: mean depth of the answers.
      images: how many images it was fitted on.
      target: the accuracy asked for.
    """

    threshold: float
    accuracy: float
    lower_bound: float
    depth: float
    images: int
    target: float


def fit_threshold(path_probabilities: np.ndarray, is_correct: np.ndarray, target_accuracy: float, confidence: float | None = None) -> Specificity:
    """The smallest threshold that reaches the target on these images, exactly, by sorting.

    It is set midway between the last wrong node that it must reject and the next probability that occurs
    on any path, and is a float32 number, so that a served model cuts as the fit did.

    Args:
      path_probabilities: float32 [images, depth + 1] from `descend`.
      is_correct: bool [images, depth + 1] from `judge`.
      target_accuracy: above 0, at most 1.
      confidence: e.g. 0.95: the one-sided Clopper-Pearson lower bound must reach the target, so that the
        true accuracy does with this confidence (accuracy is monotone in the threshold, so choosing the
        smallest passing one costs nothing). None asks it of the observed accuracy.
    Raises:
      RecipeError: the target or the confidence is out of range.
      DataError: there is no image, or too few for this confidence.
    """
    probabilities = np.asarray(path_probabilities, np.float32)
    rejects_above = first_wrong(probabilities, is_correct)
    _check(len(rejects_above), target_accuracy)
    needed = _images_needed(len(rejects_above), target_accuracy, confidence)
    wall = np.sort(rejects_above)[needed - 1]
    return _fitted(probabilities, rejects_above, _just_above(wall, probabilities), target_accuracy)


def climb_threshold(
    path_probabilities: np.ndarray, is_correct: np.ndarray, target_accuracy: float, learning_factor: float = 0.05, passes: int = 2
) -> Specificity:
    """The paper's hill climbing: the threshold follows the stream of images with a falling learning factor.

    A wrong answer lifts the threshold by `factor * target`, a right one lowers it by `factor * (1 - target)`,
    so it rests where the share of right answers is the target. The paper gives no schedule; ours falls as
    (1 + image / 1000) ** -0.75, and the second half of the steps is averaged. From some thousand images on
    the accuracy found lies within 0.01 of the target where a threshold can give it; with few images, or many
    equal probabilities, it may miss, and the accuracy returned says so: the exact method then serves better.

    Args:
      path_probabilities, is_correct, target_accuracy: as in `fit_threshold`.
      passes: how often the images are streamed.
    Raises:
      RecipeError: the target is out of range.
      DataError: there is no image.
    """
    probabilities = np.asarray(path_probabilities, np.float32)
    rejects_above = first_wrong(probabilities, is_correct)
    _check(len(rejects_above), target_accuracy)
    steps = np.tile(rejects_above, passes).astype(np.float64)
    factors = learning_factor * (1 + np.arange(len(steps)) / 1000) ** -0.75
    threshold, total, averaged = 0.5, 0.0, 0
    for step, (wall, factor) in enumerate(zip(steps.tolist(), factors.tolist(), strict=True)):
        threshold += factor * (target_accuracy - (threshold > wall))
        threshold = min(max(threshold, NEVER_ABSTAIN), ALWAYS_ABSTAIN)
        if 2 * step >= len(steps):
            total, averaged = total + threshold, averaged + 1
    return _fitted(probabilities, rejects_above, float(np.float32(total / averaged)), target_accuracy)


def measure(path_probabilities: np.ndarray, is_correct: np.ndarray, threshold: float) -> dict[str, Any]:
    """What a threshold gives on a set of images.

    Returns:
      dict of "accuracy", "depth" (mean), "interval" (two-sided 95 % Clopper-Pearson) and "depth_interval" of these, "lower_bound"
      (one-sided), "abstained" (share answered with the root) and "answers_by_depth", a list of
      {"depth", "images", "share", "accuracy"} from the root down.
    Raises:
      DataError: there is no image.
    """
    depths = answer_depths(path_probabilities, threshold)
    images = len(depths)
    if not images:
        raise DataError("there is no photo to measure the threshold on: evaluate at least one")
    is_right = np.asarray(is_correct)[np.arange(images), depths]
    right = int(is_right.sum())
    return {
        "accuracy": right / images,
        "depth": float(depths.mean()),
        "interval": list(clopper_pearson(right, images)),
        "depth_interval": list(mean_interval(depths, np.shape(path_probabilities)[1] - 1)),
        "lower_bound": clopper_pearson(right, images, side="lower")[0],
        "abstained": float((depths == 0).mean()),
        "answers_by_depth": [share_of(depths == depth, is_right, depth=depth) for depth in range(np.shape(path_probabilities)[1])],
    }


def share_of(chosen: np.ndarray, is_right: np.ndarray, **labels: object) -> dict[str, Any]:
    """One row of a table: how many images were chosen, their share, their accuracy (None without images)."""
    count = int(chosen.sum())
    accuracy = float(is_right[chosen].mean()) if count else None
    return {**labels, "images": count, "share": count / len(chosen), "accuracy": accuracy}


def depth_curve(fitting: Half, reporting: Half, targets: Sequence[float] = TARGETS, confidence: float | None = None) -> list[dict[str, Any]]:
    """Depth against target accuracy (figure 3): thresholds fitted on one half, reported on the other.

    Args:
      fitting, reporting: each (path_probabilities, is_correct) of at least one image.
      confidence: as in `fit_threshold`; targets that need more images for it are left out.
    Returns:
      a list, one dict a target: "target", "threshold", then "fitted_accuracy", "fitted_depth" on the fitting
      half and "accuracy", "interval", "depth", "abstained" on the other; `threshold_for` looks a target up.
    """
    images = len(fitting[0])
    reached = [target for target in targets if confidence is None or is_reachable(images, target, confidence)]
    return [_curve_point(fitting, reporting, target, confidence) for target in reached]


def is_reachable(images: int, target_accuracy: float, confidence: float) -> bool:
    """Whether so many images, all answered rightly, would show the target with this one-sided confidence."""
    return clopper_pearson(images, images, confidence, "lower")[0] >= target_accuracy


def threshold_for(curve: Sequence[dict[str, Any]], target_accuracy: float) -> float:
    """The threshold of a stored depth curve for the smallest target that is at least `target_accuracy`.

    Raises:
      RecipeError: the curve holds none so high.
    """
    points = [point for point in curve if point["target"] >= target_accuracy - 1e-9]
    if not points:
        highest = max((point["target"] for point in curve), default=0)
        raise RecipeError(f"--target-accuracy must be at most {highest} for this model, got {target_accuracy}; a higher one needs more validation photos")
    return min(points, key=lambda point: point["target"])["threshold"]


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95, side: str = "both") -> tuple[float, float]:
    """The exact binomial interval of a share, (lower, upper).

    Args:
      side: "both" (two-sided), "lower" or "upper" (one-sided; the other end is 1 or 0).
    """
    from scipy.stats import beta

    tail = (1 - confidence) / 2 if side == "both" else 1 - confidence
    lower, upper = 0.0, 1.0
    if side != "upper" and successes > 0:
        lower = float(beta.ppf(tail, successes, trials - successes + 1))
    if side != "lower" and successes < trials:
        upper = float(beta.isf(tail, successes + 1, trials - successes))
    return lower, upper


def mean_interval(values: np.ndarray, largest: float) -> tuple[float, float]:
    """A 95 % interval of the mean of values from 0 to `largest`.

    It is Student's, with one more observation at each end, so that equal values do not pretend to be certain.
    """
    from scipy.stats import t

    values = np.append(np.asarray(values, np.float64), [0, largest])
    margin = float(t.ppf(0.975, len(values) - 1)) * values.std(ddof=1) / math.sqrt(len(values))
    return max(0.0, float(values.mean() - margin)), min(float(largest), float(values.mean() + margin))


def are_apart(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two intervals have nothing in common."""
    return one[1] < other[0] or other[1] < one[0]


def first_wrong(path_probabilities: np.ndarray, is_correct: np.ndarray) -> np.ndarray:
    """The probability of the first wrong node on each path, float32 [images]; 0 where none is wrong.

    An image is right at a threshold above 0 exactly when the threshold exceeds this.
    """
    # Probabilities never rise along a path and nothing below a wrong node is right: the first is the largest.
    return np.where(is_correct, np.float32(0), np.asarray(path_probabilities, np.float32)).max(axis=1, initial=0)


def answer_depths(path_probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """The depth of each answer, int [images]; the root always qualifies and the padding (0) never."""
    below_root = np.asarray(path_probabilities, np.float64)[:, 1:]
    return ((below_root >= threshold) & (below_root > 0)).sum(axis=1)


def _check(images: int, target_accuracy: float) -> None:
    if not 0 < target_accuracy <= 1:
        raise RecipeError(f"--target-accuracy must be above 0 and at most 1, got {target_accuracy}")
    if not images:
        raise DataError("there is no photo to fit the threshold on: evaluate more photos")


def _images_needed(images: int, target: float, confidence: float | None) -> int:
    """How many of the images must be right for the share, or its lower bound, to reach the target."""
    if confidence is None:
        needed = math.ceil(target * images)
        return needed - 1 if needed > 1 and (needed - 1) / images >= target else needed
    if not 0 < confidence < 1:
        raise RecipeError(f"--confidence must lie between 0 and 1, got {confidence}")
    if not is_reachable(images, target, confidence):
        if target == 1:
            raise RecipeError("--target-accuracy 1 can never be had with confidence: ask for 0.99 or less")
        enough = math.ceil(math.log(1 - confidence) / math.log(target))
        raise DataError(
            f"--target-accuracy {target} with --confidence {confidence} needs {enough} photos to fit the "
            f"threshold on, got {images}: evaluate more photos or ask for less"
        )
    low, high = 1, images
    while low < high:
        middle = (low + high) // 2
        if clopper_pearson(middle, images, confidence, "lower")[0] >= target:
            high = middle
        else:
            low = middle + 1
    return low


def _just_above(wall: float, probabilities: np.ndarray) -> float:
    """A float32 threshold above `wall` and at most the next larger probability; above 1 where there is none."""
    larger = probabilities[probabilities > wall]
    if not larger.size:
        return ALWAYS_ABSTAIN
    following = larger.min()
    middle = np.float32((float(wall) + float(following)) / 2)
    return float(middle if middle > wall else following)


def _fitted(probabilities: np.ndarray, rejects_above: np.ndarray, threshold: float, target: float) -> Specificity:
    images = len(rejects_above)
    right = int((rejects_above.astype(np.float64) < np.full(1, threshold)).sum())
    return Specificity(
        threshold=threshold,
        accuracy=right / images,
        lower_bound=clopper_pearson(right, images, side="lower")[0],
        depth=float(answer_depths(probabilities, threshold).mean()),
        images=images,
        target=float(target),
    )


def _curve_point(fitting: Half, reporting: Half, target: float, confidence: float | None) -> dict[str, Any]:
    fitted = fit_threshold(*fitting, target, confidence)
    measured = measure(*reporting, fitted.threshold)
    return {
        "target": float(target),
        "threshold": fitted.threshold,
        "fitted_accuracy": fitted.accuracy,
        "fitted_depth": fitted.depth,
        **{key: measured[key] for key in ("accuracy", "interval", "depth", "abstained")},
    }
