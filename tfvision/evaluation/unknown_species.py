"""Answers that stay right where some photos are of species that were never trained on.

A photo's novelty scores (novelty.py) become the chance that its species is none of the run's. With this chance v the taxon at depth d of the
greedy path, of probability q among the trained species, holds the photo with probability

    p = q * (1 - v * (1 - r_d)),

r_d being how often the taxon at depth d still held a species that was left out; at the species it is 0. A share of unknown species is a prior: it
moves the log-odds of v. The answer is the deepest taxon whose risk 1 - p is at most `risk * d / deepest`: what says more may risk more.
One number a share and target is fitted, so that answers on known and on left-out photos together are right as often as asked; a second one keeps species'
names from photos of unknown species. With a share of 0 nothing of this is used (specificity.py).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfvision.data.names import plain_taxon
from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation import hierarchy
from tfvision.evaluation.calibration import fit_temperature, softmax
from tfvision.evaluation.groups import GroupRule, join
from tfvision.evaluation.novelty import NoveltyModel
from tfvision.evaluation.specificity import ALWAYS_ABSTAIN, TARGETS, answer_depths, first_wrong

SHARES = (0.05, 0.1, 0.2, 0.5)  # for which thresholds are fitted, besides 0
FOLDS = 10  # groups of species that are left out in turn, where there are more species
NAMED_AT_MOST = 0.2  # of the photos of unknown species, those that may be given a species' name
FURTHEST = 2.0  # spreads of known photos above their mean: species that a network was trained on are further when left out than those it never saw
KEPT_AT_LEAST = 0.75  # of the right names of known species, whatever that costs in names of the unknown
CONFIDENCE = 0.95  # of the interval over species that were left out, whose lower end is to reach the target
KNOWN_CONFIDENCE = 0.8  # one-sided, of photos of known species: the larger margin counts, and theirs does where few photos are of unknown species
_TAIL = (1 + CONFIDENCE) / 2
_PENALTY = 1 / 0.3  # of half the squared weights, beside the summed loss
_LEAST_SPREAD = 0.1  # of a share's largest variance: species that all agree do not pretend to be certain
_ALWAYS_WRONG = 0.5  # species besides those left out, which unknown species are a little less like
_CANDIDATES = 512
_GAP = 2e-6


@dataclasses.dataclass(frozen=True)
class Paths:
    """What is known of some photos before a threshold: their greedy paths and novelty scores.

    Attributes:
      nodes, reached: of `hierarchy.descend`.
      is_correct: of `hierarchy.judge`.
      scores: of `NoveltyModel.scores`.
      species: int [photos], the true classes; of unknown species any numbers that tell them apart.
    """

    nodes: np.ndarray
    reached: np.ndarray
    is_correct: np.ndarray
    scores: np.ndarray
    species: np.ndarray

    def __len__(self) -> int:
        return len(self.species)

    def select(self, chosen: np.ndarray) -> "Paths":
        return Paths(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))

    @classmethod
    def joined(cls, parts: Sequence["Paths"]) -> "Paths":
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(cls)))


@dataclasses.dataclass(frozen=True)
class UnknownRule:
    """The chance of an unknown species, and what it leaves of a taxon's probability.

    Attributes:
      weights: of the scores, none negative; the chance's log-odds at even shares are `min(scores, limits) @ weights + offset`.
      offset: see there.
      limits: of the scores: what is so far from all that was trained on is no further.
      rates: by depth, root first: how often a taxon there held a species that was left out.
    """

    weights: tuple[float, ...]
    offset: float
    limits: tuple[float, ...]
    rates: tuple[float, ...]

    def chance(self, scores: np.ndarray, share: float) -> np.ndarray:
        """That a photo is of an unknown species, float64 [photos], where so large a share of photos is."""
        from scipy.special import expit

        return expit(self.log_odds(scores) + math.log(share / (1 - share)))

    def log_odds(self, scores: np.ndarray) -> np.ndarray:
        """The same at even shares, before it is squeezed into a chance: float64 [photos]."""
        return np.minimum(scores, self.limits) @ np.asarray(self.weights) + self.offset

    @property
    def of_log_odds(self) -> "UnknownRule":
        """The same rule for scores that are log-odds already: of photos, or of groups of photos; [photos, 1]."""
        return self.for_log_odds(self.rates)

    @classmethod
    def for_log_odds(cls, rates: Sequence[float]) -> "UnknownRule":
        """`of_log_odds` of a rule that has these rates."""
        return cls((1.0,), 0.0, (math.inf,), tuple(rates))

    def probabilities(self, nodes: np.ndarray, reached: np.ndarray, chance: np.ndarray, taxonomy: Taxonomy, within: Sequence[int] = ()) -> np.ndarray:
        """Of the taxa of each path, float32 as `reached`; those above all of `within` hold every photo."""
        kept = np.tile(np.asarray(self.rates), (len(nodes), 1))
        kept[taxonomy.is_leaf[nodes] & (nodes >= 0)] = 0
        kept[holds_all(taxonomy, within)[nodes]] = 1
        return (reached * (1 - chance[:, None] * (1 - kept))).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class UnknownAnswers:
    """How photos are answered where a share of them is of unknown species.

    Attributes:
      model: of the novelty scores.
      rule: what makes the chance of an unknown species of them.
      share: of photos of unknown species.
      species_threshold: least probability of a species.
      threshold: of `confidences`, for the accuracy asked for.
    """

    model: NoveltyModel
    rule: UnknownRule
    share: float
    species_threshold: float
    threshold: float

    def chance(self, features: np.ndarray) -> np.ndarray:
        """That photos are of unknown species, float64 [photos], by the features that the last layer saw."""
        return self.rule.chance(self.model.scores(features), self.share)

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        """The same at even shares: float64 [photos]."""
        return self.rule.log_odds(self.model.scores(features))

    def probabilities(self, nodes: np.ndarray, reached: np.ndarray, chance: np.ndarray, taxonomy: Taxonomy, within: Sequence[int] = ()) -> np.ndarray:
        """Of the taxa of each path, as `UnknownRule.probabilities`."""
        return self.rule.probabilities(nodes, reached, chance, taxonomy, within)

    def confidences(self, probabilities: np.ndarray, nodes: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
        """What is cut at `threshold`."""
        return confidences(probabilities, nodes, taxonomy, self.species_threshold)


def holds_all(taxonomy: Taxonomy, within: Sequence[int]) -> np.ndarray:
    """Which nodes hold all of the prior taxa: bool [nodes]; none but the root without any."""
    is_inside = hierarchy.classes_within(taxonomy, within)
    sums = np.concatenate([[0], np.cumsum(is_inside)])
    holds = sums[taxonomy.end_leaves] - sums[taxonomy.first_leaves] == sums[-1]
    return holds if not is_inside.all() else np.arange(taxonomy.node_count) == 0


def is_above(nodes: np.ndarray, lineages: Sequence[Sequence[str]], taxonomy: Taxonomy) -> np.ndarray:
    """Whether each node of each path holds a lineage, which need be none of the taxonomy's: bool [photos, depth + 1]; padding is False."""
    paths = [{(taxonomy.node_ranks[one], plain_taxon(taxonomy.names[one])) for one in taxonomy.path_to(node)[1:]} for node in range(taxonomy.node_count)]
    own = {lineage: set(zip(taxonomy.ranks, map(plain_taxon, lineage), strict=True)) for lineage in set(map(tuple, lineages))}
    return np.array([[node >= 0 and paths[node] <= own[tuple(lineage)] for node in row] for row, lineage in zip(nodes.tolist(), lineages, strict=True)])


