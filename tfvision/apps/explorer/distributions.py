"""Distributions of similarities: histograms, and how far two distributions are from each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def common_edges(samples: Sequence[np.ndarray], bins: int) -> np.ndarray:
    """Edges float64 [bins + 1] of equal bins that hold every value of all samples."""
    filled = [sample for sample in samples if len(sample)]
    low, high = (min(map(np.min, filled)), max(map(np.max, filled))) if filled else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(float(low), float(high), bins + 1)


def histogram(sample: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Counts int64 [bins] of a sample in equal bins; what lies outside counts in the outermost."""
    return np.histogram(np.clip(sample, edges[0], edges[-1]), edges)[0]


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """The largest vertical distance between the empirical distribution functions of two samples, 0 to 1."""
    _, below_a, below_b = widest_gap(a, b)
    return abs(below_a - below_b)


def widest_gap(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Where the empirical distribution functions of two samples are farthest apart: (value, share of a up to it, share of b)."""
    if not len(a) or not len(b):
        return float("nan"), float("nan"), float("nan")
    a, b = np.sort(a), np.sort(b)
    steps = np.concatenate([a, b])
    below = [np.searchsorted(sample, steps, side="right") / len(sample) for sample in (a, b)]
    widest = int(np.abs(below[0] - below[1]).argmax())
    return float(steps[widest]), float(below[0][widest]), float(below[1][widest])


def jensen_shannon(counts_a: np.ndarray, counts_b: np.ndarray) -> float:
    """The Jensen-Shannon distance of two histograms over the same bins: the root of the divergence in bits, 0 to 1."""
    if not counts_a.sum() or not counts_b.sum():
        return float("nan")
    p, q = (counts / counts.sum() for counts in (counts_a, counts_b))
    middle = (p + q) / 2
    return float(np.sqrt(max(0.0, (_divergence(p, middle) + _divergence(q, middle)) / 2)))


def best_guess(counts_a: np.ndarray, counts_b: np.ndarray) -> float:
    """How often who is told a bin says rightly of which of two histograms it is, both being as likely: 0.5 to 1."""
    p, q = (counts / counts.sum() for counts in (counts_a, counts_b))
    return float(np.maximum(p, q).sum() / 2)


def summary(sample: np.ndarray) -> dict[str, Any]:
    """{"count", "mean", "deviation", "low", "high", "median"} of a sample; None where there is nothing to say."""
    if not len(sample):
        return {"count": 0, "mean": None, "deviation": None, "low": None, "high": None, "median": None}
    mean, deviation = float(np.mean(sample, dtype=np.float64)), float(np.std(sample, dtype=np.float64))
    low, high, median = (float(value) for value in (np.min(sample), np.max(sample), np.median(sample)))
    return {"count": len(sample), "mean": mean, "deviation": deviation, "low": low, "high": high, "median": median}


def _divergence(p, q):
    """Kullback-Leibler, in bits."""
    there = p > 0
    return np.sum(p[there] * np.log2(p[there] / q[there]))
