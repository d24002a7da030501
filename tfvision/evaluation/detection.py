"""How well something is told from everything else: accuracies of both kinds, with intervals (tattoo-recognition, table 3)."""

from typing import Any

import numpy as np

from tfvision.evaluation.specificity import clopper_pearson


def judge_detection(is_positive: np.ndarray, scores: np.ndarray) -> dict[str, dict[str, Any]]:
    """Accuracy of "it is one where the score is above 0".

    Args:
      is_positive: bool [photos].
      scores: float [photos].

    Returns:
      {"positive", "negative", "overall": {"right", "photos", "accuracy" (None without photos), "interval" (95 %,
      Clopper-Pearson)}}.
    """
    is_positive = np.asarray(is_positive, bool)
    is_right = (np.asarray(scores) > 0) == is_positive
    return {
        "positive": share_right(is_right[is_positive]),
        "negative": share_right(is_right[~is_positive]),
        "overall": share_right(is_right),
    }


def share_right(is_right: np.ndarray) -> dict[str, Any]:
    """bool [photos] -> {"right", "photos", "accuracy", "interval"}."""
    right, photos = int(np.sum(is_right)), len(is_right)
    return {
        "right": right,
        "photos": photos,
        "accuracy": right / photos if photos else None,
        "interval": list(clopper_pearson(right, photos)) if photos else None,
    }
