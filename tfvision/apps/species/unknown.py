"""What a species run answers by where some photos are of species that it was not trained on: fitted after training, opened to answer."""

import dataclasses
import typing
from collections.abc import Mapping

import numpy as np

from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import RecipeError, RunError
from tfvision.evaluation import specificity
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
    measure_depths,
    measure_share,
)
from tfvision.files import write_arrays, write_json
from tfvision.trained.species_run import LARGEST_UNKNOWN_SHARE, SpeciesRun

FEWEST_SPECIES = 3  # with held-out photos: one is left out, and two are still told apart
MOST_PHOTOS = 20_000  # whose features are kept to fit on, of training and of validation
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
    depths = [specificity.answer_depths(photos.reached, calibration["threshold"]) for photos in others]
    found = []
    for share in (0.0, *SHARES):
        today = measure_depths(*depths, *others, taxonomy, share)
        if share:
            fitted = fit_share(rule, known.select(is_fitting), left.select(is_fitted_on), taxonomy, share, [calibration["target"]])
            answers = UnknownAnswers(model, rule, share, fitted["species_threshold"], fitted["points"][0]["threshold"])
            found.append({"share": share, "today": today, "unknown": measure_share(answers, *others, taxonomy)})
        else:
            found.append({"share": share, "today": today, "unknown": today})
    return found


def _at_most(seen: Seen, photos: int, seed: int) -> Seen:
    """So many of the photos, of each class at least one."""
    if len(seen.labels) <= photos:
        return seen
    order = np.random.default_rng(seed).permutation(len(seen.labels))
    _, first = np.unique(seen.labels[order], return_index=True)
    chosen = np.unique(np.concatenate([order[first], order[: photos - len(first)]]))
    return Seen(*(values[chosen] for values in seen))
