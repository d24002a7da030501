"""Several photos of one animal, one answer.

Photo i gives the classes the probabilities p_i. It counts for w_i = 1 / sum_j r_ij, where r_ij tells how nearly photos i and j are copies of each other by
their features: 0 where they are no more alike than most independent photos of one species, 1 of copies. So n photos count for sum_i w_i of them, a
burst of copies for one, and the joined

    log p = (sum_i w_i) ** -dependence * sum_i w_i log p_i + constant.

`dependence` is what photos of one animal have in common besides; it is fitted: 0 multiplies their probabilities, 1 takes their mean, which is never
surer than they are. The log-odds that a species is unknown (unknown_species.py) are joined likewise, by a dependence of their own. A joined answer goes no
deeper than the own path of at least one of its photos: what none of them sees first is not named.
"""

import dataclasses
import typing
from collections.abc import Sequence

import numpy as np

from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation import hierarchy
from tfvision.evaluation.calibration import softmax
from tfvision.evaluation.novelty import normalised

SIZES = (2, 3, 5)  # of groups that are drawn where photos have none
FEWEST_GROUPS = 20  # to fit on
COPIES = 0.9  # of the pairs of independent photos of one species, those that are less alike than the least alike copies
LARGEST_SIMILARITY = 0.99
_PAIRED = 128  # photos of a species, of which pairs are made
_ROWS = 256  # of a table of similarities at a time
_DEPENDENCES = np.linspace(0, 1, 21)


@dataclasses.dataclass(frozen=True)
class GroupRule:
    """How photos are joined; as it is by default, a group is never surer than its photos are.

    Attributes:
      dependence: of the photos of a group, 0 to 1.
      novelty_dependence: the same of the log-odds that their species is unknown.
      similarity: cosine of the features of two photos above which one is in part a copy of the other.
    """

    dependence: float = 1.0
    novelty_dependence: float = 1.0
    similarity: float = 0.9

    def weights(self, features: np.ndarray) -> np.ndarray:
        """How much each photo of a group counts: float64 [photos], above 0, at most 1.

        Args:
          features: float32 [photos, channels]; without channels, no photo is a copy.
        """
        unit, weights = normalised(np.asarray(features, np.float64)), np.ones(len(features))
        for start in range(0, len(unit), _ROWS):
            alike = np.clip((unit[start : start + _ROWS] @ unit.T - self.similarity) / (1 - self.similarity), 0, 1)
            rows = np.arange(len(alike))
            alike[rows, start + rows] = 1
            weights[start : start + _ROWS] = 1 / alike.sum(axis=1)
        return weights

    def joined_logits(self, logits: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
        """The photos of a group as one: float32 [classes], logits at the same temperature. Those of a single photo stay as they are."""
        if len(logits) == 1:
            return np.asarray(logits[0], np.float32)
        return (temperature * weights.sum() ** -self.dependence * (weights @ _log_softmax(logits, temperature))).astype(np.float32)

    def joined_novelty(self, log_odds: np.ndarray, weights: np.ndarray) -> float:
        """The log-odds at even shares that the species of a group is unknown."""
        return float(weights.sum() ** -self.novelty_dependence * (weights @ log_odds))


class Joined(typing.NamedTuple):
    """Groups as single photos.

    Attributes:
      weights: of each, those of its photos.
      logits: float32 [groups, classes].
      nodes, reached: of `hierarchy.descend`, as deep as at least one photo's own path goes.
    """

    weights: list[np.ndarray]
    logits: np.ndarray
    nodes: np.ndarray
    reached: np.ndarray


def join(groups: Sequence[np.ndarray], logits: np.ndarray, features: np.ndarray, taxonomy: Taxonomy, temperature: float, rule: GroupRule) -> Joined:
    """Photos as the groups that they are of.

    Args:
      groups: of each, the rows of its photos.
      logits: float32 [photos, classes], -inf of classes that cannot be.
      features: float32 [photos, channels].
    """
    weights = [rule.weights(features[rows]) for rows in groups]
    joined = np.stack([rule.joined_logits(logits[rows], own, temperature) for rows, own in zip(groups, weights, strict=True)])
    nodes, reached = hierarchy.descend(softmax(joined, temperature), taxonomy)
    photos, _ = hierarchy.descend(softmax(logits[np.concatenate(groups)], temperature), taxonomy)
    for row, own in enumerate(np.split(photos, np.cumsum([len(rows) for rows in groups])[:-1])):
        is_seen_by_none = ~np.isin(nodes[row], own)
        nodes[row, is_seen_by_none], reached[row, is_seen_by_none] = -1, 0
    return Joined(weights, joined, nodes, reached)


def members(names: Sequence[str]) -> dict[str, np.ndarray]:
    """{group: the rows of its photos}, in the order in which groups come first."""
    numbers: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        numbers.setdefault(name, []).append(row)
    return {name: np.array(rows) for name, rows in numbers.items()}


def groups_to_fit_on(names: Sequence[str], labels: np.ndarray, is_fitting: np.ndarray, seed: int = 0) -> tuple[list[np.ndarray], bool]:
    """The rows of the photos of each group, and whether these are real groups: of several photos of one class; drawn ones, where there are too few.

    Drawn groups are of SIZES in turn; no photo is in two, and none has photos of both halves.

    Args:
      names: of the groups that the photos are of.
      is_fitting: the half that each photo is in.
    """
    real = [rows for rows in members(names).values() if len(rows) > 1 and len(np.unique(labels[rows])) == 1]
    if len(real) >= FEWEST_GROUPS:
        return real, True
    random, drawn = np.random.default_rng(seed), []
    for number, stratum in enumerate(np.unique(2 * labels + is_fitting)):
        rows = random.permutation(np.flatnonzero(2 * labels + is_fitting == stratum))
        while len(rows) > 1:
            size = SIZES[number % len(SIZES)]
            drawn.append(rows[:size])
            rows, number = rows[size:], number + 1
    return drawn, False


def fit_similarity(features: np.ndarray, labels: np.ndarray, names: Sequence[str], seed: int = 0) -> float:
    """Below which COPIES of the pairs of photos of one class and of different groups lie."""
    random, found, group = np.random.default_rng(seed), [], np.unique(np.asarray(names, object).astype(str), return_inverse=True)[1]
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))[:_PAIRED]
        unit = normalised(np.asarray(features[rows], np.float64))
        found.append((unit @ unit.T)[np.triu(group[rows, None] != group[rows], 1)])
    pairs = np.concatenate(found)
    return float(np.clip(np.quantile(pairs, COPIES), 0, LARGEST_SIMILARITY)) if len(pairs) else GroupRule.similarity


