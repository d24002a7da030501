"""What a species run answers by where some photos are of species that it was not trained on: fitted after training, opened to answer."""

import dataclasses
import sys
import typing
from collections.abc import Mapping, Sequence

import numpy as np

from tfvision.apps.species.groups import MOST_PHOTOS, Seen, group_rule, most_photos
from tfvision.data.lineage_matching import shared_levels
from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos
from tfvision.data.splits import halve, some_of
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import RecipeError, RunError
from tfvision.evaluation import specificity
from tfvision.evaluation.classification import Evaluation
from tfvision.evaluation.groups import FEWEST_GROUPS, GroupRule, fit_novelty_dependence, groups_to_fit_on
from tfvision.evaluation.novelty import NoveltyModel
from tfvision.evaluation.unknown_species import (
    SHARES,
    Paths,
    UnknownAnswers,
    UnknownRule,
    fit_rule,
    fit_share,
    group_paths,
    known_paths,
    leave_species_out,
    measure_by_share,
    unknown_paths,
    with_novelty,
)
from tfvision.files import write_arrays, write_json
from tfvision.progress import progress_bar
from tfvision.trained.species_network import Predictor, predict_with_features
from tfvision.trained.species_run import LARGEST_UNKNOWN_SHARE, SpeciesRun

FEWEST_SPECIES = 3  # with held-out photos: one is left out, and two are still told apart
STRANGEST = 12  # photos most unlike anything trained, in the report


def open_unknown(run: SpeciesRun, share: float | None = None, target_accuracy: float | None = None) -> UnknownAnswers | None:
    """What a run answers by for a share of unknown species; None for a share of 0.

    Args:
      share: None = the run's own; between two that were fitted, the higher one counts.
      target_accuracy: None = the run's.

    Raises:
      RunError: the run has nothing fitted for unknown species.
      RecipeError: the share or the target is out of range.
    """
    asked = share
    share = run.recipe.unknown_share if share is None else share
    if not 0 <= share <= LARGEST_UNKNOWN_SHARE:
        raise RecipeError(f"--unknown-share must lie between 0 and {LARGEST_UNKNOWN_SHARE}, got {share}")
    if share == 0:
        return None
    if run.unknown is None:
        if asked is None:
            return None
        raise RunError(
            f"{run.folder} has nothing fitted for species that it was not trained on, as it was trained without --unknown-share, or on too few: "
            "train again with --unknown-share 0.1, or ask with --unknown-share 0"
        )
    target = run.calibration["target"] if target_accuracy is None else target_accuracy
    return answers_of(run.unknown, run.novelty_arrays, share, target)


def answers_of(stored: Mapping[str, typing.Any], arrays: Mapping[str, np.ndarray], share: float, target: float) -> UnknownAnswers:
    """Of what unknown.json and novelty.npz hold. Raises RecipeError."""
    fitted = min((one for one in stored["shares"] if one["share"] >= share - 1e-9), key=lambda one: one["share"])
    rule = UnknownRule(tuple(stored["weights"]), stored["offset"], tuple(stored["limits"]), tuple(stored["rates"]))
    threshold = specificity.threshold_for(fitted["points"], target)
    return UnknownAnswers(NoveltyModel(**arrays), rule, fitted["share"], fitted["species_threshold"], threshold)


def fit_after_training(
    run: SpeciesRun, predictor: Predictor, training: tuple[Manifest, np.ndarray], held_out: Seen, photos: Manifest
) -> tuple[Evaluation, dict[str, typing.Any]] | None:
    """Fits what a run answers by where photos may be of unknown species; what it then answers to validation photos, and what the report tells.

    Args:
      training: the photos of the training and their labels.
      held_out, photos: of validation, as the predictor with features sees them, and what they are.
    """
    if not run.recipe.unknown_share:
        return None
    temperature, names = run.calibration["temperature"], [record.group for record in photos.records]
    is_fitting = halve(names, run.recipe.seed)
    groups, _ = groups_to_fit_on(names, held_out.labels, is_fitting, run.recipe.seed)
    found = fit_unknown(run, _seen(run, predictor, *training), held_out, temperature, is_fitting, run.recipe.seed, groups)
    if found is None:
        print("too few species have validation photos to fit answers for unknown ones: --unknown-share stays 0", file=sys.stderr)
        return None
    evaluation = Evaluation(run.taxonomy, run.calibration["class_sizes"], temperature, unknown=open_unknown(run))
    evaluation.update(held_out.logits, held_out.labels, [record.name for record in photos.records], is_fitting, held_out.features)
    return evaluation, {**found, "strangest": evaluation.strangest(STRANGEST)}


