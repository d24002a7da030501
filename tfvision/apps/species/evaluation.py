"""Evaluating a species model: calibration after training, and reports on any labelled photos."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfvision.apps.species.group_answers import answering_of
from tfvision.apps.species.group_evaluation import GroupEvaluation, in_groups
from tfvision.apps.species.groups import Kept, fit_groups, most_photos
from tfvision.apps.species.recipes import RECIPES
from tfvision.apps.species.unknown import STRANGEST, fit_after_training, measured_on_strangers, open_unknown
from tfvision.data.csv_table import csv_text
from tfvision.data.decoding import thumbnail_jpeg
from tfvision.data.manifest import Manifest, group_names, read_source
from tfvision.data.pipeline import BrokenPhotos
from tfvision.data.splits import halve, some_of
from tfvision.errors import DataError, RecipeError
from tfvision.evaluation.calibration import fit_temperature
from tfvision.evaluation.classification import Evaluation
from tfvision.evaluation.compared_runs import judged_on
from tfvision.evaluation.hierarchy import classes_within
from tfvision.evaluation.report import GROUPS_FILE, Thumbnail, headline, unlikeness, write_report
from tfvision.evaluation.specificity import is_reachable, threshold_for
from tfvision.evaluation.unknown_species import UnknownAnswers
from tfvision.files import write_json, write_text
from tfvision.progress import progress_bar
from tfvision.trained.species_network import Predictor, load_species_network, make_predictor, predict_with_features
from tfvision.trained.species_run import SpeciesRun
from tfvision.training.recipes import changes_of
from tfvision.training.trained_photos import trained_on, trained_on_any

CALIBRATION_PHOTOS = 2048  # enough to fit one number, few enough to hold their logits
TRAINING_PHOTOS = 1000  # on which the training accuracy is estimated
DEFAULT_TARGET = 0.9
DEFAULT_CONFIDENCE = 0.95
Watch = Callable[[np.ndarray, np.ndarray, np.ndarray], None]  # numbers, logits and features of photos, as they come


def evaluate_species(
    run: Path | str,
    source: Path | str,
    target_accuracy: float = DEFAULT_TARGET,
    out: Path | str | None = None,
    ranks: Sequence[str] | None = None,
    within: Sequence[str] = (),
    method: str = "exact",
    confidence: float | None = None,
    beside: Sequence[Path | str] = (),
    unknown_share: float | None = None,
    by_group: bool = False,
) -> dict[str, Any]:
    """Evaluates a run on labelled photos and writes report.html, report.json, species.csv and answers.csv.

    Photos that the run was trained on are left out, and counted. First stands what the run does as it is, at its own threshold;
    then the threshold is fitted anew on one half of the photos and reported on the other; groups are never parted.

    Args:
      run: folder of a finished run.
      source: as for training; its "test" rows where a split column names any, else its "validation"
        rows, else all.
      target_accuracy: share of answers that must be right.
      out: folder for the report; None = RUN/evaluation.
      within: names of taxa that are known to hold the answer.
      method: "exact" or "climb", the paper's hill climbing.
      confidence: the one-sided confidence with which the target is to be reached; 0 = by the fitting half
        alone, as in the paper; None = 0.95 where there are photos enough for it, else 0.
      beside: other runs, whose training photos are left out as well, so that all can be judged on the same.
      unknown_share: as `identify` takes it; None = the run's. Where it is above 0, photos of species that the run was not trained on are
        judged as well, apart from all others ("unknown").
      by_group: whether the photos of each group get one answer besides ("by_group", `GroupEvaluation.result`): of the column `group`, else of a folder.

    Returns:
      dict with "images", "accuracy", "top5", "accuracy_by_rank", "as_it_stands", "specificity", "by_species", "by_class_size",
      "calibration_error", "judged_on" (source, digest of the photos) and more (evaluation.classification.Evaluation.result),
      and "report", "left_out", "names" (sentences on names that are spelled differently, or are none of the run's), "broken",
      "headline" and "unlikeness" (a sentence where these photos are not like those of the training, else "").

    Raises:
      DataError, RunError.
    """
    run = SpeciesRun.open(run)
    nodes = [node for name in within for node in run.taxonomy.find(name)]
    manifest, left_out, names, strangers = _unseen_photos(run, _read_labelled(run, source, ranks), nodes, beside)
    unknown = _opened_unknown(run, unknown_share, target_accuracy)
    predictor = make_predictor(load_species_network(run), run.recipe.is_mirrored_at_prediction, with_features=unknown is not None or by_group)
    broken, standing, groups = BrokenPhotos(), _standing(run.calibration, target_accuracy), None
    if by_group:
        manifest = manifest.take(in_groups(group_names(manifest)))
        target = standing["target"] if standing["target"] != run.calibration["target"] else None
        answering = answering_of(run.calibration, run.unknown, run.taxonomy, run.calibration["temperature"], nodes, unknown, target=target)
        groups = GroupEvaluation(answering, group_names(manifest), manifest.labels(run.taxonomy))
    evaluation, result = _evaluate(
        run,
        predictor,
        manifest,
        manifest.labels(run.taxonomy),
        broken,
        target_accuracy=target_accuracy,
        temperature=run.calibration["temperature"],
        within=nodes,
        method=method,
        confidence=confidence,
        standing=standing,
        unknown=unknown,
        watch=groups,
    )
    if groups is not None:
        result["by_group"] = groups.result()
    if unknown is not None:
        by_share = measured_on_strangers(run, predictor, evaluation, strangers, standing, broken)
        result["unknown"] = {"share": unknown.share, **by_share, "strangest": evaluation.strangest(STRANGEST)}
    result["judged_on"] = judged_on(source, photos=manifest.records)
    facts = {
        "Run": _shown(run.folder),
        "Photos": _shown(source),
        "Recipe": changes_of(run.recipe, RECIPES),
        "Prior taxa": list(within),
        "Left out": [f"{count} photos: {reason}" for reason, count in left_out.items()],
        "Names": names,
        "Broken photos": _told(broken, manifest),
    }
    folder = Path(out) if out else run.folder / "evaluation"
    answers = evaluation.answers(result["as_it_stands"]["threshold"])
    report = write_report(folder, result, f"Evaluation of {run.folder.name}", facts, _thumbnails(manifest), answers=answers)
    if groups is None:
        (folder / GROUPS_FILE).unlink(missing_ok=True)  # of a call by group
    else:
        write_text(folder / GROUPS_FILE, csv_text(groups.answers()))
    told = {"headline": headline(result), "unlikeness": unlikeness(result)}
    return {**result, "report": str(report), "left_out": left_out, "names": names, "broken": dict(broken), **told}


def calibrate_and_report(
    run: SpeciesRun,
    model: keras.Model,
    manifest: Manifest,
    labels: np.ndarray,
    splits: np.ndarray,
    broken: BrokenPhotos,
    facts: dict[str, Any],
    predictor: Predictor | None = None,
) -> dict[str, Any]:
    """Fits temperature and thresholds on the validation part of a run; writes calibration.json and the report, which has further facts.

    Args:
      predictor: of the model, mirrored as the recipe says and with features, where there is one already: to trace it takes seconds.

    Returns:
      The result, as `Evaluation.result`.
    """
    predictor = predictor or make_predictor(model, run.recipe.is_mirrored_at_prediction, with_features=True)
    class_sizes = np.bincount(labels[splits == "train"], minlength=len(run.taxonomy))
    is_validation = splits == "validation"
    validation, kept = manifest.select(is_validation), Kept(int(is_validation.sum()), most_photos(len(run.taxonomy)), run.recipe.seed)
    evaluation, result = _evaluate(run, predictor, validation, labels[is_validation], broken, class_sizes=class_sizes, watch=kept)
    specificity = result["specificity"]
    held_out, photos = kept.seen(validation, labels[is_validation])
    result["groups"] = fit_groups(run, held_out, photos, result["temperature"], specificity["threshold"], specificity["target"])
    write_json(
        run.calibration_path,
        {
            "temperature": result["temperature"],
            "target": specificity["target"],
            "confidence": specificity["confidence"],
            "threshold": specificity["threshold"],
            "depth_curve": result["depth_curve"],
            "class_sizes": class_sizes,
            "groups": result["groups"],
        },
    )
    training_accuracy, trained = _training_accuracy(run, predictor, manifest, labels, splits)
    told = {
        "Run": _shown(run.folder),
        "Photos": _shown(run.facts["source"]) if run.facts["source"] else "the built-in specimens: drawings for teaching, not photos",
        "Recipe": changes_of(run.recipe, RECIPES),
        "Seed": run.recipe.seed,
        "Training photos": int((splits == "train").sum()),
        "Validation photos": int(is_validation.sum()),
        "Training accuracy": f"on {trained} training photos, without augmentation",
        **facts,
        "Broken photos": _told(broken, manifest),
    }
    training = manifest.select(splits == "train"), labels[splits == "train"]
    if (found := fit_after_training(run, predictor, training, held_out, photos)) is not None:
        evaluation, result["unknown"] = found
    answers = evaluation.answers(specificity["threshold"])
    write_report(run.folder, result, run.folder.name, told, _thumbnails(manifest), training_accuracy, answers)
    return {**result, "training_accuracy": training_accuracy}


def _opened_unknown(run: SpeciesRun, share: float | None, target_accuracy: float) -> UnknownAnswers | None:
    """As `open_unknown`; where the run was not calibrated for the target, at its own."""
    try:
        return open_unknown(run, share, target_accuracy)
    except RecipeError:
        return open_unknown(run, share)


def _evaluate(
    run: SpeciesRun,
    predictor: keras.Model,
    manifest: Manifest,
    labels: np.ndarray,
    broken: BrokenPhotos,
    target_accuracy: float = DEFAULT_TARGET,
    class_sizes: np.ndarray | None = None,
    temperature: float | None = None,
    within: Sequence[int] = (),
    method: str = "exact",
    confidence: float | None = None,
    standing: Mapping[str, Any] | None = None,
    unknown: UnknownAnswers | None = None,
    watch: Watch | None = None,
) -> tuple[Evaluation, dict[str, Any]]:
    if class_sizes is None:
        class_sizes = run.calibration["class_sizes"]
    is_fitting = halve([record.group for record in manifest.records], run.recipe.seed)
    if temperature is None:
        temperature = _fitted_temperature(run, predictor, manifest, labels, is_fitting, broken)
    evaluation = Evaluation(run.taxonomy, class_sizes, temperature, within, unknown)
    names = np.array([record.name for record in manifest.records], object)
    with progress_bar("evaluating", len(manifest)) as bar:
        for numbers, logits, features in predict_with_features(predictor, manifest, run.recipe, len(run.taxonomy), broken):
            evaluation.update(logits, labels[numbers], list(names[numbers]), is_fitting[numbers], features)
            if watch is not None:
                watch(numbers, logits, features)
            bar.advance(len(numbers))
    if confidence is None and method == "exact" and is_reachable(max(1, is_fitting.sum()), target_accuracy, DEFAULT_CONFIDENCE):
        confidence = DEFAULT_CONFIDENCE
    return evaluation, evaluation.result(target_accuracy, confidence or None, method, standing)


def _standing(calibration: Mapping[str, Any], target_accuracy: float) -> dict[str, Any]:
    """What `identify` goes by, when asked for this accuracy; where the run was not calibrated for it, at its own."""
    own = {key: calibration[key] for key in ("threshold", "target", "confidence")}
    if target_accuracy != own["target"]:
        with contextlib.suppress(RecipeError):
            return {**own, "threshold": threshold_for(calibration["depth_curve"], target_accuracy), "target": target_accuracy}
    return own


def _thumbnails(manifest: Manifest) -> Thumbnail:
    """Those of photos by their names in the manifest."""
    paths = {record.name: record.path for record in manifest.records}
    return lambda name, size_px: thumbnail_jpeg(paths[name], size_px)


def _told(broken: BrokenPhotos, manifest: Manifest) -> list[str]:
    """Why photos are broken, each called as in the manifest."""
    names = {record.path: record.name for record in manifest.records}
    return [reason.replace(path, names.get(path, path)) for path, reason in broken.items()]


def _shown(path: Path | str) -> str:
    """A path below the current folder as from there, another as it is."""
    path, here = Path(path), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _fitted_temperature(run: SpeciesRun, predictor: keras.Model, manifest: Manifest, labels: np.ndarray, is_fitting: np.ndarray, broken: BrokenPhotos) -> float:
    """The temperature of at most CALIBRATION_PHOTOS of the fitting half, so that memory stays bounded."""
    is_chosen = some_of(is_fitting, CALIBRATION_PHOTOS, run.recipe.seed)
    parts = list(predict_with_features(predictor, manifest.select(is_chosen), run.recipe, len(run.taxonomy), broken))
    if not parts:
        return 1.0
    numbers, logits, _ = (np.concatenate(values) for values in zip(*parts, strict=True))
    return fit_temperature(logits, labels[is_chosen][numbers])


def _training_accuracy(run: SpeciesRun, predictor: keras.Model, manifest: Manifest, labels: np.ndarray, splits: np.ndarray) -> tuple[float, int]:
    is_chosen = some_of(splits == "train", TRAINING_PHOTOS, run.recipe.seed)
    part, part_labels = manifest.select(is_chosen), labels[is_chosen]
    seen = predict_with_features(predictor, part, run.recipe, len(run.taxonomy))
    right = [logits.argmax(1) == part_labels[numbers] for numbers, logits, _ in seen]
    right = np.concatenate(right)
    return float(right.mean()), len(right)


def _read_labelled(run: SpeciesRun, source: Path | str, ranks: Sequence[str] | None) -> Manifest:
    """The photos by the ranks asked for, else by those that the run was asked for, else, where the source lacks these, by its own."""
    if not ranks:
        try:
            return read_source(source, run.facts["ranks"])
        except DataError:
            pass
    return read_source(source, ranks)


def _unseen_photos(
    run: SpeciesRun, manifest: Manifest, within: Sequence[int], beside: Sequence[Path | str] = ()
) -> tuple[Manifest, dict[str, int], list[str], Manifest]:
    """The photos to evaluate on, how many were left out for which reason, what is to be said of their names, and those of unknown species."""
    splits = np.array([record.split for record in manifest.records], object)
    for wanted in ("test", "validation"):
        if wanted in splits:
            break
    else:
        wanted = None
    is_kept = np.full(len(manifest), True) if wanted is None else splits == wanted
    left_out = {}

    def leave_out(is_out, reason):
        nonlocal is_kept
        if (is_out & is_kept).any():
            left_out[reason] = int((is_out & is_kept).sum())
            is_kept &= ~is_out

    leave_out(trained_on(run.folder, manifest.records), "the run was trained on them")
    leave_out(trained_on_any(beside, manifest.records), "a run that it is compared with was trained on them")
    labels, names = manifest.labels(run.taxonomy), manifest.select(is_kept).matched(run.taxonomy).told()
    strangers = manifest.select(is_kept & (labels < 0))
    leave_out(labels < 0, "their species is not among the run's classes")
    leave_out(~classes_within(run.taxonomy, within)[labels], "they lie outside the prior taxa")
    if not is_kept.any():
        reasons = "; ".join(f"{count} left out: {reason}" for reason, count in left_out.items())
        raise DataError(f"no photo is left to evaluate on ({'; '.join(filter(None, [reasons, *names])) or 'none given'})")
    return manifest.select(is_kept), left_out, names, strangers
