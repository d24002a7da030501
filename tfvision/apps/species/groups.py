"""What a species run answers groups of photos of one animal by: fitted after training, and thresholds to answer with."""

import contextlib
import dataclasses
import typing
from collections.abc import Mapping, Sequence

import numpy as np

from tfvision.data.manifest import Manifest
from tfvision.data.splits import halve, some_of
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import RecipeError
from tfvision.evaluation import hierarchy, specificity
from tfvision.evaluation.calibration import softmax
from tfvision.evaluation.groups import FEWEST_GROUPS, GroupRule, fit_dependence, fit_similarity, groups_to_fit_on, join
from tfvision.evaluation.unknown_species import UnknownAnswers
from tfvision.trained.species_run import SpeciesRun

CONFIDENCE = 0.95  # with which groups reach a target, as photos do
MOST_PHOTOS = 20_000  # of training and of validation each, whose features are kept to fit on
MOST_LOGITS = 20_000_000  # of the photos that heads are refitted on


class Seen(typing.NamedTuple):
    """Photos as a trained network sees them: logits float32 [photos, classes], features float32 [photos, channels], labels int [photos]."""

    logits: np.ndarray
    features: np.ndarray
    labels: np.ndarray


class Kept:
    """Of a stream of photos, those that are kept to fit on."""

    def __init__(self, photos: int, most: int, seed: int) -> None:
        self._is_chosen, self._parts = some_of(np.full(photos, True), most, seed), []

    def __call__(self, numbers: np.ndarray, logits: np.ndarray, features: np.ndarray) -> None:
        """Adds those of a batch."""
        is_chosen = self._is_chosen[numbers]
        self._parts.append((numbers[is_chosen], logits[is_chosen], features[is_chosen]))

    def seen(self, manifest: Manifest, labels: np.ndarray) -> tuple[Seen, Manifest]:
        """They, and which of the manifest's photos they are."""
        numbers, logits, features = (np.concatenate(values) for values in zip(*self._parts, strict=True))
        return Seen(logits, features, labels[numbers]), manifest.select(np.isin(np.arange(len(manifest)), numbers))


def most_photos(classes: int) -> int:
    """So many photos are kept, at most: their logits and features stay small."""
    return max(2 * classes, min(MOST_PHOTOS, MOST_LOGITS // classes))


def group_rule(calibration: Mapping[str, typing.Any], unknown: Mapping[str, typing.Any] | None = None) -> GroupRule:
    """Of what calibration.json and unknown.json hold; where they hold nothing of groups, the careful one."""
    fitted = calibration.get("groups") or {}
    of_unknown = (unknown or {}).get("groups") or {}
    careful = GroupRule()
    return GroupRule(
        fitted.get("dependence", careful.dependence),
        of_unknown.get("novelty_dependence", careful.novelty_dependence),
        fitted.get("similarity", careful.similarity),
    )


def group_threshold(calibration: Mapping[str, typing.Any], target: float | None, threshold: float) -> float:
    """Least probability of a group's answer: that fitted for groups, but not below a photo's, as a group may be of copies of one photo."""
    if not (fitted := calibration.get("groups")):
        return threshold
    return _raised(threshold, fitted["depth_curve"], calibration["target"] if target is None else target)


def group_unknown(unknown: UnknownAnswers | None, stored: Mapping[str, typing.Any] | None, target: float) -> UnknownAnswers | None:
    """How groups are answered where they may be of unknown species; their thresholds are not below those of photos either."""
    if unknown is None:
        return None
    shares = ((stored or {}).get("groups") or {}).get("shares", ())
    fitted = next((one for one in shares if abs(one["share"] - unknown.share) < 1e-9), {"species_threshold": 0.0, "points": ()})
    return dataclasses.replace(
        unknown,
        rule=unknown.rule.of_log_odds,
        species_threshold=max(unknown.species_threshold, fitted["species_threshold"]),
        threshold=_raised(unknown.threshold, fitted["points"], target),
    )


def fit_groups(run: SpeciesRun, seen: Seen, photos: Manifest, temperature: float, threshold: float, target: float) -> dict[str, typing.Any] | None:
    """What is fitted for groups without unknown species, as calibration.json keeps it, on held-out photos; None where they are too few.

    Args:
      seen, photos: of the held-out photos.
      threshold, target: of one photo.

    Returns:
      dict of "dependence", "similarity", "is_real" (whether the groups are the source's own, or drawn), "groups" (fitted on), "depth_curve" (dicts of
      "target" and "threshold", of targets that enough groups tell of), and "measured", what such numbers, fitted on one half of the groups, give on the
      other, with "photos", what the threshold of one photo gives on these.
    """
    names, seed = [record.group for record in photos.records], run.recipe.seed
    return fitted_groups(seen, names, halve(names, seed), run.taxonomy, temperature, threshold, target, seed)


def fitted_groups(
    seen: Seen, names: Sequence[str], is_fitting: np.ndarray, taxonomy: Taxonomy, temperature: float, threshold: float, target: float, seed: int
) -> dict[str, typing.Any] | None:
    """`fit_groups` of photos that are of groups with these names, of which one half fits."""
    labels = seen.labels
    groups, is_real = groups_to_fit_on(names, labels, is_fitting, seed)
    if len(groups) < FEWEST_GROUPS:
        return None
    similarity = fit_similarity(seen.features, labels, names, seed)

    def judged(chosen: Sequence[np.ndarray], rule: GroupRule) -> tuple[np.ndarray, np.ndarray]:
        joined = join(chosen, seen.logits, seen.features, taxonomy, temperature, rule)
        return joined.reached, hierarchy.judge(joined.nodes, labels[[rows[0] for rows in chosen]], taxonomy)

    def fitted(chosen: Sequence[np.ndarray]) -> tuple[GroupRule, list[dict[str, float]]]:
        dependence = fit_dependence(chosen, seen.logits, seen.features, labels, temperature, similarity)
        rule = GroupRule(dependence, similarity=similarity)
        reached, is_correct = judged(chosen, rule)
        targets = [one for one in specificity.TARGETS if specificity.is_reachable(len(chosen), one, CONFIDENCE)]
        points = [specificity.fit_threshold(reached, is_correct, one, CONFIDENCE) for one in targets]
        return rule, [{"target": point.target, "threshold": point.threshold} for point in points]

    halves = [[rows for rows in groups if is_fitting[rows[0]] == half] for half in (True, False)]
    fitting, others = halves if all(halves) else (groups, groups)
    rule, points = fitted(fitting)
    own = group_threshold({"groups": {"depth_curve": points}}, target, threshold)
    photos = np.concatenate(others)
    nodes, of_photos = hierarchy.descend(softmax(seen.logits[photos], temperature), taxonomy)
    measured = {
        "groups": len(others),
        **_measured(*judged(others, rule), own),
        "photos": {"photos": len(photos), **_measured(of_photos, hierarchy.judge(nodes, labels[photos], taxonomy), threshold)},
    }
    rule, points = fitted(groups)
    stored = {"dependence": rule.dependence, "similarity": similarity, "is_real": is_real, "groups": len(groups), "depth_curve": points}
    return {**stored, "measured": measured}


def _measured(reached, is_correct, threshold):
    measured = specificity.measure(reached, is_correct, threshold)
    return {key: measured[key] for key in ("accuracy", "interval", "depth")}


def _raised(threshold: float, points: Sequence[dict[str, typing.Any]], target: float) -> float:
    """That of a photo, or the higher one that was fitted for groups, where one was for so high a target."""
    with contextlib.suppress(RecipeError):
        return max(threshold, specificity.threshold_for(points, target))
    return threshold
