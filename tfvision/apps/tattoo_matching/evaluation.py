"""Evaluating a matcher, or any network that makes features: whose tattoo is it, and how far is the answer to be trusted?"""

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.apps.tattoo_matching.protocols import MatchingTrial, make_trial
from tfvision.apps.tattoo_matching.report import write_report
from tfvision.apps.tattoo_matching.source import read_matching_source
from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError
from tfvision.evaluation.compared_runs import judged_on
from tfvision.evaluation.identification import (
    RANKS,
    Judged,
    as_products,
    cmc,
    cmc_curve,
    fnir_at_fpir,
    fnir_intervals,
    judge_probes,
    mean_intervals,
    open_set_points,
    pooled,
    subject_groups,
    unmated_scores,
)
from tfvision.evaluation.likelihood import FILE_NAME, fit_calibration
from tfvision.evaluation.verification import FMRS, Scores, det_curve, eer_interval
from tfvision.features.extractor import Extractor, open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.features.table import feature_table
from tfvision.files import write_json
from tfvision.progress import progress_bar
from tfvision.trained.matcher_run import MatcherRun
from tfvision.training.run import RUNS_FOLDER, read_run_file
from tfvision.training.trained_photos import trained_on_any

DISTANCES = ("cosine", "euclidean")


def evaluate_matcher(
    model: FeatureRecipe | Path | str,
    source: Path | str,
    protocol: str = "identification",
    galleries: str | None = None,
    folds: int = 5,
    seed: int = 0,
    distance: str | None = None,
    ranks: Sequence[int] = (),
    out: Path | str | None = None,
    is_calibrated: bool = True,
    beside: Sequence[Path | str] = (),
) -> dict[str, Any]:
    """Evaluates a model on a source by a protocol; writes report.html and report.json, and beside a run what its scores are worth.

    A run's training subjects stay in the gallery but do not ask.

    Args:
      model: a run, a network of the catalogue, an export or hub:..., as FeatureRecipe takes it, or a FeatureRecipe.
      source: as `read_matching_source`.
      protocol, galleries, folds, seed: as `make_trial`.
      distance: "cosine", or "euclidean", of the vectors as the network gives them; None = as the run was trained, else "cosine".
      ranks: of the CMC table, besides 1, 5, 10, 20 and 30.
      out: folder for the report; None = RUN/evaluation-PROTOCOL, or runs/evaluation-MODEL-PROTOCOL.
      is_calibrated: whether RUN/match_calibration.json is written (cosine of a run only).
      beside: other runs, whose training subjects do not ask either, so that all can be judged on the same.

    Returns:
      What `summary` says, and "application", "protocol", "det" {"pairs", "gallery": points of the curves}, "judged_on" (source and
      digest of the photos), "model", "source", "distance", "galleries", "left_out" (probes of subjects that were trained on),
      "images", "broken", "calibration" (path or None), "report".

    Raises:
      DataError, RecipeError, RunError, WeightsError.
    """
    recipe = model if isinstance(model, FeatureRecipe) else FeatureRecipe(model=str(model))
    run = Path(recipe.model) if (Path(recipe.model) / "recipe.json").is_file() else None
    distance = distance or _trained_distance(run)
    if distance not in DISTANCES:
        raise DataError(f"--distance must be one of {', '.join(DISTANCES)}, got {distance!r}")
    trial = make_trial(read_matching_source(source, protocol), protocol, galleries, folds, seed)
    trial, left_out = untrained(trial, *([run] if run else []), *beside)
    extractor = open_extractor(dataclasses.replace(recipe, is_normalised=distance == "cosine"))
    broken = BrokenPhotos()
    parts = judge_trial(trial, extractor, distance, broken, "searching")
    judged = pooled([part for _, part in parts])
    result = {
        "application": MatcherRun.APPLICATION,
        "protocol": protocol,
        "model": recipe.model,
        "source": str(source),
        "distance": distance,
        "galleries": trial.galleries,
        **summary(judged, trial.subjects, ranks, seed),
        "det": _det_points(judged),
        "by_fold": [{"fold": fold, **_figures(part, ranks)} for fold, part in parts],
        "left_out": left_out,
        "images": len(trial.gallery) + (len(trial.probes) if trial.probes is not trial.gallery else 0),
        "judged_on": judged_on(source, gallery=trial.gallery.records, probes=trial.asking),
        "broken": dict(broken),
        "calibration": None,
    }
    calibration = fit_calibration(judged.genuine, judged.impostor, len(judged), extractor.identity, str(source), protocol) if judged.impostor.count else None
    result["cllr"] = calibration.cllr if calibration else None
    if run and calibration and is_calibrated and distance == "cosine":
        calibration.save(run)
        result["calibration"] = str(run / FILE_NAME)
    folder = Path(out) if out else _report_folder(run, recipe.model, protocol)
    write_json(folder / "report.json", result)
    result["report"] = str(write_report(folder / "report.html", result, trial, judged, calibration))
    return result


