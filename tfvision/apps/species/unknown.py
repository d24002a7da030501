"""What a species run answers by where some photos are of species that it was not trained on: fitted after training, opened to answer."""

import dataclasses
import sys
import typing
from collections.abc import Mapping

import keras
import numpy as np

from tfvision.data.lineage_matching import shared_levels
from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos
from tfvision.data.splits import halve
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import RecipeError, RunError
from tfvision.evaluation import specificity
from tfvision.evaluation.classification import Evaluation
from tfvision.evaluation.novelty import NoveltyModel
from tfvision.evaluation.unknown_species import (
    SHARES,
    Paths,
    UnknownAnswers,
    UnknownRule,
    fit_rule,
    fit_share,
    known_paths,
    leave_species_out,
    measure_by_share,
    unknown_paths,
)
from tfvision.files import write_arrays, write_json
from tfvision.progress import progress_bar
from tfvision.trained.species_network import Predictor, make_predictor, predict_with_features
from tfvision.trained.species_run import LARGEST_UNKNOWN_SHARE, SpeciesRun

FEWEST_SPECIES = 3  # with held-out photos: one is left out, and two are still told apart
MOST_PHOTOS = 20_000  # whose features are kept to fit on, of training and of validation
STRANGEST = 12  # photos most unlike anything trained, in the report
MOST_LOGITS = 20_000_000  # of the photos that heads are refitted on


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
    run: SpeciesRun, model: keras.Model, manifest: Manifest, labels: np.ndarray, splits: np.ndarray, temperature: float
) -> tuple[Evaluation, dict[str, typing.Any]] | None:
    """Fits what a run answers by where photos may be of unknown species; what it then answers to validation photos, and what the report tells."""
    if not run.recipe.unknown_share:
        return None
    predictor = make_predictor(model, run.recipe.is_mirrored_at_prediction, with_features=True)
    (trained, _), (held_out, photos) = (_seen(run, predictor, manifest.select(splits == part), labels[splits == part]) for part in ("train", "validation"))
    is_fitting = halve([record.group for record in photos.records], run.recipe.seed)
    found = fit_unknown(run, trained, held_out, temperature, is_fitting, run.recipe.seed)
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


class Seen(typing.NamedTuple):
    """Photos as a trained network sees them: logits float32 [photos, classes], features float32 [photos, channels], labels int [photos]."""

    logits: np.ndarray
    features: np.ndarray
    labels: np.ndarray


def fit_unknown(run: SpeciesRun, trained: Seen, held_out: Seen, temperature: float, is_fitting: np.ndarray, seed: int) -> dict[str, typing.Any] | None:
    """Writes unknown.json and novelty.npz of a run.

    Args:
      trained, held_out: photos of training and of validation.
      temperature: of the run.
      is_fitting: which of the held-out photos fit the thresholds of known species.

    Returns:
      For the report: "share", "by_share" (a dict a share, of "today" and "unknown", as `measure_share`), fitted on one half of the photos and of the
      species and measured on the other; None, and nothing is written, where too few species have held-out photos.
    """
    taxonomy = run.taxonomy
    if len(np.unique(held_out.labels)) < FEWEST_SPECIES or len(np.unique(trained.labels)) < len(taxonomy):
        return None
    trained = _at_most(trained, max(2 * len(taxonomy), min(MOST_PHOTOS, MOST_LOGITS // len(taxonomy))), seed)
    model = NoveltyModel.fit(trained.features, trained.labels, len(taxonomy))
    known = known_paths(held_out.logits, model.scores(held_out.features), held_out.labels, taxonomy, temperature)
    left = leave_species_out(trained.features, trained.labels, held_out.features, held_out.labels, taxonomy, seed)
    rule = fit_rule(known, left)
    shares = [fit_share(rule, known, left, taxonomy, share) for share in SHARES]
    write_json(run.unknown_path, {**dataclasses.asdict(rule), "shares": shares, "species": len(np.unique(left.species)), "photos": len(known)})
    write_arrays(run.novelty_path, model.arrays())
    told = (
        f"To see what species that were never trained on do, each of {len(np.unique(left.species))} was left out, and the last layer fitted again on the "
        "features of all others. One half of photos and species fitted thresholds, and this was measured on the other; where there are too few for halves, "
        "all did both."
    )
    return {"told": told, "share": run.recipe.unknown_share, "by_share": _measured(model, known, left, taxonomy, is_fitting, run.calibration)}


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


def _seen(run: SpeciesRun, predictor: Predictor, manifest: Manifest, labels: np.ndarray) -> tuple[Seen, Manifest]:
    """At most MOST_PHOTOS of the photos that can be read, as the network sees them."""
    chosen = np.random.default_rng(run.recipe.seed).permutation(len(manifest))[:MOST_PHOTOS]
    is_chosen = np.isin(np.arange(len(manifest)), chosen)
    manifest, labels = manifest.select(is_chosen), labels[is_chosen]
    with progress_bar("features", len(manifest)) as bar:
        parts = []
        for part in predict_with_features(predictor, manifest, run.recipe, len(run.taxonomy)):
            parts.append(part)
            bar.advance(len(part[0]))
    numbers, logits, features = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Seen(logits, features, labels[numbers]), manifest.select(np.isin(np.arange(len(manifest)), numbers))


def _at_most(seen: Seen, photos: int, seed: int) -> Seen:
    """So many of the photos, of each class at least one."""
    if len(seen.labels) <= photos:
        return seen
    order = np.random.default_rng(seed).permutation(len(seen.labels))
    _, first = np.unique(seen.labels[order], return_index=True)
    chosen = np.unique(np.concatenate([order[first], order[: photos - len(first)]]))
    return Seen(*(values[chosen] for values in seen))
