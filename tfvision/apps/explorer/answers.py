"""The page's questions and their answers, as plain dicts: neighbours, distributions, comparisons, housekeeping, precision."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfvision.apps.explorer import distributions, plain_words, similarity, tidying
from tfvision.apps.explorer.collection import Collection, Layer, Pictures
from tfvision.apps.explorer.jobs import Tell
from tfvision.apps.explorer.judges import agreement, by_judge, counted
from tfvision.apps.explorer.pooling import DRAWN, drawn
from tfvision.apps.explorer.precision import overlap, pooled, precision_at
from tfvision.apps.explorer.queries import Queries
from tfvision.errors import DataError, UserError

Answer = dict[str, Any]  # as the page reads it
Table = tuple[np.ndarray, np.ndarray]  # nearest neighbours of all: Tables.neighbours
_MOST_BINS, _LEAST_BINS = 120, 24
SHORTLIST = 100
KS = (1, 5, 10, 20, 50)
MOST_COMPARED = 8
_MOST_LISTED = 2000
_SHOWN_DUPLICATES = 2000  # groups
_SHOWN_NEIGHBOURS = 8  # of a picture whose label is suspected


def neighbours(queries: Queries, layer: Layer, name: str, k: int, kept: np.ndarray | None = None) -> Answer:
    """{"title", "places", "scores", "percentiles"} of the k most similar, best first; a percentile is the share of the collection that is less alike.

    Args:
      kept: bool [pictures], those that may be named; None for all.
    """
    query = queries.open(name, layer)
    positions = query.hits(min(k, _MOST_LISTED), kept)
    scores = query.scores[positions]
    return {
        "title": query.title,
        "places": positions.tolist(),
        "scores": _rounded(scores),
        "percentiles": _rounded(100 * similarity.shares_below_hits(query.scores, positions), 3),
        "above_random": _rounded(100 * similarity.shares_below(scores, layer.random_pairs()), 3),
    }


def distribution(queries: Queries, layer: Layer, name: str) -> Answer:
    """The query's similarity to everything beside that of random pairs: {"edges", "counts", "random_counts", summaries, "words"}."""
    query = queries.open(name, layer)
    ordered, pairs = layer.ordered(name, query.scores), layer.random_pairs()
    edges = distributions.common_edges([ordered, pairs], _bins(len(ordered)))
    counts, random_counts = (distributions.histogram(sample, edges) for sample in (ordered, pairs))
    return {
        "title": query.title,
        "edges": _rounded(edges, 6),
        "counts": counts.tolist(),
        "random_counts": random_counts.tolist(),
        "query": distributions.summary(ordered),
        "random": distributions.summary(pairs),
        "kolmogorov_smirnov": _number(distributions.kolmogorov_smirnov(ordered, pairs)),
        "jensen_shannon": _number(distributions.jensen_shannon(counts, random_counts)),
        "shortlist_from": _number(ordered[-min(SHORTLIST, len(ordered))]) if len(ordered) else None,
        "words": plain_words.distribution_words(ordered, pairs, counts, random_counts, SHORTLIST),
    }


def within(
    queries: Queries, layer: Layer, name: str, low: float, high: float, limit: int, is_lowest_first: bool = False, kept: np.ndarray | None = None
) -> Answer:
    """The pictures whose similarity lies in a range: {"places", "scores", "percentiles", "total", "whole"}.

    Args:
      kept: bool [pictures], those that may be named, None for all: "total" counts these, "whole" all in the range.
    """
    query = queries.open(name, layer)
    scores = query.scores if kept is None else np.where(kept, query.scores, np.float32(np.nan))
    positions, total = similarity.within(scores, low, high, min(limit, _MOST_LISTED), is_lowest_first)
    whole = total if kept is None else int(((query.scores >= low) & (query.scores <= high)).sum())
    percentiles = 100 * similarity.shares_below(query.scores[positions], layer.ordered(name, query.scores))
    return {"places": positions.tolist(), "scores": _rounded(query.scores[positions]), "percentiles": _rounded(percentiles, 3), "total": total, "whole": whole}