def evaluate_folds(
    runs: Iterable[Path | str],
    source: Path | str,
    protocol: str = "identification",
    galleries: str | None = None,
    folds: int = 5,
    seed: int = 0,
    distance: str | None = None,
    ranks: Sequence[int] = (),
) -> dict[str, Any]:
    """The figures of several runs over one source, each asked by the subjects that it was not trained on, as if they were one.

    Args:
      runs: a run for each fold, so that every probe is asked of exactly one.
      source, protocol, galleries, folds, seed, distance, ranks: as `evaluate_matcher`.

    Returns:
      What `summary` says, "by_run" [the figures of each], and "broken". Euclidean scores of several networks cannot be laid on
      each other, so there is then no EER of all.

    Raises:
      DataError: two runs left out the same subject.
    """
    trial, parts, broken = make_trial(read_matching_source(source, protocol), protocol, galleries, folds, seed), [], BrokenPhotos()
    of_runs = [(run, untrained(trial, run)[0]) for run in map(Path, runs)]
    asked = [question.query for _, own in of_runs for question in own.questions]
    if len(set(asked)) < len(asked):
        raise DataError("a probe is asked of two of the runs: give runs that left out one fold each")
    for run, own in of_runs:
        chosen = distance or _trained_distance(run)
        extractor = open_extractor(FeatureRecipe(model=str(run), is_normalised=chosen == "cosine"))
        parts.append(pooled([part for _, part in judge_trial(own, extractor, chosen, broken, run.name)]))
    limits = {(part.genuine.low, part.genuine.high) for part in parts}
    judged = pooled(parts) if len(limits) == 1 else pooled([dataclasses.replace(part, genuine=Scores(), impostor=Scores()) for part in parts])
    return {**summary(judged, trial.subjects, ranks, seed), "by_run": [_figures(part, ranks) for part in parts], "broken": dict(broken)}


def judge_trial(
    trial: MatchingTrial, extractor: Extractor, distance: str = "cosine", broken: BrokenPhotos | None = None, label: str | None = None
) -> list[tuple[int, Judged]]:
    """Sees the photos of a trial and searches for its probes: [(fold, Judged)], rows of the whole gallery.

    Photos that cannot be read neither ask nor are found. Judged of several runs over one trial are pooled by `pooled`.

    Args:
      label: of a progress bar; None = none.

    Raises:
      DataError: no probe is left.
    """
    broken = BrokenPhotos() if broken is None else broken
    gallery, is_read = _vectors(trial.gallery, extractor, broken, label and "gallery")
    asked, is_asked = (gallery, is_read) if trial.probes is trial.gallery else _vectors(trial.probes, extractor, broken, label and "probes")
    trial, limits = trial.without(~is_asked, ~is_read), (-1.0, 1.0)
    if not trial.questions:
        raise DataError(f"none of the probes could be read: {next(iter(broken.values()))}")
    if distance == "euclidean":
        asked, gallery, limits = as_products(asked, gallery)
    groups, parts = subject_groups(trial.subjects), []
    with progress_bar(label, len(trial.questions)) if label else contextlib.nullcontext() as bar:
        for fold, questions, rows in trial.searches():
            own = groups[[question.query for question in questions]]
            searched = gallery if rows is None else gallery[rows]
            judged = judge_probes(asked, searched, questions, own, limits, bar and bar.advance)
            judged = dataclasses.replace(judged, gallery=float(np.count_nonzero(is_read if rows is None else is_read[rows])))
            parts.append((fold, judged if rows is None else _of_whole_gallery(judged, rows)))
    return parts


