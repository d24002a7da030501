"""Approximate search: an HNSW graph or IVF-PQ lists propose candidates, which are scored exactly on the vectors themselves.

An index knows how often it is right: recall@10 is measured when it is built, on vectors of the gallery, each taken as a
query and itself left out. One half of them sets the effort that is needed, the other half gives the figure that is shown.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from tfvision.errors import RecipeError
from tfvision.index import flat

RECALL_AT = 10
TARGET_RECALL = 0.97  # above the 0.95 that we promise: the measured half is small
_EFFORTS = (16, 32, 64, 128, 256, 512, 1024)  # HNSW: width of the search; IVF-PQ: lists read
_QUERIES = 512  # of the measurement, both halves
_TRAINING_VECTORS_PER_LIST = 64
_NEIGHBOURS = 32  # of a node of the graph
_CANDIDATES = {"hnsw": (5, 20), "ivfpq": (10, 30, 100)}  # a hit: 8 bits a value mistake little, one bit more


class ApproximateIndex:
    """A FAISS index over the first rows of a gallery.

    Attributes:
      facts: {"method", "rows", "candidates" a hit, "effort", "recall", "recall_at", "seconds"}.
    """

    def __init__(self, index: Any, facts: dict[str, Any]) -> None:
        self._index, self.facts = index, facts

    @property
    def rows(self) -> int:
        """How many vectors it covers."""
        return self.facts["rows"]

    def nearest(self, vectors: np.ndarray, queries: np.ndarray, k: int, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """As flat.nearest over vectors [rows, dimension], approximately; at least a twentieth of them should be in the mask."""
        share, selector = (1.0, None) if mask is None else (max(mask.mean(), 1e-6), flat.bitmap(mask))
        count = min(self.rows, self.facts["candidates"] * k)
        parameters = self._parameters(int(self.facts["effort"] / share), count, selector)
        _, rows = self._index.search(np.ascontiguousarray(queries, np.float32), count, params=parameters)
        return flat.best(rows, flat.scores_of(vectors, queries, rows), k)

    def _parameters(self, effort: int, count: int, selector: Any) -> Any:
        faiss = flat.load_faiss()
        if self.facts["method"] == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=max(effort, count), sel=selector)
        return faiss.SearchParametersIVF(nprobe=min(effort, self._index.nlist), sel=selector)

    def write(self, path: Path) -> None:
        """Writes FAISS's own format."""
        flat.load_faiss().write_index(self._index, str(path))

    @classmethod
    def read(cls, path: Path, facts: dict[str, Any]) -> Self:
        """What `write` wrote."""
        return cls(flat.load_faiss().read_index(str(path)), facts)


def build_index(vectors: np.ndarray, method: str, seed: int = 0) -> ApproximateIndex:
    """An ApproximateIndex over vectors float32 [n, dimension].

    Args:
      method: "hnsw" (a graph over vectors of 8 bits a value: quick and exact, builds slowly) or "ivfpq" (lists of
        vectors of one bit a value: small, builds quickly).
    """
    started = time.monotonic()
    if method not in _BUILDERS:
        raise RecipeError(f"the method of search must be exact, {', '.join(_BUILDERS)} or auto, got {method!r}")
    random = np.random.default_rng(seed)
    index = ApproximateIndex(_BUILDERS[method](vectors, random), {"method": method, "rows": len(vectors)})
    _tune(index, vectors, random)
    index.facts["seconds"] = round(time.monotonic() - started, 1)
    return index


def _build_hnsw(vectors: np.ndarray, random: np.random.Generator) -> Any:
    faiss = flat.load_faiss()
    index = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 80
    index.train(_sample(vectors, 50_000, random))
    _add_all(index, vectors)
    return index


def _build_ivfpq(vectors: np.ndarray, random: np.random.Generator) -> Any:
    faiss = flat.load_faiss()
    dimension = vectors.shape[1]
    lists = 2 ** round(np.log2(2 * np.sqrt(len(vectors))))
    parts = next(parts for parts in range(max(1, dimension // 4), 0, -1) if dimension % parts == 0)
    index = faiss.index_factory(dimension, f"IVF{lists},PQ{parts}x4fs", faiss.METRIC_INNER_PRODUCT)
    index.train(_sample(vectors, _TRAINING_VECTORS_PER_LIST * lists, random))
    _add_all(index, vectors)
    return index


_BUILDERS: dict[str, Callable[[np.ndarray, np.random.Generator], Any]] = {"hnsw": _build_hnsw, "ivfpq": _build_ivfpq}
METHODS = tuple(_BUILDERS)


def _add_all(index: Any, vectors: np.ndarray, chunk: int = 65_536) -> None:
    for start in range(0, len(vectors), chunk):
        index.add(np.asarray(vectors[start : start + chunk]))


def _sample(vectors: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    return vectors[np.sort(random.choice(len(vectors), min(count, len(vectors)), replace=False))]


def _tune(index: ApproximateIndex, vectors: np.ndarray, random: np.random.Generator) -> None:
    """Sets the least candidates and effort that reach the target, and the recall that they have on other queries."""
    own = np.sort(random.choice(len(vectors), min(_QUERIES, len(vectors)), replace=False))
    truth = _without_own(own, *flat.nearest(vectors, vectors[own], RECALL_AT + 1))
    tuning, unseen = slice(0, None, 2), slice(1, None, 2)

    def recall(part: slice) -> float:
        found = index.nearest(vectors, vectors[own[part]], RECALL_AT + 1)
        return recall_at(_without_own(own[part], *found), truth[part])

    for candidates, effort in itertools.product(_CANDIDATES[index.facts["method"]], _EFFORTS):
        index.facts.update(candidates=candidates, effort=effort)
        if recall(tuning) >= TARGET_RECALL:
            break
    index.facts.update(recall=round(recall(unseen), 4), recall_at=RECALL_AT)


def recall_at(found: np.ndarray, truth: np.ndarray) -> float:
    """The share of exact answers that were found; ties count by score, so that twins are no mistakes.

    Args:
      found, truth: scores float32 [q, k] in descending order, approximate and exact.
    """
    return float((found >= truth[:, -1:] - 1e-6).mean())


def _without_own(own: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Scores [q, k] of rows [q, k + 1] without the query's own row, or without the last."""
    is_own = rows == own[:, None]
    is_own[~is_own.any(axis=1), -1] = True
    return scores[~is_own].reshape(len(rows), -1)
