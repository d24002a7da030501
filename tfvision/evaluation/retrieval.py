"""Judging rankings: NS-score, average precision, MAP@R, recall@k, and the protocols that ask for them.

A question is a query, what its ranking should begin with, and what is taken out of the ranking before it is judged.
Rankings are judged by the positions of the relevant images, counted from 0. Of equally similar images the irrelevant
come first: vectors that have collapsed to one point score worst, not best.

Memory is bounded by SIMILARITIES values (a ranking's where the gallery is larger), whatever the number of queries.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tfvision.errors import DataError, RunError
from tfvision.evaluation.groups import members

SIMILARITIES = 1 << 22  # computed at a time: 16 MB
GALLERY_ROWS = 1 << 14  # read at a time
RECALL_AT = (1, 5, 10)
GROUP_SIZE = 4  # of UKBench
_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Question:
    """What one query asks of a gallery.

    Attributes:
      query: row of the query's vector.
      relevant: int [relevant], rows of the gallery.
      ignored: int [ignored], rows that are taken out of the ranking, also where they are among the relevant.
    """

    query: int
    relevant: np.ndarray
    ignored: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A query whose first hit, itself apart, is none of its relevant images.

    Attributes:
      query, found: rows of the query's vector and of the image in the gallery.
      similarity: of the two.
    """

    query: int
    found: int
    similarity: float


def judge(protocol: str, queries: np.ndarray, gallery: np.ndarray, questions: Iterable[Question], seed: int = 0) -> dict[str, Any]:
    """Ranks the gallery for each question and judges the rankings by a protocol's measures.

    Args:
      protocol: of PROTOCOLS.
      queries, gallery: float32 [n, dimension], L2-normalised; may be memory-mapped.
      questions: of Question; those to which nothing is relevant are left out.
      seed: of the bootstrap.

    Returns:
      dict: "queries", the protocol's score, "interval" (95 %, bootstrap over queries), "mistakes" [Mistake] and, for labels,
      "recall" {k: share}.

    Raises:
      DataError: nothing is left to ask.
      RunError: vectors are not finite.
    """
    score, measure = PROTOCOLS[protocol]
    values, recalls, mistakes = [], [], []
    for question, similarities in similarity_rows(queries, gallery, questions):
        positions = positions_of(similarities, question)
        if len(positions):
            values.append(measure(positions))
            recalls.append([recall_at_k(positions, k) for k in RECALL_AT])
            mistakes += [found] if (found := mistake_of(similarities, question, queries is gallery)) else []
    if not values:
        raise DataError(f"--protocol {protocol} has no query that anything else is relevant to: check the labels or groups")
    recall = {"recall": dict(zip(map(str, RECALL_AT), np.mean(recalls, axis=0).tolist(), strict=True))}
    return {
        "queries": len(values),
        score: float(np.mean(values)),
        "interval": bootstrap_interval(values, seed),
        "mistakes": mistakes,
        **(recall if protocol == "labels" else {}),
    }


def mistake_of(similarities: np.ndarray, question: Question, is_gallery: bool) -> Mistake | None:
    """What stands first in a ranking, where that is wrong (figures 3 and 4 of feature-tuning); None where it is right.

    Args:
      similarities: float [gallery].
      is_gallery: whether queries are images of the gallery: none is its own hit.
    """
    ignored = np.append(question.ignored, question.query).astype(int) if is_gallery else question.ignored
    relevant = np.setdiff1d(question.relevant, ignored)
    if not len(relevant):
        return None
    others = np.array(similarities)
    others[ignored] = others[relevant] = -np.inf
    found = int(np.argmax(others))
    if others[found] < similarities[relevant].max():
        return None
    return Mistake(question.query, found, float(others[found]))


