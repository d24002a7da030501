"""From a softmax over species to answers at any rank: node sums, the greedy descent, the cut at a threshold.

A taxonomy's leaves stand in depth-first order, so the classes below a node are one slice and a running
sum along the classes gives the probability of every node by one subtraction.
"""

from collections.abc import Sequence

import numpy as np

from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError

EQUAL_SHARE = np.float32(1 - 2**-20)  # of the best: what is summed in another order may differ by some units in the last place


def node_probabilities(probabilities: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """The probability of every node: the sum of the whole softmax below it (section 3.3).

    Args:
      probabilities: float [batch, classes].
    Returns:
      float32 [batch, nodes], summed in float64; a node above one class equals that class exactly.
    """
    descent = Descent(taxonomy)
    probabilities = np.asarray(probabilities, np.float32)
    rows = np.arange(len(probabilities))[:, None]
    return descent.node_sums(probabilities, running_sums(probabilities), rows, np.arange(taxonomy.node_count)[None])


def descend(probabilities: np.ndarray, taxonomy: Taxonomy, within: Sequence[int] = ()) -> tuple[np.ndarray, np.ndarray]:
    """The path from the root that always takes the most probable child, down to a leaf.

    The path does not depend on a threshold, and its probabilities never rise, so accuracy is monotone in
    the threshold everywhere; above 0.5 cutting it gives the paper's argmax (only one node a depth can
    hold more than half). Of equally probable children (to one in a million) the first is taken.

    Args:
      probabilities: float [batch, classes], a softmax.
      within: nodes that are known to hold the answer. The softmax is conditioned on them: classes below
        none of them get zero, the rest is divided by its sum (shared alike where that sum is zero). The
        descent still starts at the root; every node above all of them has probability 1, so no
        threshold gives an answer shallower than the deepest of these.
    Returns:
      nodes: int32 [batch, max_depth + 1], the root first, padded with -1.
      probabilities: float32 [batch, max_depth + 1], the root's is 1, padded with 0.
    Raises:
      DataError: a node in `within` does not exist.
    """
    probabilities = np.asarray(probabilities, np.float32)
    is_inside = classes_within(taxonomy, within)
    if not is_inside.all():
        probabilities = _condition(probabilities, is_inside)
    return Descent(taxonomy).paths(probabilities, running_sums(probabilities))


def answer(path_nodes: np.ndarray, path_probabilities: np.ndarray, thresholds: float | np.ndarray) -> np.ndarray:
    """Cuts paths: the deepest node with probability >= threshold; the root (abstain) always qualifies.

    The paper's formula prints "< t" where its prose asks for at least t; the prose is followed.

    Args:
      path_nodes, path_probabilities: what `descend` returned.
      thresholds: one number, or float [batch].
    Returns:
      int32 [batch], a node for each image.
    """
    path_nodes = np.asarray(path_nodes)
    # As a column of float64, so that numpy 1 and 2 compare alike and never round the threshold.
    thresholds = np.asarray(thresholds, np.float64).reshape(-1, 1)
    qualifies = (np.asarray(path_probabilities, np.float64) >= thresholds) & (path_nodes >= 0)
    qualifies[:, 0] = True
    deepest = path_nodes.shape[1] - 1 - np.argmax(qualifies[:, ::-1], axis=1)
    return path_nodes[np.arange(len(path_nodes)), deepest].astype(np.int32)


def judge(path_nodes: np.ndarray, labels: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """Whether each node of each path is the true class or above it: bool [batch, max_depth + 1].

    The root is always right; the padding is False and its probability 0.
    """
    labels = np.asarray(labels)[:, None]
    is_above = (taxonomy.first_leaves[path_nodes] <= labels) & (labels < taxonomy.end_leaves[path_nodes])
    return is_above & (np.asarray(path_nodes) >= 0)


def classes_within(taxonomy: Taxonomy, within: Sequence[int]) -> np.ndarray:
    """Which classes lie below the given nodes: bool [classes]; all of them where no node is given.

    Raises:
      DataError: a node does not exist.
    """
    is_inside = np.zeros(len(taxonomy), bool)
    for node in within:
        if not 0 <= node < taxonomy.node_count:
            raise DataError(f"a prior taxon must be a node from 0 to {taxonomy.node_count - 1}, got {node}")
        is_inside[taxonomy.first_leaves[node] : taxonomy.end_leaves[node]] = True
    return is_inside if len(within) else ~is_inside


def running_sums(probabilities: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """float64 [batch, classes + 1]: column i is the sum of the first i classes."""
    if out is None:
        out = np.empty((len(probabilities), probabilities.shape[1] + 1))
    out[:, 0] = 0
    np.cumsum(probabilities, axis=1, dtype=np.float64, out=out[:, 1:])
    return out


class Descent:
    """The greedy descent of one taxonomy, its tables laid out once for any number of batches."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.first, self.end = taxonomy.first_leaves.astype(np.intp), taxonomy.end_leaves.astype(np.intp)
        self.depth = int(taxonomy.depths.max())
        parents = taxonomy.parents[1:]
        self.children = np.argsort(parents, kind="stable") + 1  # grouped by parent, each group in leaf order
        self.child_count = np.bincount(parents, minlength=taxonomy.node_count)
        self.child_start = np.cumsum(self.child_count) - self.child_count

    def node_sums(self, probabilities: np.ndarray, sums: np.ndarray, rows: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """The probability of `nodes` in `rows` (broadcast together), float32."""
        first, end = self.first[nodes], self.end[nodes]
        total = (sums[rows, end] - sums[rows, first]).astype(np.float32)
        return np.where(end - first == 1, probabilities[rows, first], total)

    def paths(self, probabilities: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nodes int32 and probabilities float32, [batch, max_depth + 1], see `descend`."""
        batch = len(probabilities)
        nodes = np.full((batch, self.depth + 1), -1, np.int32)
        reached = np.zeros((batch, self.depth + 1), np.float32)
        nodes[:, 0], reached[:, 0] = 0, 1
        rows = np.arange(batch)
        for depth in range(1, self.depth + 1):
            rows = rows[self.child_count[nodes[rows, depth - 1]] > 0]
            if not len(rows):
                break
            nodes[rows, depth], reached[rows, depth] = self._step(probabilities, sums, rows, nodes[rows, depth - 1])
        # Rounding may lift a child above its parent by one unit in the last place, or a kingdom above 1.
        return nodes, np.minimum.accumulate(reached, axis=1)

    def _step(self, probabilities: np.ndarray, sums: np.ndarray, rows: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The most probable child of each of `parents` and its probability, both [rows]."""
        counts = self.child_count[parents]
        starts = np.cumsum(counts) - counts
        segment = np.repeat(np.arange(len(rows)), counts)  # which parent each listed child belongs to
        slots = np.arange(len(segment)) - starts[segment] + self.child_start[parents][segment]
        children = self.children[slots]
        values = self.node_sums(probabilities, sums, rows[segment], children)
        best = np.maximum.reduceat(values, starts)
        winners = np.flatnonzero(values >= EQUAL_SHARE * best[segment])[::-1]
        first = np.empty(len(rows), np.intp)
        first[segment[winners]] = winners  # written back to front: the first of equals stays
        return children[first], values[first]


def _condition(probabilities: np.ndarray, is_inside: np.ndarray) -> np.ndarray:
    probabilities = probabilities * is_inside
    totals = probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    share = np.float32(1 / is_inside.sum())
    return np.where(totals > 0, probabilities / np.where(totals > 0, totals, 1), is_inside * share).astype(np.float32)
