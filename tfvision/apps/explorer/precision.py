"""What marked hits say: precision at k with Wilson's interval, and how far two shortlists agree."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

FEWEST_QUERIES = 5  # of which something can be said by drawing among them
_Z = 1.959963984540054  # of 95 %
_RESAMPLES = 1000


class Precision(NamedTuple):
    """How many of the first k are right.

    Attributes:
      k: hits of a query that are looked at.
      hits: those of all queries.
      right, judged: of these hits.
      share, low, high: right / judged and its 95 % interval; None where nothing is judged.
      least, most: the share of all hits that is right if none, or all, of those that are not judged were; None where there are no hits.
    """

    k: int
    hits: int
    right: int
    judged: int
    share: float | None
    low: float | None
    high: float | None
    least: float | None
    most: float | None


def precision_at(hits: Sequence[int], marks: Mapping[int, bool], k: int) -> Precision:
    """Precision of the first k of `hits`, judged by `marks` (hit -> True or False)."""
    judgements = [marks[hit] for hit in hits[:k] if hit in marks]
    count = min(k, len(hits))
    return _precision(count, count, sum(judgements), len(judgements))


def pooled(precisions: Sequence[Precision], seed: int = 0) -> Precision:
    """The precision of several queries' hits taken together.

    Hits of one query resemble each other, so that Wilson's interval is too narrow: of FEWEST_QUERIES and more the ends are those of a bootstrap over
    queries where these are farther.
    """
    k = max((one.k for one in precisions), default=0)
    hits, right, judged = (sum(getattr(one, name) for one in precisions) for name in ("hits", "right", "judged"))
    together, asked = _precision(k, hits, right, judged), [one for one in precisions if one.judged]
    if together.share is None or len(asked) < FEWEST_QUERIES:
        return together
    counts = np.array([[one.right, one.judged] for one in asked])
    right_of, judged_of = counts[np.random.default_rng(seed).integers(len(asked), size=(_RESAMPLES, len(asked)))].sum(axis=1).T
    low, high = np.quantile(right_of / judged_of, [0.025, 0.975])
    return together._replace(low=min(together.low, float(low)), high=max(together.high, float(high)))


def wilson_interval(right: int, trials: int, z: float = _Z) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share, (low, high)."""
    if not trials:
        return 0.0, 1.0
    share = right / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low, high = ((centre + sign * spread) / (1 + z * z / trials) for sign in (-1, 1))
    return (0.0 if right == 0 else low), (1.0 if right == trials else high)


def overlap(a: Collection[int], b: Collection[int]) -> float:
    """The share of the shorter of two shortlists that the other holds too, 0 to 1."""
    shorter = min(len(a), len(b))
    return len(set(a) & set(b)) / shorter if shorter else 0.0


def _precision(k, hits, right, judged):
    bounds = (right / hits, (right + hits - judged) / hits) if hits else (None, None)
    if not judged:
        return Precision(k, hits, 0, 0, None, None, None, *bounds)
    return Precision(k, hits, right, judged, right / judged, *wilson_interval(right, judged), *bounds)
