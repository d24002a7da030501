"""One photo against a gallery: CMC, mean average precision, and open-set FNIR at fixed FPIR, in bounded memory.

Each probe's row of scores is made, judged and dropped; of 100,000 probes against 100,000 a few numbers a probe remain, and two
tables of scores. Of equally similar photos the wrong ones come first, so that ties count against the model.

Terms are those of NIST's reports: CMC at rank k, the share of mated probes whose best-ranked mate is among the first k; FPIR(t),
the share of probes without a mate whose best score is at least t; FNIR(t), the share of mated probes whose best mate scores less.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tfvision.errors import DataError
from tfvision.evaluation.retrieval import Question, average_precision, parted, positions_among, similarity_rows
from tfvision.evaluation.verification import GROUPS, Scores

RANKS = (1, 5, 10, 20, 30)
FPIRS = (0.001, 0.01, 0.1)
CURVE_RANKS = 1000  # of a CMC curve
_RESAMPLES = 1000
_FNIR_RESAMPLES = 200


@dataclasses.dataclass(frozen=True)
class Judged:
    """What remains of each probe.

    Attributes:
      probes: int [probes], the questions' rows.
      positions: int [probes], the position of the best-ranked mate, from 0; -1 where the gallery has none.
      precisions: float [probes], average precision; nan where there is no mate.
      mate_scores, other_scores: float [probes], of the best mate and the best other; -inf where there is none.
      mates, others: int [probes], their rows of the gallery; -1 where there is none.
      genuine, impostor: Scores of all pairs.
      gallery: photos searched, the mean over probes.
    """

    probes: np.ndarray
    positions: np.ndarray
    precisions: np.ndarray
    mate_scores: np.ndarray
    other_scores: np.ndarray
    mates: np.ndarray
    others: np.ndarray
    genuine: Scores
    impostor: Scores
    gallery: float

    def __len__(self) -> int:
        return len(self.probes)

    @property
    def is_mated(self) -> np.ndarray:
        return self.positions >= 0


def judge_probes(
    probes: np.ndarray,
    gallery: np.ndarray,
    questions: Sequence[Question],
    groups: np.ndarray | None = None,
    limits: tuple[float, float] = (-1.0, 1.0),
    on_probes: Callable[[int], object] | None = None,
) -> Judged:
    """Searches the gallery for each probe.

    Args:
      probes, gallery: float32 [n, dimension]; the score is their product. May be memory-mapped.
      questions: of evaluation.retrieval.Question; nothing need be relevant to it.
      groups: int [questions], 0 ... GROUPS - 1, as of `subject_groups`; None = a group for each probe in turn.
      limits: what all scores lie between.
      on_probes: called with 1 after each probe.

    Raises:
      RunError: vectors are not finite.
    """
    count = len(questions)
    groups = np.arange(count) % GROUPS if groups is None else groups
    positions, mates, others = (np.full(count, -1) for _ in range(3))
    precisions, mate_scores, other_scores = np.full(count, np.nan), np.full(count, -np.inf), np.full(count, -np.inf)
    genuine, impostor = Scores(*limits), Scores(*limits)
    for row, (question, scores) in enumerate(similarity_rows(probes, gallery, questions)):
        wanted, rest = parted(scores, question)
        genuine.add(wanted, groups[row])
        impostor.add(rest, groups[row])
        if len(wanted):
            found = positions_among(wanted, rest)
            positions[row], precisions[row], mate_scores[row] = found[0], average_precision(found), wanted[-1]
            mates[row] = _best(scores, question.relevant, question.ignored)
        if len(rest):
            other_scores[row] = rest.max()
            others[row] = _best_other(scores, question)
        if on_probes:
            on_probes(1)
    asked = np.array([question.query for question in questions], int)
    return Judged(asked, positions, precisions, mate_scores, other_scores, mates, others, genuine, impostor, float(len(gallery)))


def pooled(parts: Sequence[Judged]) -> Judged:
    """The Judged of several searches, such as folds with a gallery each. Raises DataError where there is none."""
    parts = [part for part in parts if len(part)]
    if not parts:
        raise DataError("no probe was searched for: no fold has a probe and a gallery")
    genuine, impostor = (Scores(parts[0].genuine.low, parts[0].genuine.high) for _ in range(2))
    for part in parts:
        genuine.merge(part.genuine)
        impostor.merge(part.impostor)
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("probes", "positions", "precisions", "mate_scores", "other_scores", "mates", "others")
    }
    gallery = sum(part.gallery * len(part) for part in parts) / sum(map(len, parts))
    return Judged(**arrays, genuine=genuine, impostor=impostor, gallery=gallery)


def cmc(positions: np.ndarray, ranks: Sequence[int] = RANKS) -> dict[str, float]:
    """{rank: share of mated probes whose best mate is among the first} by the positions of best mates, from 0; -1 = no mate."""
    mated = positions[positions >= 0]
    return {str(rank): float(np.mean(mated < rank)) for rank in ranks} if len(mated) else {}


def cmc_curve(positions: np.ndarray, gallery: float) -> np.ndarray:
    """The CMC at ranks 1 ... gallery, at most CURVE_RANKS: float [ranks]."""
    mated, last = positions[positions >= 0], int(min(gallery, CURVE_RANKS))
    return np.cumsum(np.bincount(np.minimum(mated, last), minlength=last + 1)[:last]) / max(1, len(mated))


def unmated_scores(judged: Judged) -> tuple[np.ndarray, np.ndarray, bool]:
    """(The scores by which false alarms are judged, and their rows among the probes, and whether they are of real unmated probes.)

    Where the gallery has a mate of every probe, each stands in for an unmated one: its best score with its mates taken out.
    """
    is_unmated = ~judged.is_mated
    used = np.flatnonzero(is_unmated) if is_unmated.any() else np.arange(len(judged))
    return judged.other_scores[used], used, bool(is_unmated.any())


def fnir_at_fpir(judged: Judged, fpirs: Sequence[float] = FPIRS) -> dict[str, dict[str, float]]:
    """{fpir: {"fnir", "threshold"}}; a probe is answered where its score is above the threshold.

    Only for those FPIR that the unmated probes can tell: at least one of them. Ties with the threshold are false negatives.
    """
    mate_scores, (alarms, _, _) = np.sort(judged.mate_scores[judged.is_mated]), unmated_scores(judged)
    falling = np.sort(alarms)[::-1]
    found = {}
    for fpir in fpirs:
        allowed = int(fpir * len(falling) + 1e-9)
        if allowed >= 1 and len(mate_scores):
            threshold = falling[allowed] if allowed < len(falling) else -np.inf
            found[f"{fpir:g}"] = {"fnir": float(np.searchsorted(mate_scores, threshold, side="right") / len(mate_scores)), "threshold": float(threshold)}
    return found


def open_set_points(judged: Judged, most: int = 400) -> np.ndarray:
    """[(FPIR, FNIR)] over all thresholds, for a figure: float [n, 2]."""
    mate_scores, (alarms, _, _) = np.sort(judged.mate_scores[judged.is_mated]), unmated_scores(judged)
    alarms = np.sort(alarms)
    values = np.unique(np.concatenate([mate_scores, alarms[np.isfinite(alarms)]]))
    thresholds = values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))] if len(values) > most else values
    fpir = 1 - np.searchsorted(alarms, thresholds, side="left") / max(1, len(alarms))
    return np.stack([fpir, np.searchsorted(mate_scores, thresholds, side="left") / max(1, len(mate_scores))], axis=1)


def subject_groups(subjects: Sequence[str], seed: int = 0) -> np.ndarray:
    """A group of each probe's subject, int [probes], 0 ... GROUPS - 1, evenly many subjects in each."""
    _, number = np.unique(np.asarray(subjects), return_inverse=True)
    order = np.random.default_rng(seed).permutation(number.max() + 1) if len(number) else np.zeros(0, int)
    return order[number] % GROUPS