def measured_on_strangers(
    run: SpeciesRun, predictor: Predictor, evaluation: Evaluation, strangers: Manifest, standing: Mapping[str, typing.Any], broken: BrokenPhotos
) -> dict[str, typing.Any]:
    """What both rules give where a share of the photos is of species that the run does not know; {} where the source has none of known lineage."""
    taxonomy, levels = run.taxonomy, shared_levels(strangers.ranks, run.taxonomy)
    if not levels or None in levels:
        return {}
    lineages = [tuple(record.lineage[level] for level in levels if level is not None) for record in strangers.records]
    is_named = np.array([bool(lineage[-1]) for lineage in lineages], bool)
    if not is_named.any():
        return {}
    parts = list(predict_with_features(predictor, strangers.select(is_named), run.recipe, len(taxonomy), broken))
    if not parts:
        return {}
    numbers, logits, features = (np.concatenate(values) for values in zip(*parts, strict=True))
    chosen = [lineages[row] for row in np.flatnonzero(is_named)[numbers]]
    answers = {share: answer for share in SHARES if (answer := open_unknown(run, share, standing["target"]))}
    known, unknown = evaluation.paths(), unknown_paths(logits, answers[SHARES[0]].model.scores(features), chosen, taxonomy, run.calibration["temperature"])
    depths = tuple(specificity.answer_depths(photos.reached, standing["threshold"]) for photos in (known, unknown))
    rows = measure_by_share(answers.__getitem__, depths, known, unknown, taxonomy)
    told = f"The source has {len(unknown)} photos of {len(np.unique(unknown.species))} species that the run was not trained on."
    return {"told": told, "by_share": rows}


def fit_unknown(
    run: SpeciesRun, trained: Seen, held_out: Seen, temperature: float, is_fitting: np.ndarray, seed: int, groups: Sequence[np.ndarray] = ()
) -> dict[str, typing.Any] | None:
    """Writes unknown.json and novelty.npz of a run.

    Args:
      trained, held_out: photos of training and of validation.
      temperature: of the run.
      is_fitting: which of the held-out photos fit the thresholds of known species.
      groups: of `groups_to_fit_on`, of the held-out photos.

    Returns:
      For the report: "share", "by_share" (a dict a share, of "today" and "unknown", as `measure_share`), fitted on one half of the photos and of the
      species and measured on the other; None, and nothing is written, where too few species have held-out photos.
    """
    taxonomy, joining = run.taxonomy, group_rule(run.calibration)
    if len(np.unique(held_out.labels)) < FEWEST_SPECIES or len(np.unique(trained.labels)) < len(taxonomy):
        return None
    trained = _at_most(trained, most_photos(len(taxonomy)), seed)
    stored, model, known, left = fitted_unknown(trained, held_out, groups, taxonomy, temperature, joining, seed)
    write_json(run.unknown_path, stored)
    write_arrays(run.novelty_path, model.arrays())
    told = (
        f"To see what species that were never trained on do, each of {len(np.unique(left.species))} was left out, and the last layer fitted again on the "
        "features of all others. One half of photos and species fitted thresholds, and this was measured on the other; where there are too few for halves, "
        "all did both."
    )
    return {"told": told, "share": run.recipe.unknown_share, "by_share": _measured(model, known, left, taxonomy, is_fitting, run.calibration)}


def fitted_unknown(
    trained: Seen, held_out: Seen, groups: Sequence[np.ndarray], taxonomy: Taxonomy, temperature: float, joining: GroupRule, seed: int
) -> tuple[dict[str, typing.Any], NoveltyModel, Paths, Paths]:
    """What unknown.json holds and the model of novelty.npz, and the paths of held-out photos, of known species and as if left out.

    Args:
      groups: of the held-out photos; nothing is fitted for groups where they are too few.
    """
    if len(groups) < FEWEST_GROUPS or len({held_out.labels[rows[0]] for rows in groups}) < FEWEST_SPECIES:
        groups = ()
    model = NoveltyModel.fit(trained.features, trained.labels, len(taxonomy))
    known = known_paths(held_out.logits, model.scores(held_out.features), held_out.labels, taxonomy, temperature)
    left_out = leave_species_out(trained.features, trained.labels, held_out.features, held_out.labels, taxonomy, seed, groups, joining)
    left = left_out.photos
    rule = fit_rule(known, left)
    shares = [fit_share(rule, known, left, taxonomy, share) for share in SHARES]
    of_groups = {"groups": _fit_groups(rule, known, left_out, held_out, groups, taxonomy, temperature, joining)} if groups else {}
    stored = {**dataclasses.asdict(rule), "shares": shares, **of_groups, "species": len(np.unique(left.species)), "photos": len(known)}
    return stored, model, known, left


