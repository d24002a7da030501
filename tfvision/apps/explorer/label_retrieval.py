"""Whether pictures retrieve those of their own label: precision, R-precision and mAP, each beside its chance level."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfvision.apps.explorer import plain_words, similarity
from tfvision.apps.explorer.collection import Collection, Layer
from tfvision.apps.explorer.jobs import Tell
from tfvision.errors import DataError
from tfvision.evaluation.retrieval import average_precision, bootstrap_interval, positions_among

KS = (1, 5, 10, 20, 50)
MEASURES = (*(f"precision at {k}" for k in KS), "R-precision", "AUROC", "mAP")
_QUERIES_AT_ONCE = 16
_MOST_CLASSES = 2000


def label_retrieval(collection: Collection, column: str, most: int, tell: Tell = lambda share, stage: None, seed: int = 0) -> dict[str, Any]:
    """How well pictures retrieve those that have the same value in a column; every layer is asked the same queries.

    Args:
      most: queries, drawn at random where there are more. A query is a picture with a label that another one has, and a vector in every
        layer; it is not among its own hits, nor is what has no label.

    Returns:
      {"column", "queries", "possible", "measures", "layers": [{"name", "values", "intervals", "chance", "differences"}], "classes":
      [{"value", "pictures", "queries", "values": [mAP of each layer]}], "sentence", "words"}. Intervals are of 95 %, by bootstrap over queries;
      "differences" are those from the first layer, by pairs: [mean, low, high] of each measure.

    Raises:
      DataError: no such column, no vectors, or no label that two pictures have.
    """
    values, codes = _column(collection, column)
    possible, most = _possible(collection, codes), max(1, most)
    asked = possible if len(possible) <= most else np.sort(np.random.default_rng(seed).choice(possible, most, replace=False))
    judged, layers = [], collection.layers
    for number, layer in enumerate(layers):
        judged.append(
            _judged(layer, codes, asked, lambda share, number=number: tell((number + share) / len(layers), f"{len(asked)} queries in {len(layers)} layers"))
        )
    found = [
        {
            "name": layer.name,
            "values": measured.mean(axis=0).tolist(),
            "intervals": [bootstrap_interval(one, seed) for one in measured.T],
            "chance": chance.mean(axis=0).tolist(),
            "differences": [[float(one.mean()), *bootstrap_interval(one, seed)] for one in (measured - judged[0][0]).T],
        }
        for layer, (measured, chance) in zip(layers, judged, strict=True)
    ]
    answer = {
        "column": column,
        "queries": len(asked),
        "possible": len(possible),
        "measures": MEASURES,
        "layers": found,
        "classes": _classes(values, codes, asked, judged),
    }
    return {**answer, "sentence": plain_words.label_sentence(answer), "words": plain_words.label_words(answer)}


def chance_of(relevant: int, ranked: int) -> np.ndarray:
    """What a random ranking has of each of MEASURES, float64 [measures]: the expectation of each.

    Of average precision: the mean over the ranks i of (1 + (i - 1) (R - 1) / (N - 1)) / i, for a relevant picture is at each rank alike.
    """
    ranks = np.arange(1, ranked + 1)
    precision = ((1 + (ranks - 1) * (relevant - 1) / max(1, ranked - 1)) / ranks).mean()
    return np.array([relevant / ranked] * (len(MEASURES) - 2) + [0.5, precision])


def area_under_curve(positions: np.ndarray, ranked: int) -> float:
    """AUROC of one ranking: the share of pairs of a wanted and another picture of which the wanted one stands first; 0.5 where all are wanted."""
    others = ranked - len(positions)
    return float(1 - (positions - np.arange(len(positions))).mean() / others) if others else 0.5


def _column(collection, column):
    columns: Mapping[str, tuple[list[Any], np.ndarray]] = collection.pictures.columns
    if column not in columns:
        raise DataError(f"there is no column {column!r:.60}: " + (f"take one of {', '.join(columns)}" if columns else "the pictures have no labels"))
    return columns[column]


def _possible(collection, codes):
    """Positions of the pictures that can be queries."""
    collection.layer(0)
    is_labelled = codes >= 0
    is_there = np.all([layer.row_of >= 0 for layer in collection.layers], axis=0) & is_labelled
    sizes = np.bincount(codes[is_there], minlength=codes.max(initial=0) + 1)
    possible = np.flatnonzero(is_there & (sizes[np.where(is_labelled, codes, 0)] > 1))
    if not len(possible):
        raise DataError("no two pictures have the same label: choose another column")
    return possible


def _judged(layer: Layer, codes, asked, tell):
    """(measures, chance), float64 [queries, measures] each."""
    ranked = np.flatnonzero((codes >= 0) & (layer.row_of >= 0))
    labels, rows, vectors = codes[ranked], layer.row_of[ranked], layer.gallery.row_vectors
    measured, chances, known = [], [], {}
    for start in range(0, len(asked), _QUERIES_AT_ONCE):
        tell(start / len(asked))
        part = asked[start : start + _QUERIES_AT_ONCE]
        scores = similarity.similarities(vectors, np.asarray(vectors[layer.row_of[part]]).T)[rows]
        for query, ours in zip(part, scores.T, strict=True):
            is_same, is_other = (labels == codes[query]) & (ranked != query), labels != codes[query]
            positions = positions_among(np.sort(ours[is_same]), ours[is_other])
            relevant, count = len(positions), len(ranked) - 1
            precisions = [(positions < k).sum() / min(k, count) for k in KS]
            measured.append([*precisions, (positions < relevant).mean(), area_under_curve(positions, count), average_precision(positions)])
            if relevant not in known:
                known[relevant] = chance_of(relevant, count)
            chances.append(known[relevant])
    return np.array(measured), np.array(chances)


def _classes(values, codes, asked, judged):
    """The labels that were asked for, the worst of the first layer first."""
    pictures, queries = np.bincount(codes[codes >= 0]), np.bincount(codes[asked])
    means = [np.bincount(codes[asked], measured[:, -1]) / np.maximum(1, queries) for measured, _ in judged]
    worst = sorted(np.flatnonzero(queries).tolist(), key=lambda code: means[0][code])[:_MOST_CLASSES]
    return [
        {"value": values[code], "pictures": int(pictures[code]), "queries": int(queries[code]), "values": [float(one[code]) for one in means]} for code in worst
    ]
