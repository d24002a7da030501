"""What marked hits say: precision at k with Wilson's interval, and how far two shortlists agree."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

_Z = 1.959963984540054  # of 95 %


class Precision(NamedTuple):
    """How many of the first k are right.

    Attributes:
      k: hits looked at.
      right, judged: of these k.
      share, low, high: right / judged and Wilson's 95 % interval; None where nothing is judged.
    """

    k: int
    right: int
    judged: int
    share: float | None
    low: float | None
    high: float | None


def precision_at(hits: Sequence[int], marks: Mapping[int, bool], k: int) -> Precision:
    """Precision of the first k of `hits`, judged by `marks` (hit -> True or False)."""
    judgements = [marks[hit] for hit in hits[:k] if hit in marks]
    return _precision(min(k, len(hits)), sum(judgements), len(judgements))


def pooled(precisions: Sequence[Precision]) -> Precision:
    """The precision of several queries' hits taken together. Hits of one query resemble each other: the interval is then too narrow."""
    return _precision(max((one.k for one in precisions), default=0), sum(one.right for one in precisions), sum(one.judged for one in precisions))


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


def _precision(k, right, judged):
    if not judged:
        return Precision(k, 0, 0, None, None, None)
    return Precision(k, right, judged, right / judged, *wilson_interval(right, judged))