def mean_intervals(values: np.ndarray, subjects: Sequence[str], seed: int = 0, confidence: float = 0.95) -> np.ndarray:
    """95 % intervals of means over probes, by drawing subjects with replacement: float [columns, 2].

    Args:
      values: float [probes, columns].
      subjects: a name for each probe; its photos are drawn together.
    """
    values = np.asarray(values, float).reshape(len(values), -1)
    _, number = np.unique(np.asarray(subjects), return_inverse=True)
    count = number.max() + 1
    sums = np.stack([np.bincount(number, column, minlength=count) for column in values.T], axis=1)
    sizes, random = np.bincount(number, minlength=count), np.random.default_rng(seed)
    means = []
    for _ in range(_RESAMPLES):
        weights = np.bincount(random.integers(count, size=count), minlength=count)
        means.append(weights @ sums / (weights @ sizes))
    return np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0).T


def fnir_intervals(judged: Judged, subjects: Sequence[str], fpirs: Sequence[float] = FPIRS, seed: int = 0, confidence: float = 0.95) -> dict[str, list[float]]:
    """{fpir: [low, high]} of the FNIR, by drawing subjects with replacement; the threshold is found anew each time."""
    names = fnir_at_fpir(judged, fpirs)
    _, number = np.unique(np.asarray(subjects), return_inverse=True)
    mated = np.flatnonzero(judged.is_mated)
    mated = mated[np.argsort(judged.mate_scores[mated], kind="stable")]
    alarms, used, _ = unmated_scores(judged)
    order = np.argsort(-alarms, kind="stable")
    falling, used = alarms[order], used[order]
    random = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(_FNIR_RESAMPLES):
        weights = np.bincount(random.integers(number.max() + 1, size=number.max() + 1), minlength=number.max() + 1)[number]
        passed, missed = np.cumsum(weights[used]), np.cumsum(weights[mated])
        if not passed[-1] or not missed[-1]:
            continue
        for name in names:
            row = np.searchsorted(passed, float(name) * passed[-1] + 1e-9, side="right")
            threshold = falling[row] if row < len(falling) else -np.inf
            below = np.searchsorted(judged.mate_scores[mated], threshold, side="right")
            drawn[name].append(missed[below - 1] / missed[-1] if below else 0.0)
    return {name: np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist() for name, found in drawn.items() if found}


