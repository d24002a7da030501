"""PCA whitening, fitted on a gallery.

Source: Jegou and Chum, "Negative evidences and co-occurrences in image retrieval: the benefit of PCA and whitening",
section 3. The shrinkage is ours: a gallery has often fewer photos than its vectors have values, and then the least
directions are noise, which whitening would blow up.
"""

import dataclasses

import numpy as np

from tfvision.errors import DataError

SHRINKAGE = 0.5


@dataclasses.dataclass(frozen=True)
class Whitening:
    """vectors -> (vectors - mean) @ projection, L2-normalised.

    Attributes:
      mean: float32 [d].
      projection: float32 [d, out].
    """

    mean: np.ndarray
    projection: np.ndarray

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """float32 [n, d] -> float32 [n, out], L2-normalised.

        Raises:
          DataError: vectors of another width.
        """
        if vectors.shape[-1] != len(self.mean):
            raise DataError(f"the whitening is of vectors of {len(self.mean)} values, got {vectors.shape[-1]}")
        whitened = (vectors - self.mean) @ self.projection
        return whitened / np.maximum(np.linalg.norm(whitened, axis=1, keepdims=True), 1e-12)


def fit_whitening(vectors: np.ndarray, dimension: int | None = None, shrinkage: float = SHRINKAGE) -> Whitening:
    """Fits a whitening on the vectors of a gallery.

    Args:
      vectors: float32 [n, d].
      dimension: values of a whitened vector; None = as many as the vectors can tell apart, min(n - 1, d).
      shrinkage: share of the mean variance in each direction's, 0 to 1: 0 = directions of unlike variance become alike,
        1 = their proportions are kept (PCA alone).

    Raises:
      DataError: fewer than two vectors, values that are not finite, all vectors alike, or too many dimensions asked for.
    """
    if not 0 <= shrinkage <= 1:
        raise DataError(f"shrinkage must lie between 0 and 1, got {shrinkage}")
    if len(vectors) < 2:
        raise DataError(f"a whitening is fitted on two vectors at least, got {len(vectors)}")
    if not np.isfinite(vectors).all():
        raise DataError("a whitening is fitted on finite vectors: some hold values that are not numbers")
    most = min(len(vectors) - 1, vectors.shape[1])
    dimension = most if dimension is None else dimension
    if not 1 <= dimension <= most:
        raise DataError(f"{len(vectors)} vectors of {vectors.shape[1]} values can be whitened to 1 to {most} dimensions, got {dimension}")
    mean = vectors.mean(axis=0, dtype=np.float64)
    variances, directions = _principal_directions(vectors - mean, dimension)
    if not variances[0] > 0:
        raise DataError("a whitening is fitted on vectors that differ: these are all alike")
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.mean()
    is_seen = variances > 1e-10 * variances[0]  # else rounding errors would be blown up
    projection = np.where(is_seen, directions, 0) / np.sqrt(np.where(is_seen, shrunk, 1))
    return Whitening(mean.astype(np.float32), projection.astype(np.float32))


def fit_symmetric_whitening(vectors: np.ndarray, shrinkage: float = SHRINKAGE) -> Whitening:
    """Fits a whitening that turns nothing and keeps all directions, also those in which these vectors do not differ and others may.

    Args:
      vectors: float32 [n, d].
      shrinkage: share of the mean variance of all d directions in each direction's, above 0, at most 1 (only centred).

    Raises:
      DataError: all vectors are alike, or fewer than two.
    """
    if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():
        raise DataError(f"a whitening is fitted on vectors that differ: {'these are all alike' if len(vectors) > 1 else 'there is but one'}")
    count, width = vectors.shape
    mean = vectors.mean(axis=0, dtype=np.float64)
    variances, directions = _principal_directions(vectors - mean, min(count - 1, width))
    variances = np.maximum(variances, 0)
    floor = shrinkage * variances.sum() / width
    gains = 1 / np.sqrt((1 - shrinkage) * variances + floor)
    rest = 1 / np.sqrt(floor)
    projection = rest * np.eye(width) + (directions * (gains - rest)) @ directions.T
    return Whitening(mean.astype(np.float32), projection.astype(np.float32))


def _principal_directions(centred: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Variances [dimension], largest first, and directions [d, dimension], by the smaller of the two products."""
    count, width = centred.shape
    if count >= width:
        variances, directions = np.linalg.eigh(centred.T @ centred / (count - 1))
    else:
        variances, left = np.linalg.eigh(centred @ centred.T / (count - 1))
        directions = centred.T @ left / np.sqrt(np.maximum(variances, 1e-30) * (count - 1))
    order = np.argsort(-variances)[:dimension]
    return variances[order], directions[:, order]
