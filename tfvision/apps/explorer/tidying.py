"""Housekeeping, all from one table of nearest neighbours: near duplicates, outliers, hubs, labels that look wrong.

A table is `neighbours` int64 [n, k] (-1 where there is none) and `scores` float32 [n, k], best first, a picture never
its own neighbour.
"""

import numpy as np

_NO_LABEL = -1


def near_duplicates(neighbours: np.ndarray, scores: np.ndarray, least: float) -> list[list[int]]:
    """Groups of pictures that a chain of similarities of at least `least` joins: lists of positions, the closest group first."""
    parents = np.arange(len(neighbours))
    pairs = np.argwhere((scores >= least) & (neighbours >= 0))
    for position, column in pairs.tolist():
        _join(parents, position, int(neighbours[position, column]))
    groups: dict[int, list[int]] = {}
    for position in np.unique([*pairs[:, 0], *neighbours[tuple(pairs.T)]]).astype(int).tolist():
        groups.setdefault(_root(parents, position), []).append(position)
    best = {root: max(float(scores[position, 0]) for position in members) for root, members in groups.items()}
    return [groups[root] for root in sorted(groups, key=lambda root: (-best[root], root))]


def outliers(neighbours: np.ndarray, scores: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The pictures least like their neighbours: (positions, mean similarity to these), the loneliest first."""
    is_there = neighbours >= 0
    counts = is_there.sum(axis=1)
    means = np.where(is_there, scores, 0).sum(axis=1) / np.maximum(1, counts)
    order = np.argsort(np.where(counts > 0, means, np.inf), kind="stable")[: min(limit, int((counts > 0).sum()))]
    return order, means[order]


def occurrences(neighbours: np.ndarray) -> np.ndarray:
    """How many pictures have each picture among their neighbours, int64 [n]: its k-occurrence (Radovanovic et al., 2010)."""
    return np.bincount(neighbours[neighbours >= 0], minlength=len(neighbours))


def skewness(counts: np.ndarray) -> float:
    """The third standardised moment of k-occurrences: about 0 without hubs, well above 1 with many."""
    deviation = counts.std() if len(counts) else 0
    return float(((counts - counts.mean()) ** 3).mean() / deviation**3) if deviation else 0.0


def suspect_labels(neighbours: np.ndarray, scores: np.ndarray, codes: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures whose neighbours agree on another label.

    Args:
      codes: int [n], a label each; -1 = none.

    Returns:
      (positions, codes of the labels suggested, shares): the share is what of the neighbours' similarity speaks for the
      suggestion less what speaks for the label given, -1 to 1; the surest first, only those above 0.
    """
    given = np.where(neighbours >= 0, codes[np.maximum(neighbours, 0)], _NO_LABEL)
    weights = np.where(given != _NO_LABEL, np.maximum(scores, 0), 0)
    totals = np.maximum(weights.sum(axis=1), 1e-12)
    own = (weights * (given == codes[:, None])).sum(axis=1) / totals
    votes = np.stack([(weights * (given == given[:, [column]])).sum(axis=1) for column in range(given.shape[1])], axis=1)
    votes[given == codes[:, None]] = -1  # another label than its own
    best, rows = votes.argmax(axis=1), np.arange(len(codes))
    margins = np.where(codes == _NO_LABEL, 0, votes[rows, best] / totals - own)
    order = np.argsort(-margins, kind="stable")[:limit]
    order = order[margins[order] > 0]
    return order, given[order, best[order]], margins[order]


def _root(parents, position):
    while parents[position] != position:
        parents[position] = parents[parents[position]]
        position = int(parents[position])
    return position


def _join(parents, a, b):
    a, b = _root(parents, a), _root(parents, b)
    parents[max(a, b)] = min(a, b)