def confidences(probabilities: np.ndarray, nodes: np.ndarray, taxonomy: Taxonomy, species_threshold: float) -> np.ndarray:
    """1 / (1 + risk), of the risk at which the answer first reaches so deep: float32, never rising along a path.

    To cut it at a threshold, as probabilities are cut without unknown species, gives the deepest taxon whose risk is allowed.

    Args:
      probabilities: of `UnknownRule.probabilities`.
      species_threshold: least probability of a species.
    """
    deepest = int(taxonomy.depths.max())
    depths = np.maximum(np.arange(nodes.shape[1]), 1)
    risk = (1 - probabilities.astype(np.float64)) * (deepest / depths)
    found = 1 / (1 + risk)
    found[:, 0] = 1
    is_refused = taxonomy.is_leaf[nodes] & (probabilities < np.float32(species_threshold))
    found[is_refused | (nodes < 0)] = 0
    return np.maximum.accumulate(found[:, ::-1], axis=1)[:, ::-1].astype(np.float32)


class LeftOut(NamedTuple):
    """Photos of species that were left out.

    Attributes:
      photos: each on its own.
      rows: of the photos, among those that were held out.
      groups: of the groups, without scores; None where there are none.
    """

    photos: Paths
    rows: np.ndarray
    groups: Paths | None