def summary(judged: Judged, subjects: Sequence[str], ranks: Sequence[int] = (), seed: int = 0) -> dict[str, Any]:
    """The figures of probes that were searched for.

    Args:
      subjects: of every probe of the trial.
      ranks: as `evaluate_matcher`.
      seed: of the bootstraps.

    Returns:
      dict: "probes", "mated" (those with a mate), "gallery" (photos searched, the mean over probes), "cmc" {rank: share},
      "cmc_curve" [share], "map", "eer", "fnmr" {FMR: FNMR}, "fnir" {FPIR: FNIR}, "fnir_thresholds", "unmated" (probes that false alarms
      are counted on), "has_unmated" (else each probe with its mates taken out stands in), "resolution" of thresholds, and
      "intervals": 95 %, by drawing subjects, of cmc, map, eer and fnir.
    """
    wanted, own = _all_ranks(ranks), np.asarray(subjects)[judged.probes]
    mated = np.flatnonzero(judged.is_mated)
    alarms, _, has_unmated = unmated_scores(judged)
    fnir = fnir_at_fpir(judged)
    intervals = {}
    if len(mated):
        values = np.column_stack([*(judged.positions[mated] < rank for rank in wanted), judged.precisions[mated]])
        found = mean_intervals(values, own[mated], seed).tolist()
        intervals = {"cmc": dict(zip(map(str, wanted), found, strict=False)), "map": found[-1], "fnir": fnir_intervals(judged, own, seed=seed)}
    is_verified = bool(judged.genuine.count and judged.impostor.count)
    if is_verified:
        intervals["eer"] = eer_interval(judged.genuine, judged.impostor, seed)
    return {
        **_figures(judged, ranks),
        "cmc_curve": cmc_curve(judged.positions, judged.gallery).tolist(),
        "fnmr": {f"{fmr:g}": det_curve(judged.genuine, judged.impostor).at_fmr(fmr)[0] for fmr in FMRS if fmr * judged.impostor.count >= 1}
        if is_verified
        else {},
        "fnir": {name: one["fnir"] for name, one in fnir.items()},
        "fnir_thresholds": {name: one["threshold"] for name, one in fnir.items()},
        "unmated": len(alarms),
        "has_unmated": has_unmated,
        "genuine": judged.genuine.count,
        "impostor": judged.impostor.count,
        "resolution": max(judged.genuine.resolution, judged.impostor.resolution),
        "intervals": intervals,
    }


def untrained(trial: MatchingTrial, *runs: Path | str) -> tuple[MatchingTrial, int]:
    """The MatchingTrial without probes of subjects that any of some runs was trained on, and how many these are.

    Args:
      runs: their folders.

    Raises:
      RunError: as `trained_on`.
      DataError: no probe with a mate is left.
    """
    if not runs:
        return trial, 0
    records = list(dict.fromkeys([*trial.probes.records, *trial.gallery.records]))
    subjects = {record.lineage for record, was in zip(records, trained_on_any(runs, records), strict=True) if was}
    if not subjects:
        return trial, 0
    is_trained = [trial.probes.records[question.query].lineage in subjects for question in trial.questions]
    kept = tuple(question for question, was in zip(trial.questions, is_trained, strict=True) if not was)
    if not any(len(np.setdiff1d(question.relevant, question.ignored)) for question in kept):
        raise DataError(f"{' and '.join(map(str, runs))} was trained on the subjects of all probes: evaluate on other photos, or train with subjects held out")
    return dataclasses.replace(trial, questions=kept), sum(is_trained)


def _figures(judged: Judged, ranks: Sequence[int]) -> dict[str, Any]:
    mated = judged.is_mated
    is_verified = judged.genuine.count and judged.impostor.count
    return {
        "probes": len(judged),
        "mated": int(mated.sum()),
        "gallery": round(judged.gallery),
        "cmc": cmc(judged.positions, _all_ranks(ranks)),
        "map": float(np.mean(judged.precisions[mated])) if mated.any() else None,
        "eer": det_curve(judged.genuine, judged.impostor).eer if is_verified else None,
    }


def _det_points(judged: Judged) -> dict[str, list[list[float]]]:
    """The points of both curves of the report; [] where they cannot be measured."""
    is_verified = judged.genuine.count and judged.impostor.count
    pairs = det_curve(judged.genuine, judged.impostor).points() if is_verified else np.zeros((0, 2))
    gallery = open_set_points(judged) if fnir_at_fpir(judged) else np.zeros((0, 2))
    return {"pairs": np.round(pairs, 7).tolist(), "gallery": np.round(gallery, 7).tolist()}


def _all_ranks(ranks: Sequence[int]) -> list[int]:
    if any(rank < 1 for rank in ranks):
        raise DataError(f"a rank is 1 or more, got {min(ranks)}")
    return sorted({*RANKS, *ranks})


def _vectors(manifest: Manifest, extractor: Extractor, broken: BrokenPhotos, label: str | None) -> tuple[np.ndarray, np.ndarray]:
    with progress_bar(label, len(manifest)) if label else contextlib.nullcontext() as bar:
        return feature_table(manifest, extractor, broken=broken, on_photos=bar and bar.advance)


def _of_whole_gallery(judged: Judged, rows: np.ndarray) -> Judged:
    """Rows of a part of the gallery as those of the whole."""
    rows = np.append(rows, -1)  # -1 stays what it is
    return dataclasses.replace(judged, mates=rows[judged.mates], others=rows[judged.others])


def _trained_distance(run: Path | None) -> str:
    is_normalised = run is None or read_run_file(run / "recipe.json", {"recipe": dict})["recipe"].get("is_normalised", True)
    return "cosine" if is_normalised else "euclidean"


def _report_folder(run: Path | None, model: str, protocol: str) -> Path:
    return run / f"evaluation-{protocol}" if run else RUNS_FOLDER / f"evaluation-{Path(model).name.replace(':', '-')}-{protocol}"