def similarity_rows(queries: np.ndarray, gallery: np.ndarray, questions: Iterable[Question]) -> Iterator[tuple[Question, np.ndarray]]:
    """Yields (question, float32 [gallery], its query's similarity to all images), blockwise. Raises RunError."""
    questions, rows = list(questions), max(1, SIMILARITIES // max(1, len(gallery)))
    for start in range(0, len(questions), rows):
        asked = questions[start : start + rows]
        yield from zip(asked, _similarities(queries[[question.query for question in asked]], gallery), strict=True)


def positions_of(similarities: np.ndarray, question: Question) -> np.ndarray:
    """The positions of a question's relevant images in one ranking: int [relevant], rising.

    Args:
      similarities: float [gallery], larger = nearer.
    """
    return positions_among(*parted(similarities, question))


def parted(similarities: np.ndarray, question: Question) -> tuple[np.ndarray, np.ndarray]:
    """The similarities of a question's relevant images, rising, and of all others; what is ignored is in neither."""
    relevant = question.relevant[~np.isin(question.relevant, question.ignored)]
    is_other = np.full(len(similarities), True)
    is_other[question.ignored] = is_other[relevant] = False
    return np.sort(similarities[relevant]), similarities[is_other]


def positions_among(wanted: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The positions in one ranking of wanted images (similarities, rising) among others."""
    # How many of the wanted each other image is at least as near as; summed from above, what stands before each of them.
    beaten = np.searchsorted(wanted, others, side="right")
    before = np.cumsum(np.bincount(beaten, minlength=len(wanted) + 1)[::-1])[: len(wanted)]
    return before + np.arange(len(wanted))


def average_precision(positions: np.ndarray) -> float:
    """The mean of the precision at each hit."""
    return float(np.mean(np.arange(1, len(positions) + 1) / (positions + 1)))


def trapezoid_average_precision(positions: np.ndarray) -> float:
    """The area below the precision-recall curve by the trapezoid rule: the mean of precision before and after each hit.

    Before the first image precision is 1. Source: compute_ap of the Oxford Buildings benchmark (Philbin et al. 2007).
    """
    hits = np.arange(len(positions))
    before = np.where(positions > 0, hits / np.maximum(positions, 1), 1.0)
    return float(np.mean((before + (hits + 1) / (positions + 1)) / 2))


def map_at_r(positions: np.ndarray) -> float:
    """The precision at each hit among the first R, summed and divided by R, the number of relevant images.

    Source: Musgrave, Belongie and Lim, "A metric learning reality check", section 3.2.
    """
    hits = np.arange(1, len(positions) + 1) / (positions + 1)
    return float(hits[positions < len(positions)].sum() / len(positions))


def recall_at_k(positions: np.ndarray, k: int) -> float:
    """1 where a relevant image is among the first k, else 0, as papers on metric learning count it."""
    return float(positions[0] < k)


def ns_score(positions: np.ndarray) -> float:
    """How many of the group's four are among the first four, the query itself included (Nister and Stewenius 2006)."""
    return float(np.count_nonzero(positions < GROUP_SIZE))


PROTOCOLS = {  # name -> its score in the result, and the measure of one ranking
    "ukbench": ("ns_score", ns_score),
    "holidays": ("map", trapezoid_average_precision),
    "oxford": ("map", trapezoid_average_precision),
    "labels": ("map", map_at_r),
    "revisited-easy": ("map", trapezoid_average_precision),
    "revisited-medium": ("map", trapezoid_average_precision),
    "revisited-hard": ("map", trapezoid_average_precision),
}
LANDMARK_LISTS = {  # of ground truth: those that should be found, and those that are taken out of the ranking
    "oxford": (("good", "ok"), ("junk",)),
    "revisited-easy": (("easy",), ("junk", "hard")),
    "revisited-medium": (("easy", "hard"), ("junk",)),
    "revisited-hard": (("hard",), ("junk", "easy")),
}


def ukbench_questions(groups: Sequence[str], may_lack: bool = False) -> list[Question]:
    """Every image asks for its group of four, itself included.

    Args:
      groups: a name for each image.
      may_lack: whether smaller groups, of a partial copy, are searched and do not ask.

    Raises:
      DataError: a group has another size.
    """
    rows_of = members(groups)
    for group, rows in rows_of.items():
        if len(rows) > GROUP_SIZE or not (may_lack or len(rows) == GROUP_SIZE):
            raise DataError(f"--protocol ukbench needs groups of {GROUP_SIZE}: group {group!r} has {len(rows)} photos (a CSV names groups in a column `group`)")
    return [Question(row, rows_of[group]) for row, group in enumerate(groups) if len(rows_of[group]) == GROUP_SIZE]


def holidays_questions(groups: Sequence[str], is_query: np.ndarray | None = None) -> list[Question]:
    """One image of each group asks for the others and is dropped from its own ranking.

    Args:
      groups: a name for each image.
      is_query: bool [images]; None = the first of each group.
    """
    rows_of = members(groups)
    rows = [rows[0] for rows in rows_of.values()] if is_query is None else np.flatnonzero(is_query)
    return [Question(int(row), rows_of[groups[row]], np.array([row])) for row in rows]


def labels_questions(labels: Sequence[str], is_query: np.ndarray | None = None) -> list[Question]:
    """Each query asks for all images of its label.

    Args:
      labels: a name for each image.
      is_query: bool [images], of queries, which are then not part of the gallery; None = every image asks the others.
    """
    rows_of = members(labels)
    if is_query is None:
        return [Question(row, rows_of[label], np.array([row])) for row, label in enumerate(labels)]
    asked = np.flatnonzero(is_query)
    return [Question(int(row), rows_of[labels[row]], asked) for row in asked]


def without(questions: Iterable[Question], lost: np.ndarray) -> list[Question]:
    """The questions of which neither query nor gallery image is among the lost rows, of one table of vectors."""
    lost = np.flatnonzero(lost)
    gone = set(lost.tolist())
    return [dataclasses.replace(q, ignored=np.union1d(q.ignored, lost)) for q in questions if q.query not in gone]


def bootstrap_interval(values: Sequence[float] | np.ndarray, seed: int = 0, confidence: float = 0.95) -> list[float]:
    """[low, high] of the mean, by drawing as many values with replacement a thousand times."""
    values, random = np.asarray(values, float), np.random.default_rng(seed)
    means = [values[random.integers(len(values), size=len(values))].mean() for _ in range(_RESAMPLES)]
    return np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()


def _similarities(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    similarities = np.empty((len(queries), len(gallery)), np.float32)
    for start in range(0, len(gallery), GALLERY_ROWS):
        rows = slice(start, start + GALLERY_ROWS)
        similarities[:, rows] = queries @ np.asarray(gallery[rows]).T
    if not np.isfinite(similarities).all():
        raise RunError("the vectors are not all finite, so nothing can be ranked by them: the network's weights are damaged or its training diverged")
    return similarities