def _fit_groups(rule, known, left_out, held_out, groups, taxonomy, temperature, joining):
    """What unknown.json holds of groups: "novelty_dependence" and "shares", fitted on groups of known species and of such that were left out."""
    of_left = np.empty(len(held_out.labels))
    of_left[left_out.rows] = rule.log_odds(left_out.photos.scores)
    log_odds = rule.log_odds(known.scores), of_left
    weights = [joining.weights(held_out.features[rows]) for rows in groups]
    photos = tuple([(values[rows], own) for rows, own in zip(groups, weights, strict=True)] for values in log_odds)
    joining = dataclasses.replace(joining, novelty_dependence=fit_novelty_dependence(joining, *photos))
    of_known = group_paths(groups, held_out.logits, held_out.features, held_out.labels, taxonomy, temperature, joining)
    known_groups, left_groups = (with_novelty(paths, own, joining) for paths, own in zip((of_known, left_out.groups), photos, strict=True))
    shares = [fit_share(rule.of_log_odds, known_groups, left_groups, taxonomy, share) for share in SHARES]
    return {"novelty_dependence": joining.novelty_dependence, "shares": shares}


def _measured(
    model: NoveltyModel, known: Paths, left: Paths, taxonomy: Taxonomy, is_fitting: np.ndarray, calibration: Mapping[str, typing.Any]
) -> list[dict[str, typing.Any]]:
    """By share, what both rules give on the half of photos and species that they were not fitted on, where there are enough for halves."""
    numbers = np.unique(left.species)
    is_fitted_on = np.isin(left.species, numbers[::2])
    if is_fitting.all() or not is_fitting.any() or len(numbers) < 2 * FEWEST_SPECIES:
        is_fitting, is_fitted_on = np.full(len(known), True), np.full(len(left), True)  # too few: measured on what they were fitted on
    others = (known.select(~is_fitting), left.select(~is_fitted_on)) if not is_fitting.all() else (known, left)
    rule = fit_rule(known.select(is_fitting), left.select(is_fitted_on))
    depths = tuple(specificity.answer_depths(photos.reached, calibration["threshold"]) for photos in others)

    def answers(share: float) -> UnknownAnswers:
        fitted = fit_share(rule, known.select(is_fitting), left.select(is_fitted_on), taxonomy, share, [calibration["target"]])
        return UnknownAnswers(model, rule, share, fitted["species_threshold"], fitted["points"][0]["threshold"])

    return measure_by_share(answers, depths, *others, taxonomy)


def _seen(run: SpeciesRun, predictor: Predictor, manifest: Manifest, labels: np.ndarray) -> Seen:
    """At most MOST_PHOTOS of the photos that can be read, as the network sees them."""
    is_chosen = some_of(np.full(len(manifest), True), MOST_PHOTOS, run.recipe.seed)
    manifest, labels = manifest.select(is_chosen), labels[is_chosen]
    with progress_bar("features", len(manifest)) as bar:
        parts = []
        for part in predict_with_features(predictor, manifest, run.recipe, len(run.taxonomy)):
            parts.append(part)
            bar.advance(len(part[0]))
    numbers, logits, features = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Seen(logits, features, labels[numbers])


def _at_most(seen: Seen, photos: int, seed: int) -> Seen:
    """So many of the photos, of each class at least one."""
    if len(seen.labels) <= photos:
        return seen
    order = np.random.default_rng(seed).permutation(len(seen.labels))
    _, first = np.unique(seen.labels[order], return_index=True)
    chosen = np.unique(np.concatenate([order[first], order[: photos - len(first)]]))
    return Seen(*(values[chosen] for values in seen))