def leave_species_out(
    features: np.ndarray,
    labels: np.ndarray,
    held_features: np.ndarray,
    held_labels: np.ndarray,
    taxonomy: Taxonomy,
    seed: int = 0,
    groups: Sequence[np.ndarray] = (),
    joining: GroupRule = GroupRule(),
) -> LeftOut:
    """The held-out photos of each species, as a model sees them that was refitted without it; and groups of them.

    Species are left out one by one, or in FOLDS folds.

    Args:
      features, labels: of photos that the heads are fitted on.
      held_features, held_labels: of others.
      groups: of each, the rows of its held-out photos, which are of one species.
      joining: how they are joined.
    """
    classes = len(taxonomy)
    order = np.random.default_rng(seed).permutation(classes)
    folds = [order[fold::FOLDS] for fold in range(min(FOLDS, classes))]
    if classes - max(map(len, folds)) < 2:
        folds = [order[fold : fold + 1] for fold in range(classes)]
    parts, rows, numbers, of_groups = [], [], [], []
    for fold in folds:
        if len(left := np.flatnonzero(np.isin(held_labels, fold))):
            chosen = [number for number, group in enumerate(groups) if held_labels[group[0]] in fold]
            own = [np.searchsorted(left, groups[number]) for number in chosen]
            photos, joined = _without(fold, (features, labels), (held_features, held_labels), left, taxonomy, own, joining)
            parts.append(photos)
            rows.append(left)
            numbers += chosen
            of_groups += [joined] if joined else []
    return LeftOut(Paths.joined(parts), np.concatenate(rows), Paths.joined(of_groups).select(np.argsort(numbers)) if of_groups else None)


def known_paths(logits: np.ndarray, scores: np.ndarray, labels: np.ndarray, taxonomy: Taxonomy, temperature: float) -> Paths:
    """Of photos of trained species, by a network's own logits."""
    nodes, reached = hierarchy.descend(softmax(logits, temperature), taxonomy)
    return Paths(nodes, reached, hierarchy.judge(nodes, labels, taxonomy), scores, np.asarray(labels))


def unknown_paths(logits: np.ndarray, scores: np.ndarray, lineages: Sequence[tuple[str, ...]], taxonomy: Taxonomy, temperature: float) -> Paths:
    """Of photos of species that the taxonomy lacks: a taxon is right that holds their lineage, which has a name for each of its ranks."""
    nodes, reached = hierarchy.descend(softmax(logits, temperature), taxonomy)
    numbers = {lineage: number for number, lineage in enumerate(sorted(set(lineages)))}
    return Paths(nodes, reached, is_above(nodes, lineages, taxonomy), scores, np.array([numbers[lineage] for lineage in lineages]))


def group_paths(
    groups: Sequence[np.ndarray], logits: np.ndarray, features: np.ndarray, labels: np.ndarray, taxonomy: Taxonomy, temperature: float, joining: GroupRule
) -> Paths:
    """Of groups of photos of one known species each, without scores (`with_novelty`); the arguments are those of `groups.join`."""
    joined, species = join(groups, logits, features, taxonomy, temperature, joining), labels[[rows[0] for rows in groups]]
    is_correct = hierarchy.judge(joined.nodes, species, taxonomy)
    return Paths(joined.nodes, joined.reached, is_correct, np.zeros((len(groups), 0)), species)


