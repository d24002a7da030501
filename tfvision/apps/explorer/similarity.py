"""Similarities of one query to a whole collection, and of random pairs: NumPy, in chunks, on memory-mapped vectors."""

import numpy as np

_CHUNK_ROWS = 16_384
_CHUNK_PAIRS = 4_096


def similarities(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The inner product of a query, or of several, with every vector.

    Args:
      vectors: float32 [n, dimension], memory-mapped or not.
      query: float32 [dimension], or [dimension, queries].

    Returns:
      float32 [n], or [n, queries].
    """
    query = np.asarray(query, np.float32)
    found = np.empty((len(vectors), *query.shape[1:]), np.float32)
    for start in range(0, len(vectors), _CHUNK_ROWS):
        np.dot(np.asarray(vectors[start : start + _CHUNK_ROWS]), query, out=found[start : start + _CHUNK_ROWS])
    return found


def random_pair_similarities(vectors: np.ndarray, pairs: int, seed: int = 0) -> np.ndarray:
    """Inner products of random pairs of different vectors, drawn with replacement: float32 [pairs]; empty below two vectors."""
    if len(vectors) < 2:
        return np.zeros(0, np.float32)
    random = np.random.default_rng(seed)
    first = random.integers(0, len(vectors), pairs)
    second = (first + random.integers(1, len(vectors), pairs)) % len(vectors)
    parts = (slice(start, start + _CHUNK_PAIRS) for start in range(0, pairs, _CHUNK_PAIRS))
    return np.concatenate([np.einsum("nd,nd->n", vectors[first[part]], vectors[second[part]]) for part in parts]).astype(np.float32)


def nearest(scores: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k highest scores, best first, the lower position where two are equal; NaN is never among them."""
    known = np.flatnonzero(~np.isnan(scores))
    k = min(k, len(known))
    if not k:
        return known[:0]
    values = scores[known]
    if k < len(known):
        least = np.partition(values, len(values) - k)[len(values) - k]
        known, values = known[values >= least], values[values >= least]
    return known[np.argsort(-values, kind="stable")][:k]


def ordered(scores: np.ndarray) -> np.ndarray:
    """The known scores in ascending order."""
    return np.sort(scores[~np.isnan(scores)])


def within(scores: np.ndarray, low: float, high: float, limit: int, is_lowest_first: bool = False) -> tuple[np.ndarray, int]:
    """Positions whose score lies in [low, high], in order of the score, and how many there are in all."""
    found = np.flatnonzero((scores >= low) & (scores <= high))
    order = np.argsort(scores[found] if is_lowest_first else -scores[found], kind="stable")
    return found[order][:limit], len(found)


def shares_below_hits(scores: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """For each of the first hits the share of all known scores that is lower, 0 to 1, without sorting them all."""
    if not len(hits):
        return np.zeros(0)
    rivals = np.sort(scores[scores >= scores[hits[-1]]])  # NaN is not among them
    known = len(scores) - np.count_nonzero(np.isnan(scores))
    return (known - len(rivals) + np.searchsorted(rivals, scores[hits], side="left")) / known


def shares_below(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """For each value the share of `ordered` (ascending) that is lower, 0 to 1: its percentile / 100."""
    return np.searchsorted(ordered, values, side="left") / max(1, len(ordered))
