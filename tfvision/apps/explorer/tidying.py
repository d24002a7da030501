"""Housekeeping, all from one table of nearest neighbours: near duplicates, outliers, hubs, labels that look wrong.

A table is `neighbours` int64 [n, k] (-1 where there is none) and `scores` float32 [n, k], best first, a picture never
its own neighbour.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

_NO_LABEL = -1
_LONGEST_CHAIN = 4000  # pictures of which every two are compared
_ROUNDING = 1e-6
LEAST_SCORE = 0.2  # of a label that is suspected
_CHUNK_ROWS = 65_536
_PRIOR = 1.0  # neighbours that chance would have drawn, in the support of a label


class Duplicates(NamedTuple):
    """Pictures of which every two are alike.

    Attributes:
      positions: in ascending order.
      weakest: the least similarity of two of them.
      pair: positions of these two.
    """

    positions: list[int]
    weakest: float
    pair: tuple[int, int]


class Suspects(NamedTuple):
    """Pictures whose neighbours speak for another label, the surest first.

    Attributes:
      positions: int [m].
      suggested: codes of the labels that are spoken for.
      scores: how far the support of the label given falls short, 0 to 1.
      given_support, suggested_support: 0 to 1 each.
      typical_support: of the label given, the mean of its other pictures.
      unjudged: how many pictures are the only ones of their label, so that no neighbour could speak for it.
    """

    positions: np.ndarray
    suggested: np.ndarray
    scores: np.ndarray
    given_support: np.ndarray
    suggested_support: np.ndarray
    typical_support: np.ndarray
    unjudged: int


def near_duplicates(neighbours: np.ndarray, scores: np.ndarray, least: float, similarities: Callable[[np.ndarray], np.ndarray]) -> list[Duplicates]:
    """Groups in which every two pictures are alike by at least `least`, the closest first: complete linkage (Sorensen, 1948).

    Only pictures that a chain of neighbours joins are compared. A chain of more than 4,000 is cut where it is weakest, until none is longer.

    Args:
      similarities: a function, int [m] positions -> float [m, m] of every two of them.
    """
    groups = [group for chain in _chains(neighbours, scores, least) for group in _complete_groups(chain, similarities(chain), least)]
    return sorted(groups, key=lambda group: (-group.weakest, group.positions))


def mean_similarities(neighbours: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of each picture the mean similarity to its neighbours, float [n]: the lower, the lonelier; NaN where it has none."""
    is_there = neighbours >= 0
    with np.errstate(invalid="ignore"):
        return np.where(is_there, scores, 0).sum(axis=1) / is_there.sum(axis=1)