def with_novelty(paths: Paths, photos: Sequence[tuple[np.ndarray, np.ndarray]], joining: GroupRule) -> Paths:
    """Paths of groups whose scores are the joined log-odds of their photos, for `UnknownRule.of_log_odds`.

    Args:
      photos: of each group, the log-odds of its photos and their weights.
    """
    return dataclasses.replace(paths, scores=np.array([joining.joined_novelty(*group) for group in photos])[:, None])


def fit_rule(known: Paths, left: Paths) -> UnknownRule:
    """Of held-out photos of trained species, and of species that were left out: each species counts alike."""
    counts = np.bincount(left.species)
    of_left = 1 / counts[left.species]
    examples = np.concatenate([np.full(len(known), 0.5 / len(known)), 0.5 * of_left / of_left.sum()]) * (len(known) + len(left))
    is_left = np.arange(len(examples)) >= len(known)
    limits = known.scores.mean(axis=0) + FURTHEST * known.scores.std(axis=0)
    weights, offset = _fit_logistic(np.minimum(np.concatenate([known.scores, left.scores]), limits), is_left, examples)
    is_held = np.stack([left.is_correct[left.species == number].mean(axis=0) for number in np.flatnonzero(counts)])
    rates = is_held.sum(axis=0) / (len(is_held) + 1)  # as if one more had been held by none
    rates[0] = 1
    return UnknownRule(tuple(weights.tolist()), offset, tuple(limits.tolist()), tuple(rates.tolist()))


def fit_share(rule: UnknownRule, known: Paths, left: Paths, taxonomy: Taxonomy, share: float, targets: Sequence[float] = TARGETS) -> dict[str, Any]:
    """The thresholds for one share of unknown species.

    Each is the lowest at which the lower bound of the answers' accuracy reaches the target, by the larger of two margins: over the species left out
    (CONFIDENCE) and over the photos of known ones (KNOWN_CONFIDENCE). Where there are too few for that, the accuracy itself reaches the target, and
    "confidence" is None; targets above 0.9 are then left out.

    Returns:
      dict of "share", "species_threshold" and "points", dicts of "target", "threshold" and "confidence".
    """
    of_known, of_left = (_probabilities(rule, photos, taxonomy, share) for photos in (known, left))
    species_threshold = min(_species_threshold(of_left, left, taxonomy), _least_of_known(of_known, known, taxonomy))
    ranked = [confidences(found, photos.nodes, taxonomy, species_threshold) for found, photos in ((of_known, known), (of_left, left))]
    walls = [first_wrong(found, photos.is_correct) for found, photos in zip(ranked, (known, left), strict=True)]
    candidates = np.unique(np.concatenate([[0], *walls]))
    if len(candidates) > _CANDIDATES:
        candidates = np.unique(np.quantile(candidates, np.linspace(0, 1, _CANDIDATES), method="higher"))
    right = (walls[0][:, None] <= candidates).mean(axis=0)
    by_species = np.stack([(walls[1][left.species == number, None] <= candidates).mean(axis=0) for number in np.unique(left.species)], axis=1)
    lower = np.array([_lower_bound(one, len(known), rates, share) for one, rates in zip(right, by_species, strict=True)])
    plain = (1 - share) * right + share * by_species.mean(axis=1)
    points, occurring = [], np.concatenate([found.ravel() for found in ranked])
    for target in targets:
        for reached, confidence in ((lower, CONFIDENCE), (plain, None)):
            fails = np.flatnonzero(reached < target)
            first = int(fails[-1]) + 1 if len(fails) else 0
            if first < len(candidates):
                points.append({"target": float(target), "threshold": _in_gap(candidates[first], occurring), "confidence": confidence})
                break
            if target > 0.9:
                break
    return {"share": share, "species_threshold": species_threshold, "points": points}


