"""Search in a gallery: exact or approximate by its size, filtered, with query expansion and re-ranking."""

import typing
import zlib

import numpy as np

from tfvision.errors import DataError, FileError, RecipeError, StorageError
from tfvision.files import atomic_path, read_json, write_json
from tfvision.index import flat
from tfvision.index.approximate import ApproximateIndex, build_index
from tfvision.index.expansion import expand_queries
from tfvision.index.reranking import k_reciprocal

METHODS = ("auto", "exact", "hnsw", "ivfpq")
_HNSW_FROM, _IVFPQ_FROM = 50_000, 200_000  # rows; below, the exact search takes milliseconds
_LARGEST_EXACT_K = 100  # above, the exact search answers: the recall was measured for few answers
_LEAST_SHARE_FILTERED = 0.05  # of the rows; where a filter leaves less, comparing all of them is quicker
_LARGEST_TAIL = 0.2  # of the rows: as many may be added before an index is built anew
_RERANKED = 100  # candidates that are re-ranked


class Hit(typing.NamedTuple):
    """A picture that was found: the larger its score the more alike (the inner product, unless re-ranked)."""

    id: str
    image: str
    score: float
    metadata: dict


def search(gallery, queries, k=10, where=None, method="auto", expansion=0, rerank=False):
    """The pictures most like each query.

    Args:
      gallery: an open Gallery or MilvusGallery.
      queries: float32 [q, dimension], made by the gallery's recipe.
      k: answers a query; fewer where the gallery (or what `where` leaves) has fewer.
      where: conditions on the metadata, e.g. ["species=Vanessa atalanta", "year>=2015"] (filters.matching).
      method: "auto" (by size), "exact", "hnsw" or "ivfpq".
      expansion: so many answers of a first search sharpen the query (alpha-QE); 0 = none.
      rerank: whether the best hundred are ordered anew by their common neighbours; scores are then 1 - the distance.

    Returns:
      A list of Hit for each query, best first.

    Raises:
      DataError: queries of another dimension or not finite, k below 1, an unknown column.
      RecipeError: an unknown method.
    """
    queries = _checked(gallery, queries, k, method)
    mask = gallery.mask_where(where)
    available = len(gallery) if mask is None else int(mask.sum())
    find = lambda queries, k: gallery.nearest(queries, min(k, available), mask, method)
    if available and expansion:
        rows, scores = find(queries, expansion)
        queries = expand_queries(queries, gallery.vectors_of_rows(rows), scores)
    rows, scores = find(queries, max(k, _RERANKED) if rerank else k) if available else (np.zeros((len(queries), 0), np.int64),) * 2
    if available and rerank:
        rows, scores = _reranked(gallery, queries, rows)
    return [_hits(gallery, *answer) for answer in zip(rows[:, :k], scores[:, :k], strict=True)]


def nearest(gallery, queries, k, mask=None, method="auto"):
    """The rows of a Gallery of largest inner product.

    Args:
      mask: bool [rows], which may be answered; None = all.

    Returns:
      rows int64 [q, k] and scores float32 [q, k], best first; -1 and -inf where an approximate search finds fewer.
    """
    vectors = gallery.row_vectors
    method = chosen_method(len(vectors)) if method == "auto" else method
    is_few = mask is not None and mask.mean() < _LEAST_SHARE_FILTERED
    if method == "exact" or k > _LARGEST_EXACT_K or is_few:
        return flat.nearest(vectors, queries, k, mask)
    index = open_index(gallery, method)
    masks = (None, None) if mask is None else (mask[: index.rows], mask[index.rows :])
    found = index.nearest(vectors[: index.rows], queries, k, masks[0])
    if index.rows == len(vectors):
        return found
    rows, scores = flat.nearest(vectors[index.rows :], queries, k, masks[1])  # added since the index was built
    rows = np.where(rows < 0, -1, rows + index.rows)
    return flat.best(np.concatenate([found[0], rows], axis=1), np.concatenate([found[1], scores], axis=1), k)


def chosen_method(rows):
    """ "exact", "hnsw" or "ivfpq", by the number of vectors."""
    return "exact" if rows < _HNSW_FROM else "hnsw" if rows < _IVFPQ_FROM else "ivfpq"


def open_index(gallery, method):
    """The ApproximateIndex of a gallery: read from beside its vectors, or built and written there if it is missing or stale.

    An index covers the rows that there were when it was built; rows added later are compared exactly until they are a
    fifth of all.
    """
    index = gallery.derived.get(method) or _read_index(gallery.data_folder, method)
    if index is None or index.rows < (1 - _LARGEST_TAIL) * len(gallery.row_vectors):
        index = build_index(gallery.row_vectors, method)
        _write_index(gallery.data_folder, index)
    gallery.derived[method] = index
    return index


def index_facts(gallery):
    """The facts of each index on disk: [{"method", "rows", "recall", ...}]."""
    found = [_read_facts(gallery.data_folder, method) for method in METHODS[2:]]
    return [{key: value for key, value in facts.items() if key not in ("file", "crc32")} for facts in found if facts]


def _checked(gallery, queries, k, method):
    queries = np.ascontiguousarray(queries, np.float32)
    if method not in METHODS:
        raise RecipeError(f"the method of search must be one of {', '.join(METHODS)}, got {method!r}")
    if k < 1:
        raise DataError(f"k must be at least 1, got {k}")
    if queries.ndim != 2 or queries.shape[1] != gallery.dimension:
        raise DataError(f"{gallery.folder} holds vectors of {gallery.dimension} values, got queries of shape {list(queries.shape)}")
    if not np.isfinite(queries).all():
        raise DataError("a query's vector is not finite (NaN or infinite)")
    return queries


def _reranked(gallery, queries, rows):
    own = gallery.vectors_of_rows(rows)
    distances = np.stack([k_reciprocal(query[None], vectors)[0] for query, vectors in zip(queries, own, strict=True)])
    return flat.best(rows, 1 - distances, rows.shape[1])


def _hits(gallery, rows, scores):
    found = [(row, score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True) if row >= 0]
    return [Hit(gallery.id_of_row(row), gallery.image_of_row(row), score, gallery.metadata_of_row(row)) for row, score in found]


def _write_index(folder, index):
    """Writes the index under a name of its own, then the facts that name it; what was there is removed last."""
    if not folder.exists():  # a writer has replaced the files since this gallery was opened
        return
    method = index.facts["method"]
    name = f"{method}-{index.rows}.faiss"
    try:
        with atomic_path(folder / name) as temporary:
            index.write(temporary)
        write_json(folder / f"{method}.json", {**index.facts, "file": name, "crc32": _checksum(folder / name)})
    except StorageError:
        return  # a full disk, or a reader's: the index serves from memory, and the next search builds it again
    for old in folder.glob(f"{method}-*.faiss"):
        if old.name != name:
            old.unlink(missing_ok=True)


def _read_index(folder, method):
    facts = _read_facts(folder, method)
    if facts is None or _checksum(folder / facts.pop("file")) != facts.pop("crc32"):
        return None
    return ApproximateIndex.read(folder / f"{method}-{facts['rows']}.faiss", facts)


def _read_facts(folder, method):
    """The facts written beside an index; None where it is missing. Damage is no error: an index can be built again."""
    try:
        facts = read_json(folder / f"{method}.json")
        return facts if (folder / facts["file"]).is_file() else None
    except (FileError, KeyError, TypeError):
        return None


def _checksum(path):
    total = 0
    with open(path, "rb") as file:
        while block := file.read(2**24):
            total = zlib.crc32(block, total)
    return total
