"""Exact search: every vector is compared, by FAISS, on memory-mapped vectors without a copy of them."""

import importlib
from typing import Any

import numpy as np


def nearest(vectors: np.ndarray, queries: np.ndarray, k: int, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The k vectors of largest inner product.

    Args:
      vectors: float32 [n, dimension], C-contiguous.
      queries: float32 [q, dimension].
      mask: bool [n], the vectors that may be found; None = all.

    Returns:
      rows int64 [q, k] in descending order of scores float32 [q, k]; -1 and -inf where there are no more.
    """
    faiss = load_faiss()
    queries, vectors = np.ascontiguousarray(queries, np.float32), np.asarray(vectors)
    rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
    if len(vectors) and len(queries):
        selector = None if mask is None else bitmap(mask)
        pointers = [faiss.swig_ptr(array) for array in (queries, vectors, scores, rows)]
        faiss.knn_inner_product(*pointers[:2], vectors.shape[1], len(queries), len(vectors), k, *pointers[2:], selector)
    scores[rows < 0] = -np.inf
    return rows, scores


def scores_of(vectors: np.ndarray, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Inner products float32 [q, c] of each query with its own rows int64 [q, c]; -inf where a row is -1."""
    faiss = load_faiss()
    queries, vectors = np.ascontiguousarray(queries, np.float32), np.asarray(vectors)
    rows, scores = np.ascontiguousarray(rows, np.int64), np.empty(rows.shape, np.float32)
    pointers = [faiss.swig_ptr(array) for array in (scores, queries, vectors, rows)]
    faiss.fvec_inner_products_by_idx(*pointers, vectors.shape[1], *rows.shape)
    return scores


def best(rows: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of rows [q, c] by scores [q, c], in descending order."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def bitmap(mask: np.ndarray) -> Any:
    """FAISS's selector of the rows where bool [n] is true."""
    return load_faiss().IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def load_faiss() -> Any:
    """FAISS, loaded when it is needed: it takes a while, and brings threads of its own. Untyped: its stubs know less than it has."""
    return importlib.import_module("faiss")
