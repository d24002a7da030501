"""One photo against one: genuine and impostor scores, false match and false non-match rates, EER.

A pair is accepted where its score is at least the threshold. FMR is the share of impostor pairs that are accepted, FNMR
that of genuine pairs that are not; the DET curve is one against the other. Scores are kept one by one while they are few;
beyond EXACT they are counted in BINS equal bins, and thresholds are then the edges of bins: each rate is still exact at its
threshold, which is known to (high - low) / BINS.
"""

import dataclasses

import numpy as np

from tfvision.errors import DataError

EXACT = 1 << 22  # scores: 16 MB
BINS = 1 << 18  # a table that stays in the cache
GROUPS = 64  # of subjects, that the bootstrap draws
FMRS = (0.001, 0.01, 0.1)
_COARSE_BINS = 4096  # of each group
_PENDING = 1 << 20  # scores counted at a time
_RESAMPLES = 500


class Scores:
    """Scores of pairs.

    Args:
      low, high: what all scores lie between (cosines: -1 and 1); those outside are moved to the border.
      exact: how many are kept one by one.
    """

    def __init__(self, low: float = -1.0, high: float = 1.0, exact: int = EXACT) -> None:
        self.low, self.high, self.exact = float(low), float(high), exact
        self.count = 0
        self.lowest, self.highest = np.inf, -np.inf
        self.by_group = np.zeros((GROUPS, _COARSE_BINS), np.int64)
        self._values: list[np.ndarray] = []
        self._waiting = 0
        self._counts: np.ndarray | None = None  # of bins, once there are too many

    def add(self, scores: np.ndarray, group: int = 0) -> None:
        """Adds float [n] of one probe, whose subject is of a group 0 ... GROUPS - 1."""
        if not len(scores):
            return
        self.count += len(scores)
        self.lowest, self.highest = min(self.lowest, float(scores.min())), max(self.highest, float(scores.max()))
        self.by_group[group] += np.bincount(self._bin(scores, _COARSE_BINS), minlength=_COARSE_BINS)
        self._values.append(np.array(scores, np.float32))
        self._waiting += len(scores)
        if not self.is_exact and self._waiting >= _PENDING:
            self._count_waiting()

    def merge(self, other: "Scores") -> None:
        """Adds the scores of another with the same limits."""
        self.count += other.count
        self.lowest, self.highest = min(self.lowest, other.lowest), max(self.highest, other.highest)
        self.by_group += other.by_group
        self._values += other._values
        self._waiting += other._waiting
        if other._counts is not None:
            self._counts = other._counts.copy() if self._counts is None else self._counts + other._counts
        if not self.is_exact:
            self._count_waiting()

    @property
    def is_exact(self) -> bool:
        return self.count <= self.exact

    @property
    def resolution(self) -> float:
        """How well thresholds are known; 0 = exactly."""
        return 0.0 if self.is_exact else (self.high - self.low) / BINS

    def table(self, is_binned: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The values that occur (lower edges of bins, where it is binned), rising, and how often: float64 [n], int64 [n]."""
        if self.is_exact and not is_binned:
            return np.unique(self._kept().astype(np.float64), return_counts=True)
        counts = self._counted() if self.is_exact else self._count_waiting()
        filled = np.flatnonzero(counts)
        return self.low + filled * ((self.high - self.low) / BINS), counts[filled]

    def histogram(self, bins: int = 100) -> tuple[np.ndarray, np.ndarray]:
        """Edges float [bins + 1] between the lowest and the highest of all limits, and the share of scores in each bin."""
        values, counts = self.table()
        shares, edges = np.histogram(values, bins, (self.low, self.high), weights=counts)
        return edges, shares / max(1, self.count)

    def _count_waiting(self) -> np.ndarray:
        self._counts = self._counted() if self._counts is None else self._counts + self._counted()
        self._values, self._waiting = [], 0
        return self._counts

    def _kept(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.float32), *self._values])

    def _counted(self) -> np.ndarray:
        return np.bincount(self._bin(self._kept(), BINS), minlength=BINS)

    def _bin(self, scores: np.ndarray, bins: int) -> np.ndarray:
        positions = (np.asarray(scores, np.float32) - np.float32(self.low)) * np.float32(bins / (self.high - self.low))
        return np.clip(positions.astype(np.int32), 0, bins - 1)


@dataclasses.dataclass(frozen=True)
class Det:
    """The two error rates at every threshold where one of them changes.

    Attributes:
      thresholds: float64 [n], rising; the last one is above all scores.
      fmr, fnmr: float64 [n], falling and rising.
      resolution: how well thresholds are known; 0 = exactly.
    """

    thresholds: np.ndarray
    fmr: np.ndarray
    fnmr: np.ndarray
    resolution: float = 0.0

    @property
    def eer(self) -> float:
        """Where both rates are equal, by a straight line between the thresholds on both sides of it."""
        return equal_error_rate(self.fmr, self.fnmr)

    def at_fmr(self, target: float) -> tuple[float, float]:
        """(FNMR, threshold) at the lowest threshold whose FMR is at most the target."""
        row = int(np.argmax(self.fmr <= target + 1e-12))
        return float(self.fnmr[row]), float(self.thresholds[row])

    def points(self, most: int = 400) -> np.ndarray:
        """[(fmr, fnmr)] for a figure: the whole curve, thinned evenly over the logarithm of FMR."""
        if len(self.fmr) <= most:
            return np.stack([self.fmr, self.fnmr], axis=1)
        least = self.fmr[self.fmr > 0].min()
        wanted = np.geomspace(least, 1, most)
        rows = np.unique(np.searchsorted(-self.fmr, -wanted))
        rows = np.union1d(np.minimum(rows, len(self.fmr) - 1), [0, len(self.fmr) - 1])
        return np.stack([self.fmr[rows], self.fnmr[rows]], axis=1)


def det_curve(genuine: Scores, impostor: Scores) -> Det:
    """The Det of two `Scores` with the same limits. Raises DataError where either is empty."""
    for scores, name in ((genuine, "genuine"), (impostor, "impostor")):
        if not scores.count:
            raise DataError(
                f"there is no {name} pair, so no error rate can be told: give photos of {'one subject' if scores is genuine else 'two subjects'} at least twice"
            )
    is_binned = not (genuine.is_exact and impostor.is_exact)
    same, same_counts = genuine.table(is_binned)
    other, other_counts = impostor.table(is_binned)
    values = np.union1d(same, other)
    thresholds = np.append(values, np.nextafter(values[-1], np.inf) if not is_binned else values[-1] + max(genuine.resolution, impostor.resolution))
    below_same = np.concatenate([[0], np.cumsum(same_counts)])[np.searchsorted(same, thresholds, side="left")]
    below_other = np.concatenate([[0], np.cumsum(other_counts)])[np.searchsorted(other, thresholds, side="left")]
    resolution = max(genuine.resolution, impostor.resolution)
    return Det(thresholds, 1 - below_other / impostor.count, below_same / genuine.count, resolution)


def equal_error_rate(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """Where two curves over the same thresholds meet, one falling from 1 and one rising to 1."""
    row = int(np.argmax(fnmr >= fmr))
    if row == 0:
        return float((fmr[0] + fnmr[0]) / 2)
    before, after = fmr[row - 1] - fnmr[row - 1], fnmr[row] - fmr[row]
    share = before / (before + after) if before + after > 0 else 0.0
    return float(fmr[row - 1] + share * (fmr[row] - fmr[row - 1]))


def eer_interval(genuine: Scores, impostor: Scores, seed: int = 0, confidence: float = 0.95) -> list[float] | None:
    """[low, high] of the EER, by drawing groups of probes' subjects with replacement; the gallery stays as it is.

    Rates are those of _COARSE_BINS thresholds, and the interval is moved by what that does to the estimate. None where fewer than
    two groups have genuine pairs.
    """
    same, other = genuine.by_group, impostor.by_group
    groups = np.flatnonzero(same.sum(axis=1) + other.sum(axis=1))
    if np.count_nonzero(same.sum(axis=1)) < 2:
        return None
    random = np.random.default_rng(seed)
    drawn: list[float] = []
    for _ in range(_RESAMPLES):
        weights = np.bincount(random.choice(groups, len(groups)), minlength=GROUPS)
        drawn.append(_coarse_eer(weights @ same, weights @ other))
    moved = det_curve(genuine, impostor).eer - _coarse_eer(same.sum(axis=0), other.sum(axis=0))
    low, high = np.nanquantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2]) + moved
    return [float(max(0.0, low)), float(min(1.0, high))]


def _coarse_eer(same: np.ndarray, other: np.ndarray) -> float:
    """From counts of bins; nan where one side is empty."""
    if not same.any() or not other.any():
        return np.nan
    fnmr = np.concatenate([[0], np.cumsum(same)]) / same.sum()
    fmr = 1 - np.concatenate([[0], np.cumsum(other)]) / other.sum()
    return equal_error_rate(fmr, fnmr)