def as_products(probes: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Vectors whose products are the negative squared Euclidean distances of others, and the limits of these.

    Args:
      probes, gallery: float32 [n, dimension].

    Returns:
      (probes, gallery, (low, high)); both are centred first, since large norms would cost digits.
    """
    centre = gallery.mean(axis=0)
    asked, searched = probes - centre, gallery - centre
    squares = [np.sum(part * part, axis=1, keepdims=True) for part in (asked, searched)]
    one = [np.ones_like(square) for square in squares]
    farthest = float((np.sqrt(squares[0].max(initial=0)) + np.sqrt(squares[1].max(initial=0))) ** 2)
    return (
        np.concatenate([2 * asked, -squares[0], -one[0]], axis=1),
        np.concatenate([searched, one[1], squares[1]], axis=1),
        (-farthest - 1e-6, 0.0),
    )


def _best(scores: np.ndarray, rows: np.ndarray, ignored: np.ndarray) -> int:
    rows = rows[~np.isin(rows, ignored)]
    return rows[np.argmax(scores[rows])]


def _best_other(scores: np.ndarray, question: Question) -> int:
    """The row of the best score that is neither relevant nor ignored, without a copy of all."""
    taken = np.concatenate([question.relevant, question.ignored]).astype(int)
    kept, scores[taken] = scores[taken], -np.inf
    best = int(np.argmax(scores))
    scores[taken] = kept
    return best
