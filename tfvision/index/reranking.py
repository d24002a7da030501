"""k-reciprocal re-ranking: two pictures are alike where their neighbours are. Plain NumPy on arrays."""

import numpy as np


def k_reciprocal(queries: np.ndarray, vectors: np.ndarray, k1: int = 20, k2: int = 6, original_weight: float = 0.3) -> np.ndarray:
    """Re-ranking with k-reciprocal encoding (Zhong et al., CVPR 2017), over queries and vectors together.

    Args:
      queries: float32 [q, dimension].
      vectors: float32 [n, dimension]; all queries and vectors are compared, (q + n)^2 numbers are held.
      k1: neighbours that must be mutual; k2: neighbours over which encodings are averaged (section 3.3).
      original_weight: lambda of eq. 12, the share of the original distance.

    Returns:
      float32 [q, n]: final distances, 0 to 1, small for the best.
    """
    every = np.concatenate([queries, vectors])
    original = _distances(every)
    ranking = np.argsort(original, axis=1, kind="stable")
    encoding = _encoding(original, ranking, k1)
    averaged = min(k2, len(every)) if k2 > 1 else 1
    encoding = sum(encoding[ranking[:, rank]] for rank in range(averaged)) / averaged  # local query expansion, eq. 11
    jaccard = np.stack([_jaccard(encoding[query], encoding) for query in range(len(queries))])
    final = (1 - original_weight) * jaccard + original_weight * original[: len(queries)]
    return final[:, len(queries) :].astype(np.float32)


def _distances(vectors: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [n, n], each row divided by its largest as the authors' code does."""
    squares = np.einsum("nd,nd->n", vectors, vectors)
    distances = np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0)
    np.fill_diagonal(distances, 0)
    return distances / np.maximum(distances.max(axis=1, keepdims=True), 1e-12)


def _encoding(original: np.ndarray, ranking: np.ndarray, k1: int) -> np.ndarray:
    """The k-reciprocal feature of each row, [n, n]: Gaussian weights on its expanded set (eq. 4 and 7), of sum 1."""
    sets = _reciprocal_sets(ranking, k1)
    halves = _reciprocal_sets(ranking, round(k1 / 2))
    encoding = np.zeros_like(original)
    for row, own in enumerate(sets):
        expanded = [halves[other] for other in own if len(np.intersect1d(halves[other], own)) > 2 / 3 * len(halves[other])]
        members = np.unique(np.concatenate([own, *expanded]))
        weights = np.exp(-original[row, members])
        encoding[row, members] = weights / weights.sum()
    return encoding


def _reciprocal_sets(ranking: np.ndarray, k: int) -> list[np.ndarray]:
    """For each row those of its k nearest (and itself) that have it among theirs (eq. 1)."""
    near = np.zeros(ranking.shape, bool)
    np.put_along_axis(near, ranking[:, : k + 1], True, axis=1)
    np.fill_diagonal(near, True)  # also among more than k twins
    return [np.flatnonzero(row) for row in near & near.T]


def _jaccard(query: np.ndarray, encodings: np.ndarray) -> np.ndarray:
    """Jaccard distances [n] of fuzzy sets of sum 1 (eq. 10): 1 - the sum of minima / the sum of maxima."""
    members = np.flatnonzero(query)
    least = np.minimum(query[members], encodings[:, members]).sum(axis=1)
    return 1 - least / (2 - least)