def lower_fence(values: np.ndarray) -> float:
    """Below this lie outliers: the first quartile less 1.5 times the distance of the quartiles (Tukey, 1977)."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(low - 1.5 * (high - low))


def occurrences(neighbours: np.ndarray) -> np.ndarray:
    """How many pictures have each picture among their neighbours, int64 [n]: its k-occurrence (Radovanovic et al., 2010)."""
    return np.bincount(neighbours[neighbours >= 0], minlength=len(neighbours))


def skewness(counts: np.ndarray) -> float:
    """The third standardised moment of k-occurrences: about 0 without hubs, well above 1 with many."""
    deviation = counts.std() if len(counts) else 0
    return float(((counts - counts.mean()) ** 3).mean() / deviation**3) if deviation else 0.0


def suspect_labels(neighbours: np.ndarray, scores: np.ndarray, codes: np.ndarray) -> Suspects:
    """Pictures whose neighbours speak for another label than the one given.

    A label's support is the share of the neighbours' similarity that has it, over as many of the nearest as it has other pictures: with
    four pictures of a label no more than three can speak for it. It is drawn towards what chance gives, as if one more neighbour had been
    drawn at random, so that one neighbour alone says little. The score is by how much the support of the label given falls short: of that of
    the best other label, and of what other pictures with this label have in the mean, whichever is less. So confident learning (Northcutt
    et al., 2021) measures a label by its class, here with supports in the place of probabilities: where the vectors do not know a label,
    none of its pictures is suspected for it. A label is suspected from LEAST_SCORE on; benchmarks/label_flags.py measures it.

    Args:
      codes: int [n], a label each; -1 = none.
    """
    sizes, is_labelled = np.bincount(codes[codes != _NO_LABEL], minlength=1), codes != _NO_LABEL
    parts = [_supports(neighbours, scores, codes, sizes, slice(start, start + _CHUNK_ROWS)) for start in range(0, len(codes), _CHUNK_ROWS)]
    own, best, suggested = map(np.concatenate, zip(*parts, strict=True))
    is_judged = is_labelled & (sizes[codes] > 1)
    totals = np.bincount(codes[is_judged], own[is_judged], len(sizes))
    typical = (totals[codes] - own) / np.maximum(1, sizes[codes] - 1)
    score = np.where(is_judged, np.minimum(best, typical) - own, 0)
    order = np.argsort(-score, kind="stable")
    order = order[score[order] >= LEAST_SCORE]
    return Suspects(order, suggested[order], score[order], own[order], best[order], typical[order], int((is_labelled & ~is_judged).sum()))


def _supports(neighbours, scores, codes, sizes, part):
    """(support of the label given, of the best other one, that one's code) of some pictures; `sizes` are how many pictures each label has."""
    given, width = codes[part], neighbours.shape[1]
    labels = np.where(neighbours[part] >= 0, codes[neighbours[part]], _NO_LABEL)
    weights = np.where(labels != _NO_LABEL, np.maximum(scores[part], 0), 0).astype(np.float64)
    totals, rows = np.cumsum(weights, axis=1), np.arange(len(given))

    def support(label):
        others = sizes[label] - (label == given)
        k = np.clip(others, 1, width)
        is_counted = (labels == label[:, None]) & (np.arange(width) < k[:, None])
        share = (weights * is_counted).sum(axis=1) / np.maximum(totals[rows, k - 1], 1e-12)
        chance = others / max(1, sizes.sum() - 1)
        return (share * k + _PRIOR * chance) / (k + _PRIOR)

    suggested, best = np.full(len(given), _NO_LABEL, codes.dtype), np.zeros(len(given))
    for label in labels.T:
        found = np.where((label != _NO_LABEL) & (label != given), support(label), 0)
        suggested, best = np.where(found > best, label, suggested), np.maximum(found, best)
    return support(given), best, suggested


def _chains(neighbours: np.ndarray, scores: np.ndarray, least: float) -> Iterator[np.ndarray]:
    """Positions that neighbours of at least this similarity join, two or more each."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first, column = np.nonzero((scores >= least - _ROUNDING) & (neighbours >= 0))
    links = coo_matrix((np.ones(len(first), bool), (first, neighbours[first, column])), shape=(len(neighbours),) * 2)
    chain_of = connected_components(links, directed=False)[1]
    members = np.flatnonzero(np.bincount(chain_of)[chain_of] > 1) if len(first) else first
    members = members[np.argsort(chain_of[members], kind="stable")]
    for chain in np.split(members, np.flatnonzero(np.diff(chain_of[members])) + 1):
        if len(chain) <= _LONGEST_CHAIN:
            yield from [chain] if len(chain) else []
        elif least > 1 - _ROUNDING:  # copies of one picture
            yield from np.split(chain, range(_LONGEST_CHAIN, len(chain), _LONGEST_CHAIN))
        else:
            within = np.full(len(neighbours) + 1, -1)  # the last for -1
            within[chain] = np.arange(len(chain))
            yield from (chain[part] for part in _chains(within[neighbours[chain]], scores[chain], (1 + least) / 2))


def _complete_groups(positions: np.ndarray, similarities: np.ndarray, least: float) -> Iterator[Duplicates]:
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(positions) == 2 and similarities[0, 1] >= least - _ROUNDING:
        yield Duplicates(positions.tolist(), float(similarities[0, 1]), (int(positions[0]), int(positions[1])))
    if len(positions) <= 2:
        return
    upper = np.triu_indices(len(positions), 1)
    tree = linkage(np.maximum(0, 1 - similarities[upper].astype(np.float64)), "complete")
    group_of = fcluster(tree, 1 - least + _ROUNDING, "distance")
    for group in np.unique(group_of):
        members = np.flatnonzero(group_of == group)
        if len(members) > 1:
            within = np.where(np.eye(len(members), dtype=bool), np.inf, similarities[np.ix_(members, members)])
            pair = members[list(np.unravel_index(np.argmin(within), within.shape))]
            yield Duplicates(positions[members].tolist(), float(within.min()), (int(positions[pair[0]]), int(positions[pair[1]])))