def measure_share(answers: UnknownAnswers, known: Paths, unknown: Paths, taxonomy: Taxonomy) -> dict[str, Any]:
    """What answers are worth where their share of the photos is of unknown species, each of which counts alike.

    Returns:
      dict of "right" with its two-sided 95 % "interval", "right_known", "right_unknown", "depth" and "depth_unknown" (means), "named" (the share of
      photos of unknown species that were given a species' name).
    """
    of_known, of_unknown = (
        answer_depths(answers.confidences(_probabilities(answers.rule, photos, taxonomy, answers.share), photos.nodes, taxonomy), answers.threshold)
        for photos in (known, unknown)
    )
    return measure_depths(of_known, of_unknown, known, unknown, taxonomy, answers.share)


def measure_by_share(
    answers: Callable[[float], UnknownAnswers], depths: tuple[np.ndarray, np.ndarray], known: Paths, unknown: Paths, taxonomy: Taxonomy
) -> list[dict[str, Any]]:
    """For no unknown species and each of SHARES: dict of "share", "today" (answers so deep) and "unknown" (answers of that share), as `measure_share`."""
    rows = []
    for share in (0.0, *SHARES):
        today = measure_depths(*depths, known, unknown, taxonomy, share)
        rows.append({"share": share, "today": today, "unknown": measure_share(answers(share), known, unknown, taxonomy) if share else today})
    return rows


def measure_depths(depths: np.ndarray, unknown_depths: np.ndarray, known: Paths, unknown: Paths, taxonomy: Taxonomy, share: float) -> dict[str, Any]:
    """As `measure_share`, of answers so deep."""
    right = known.is_correct[np.arange(len(known)), depths].mean()
    rows, numbers = np.arange(len(unknown)), np.unique(unknown.species)
    is_right, is_named = unknown.is_correct[rows, unknown_depths], taxonomy.is_leaf[unknown.nodes[rows, unknown_depths]]
    rates, named, deep = (np.array([values[unknown.species == number].mean() for number in numbers]) for values in (is_right, is_named, unknown_depths))
    together = float((1 - share) * right + share * rates.mean())
    margin = math.hypot((1 - share) * _photo_margin(right, len(known), _TAIL), share * _spread(rates, _TAIL))
    return {
        "share": share,
        "right": together,
        "interval": [max(0.0, together - margin), min(1.0, together + margin)],
        "right_known": float(right),
        "right_unknown": float(rates.mean()),
        "depth": float(depths.mean()),
        "depth_unknown": float(deep.mean()),
        "named": float(named.mean()),
    }


def _without(
    fold: np.ndarray,
    fitting: tuple[np.ndarray, np.ndarray],
    held: tuple[np.ndarray, np.ndarray],
    left: np.ndarray,
    taxonomy: Taxonomy,
    groups: Sequence[np.ndarray],
    joining: GroupRule,
) -> tuple[Paths, Paths | None]:
    """The left-out photos of a fold of species, as seen without it, and groups of them."""
    classes, (features, labels), (held_features, held_labels) = len(taxonomy), fitting, held
    kept, is_known = np.setdiff1d(np.arange(classes), fold), ~np.isin(np.arange(len(held_labels)), left)
    number = np.full(classes, -1)
    number[kept] = np.arange(len(kept))
    is_fitting = np.isin(labels, kept)
    model = NoveltyModel.fit(features[is_fitting], number[labels[is_fitting]], len(kept))
    temperature = fit_temperature(model.logits(held_features[is_known]), number[held_labels[is_known]])
    logits = np.full((len(left), classes), -np.inf, np.float32)
    logits[:, kept] = model.logits(held_features[left])
    nodes, reached = hierarchy.descend(softmax(logits, temperature), taxonomy)
    species = held_labels[left]
    photos = Paths(nodes, reached, hierarchy.judge(nodes, species, taxonomy), model.scores(held_features[left]), species)
    return photos, group_paths(groups, logits, held_features[left], species, taxonomy, temperature, joining) if groups else None


def _probabilities(rule: UnknownRule, photos: Paths, taxonomy: Taxonomy, share: float) -> np.ndarray:
    return rule.probabilities(photos.nodes, photos.reached, rule.chance(photos.scores, share), taxonomy)


