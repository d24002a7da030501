import numpy as np
import pytest

from tfvision.errors import DataError, RecipeError
from tfvision.index import approximate, flat
from tfvision.index.expansion import normalised
from tfvision.index.folder_gallery import FolderGallery
from tfvision.index.gallery import rows_where
from tfvision.index.vector_search import search


def reference(vectors, queries, k, mask=None):
    """Exact search in plain NumPy: rows and scores in descending order."""
    scores = queries @ vectors.T
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(scores, rows, axis=1)


@pytest.mark.parametrize("where", [None, "part<4", "rare=true"])
@pytest.mark.parametrize("removed", [0, 50])
def test_exact_search_is_that_of_plain_numpy(crowd, unit_vectors, where, removed):
    queries = unit_vectors(40, seed=1)
    crowd.remove([f"p{number}" for number in range(0, 3 * removed, 3)])
    numbers = np.array([int(id[1:]) for id in crowd.ids])
    mask = {None: np.ones(len(numbers), bool), "part<4": numbers % 10 < 4, "rare=true": numbers % 100 == 7}[where]
    rows, scores = reference(np.array(crowd.vectors), queries, 10, mask)
    hits = search(crowd, queries, 10, where, "exact")
    np.testing.assert_allclose([[hit.score for hit in found] for found in hits], scores, atol=1e-5)
    assert [[hit.id for hit in found] for found in hits] == [[f"p{numbers[row]}" for row in found] for found in rows]
    assert all(hit.metadata["part"] == int(hit.id[1:]) % 10 and hit.image.endswith(f"{hit.id[1:]}.jpg") for hit in hits[0])


@pytest.mark.parametrize("method", ["hnsw", "ivfpq"])
@pytest.mark.parametrize("where", [None, "part<4", "rare=true"])
def test_approximate_search_finds_what_is_near_with_its_exact_score(crowd, unit_vectors, method, where):
    queries = normalised(crowd.vectors[::50] + 0.1 * unit_vectors(60, seed=1))
    mask = rows_where(crowd, where)
    _, expected = reference(np.array(crowd.vectors), queries, 10, mask)
    rows, scores = crowd.nearest(queries, 10, None if where is None else mask, method)
    assert approximate.recall_at(scores, expected) > 0.9
    assert mask[rows].all() and (np.diff(scores) <= 0).all()
    np.testing.assert_allclose(scores, np.einsum("qd,qkd->qk", queries, crowd.vectors[rows]), atol=1e-5)


def test_the_measured_recall_is_that_of_other_queries_without_themselves(crowd):
    index = approximate.build_index(crowd.row_vectors, "ivfpq")
    own = np.arange(0, 3000, 7)
    every = np.array(crowd.vectors)
    others = every[own] @ every.T
    others[np.arange(len(own)), own] = -np.inf
    truth = -np.sort(-others, axis=1)[:, :10]
    rows, scores = index.nearest(crowd.row_vectors, every[own], 11)
    found = np.stack([line[row != number][:10] for line, row, number in zip(scores, rows, own, strict=True)])
    recall = (found >= truth[:, -1:] - 1e-6).mean()
    assert index.facts["recall_at"] == 10 and abs(index.facts["recall"] - recall) < 0.03


def test_recall_counts_ties_by_their_score():
    truth = np.float32([[0.9, 0.8, 0.8]])
    assert approximate.recall_at(np.float32([[0.9, 0.8, 0.8]]), truth) == 1
    assert approximate.recall_at(np.float32([[0.9, 0.8, 0.7]]), truth) == pytest.approx(2 / 3)
    assert approximate.recall_at(np.float32([[0.9, -np.inf, -np.inf]]), truth) == pytest.approx(1 / 3)


@pytest.mark.parametrize("options", [{}, {"expansion": 5}, {"rerank": True}, {"where": "species=Apis"}, {"method": "hnsw"}])
def test_fewer_answers_than_asked_for_are_all_there_are(insects, options):
    (hits,) = search(FolderGallery.open(insects), np.float32([[1, 0, 0]]), 10, **options)
    assert len(hits) == (1 if "where" in options else 4)
    assert len({hit.id for hit in hits}) == len(hits) and np.isfinite([hit.score for hit in hits]).all()


def test_a_filter_that_leaves_nothing_answers_nothing(insects):
    assert search(FolderGallery.open(insects), np.float32([[1, 0, 0]]), 10, "species=Nobody", expansion=3, rerank=True) == [[]]


def test_expansion_pulls_in_what_lies_behind_the_best(tmp_path):
    """A chain: the query sees a, a sees b; c is as far from the query as b, on the other side."""
    angle = np.radians([0, 20, 50, -49])
    query, *vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    with FolderGallery.create(tmp_path / "g", 2) as gallery:
        gallery.add(["a", "b", "c"], vectors, ["x"] * 3)
        plain, expanded = (search(gallery, query[None], 3, expansion=count)[0] for count in (0, 1))
    assert [hit.id for hit in plain] == ["a", "c", "b"]
    assert [hit.id for hit in expanded] == ["a", "b", "c"]


def test_reranking_orders_all_candidates_and_keeps_twins_first(crowd):
    (hits,) = search(crowd, crowd.vectors[5:6], 10, rerank=True)
    assert hits[0].id == "p5" and hits[0].score == pytest.approx(1, abs=1e-4)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize(
    ("queries", "options", "error", "message"),
    [
        ([[1, 0]], {}, DataError, r"holds vectors of 3 values, got queries of shape \[1, 2\]"),
        ([[np.nan, 0, 0]], {}, DataError, "a query's vector is not finite"),
        ([[1, 0, 0]], {"k": 0}, DataError, "k must be at least 1, got 0"),
        ([[1, 0, 0]], {"method": "lsh"}, RecipeError, "must be one of auto, exact, hnsw, ivfpq, got 'lsh'"),
        ([[1, 0, 0]], {"where": "genus=x"}, DataError, "has no metadata 'genus'"),
    ],
)
def test_mistakes_are_told(insects, queries, options, error, message):
    with pytest.raises(error, match=message):
        search(FolderGallery.open(insects), np.float32(queries), **options)


def test_flat_search_marks_what_is_not_there():
    rows, scores = flat.nearest(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[:1], 3, np.array([True, False, True]))
    assert rows.tolist() == [[0, 2, -1]] and scores.tolist() == [[1, 0, -np.inf]]


@pytest.mark.slow
def test_faiss_and_tensorflow_share_a_process(run_python):
    """Both bring threads of their own. (The other order is that of `tfvision search`.)"""
    script = """
import numpy as np
from tfvision.index import flat
def by_faiss():
    return flat.nearest(np.eye(64, dtype=np.float32), np.eye(64, dtype=np.float32), 1)[0][:, 0].tolist()
def by_tensorflow():
    import tensorflow as tf
    return tf.argmax(tf.matmul(tf.eye(64), tf.eye(64)), 1).numpy().tolist()
assert [by_faiss(), by_tensorflow(), by_faiss()] == [list(range(64))] * 3
"""
    run_python(script)
