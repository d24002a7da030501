"""The collection in two dimensions by principal components, in chunks, on memory-mapped vectors."""

import numpy as np

_CHUNK_ROWS = 16_384
_FITTED_ROWS = 20_000
_DIRECTIONS = 8  # more than the two that are wanted: the iteration finds them sooner
_ITERATIONS = 12


def principal_plane(vectors: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates on the two directions of largest variance, found by subspace iteration on up to 20,000 vectors.

    Args:
      vectors: float32 [n, dimension].

    Returns:
      (coordinates float32 [n, 2], shares of the variance float64 [2]).
    """
    if len(vectors) < 2:
        return np.zeros((len(vectors), 2), np.float32), np.zeros(2)
    random = np.random.default_rng(seed)
    rows = np.sort(random.choice(len(vectors), min(len(vectors), _FITTED_ROWS), replace=False))
    sample = np.asarray(vectors[rows], np.float32)
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    sample -= mean
    directions = random.standard_normal((vectors.shape[1], min(_DIRECTIONS, vectors.shape[1])), np.float32)
    for _ in range(_ITERATIONS):
        directions = np.linalg.qr(sample.T @ (sample @ directions))[0]
    _, strengths, rotation = np.linalg.svd(sample @ directions, full_matrices=False)
    plane = _two_columns((directions @ rotation.T)[:, :2])
    total = max(float(np.square(sample, dtype=np.float64).sum()), 1e-12)
    shares = np.pad(np.square(strengths[:2], dtype=np.float64) / total, (0, max(0, 2 - len(strengths))))
    parts = (np.asarray(vectors[start : start + _CHUNK_ROWS]) - mean for start in range(0, len(vectors), _CHUNK_ROWS))
    return np.concatenate([part @ plane for part in parts]), shares


def _two_columns(plane):
    """The same direction whatever the machine: the largest value of each is positive."""
    plane = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1]))) if plane.shape[1] < 2 else plane
    signs = np.sign(plane[np.abs(plane).argmax(axis=0), np.arange(2)])
    return plane * np.where(signs == 0, 1, signs)
