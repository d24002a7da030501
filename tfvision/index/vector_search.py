"""Search in a gallery: exact or approximate by its size, filtered, with query expansion and re-ranking."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfvision.errors import DataError, RecipeError
from tfvision.index import flat
from tfvision.index.approximate import METHODS as APPROXIMATE_METHODS
from tfvision.index.expansion import expand_queries
from tfvision.index.gallery import Gallery, rows_where
from tfvision.index.reranking import k_reciprocal

METHODS = ("auto", "exact", *APPROXIMATE_METHODS)
_RERANKED = 100  # candidates that are re-ranked


class Hit(NamedTuple):
    """A picture that was found: the larger its score the more alike (the inner product, unless re-ranked)."""

    id: str
    image: str
    score: float
    metadata: dict[str, Any]


def search(
    gallery: Gallery,
    queries: np.ndarray,
    k: int = 10,
    where: str | Sequence[str] | None = None,
    method: str = "auto",
    expansion: int = 0,
    rerank: bool = False,
) -> list[list[Hit]]:
    """The pictures most like each query.

    Args:
      queries: float32 [q, dimension], made by the gallery's recipe.
      k: hits a query; fewer where the gallery (or what `where` leaves) has fewer.
      where: conditions on the metadata, e.g. ["species=Vanessa atalanta", "year>=2015"] (filters.matching).
      method: "auto" (by size), "exact", "hnsw" or "ivfpq".
      expansion: so many hits of a first search sharpen the query (alpha-QE); 0 = none.
      rerank: whether the best hundred are ordered anew by their common neighbours; scores are then 1 - the distance.

    Returns:
      The hits of each query, best first.

    Raises:
      DataError: queries of another dimension or not finite, k below 1, an unknown column.
      RecipeError: an unknown method.
    """
    queries = _checked(gallery, queries, k, method)
    mask = rows_where(gallery, where) if where else None
    available = len(gallery) if mask is None else int(mask.sum())

    def find(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return gallery.nearest(queries, min(k, available), mask, method)

    if available and expansion:
        rows, scores = find(queries, expansion)
        queries = expand_queries(queries, gallery.vectors_of_rows(rows), scores)
    rows, scores = find(queries, max(k, _RERANKED) if rerank else k) if available else (np.zeros((len(queries), 0), np.int64),) * 2
    if available and rerank:
        rows, scores = _reranked(gallery, queries, rows)
    return [_hits(gallery, *found) for found in zip(rows[:, :k], scores[:, :k], strict=True)]


def _checked(gallery: Gallery, queries: np.ndarray, k: int, method: str) -> np.ndarray:
    queries = np.ascontiguousarray(queries, np.float32)
    if method not in METHODS:
        raise RecipeError(f"the method of search must be one of {', '.join(METHODS)}, got {method!r}")
    if k < 1:
        raise DataError(f"k must be at least 1, got {k}")
    if queries.ndim != 2 or queries.shape[1] != gallery.dimension:
        raise DataError(f"{gallery.location} holds vectors of {gallery.dimension} values, got queries of shape {list(queries.shape)}")
    if not np.isfinite(queries).all():
        raise DataError("a query's vector is not finite (NaN or infinite)")
    return queries


def _reranked(gallery: Gallery, queries: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    own = gallery.vectors_of_rows(rows)
    distances = np.stack([k_reciprocal(query[None], vectors)[0] for query, vectors in zip(queries, own, strict=True)])
    return flat.best(rows, 1 - distances, rows.shape[1])


def _hits(gallery: Gallery, rows: np.ndarray, scores: np.ndarray) -> list[Hit]:
    found = [(row, score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True) if row >= 0]
    return [Hit(gallery.id_of_row(row), gallery.image_of_row(row), score, gallery.metadata_of_row(row)) for row, score in found]
