"""The nearest picture of the same label and the nearest of another, of every picture: what a search by these vectors would get right."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfvision.apps.explorer.collection import Layer
from tfvision.evaluation.photo_answers import OUTCOME, SURE_AND_WRONG, Answer, outcome

_CHUNK_VALUES = 4_000_000  # similarities that are held at once


class NearestLabels(NamedTuple):
    """By picture, -1 and -inf where there is none.

    Attributes:
      same, other: positions int64 [pictures] of the nearest with the same label, and with another.
      same_scores, other_scores: float32 [pictures].
    """

    same: np.ndarray
    other: np.ndarray
    same_scores: np.ndarray
    other_scores: np.ndarray

    def answer(self, position: int, found: str) -> Answer:
        """Of a picture, in words of a table; where it has no label, no vector or no companion, there is no outcome."""
        same, other = (f"{score:.4f}" if np.isfinite(score) else "" for score in (self.same_scores[position], self.other_scores[position]))
        answer = {"nearest is": "", "nearest same": same, "nearest other": other, OUTCOME: "", SURE_AND_WRONG: ""}
        if not same:
            return answer
        is_right = bool(self.same_scores[position] > self.other_scores[position])
        return {**answer, "nearest is": found, OUTCOME: outcome(is_right), SURE_AND_WRONG: "" if is_right else other}

    def nearest(self, position: int) -> int:
        """The position of the nearest picture; of equally near ones the wrong one."""
        return int(self.same[position] if self.same_scores[position] > self.other_scores[position] else self.other[position])


def nearest_labels(layer: Layer, codes: np.ndarray, advance: Callable[[int], object] = lambda count: None) -> NearestLabels:
    """Finds them all, exactly; pictures without a label or a vector neither ask nor are found.

    Args:
      codes: int [pictures], the label of each, -1 = none.
      advance: told so many pictures are done.
    """
    count = len(codes)
    found = NearestLabels(*(np.full(count, -1, np.int64) for _ in range(2)), *(np.full(count, -np.inf, np.float32) for _ in range(2)))
    asking = np.flatnonzero((layer.row_of >= 0) & (codes >= 0))
    vectors, labels = np.asarray(layer.gallery.row_vectors[layer.row_of[asking]]), codes[asking]
    rows_at_once = max(1, _CHUNK_VALUES // max(1, len(asking)))
    for start in range(0, len(asking), rows_at_once):
        part = slice(start, start + rows_at_once)
        scores = vectors[part] @ vectors.T
        scores[np.arange(len(scores)), np.arange(len(scores)) + start] = -np.inf
        is_same = labels[part][:, None] == labels
        for positions, best, kept in ((found.same, found.same_scores, is_same), (found.other, found.other_scores, ~is_same)):
            of_kind = np.where(kept, scores, -np.inf)
            nearest = of_kind.argmax(axis=1)
            best[asking[part]] = of_kind[np.arange(len(nearest)), nearest]
            positions[asking[part]] = np.where(np.isfinite(best[asking[part]]), asking[nearest], -1)
        advance(len(scores))
    advance(count - len(asking))
    return found