def _fit_logistic(scores: np.ndarray, is_positive: np.ndarray, examples: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights of at least 0 and the offset of a penalised logistic regression; `examples` is how much each photo counts."""
    from scipy.optimize import minimize
    from scipy.special import expit

    centre, spread = scores[~is_positive].mean(axis=0), scores[~is_positive].std(axis=0) + 1e-9
    inputs = (scores - centre) / spread
    signs = np.where(is_positive, 1.0, -1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights = parameters[:-1]
        margins = signs * (inputs @ weights + parameters[-1])
        slopes = -signs * expit(-margins) * examples
        value = float((examples * np.logaddexp(0, -margins)).sum()) + _PENALTY / 2 * float(weights @ weights)
        return value, np.append(inputs.T @ slopes + _PENALTY * weights, slopes.sum())

    bounds = [(0.0, None)] * scores.shape[1] + [(None, None)]
    fitted = minimize(loss, np.zeros(scores.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = fitted[:-1] / spread
    return weights, float(fitted[-1] - centre @ weights)


def _species_threshold(probabilities: np.ndarray, left: Paths, taxonomy: Taxonomy) -> float:
    """The least at which at most NAMED_AT_MOST of left-out photos get a species' name, by the upper end of a 95 % interval where species suffice."""
    is_leaf = taxonomy.is_leaf[left.nodes] & (left.nodes >= 0)
    named = np.where(is_leaf, probabilities, 0).max(axis=1)
    candidates = np.unique(np.append(0, named))
    rates = np.stack([(named[left.species == number, None] > candidates).mean(axis=0) for number in np.unique(left.species)], axis=1)
    upper = np.array([one.mean() + _spread(one, _TAIL) for one in rates])
    passes = np.flatnonzero(upper <= NAMED_AT_MOST)
    if not len(passes):
        passes = np.flatnonzero(rates.mean(axis=1) <= NAMED_AT_MOST)
    return _in_gap(candidates[passes[0]], named)


def _least_of_known(probabilities: np.ndarray, known: Paths, taxonomy: Taxonomy) -> float:
    """The largest threshold that leaves KEPT_AT_LEAST of the right species' names."""
    right = known.is_correct & taxonomy.is_leaf[known.nodes]
    of_right = probabilities[right]
    return max(0.0, 1 - _in_gap(1 - np.quantile(of_right, 1 - KEPT_AT_LEAST, method="lower"), 1 - of_right)) if len(of_right) else ALWAYS_ABSTAIN


def _in_gap(value: float, occurring: np.ndarray) -> float:
    """A float32 number above a value, in the first gap between those that occur: so that a graph, which rounds otherwise, cuts as the fit did."""
    larger = np.unique(np.append(occurring[occurring > value], value).astype(np.float64))
    wide = np.flatnonzero(np.diff(larger) >= _GAP)
    return float(np.float32(larger[wide[0] : wide[0] + 2].mean())) if len(wide) else min(ALWAYS_ABSTAIN, float(np.float32(larger[-1] + _GAP)))


def _lower_bound(right: float, photos: int, rates: np.ndarray, share: float) -> float:
    """Of the share of right answers, below by the larger of the margins of known photos and of left-out species."""
    of_unknown = rates.sum() / (len(rates) + _ALWAYS_WRONG)
    margin = max((1 - share) * _photo_margin(right, photos, KNOWN_CONFIDENCE), share * _spread(rates, _TAIL))
    return (1 - share) * right + share * of_unknown - margin


def _photo_margin(right: float, photos: int, confidence: float) -> float:
    """From a share of right photos to its bound."""
    from scipy.stats import norm

    drawn_in = (right * photos + 1) / (photos + 2)
    return float(norm.ppf(confidence) * math.sqrt(drawn_in * (1 - drawn_in) / (photos + 2)))


def _spread(rates: np.ndarray, confidence: float) -> float:
    """From a mean over species to its bound, by Student's t."""
    from scipy.stats import t

    count = len(rates)
    drawn_in = (rates.sum() + 0.5) / (count + 1)
    variance = max(rates.var(ddof=1) if count > 1 else 0.0, _LEAST_SPREAD * drawn_in * (1 - drawn_in))
    return float(t.ppf(confidence, max(1, count - 1)) * math.sqrt(variance / count))
