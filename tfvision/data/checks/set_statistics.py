"""The shape of a set of photos: how many each class has, how large they are, which formats."""

import collections
import typing
from collections.abc import Sequence

import numpy as np

from tfvision.data.checks.photo_facts import PhotoFacts
from tfvision.data.manifest import Record

FEW = 10  # a class with fewer photos is called small
_CLASS_EDGES = (1, 2, 5, 10, 20, 50, 100, 500, 1000)
_PIXEL_EDGES = (1, 64, 128, 256, 512, 1024, 2048, 4096)
_NAMED_CLASSES = 10


def class_sizes(records: Sequence[Record]) -> dict[str, typing.Any]:
    """Photos a class: a dict of counts, the Gini coefficient (0: all alike, near 1: one has all) and the ends of the tail."""
    counts = collections.Counter(" / ".join(name for name in record.lineage if name) for record in records)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    sizes = np.array([count for _, count in ordered])
    return {
        "classes": len(sizes),
        "largest": int(sizes[0]),
        "median": float(np.median(sizes)),
        "smallest": int(sizes[-1]),
        "gini": gini(sizes),
        "small_classes": int((sizes < FEW).sum()),
        "classes_with_half_of_the_photos": int(np.searchsorted(np.cumsum(sizes), sizes.sum() / 2) + 1),
        "bins": [
            {"from": low, "to": high, "classes": int(members.sum()), "photos": int(sizes[members].sum())} for low, high, members in _bins(sizes, _CLASS_EDGES)
        ],
        "largest_classes": [{"class": name, "photos": count} for name, count in ordered[:_NAMED_CLASSES]],
        "smallest_classes": [{"class": name, "photos": count} for name, count in ordered[::-1][:_NAMED_CLASSES]],
        "sizes": sizes.tolist(),
    }


def gini(sizes: np.ndarray) -> float:
    """The Gini coefficient of counts: the mean difference of two classes, drawn at random, over twice the mean."""
    ordered = np.sort(np.asarray(sizes, np.float64))
    ranks = np.arange(1, len(ordered) + 1)
    return float(((2 * ranks - len(ordered) - 1) * ordered).sum() / (len(ordered) * ordered.sum()))


def resolutions(facts: Sequence[PhotoFacts]) -> dict[str, typing.Any]:
    """Photos by their shorter side: bins, and the quantiles of both sides; of those that can be read."""
    sizes = np.array([(min(fact.width, fact.height), max(fact.width, fact.height)) for fact in facts if not fact.fault]).reshape(-1, 2)
    if not len(sizes):
        return {"bins": [], "quantiles": {}}
    quantiles = {f"{share:.0%}": np.quantile(sizes, share, axis=0, method="nearest").tolist() for share in (0, 0.05, 0.5, 0.95, 1)}
    bins = [{"from": low, "to": high, "photos": int(members.sum())} for low, high, members in _bins(sizes[:, 0], _PIXEL_EDGES)]
    return {"bins": bins, "quantiles": quantiles}


def formats(facts: Sequence[PhotoFacts]) -> list[dict[str, typing.Any]]:
    """Photos and bytes by format, the most frequent first; of those whose header can be read."""
    rows = collections.defaultdict(lambda: [0, 0])
    for fact in facts:
        if fact.format:
            rows[fact.format][0] += 1
            rows[fact.format][1] += fact.bytes
    return [{"format": name, "photos": photos, "bytes": size} for name, (photos, size) in sorted(rows.items(), key=lambda item: -item[1][0])]


def splits(records: Sequence[Record]) -> list[dict[str, typing.Any]]:
    """Photos, classes and classes without training photos by split; empty where there is no split column."""
    classes = collections.defaultdict(set)
    for record in records:
        classes[record.split].add(record.lineage)
    if set(classes) == {""}:
        return []
    counts = collections.Counter(record.split for record in records)
    trained = classes.get("train", set())
    return [
        {"split": name, "photos": counts[name], "classes": len(found), "untrained_classes": len(found - trained)} for name, found in sorted(classes.items())
    ]


def _bins(values, edges):
    """(lowest, highest (None = no end), members) of each bin that is not empty."""
    for low, end in zip(edges, (*edges[1:], None), strict=True):
        members = (values >= low) & (values < (np.inf if end is None else end))
        if members.any():
            yield low, None if end is None else end - 1, members
