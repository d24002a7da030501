"""Answers to groups of photos of one animal, and to single photos, by one rule: of runs, of exports, in surveys."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfvision.apps.species.groups import group_rule, group_threshold, group_unknown
from tfvision.apps.species.identification import CarefulAnswer, careful_answers, chosen_threshold, cut_answers, told_answers
from tfvision.data.taxonomy import Taxonomy
from tfvision.evaluation import hierarchy
from tfvision.evaluation.calibration import softmax
from tfvision.evaluation.groups import GroupRule, join
from tfvision.evaluation.unknown_species import UnknownAnswers

Calibration = Mapping[str, typing.Any]


class Evidence(typing.NamedTuple):
    """What a model sees in photos.

    Attributes:
      logits: float32 [photos, classes].
      features: float32 [photos, channels], what the last layer saw; without channels where a model does not tell.
      log_odds: at even shares, that species are unknown: float64 [photos]; None where this is not asked.
    """

    logits: np.ndarray
    features: np.ndarray
    log_odds: np.ndarray | None = None

    @classmethod
    def of(cls, logits: np.ndarray, features: np.ndarray, unknown: UnknownAnswers | None) -> "Evidence":
        """What a run sees, as it is answered with or without unknown species."""
        return cls(logits, features, None if unknown is None else unknown.log_odds(features))


@dataclasses.dataclass(frozen=True)
class Answering:
    """How photos, and groups of photos, are answered.

    Attributes:
      threshold: least probability of an answer to one photo; None = that of `unknown`.
      unknown: how photos are answered where they may be of unknown species.
      rule: how the photos of a group are joined.
      group_threshold, group_unknown: likewise of groups.
    """

    taxonomy: Taxonomy
    temperature: float
    within: Sequence[int]
    threshold: float | None
    unknown: UnknownAnswers | None
    rule: GroupRule
    group_threshold: float | None
    group_unknown: UnknownAnswers | None

    def answers(self, groups: Sequence[np.ndarray], seen: Evidence) -> Iterator[dict]:
        """`careful` as people are told it: what SpeciesIdentifier.identify gives to a photo."""
        return told_answers(self.careful(groups, seen), self.taxonomy, self.within, self.unknown)

    def careful(self, groups: Sequence[np.ndarray], seen: Evidence) -> Iterator[CarefulAnswer]:
        """What is known of each group; of one photo, what is known of the photo.

        Args:
          groups: of each, the rows of its photos.
        """
        alone, several = [rows[0] for rows in groups if len(rows) == 1], [rows for rows in groups if len(rows) > 1]
        of_photos, of_groups = self._of_photos(alone, seen), self._of_groups(several, seen)
        for rows in groups:
            yield next(of_photos if len(rows) == 1 else of_groups)

    def _of_photos(self, rows, seen):
        log_odds = None if self.unknown is None else seen.log_odds[rows]
        return careful_answers(seen.logits[rows], self.taxonomy, self.temperature, self.within, self.threshold, self.unknown, log_odds=log_odds)

    def _of_groups(self, groups, seen):
        if not groups:
            return
        logits = np.where(hierarchy.classes_within(self.taxonomy, self.within), seen.logits, -np.inf).astype(np.float32)
        joined, chance = join(groups, logits, seen.features, self.taxonomy, self.temperature, self.rule), None
        if self.group_unknown is not None:
            log_odds = [self.rule.joined_novelty(seen.log_odds[rows], weights) for rows, weights in zip(groups, joined.weights, strict=True)]
            chance = self.group_unknown.rule.chance(np.array(log_odds)[:, None], self.group_unknown.share)
        paths = (joined.nodes, joined.reached, joined.logits, softmax(joined.logits, self.temperature))
        yield from cut_answers(*paths, self.taxonomy, self.within, self.group_threshold, self.group_unknown, chance)


def answering_of(
    calibration: Calibration,
    stored: Calibration | None,
    taxonomy: Taxonomy,
    temperature: float,
    within: Sequence[int] = (),
    unknown: UnknownAnswers | None = None,
    threshold: float | None = None,
    target: float | None = None,
) -> Answering:
    """By what a model answers.

    Args:
      calibration, stored: what calibration.json and unknown.json hold.
      threshold: asked for, of photos and groups alike; None = those of the target, else the calibrated ones.

    Raises:
      RecipeError: the threshold or the target is out of range.
    """
    of_groups = threshold
    if unknown is None or threshold is not None:
        threshold = chosen_threshold(calibration, threshold, target)
        of_groups = threshold if of_groups is not None else group_threshold(calibration, target, threshold)
    of_unknown = group_unknown(unknown, stored, calibration.get("target") if target is None else target)
    return Answering(taxonomy, temperature, within, threshold, unknown, group_rule(calibration, stored), of_groups, of_unknown)