def comparison(queries: Queries, layer: Layer, names: Sequence[str], kept: np.ndarray | None = None) -> Answer:
    """Several queries overlaid: histograms, matrices of distances and of the overlap of their first hundred; of `kept` pictures (bool [pictures]) alone.

    "lost" has {"name", "why"} of those that cannot be opened any more. Raises DataError where none can be.
    """
    if not 1 <= len(names) <= MOST_COMPARED:
        raise DataError(f"compare up to {MOST_COMPARED} queries at once, got {len(names)}")
    opened, lost = [], []
    for name in names:
        try:
            opened.append(queries.open(name, layer))
        except UserError as error:
            lost.append({"name": name, "why": str(error)})
    if not opened:
        raise DataError("; ".join(one["why"] for one in lost))
    samples = [layer.ordered(query.name, query.scores) if kept is None else similarity.ordered(query.scores[kept]) for query in opened]
    pairs = layer.random_pairs()
    edges = distributions.common_edges([*samples, pairs], _bins(min(map(len, samples))))
    counts = [distributions.histogram(sample, edges) for sample in samples]
    shortlists = [query.hits(SHORTLIST, kept).tolist() for query in opened]
    overlaps = _matrix(overlap, shortlists)
    return {
        "lost": lost,
        "edges": _rounded(edges, 6),
        "random_counts": distributions.histogram(pairs, edges).tolist(),
        "queries": [
            {"name": query.name, "title": query.title, "counts": count.tolist(), **distributions.summary(sample), "shortlist": shortlist}
            for query, count, sample, shortlist in zip(opened, counts, samples, shortlists, strict=True)
        ],
        "kolmogorov_smirnov": _matrix(distributions.kolmogorov_smirnov, samples),
        "jensen_shannon": _matrix(distributions.jensen_shannon, counts),
        "overlap": overlaps,
        "shortlist": SHORTLIST,
        "words": plain_words.comparison_words([query.title for query in opened], samples, counts, overlaps, SHORTLIST),
    }


def verdict(collection: Collection, queries: Queries, notes: Mapping[str, Any], question: str, judge: str | None = None) -> Answer:
    """Precision at k of a question's judged queries, per query and layer, and of all together.

    Args:
      judge: whose marks count, "" those of who gives no name; None = what most judges say.

    Returns:
      {"conclusion", "queries": [{"name", "title", "marked", "layers": [[precision at each k]], "drawn": precision of pictures drawn at
      random}], "pooled", "drawn": of the queries of which all drawn are judged, "ks", "layers", "lost": [{"name", "marked", "why"}], "judges":
      [{"name", "marked"}], "agreement", "draft", "words"}; lost are queries that cannot be opened any more, as a picture from outside that was
      deleted: they count for nothing here, their marks are kept. "draft" and "words" are sentences on these figures.
    """
    entry = notes["questions"].get(question, {"conclusion": "", "marks": {}})
    judged = by_judge(entry)
    rows, lost, positions, ids = [], [], collection.pictures.positions, collection.pictures.ids
    chances, everybody = [], list(judged.values()) if judge is None else [judged.get(judge, {})]
    for key, marks in counted(judged, judge).items():
        by_position = {positions[id]: is_right for id, is_right in marks.items() if id in positions}
        try:
            title, name = queries.titles(key)[0], queries.name_of(key) or key
            places = drawn(collection, queries, question, name)
            at_random = precision_at(places, by_position, DRAWN)
            rows.append(
                {"name": name, "title": title, "marked": len(by_position), "layers": _by_layer(collection, queries, name, by_position), "drawn": at_random}
            )
        except UserError as error:
            lost.append({"name": key, "marked": len(marks), "why": str(error)})
            continue
        if all(any(ids[place] in marked.get(key, {}) for marked in everybody) for place in places):  # else a part may be judged as hits are: too often right
            chances.append(at_random)
    together = [[pooled([row["layers"][number][cut] for row in rows])._asdict() for cut in range(len(KS))] for number in range(len(collection.layers))]
    chance = pooled(chances)._asdict()
    for row in rows:
        row["layers"], row["drawn"] = [[one._asdict() for one in layer] for layer in row["layers"]], row["drawn"]._asdict()
    found = {
        "question": question,
        "conclusion": entry["conclusion"],
        "ks": KS,
        "layers": [layer.name for layer in collection.layers],
        "queries": rows,
        "pooled": together,
        "drawn": chance,
        "lost": lost,
        "judge": judge,
        "judges": [{"name": name, "marked": sum(map(len, marks.values()))} for name, marks in judged.items()],
        "agreement": agreement(judged),
    }
    if found["agreement"]:
        found["agreement"]["words"] = plain_words.agreement_words(found["agreement"])
    return {**found, "draft": plain_words.verdict_draft(found), "words": plain_words.verdict_words(found)}