def fit_dependence(groups: Sequence[np.ndarray], logits: np.ndarray, features: np.ndarray, labels: np.ndarray, temperature: float, similarity: float) -> float:
    """By the likelihood of the true classes of groups: the mean of the posterior."""
    rule, log_probabilities = GroupRule(similarity=similarity), _log_softmax(logits, temperature)
    weights = [rule.weights(features[rows]) for rows in groups]
    sums = np.stack([own @ log_probabilities[rows] for own, rows in zip(weights, groups, strict=True)])
    counts, of_group = np.array([own.sum() for own in weights]), labels[[rows[0] for rows in groups]]
    chosen = np.arange(len(groups)), of_group
    return _posterior_mean(np.stack([-_log_softmax(sums * counts[:, None] ** -dependence, 1.0)[chosen] for dependence in _DEPENDENCES]))


def fit_novelty_dependence(rule: GroupRule, known: Sequence[tuple[np.ndarray, np.ndarray]], left: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Likewise of telling groups of known species from those of species that were left out, each side counting alike.

    Args:
      known, left: of each group, the log-odds of its photos and their weights.
    """
    losses = []
    for groups, sign in ((known, 1), (left, -1)):
        rules = [dataclasses.replace(rule, novelty_dependence=float(dependence)) for dependence in _DEPENDENCES]
        losses.append(np.logaddexp(0, sign * np.array([[one.joined_novelty(*group) for group in groups] for one in rules])))
    return _posterior_mean(*losses)


def _posterior_mean(*losses: np.ndarray) -> float:
    """Of parts that count alike, [dependences, groups] each: under a flat prior, so that few groups, which tell little, give neither extreme."""
    log_likelihood = -losses[0].shape[1] * sum(part.mean(axis=1) for part in losses)
    posterior = np.exp(log_likelihood - log_likelihood.max())
    return float(posterior @ _DEPENDENCES / posterior.sum())


def _log_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
