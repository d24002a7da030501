"""Query expansion and database-side augmentation: a vector is joined by its neighbours. Plain NumPy on arrays."""

import numpy as np


def expand_queries(queries: np.ndarray, neighbours: np.ndarray, similarities: np.ndarray, alpha: float = 3.0) -> np.ndarray:
    """Average query expansion, weighted by similarity: alpha-QE (Radenovic et al., 2018, section 4.3).

    Args:
      queries: float32 [q, dimension], L2-normalised.
      neighbours: float32 [q, n, dimension], the best hits of each.
      similarities: float32 [q, n], their inner products with the query; what is not above 0 (none found) has no weight.
      alpha: the exponent of the weights; 0 is AQE, the plain mean (Chum et al., 2007).

    Returns:
      float32 [q, dimension], L2-normalised.
    """
    weights = np.where(similarities > 0, np.maximum(similarities, 0) ** alpha, 0)
    return normalised(queries + np.einsum("qn,qnd->qd", weights, neighbours))


def augment_database(vectors: np.ndarray, count: int, alpha: float = 3.0, chunk: int = 1024) -> np.ndarray:
    """Database-side augmentation: every vector is expanded by its `count` nearest others (Turcot and Lowe, 2009).

    Args:
      vectors: float32 [n, dimension], L2-normalised.

    Returns:
      float32 [n, dimension], L2-normalised, in memory; n x chunk similarities are held at a time.
    """
    vectors, count = np.asarray(vectors), min(count, len(vectors) - 1)
    parts = []
    for start in range(0, len(vectors), chunk):
        queries = vectors[start : start + chunk]
        similarities = queries @ vectors.T
        similarities[np.arange(len(queries)), start + np.arange(len(queries))] = -np.inf  # itself
        own = np.argpartition(-similarities, max(count - 1, 0), axis=1)[:, :count]
        parts.append(expand_queries(queries, vectors[own], np.take_along_axis(similarities, own, axis=1), alpha))
    return np.concatenate(parts)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1 along the last axis; zeros stay."""
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)).astype(np.float32)