def near_duplicates(layer: Layer, table: Table, pictures: Pictures, least: float, tell: Tell = lambda share, stage: None) -> Answer:
    """{"groups": [{"places", "weakest", "pair", "best", "files"}], "total", "pictures"}, the closest group first.

    "weakest" is the least similarity of two of a group, "pair" these two; "files" has [width, height, bytes] a picture, None where its
    file cannot be read; "best" is that of the most pixels, of these that of the largest file.
    """
    groups = tidying.near_duplicates(*table, least, layer.products)
    shown, known, total = [], 0, sum(len(group.positions) for group in groups)
    for group in groups[:_SHOWN_DUPLICATES]:
        tell(known / total, "sizes of the files")
        files = [pictures.size(position) for position in group.positions]
        sizes = [(one.width * one.height, one.bytes) if one else (0, 0) for one in files]
        best = group.positions[max(range(len(sizes)), key=sizes.__getitem__)]
        known += len(files)
        shown.append({"places": group.positions, "weakest": _number(group.weakest), "pair": group.pair, "best": best, "files": files})
    return {"groups": shown, "total": len(groups), "pictures": total}


def outliers(table: Table, limit: int) -> Answer:
    """{"places", "scores", "edges", "counts", "fence", "total"}: the loneliest first, with the mean similarity to their neighbours.

    "counts" is the histogram of all `total` scores between "edges"; beyond "fence" they are outliers by Tukey's rule.
    """
    means = tidying.mean_similarities(*table)
    order = np.argsort(means, kind="stable")[: int(np.isfinite(means).sum())]
    if not len(order):
        return {"places": [], "scores": [], "edges": [], "counts": [], "fence": None, "total": 0}
    known = means[order]
    edges = distributions.common_edges([known], _bins(len(known)))
    places, counts = order[: min(limit, _MOST_LISTED)], distributions.histogram(known, edges)
    return {
        "places": places.tolist(),
        "scores": _rounded(means[places]),
        "edges": _rounded(edges, 6),
        "counts": counts.tolist(),
        "fence": _number(tidying.lower_fence(known)),
        "total": len(known),
    }


def hubs(table: Table, limit: int) -> Answer:
    """{"places", "counts", "skewness", "never", "neighbours", "words"}: those that most pictures have among their neighbours first."""
    counts = tidying.occurrences(table[0])
    order = np.argsort(-counts, kind="stable")[: min(limit, _MOST_LISTED)]
    return {
        "places": order.tolist(),
        "counts": counts[order].tolist(),
        "skewness": round(tidying.skewness(counts), 3),
        "words": plain_words.hub_words(counts, tidying.skewness(counts), table[0].shape[1]),
        "never": int((counts == 0).sum()),
        "neighbours": table[0].shape[1],
    }


def suspect_labels(table: Table, pictures: Pictures, column: str, limit: int) -> Answer:
    """{"places", "given", "suggested", "scores", "supports", "neighbours", "total", "unjudged"}: labels that the neighbours speak against, the surest first.

    "supports" has [of the label given, of its other pictures in the mean, of the suggestion] a picture; "neighbours" its nearest.
    """
    if column not in pictures.columns:
        known = f"take one of {', '.join(pictures.columns)}" if pictures.columns else "the pictures have no labels"
        raise DataError(f"there is no column {column!r:.60}: {known}")
    values, codes = pictures.columns[column]
    found = tidying.suspect_labels(*table, codes)
    shown = slice(min(limit, _MOST_LISTED))
    positions = found.positions[shown]
    return {
        "places": positions.tolist(),
        "given": [values[code] for code in codes[positions]],
        "suggested": [values[code] for code in found.suggested[shown]],
        "scores": _rounded(found.scores[shown]),
        "supports": _rounded(np.stack([found.given_support, found.typical_support, found.suggested_support], axis=1)[shown], 3),
        "neighbours": [[one for one in row if one >= 0] for row in table[0][positions, :_SHOWN_NEIGHBOURS].tolist()],
        "total": len(found.positions),
        "unjudged": found.unjudged,
    }


def _by_layer(collection, queries, name, marks):
    """Of a layer that does not know the query nothing is judged. Raises UserError where none knows it."""
    found, errors = [], []
    for layer in collection.layers:
        try:
            hits = queries.shortlist(name, layer, max(KS))
        except UserError as error:
            errors.append(error)
            hits = []
        found.append([precision_at(hits, marks, k) for k in KS])
    if errors and len(errors) == len(found):
        raise errors[0]
    return found


def _bins(count):
    """As many as a sample of this size can fill without noise."""
    return int(np.clip(1.5 * np.sqrt(count), _LEAST_BINS, _MOST_BINS))


def _matrix(measure, items):
    return [[_number(measure(a, b)) for b in items] for a in items]


def _rounded(values, digits=5):
    return np.round(np.asarray(values, np.float64), digits).tolist()


def _number(value):
    return None if value is None or not np.isfinite(value) else round(float(value), 6)
