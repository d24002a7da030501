"""Exact search: every vector is compared, by FAISS, on memory-mapped vectors without a copy of them."""

import numpy as np


def nearest(vectors, queries, k, mask=None):
    """The k vectors of largest inner product.

    Args:
      vectors: float32 [n, dimension], C-contiguous.
      queries: float32 [q, dimension].
      mask: bool [n], the vectors that may be answered; None = all.

    Returns:
      rows int64 [q, k] in descending order of scores float32 [q, k]; -1 and -inf where there are no more.
    """
    import faiss  # here: it takes a while, and brings threads of its own

    queries, vectors = np.ascontiguousarray(queries, np.float32), np.asarray(vectors)
    rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
    if len(vectors) and len(queries):
        selector = None if mask is None else bitmap(mask)
        pointers = [faiss.swig_ptr(array) for array in (queries, vectors, scores, rows)]
        faiss.knn_inner_product(*pointers[:2], vectors.shape[1], len(queries), len(vectors), k, *pointers[2:], selector)
    scores[rows < 0] = -np.inf
    return rows, scores


def scores_of(vectors, queries, rows):
    """Inner products float32 [q, c] of each query with its own rows int64 [q, c]; -inf where a row is -1."""
    import faiss

    queries, vectors = np.ascontiguousarray(queries, np.float32), np.asarray(vectors)
    rows, scores = np.ascontiguousarray(rows, np.int64), np.empty(rows.shape, np.float32)
    pointers = [faiss.swig_ptr(array) for array in (scores, queries, vectors, rows)]
    faiss.fvec_inner_products_by_idx(*pointers, vectors.shape[1], *rows.shape)
    return scores


def best(rows, scores, k):
    """The k best of rows [q, c] by scores [q, c], in descending order."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def bitmap(mask):
    """FAISS's selector of the rows where bool [n] is true."""
    import faiss

    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
