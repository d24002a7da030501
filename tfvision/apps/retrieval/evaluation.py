"""Evaluating a retriever: a protocol's score of every index, on photos that it was not trained on."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfvision.apps.retrieval.indices import Taps, index_vectors, read_taps, tap_extractor
from tfvision.apps.retrieval.mistakes import mistakes_of, mistakes_sheet
from tfvision.apps.retrieval.report import write_report
from tfvision.apps.retrieval.source import Trial, read_trial
from tfvision.data.pipeline import BrokenPhotos
from tfvision.errors import DataError
from tfvision.evaluation.compared_runs import judged_on
from tfvision.evaluation.picture_sheet import write_picture
from tfvision.evaluation.retrieval import PROTOCOLS, judge, without
from tfvision.files import write_json
from tfvision.trained.retriever_network import load_retriever
from tfvision.trained.retriever_run import RetrieverRecipe, RetrieverRun
from tfvision.training.trained_photos import trained_on, trained_on_any


def evaluate_retriever(
    run: Path | str,
    source: Path | str,
    protocol: str | None = None,
    queries: str = "boxes",
    ranks: Sequence[str] | None = None,
    out: Path | str | None = None,
    layout: str | None = None,
    share: float | None = None,
    beside: Sequence[Path | str] = (),
) -> dict[str, Any]:
    """Evaluates every index of a run by a protocol, and writes report.html, report.json and mistakes.png.

    Photos on which the run was trained stay in the gallery but do not ask, unless it was trained with the split "paper".

    Args:
      run: folder of a finished run.
      source, protocol, queries, layout: as `read_trial`.
      ranks, share: as `read_trial`; None = the run's.
      out: folder for the report; None = RUN/evaluation-PROTOCOL.
      beside: other runs, whose training photos do not ask either, so that all can be judged on the same.

    Returns:
      dict: "protocol", "queries" (number), "ns_score" or "map" (of the recipe's index), "index", "interval", "by_layer" and
      "intervals" {index: ...}, "recall" {index: {k: share}} (labels), "tap_norms", "protocol_split", "trained_queries" (of
      those asked), "left_out" (trained queries that were not asked), "images", "share",
      "mistakes" {index: what `mistakes_of` says}, "mistaken_by_all_taps", "judged_on" (the source and a digest of the photos), "broken",
      "report".

    Raises:
      DataError, RunError.
    """
    run = RetrieverRun.open(run)
    share = run.recipe.share if share is None else share
    trial, trained, left_out = asked_trial(run, source, protocol, queries, ranks, layout, share, beside)
    retriever = load_retriever(run.folder, run.recipe.size_px)
    extractor = tap_extractor(retriever, run.recipe, str(run.folder))
    broken = BrokenPhotos()
    gallery = read_taps(trial.gallery, extractor, broken=broken, label="features")
    asked = gallery if trial.queries is trial.gallery else read_taps(trial.queries, extractor, broken=broken, label="queries")
    judged = judge_indices(_readable(trial, gallery, asked), gallery, asked, retriever.tuned, run.recipe)
    result = {
        "protocol": trial.protocol,
        **score_of(judged, run.recipe),
        "tap_norms": gallery.norms(),
        "protocol_split": run.recipe.protocol_split,
        "trained_queries": trained,
        "left_out": left_out,
        "images": len(trial.gallery),
        "share": share,
        **mistakes_of(judged, trial),
        "judged_on": judged_on(source, gallery=trial.gallery.records, queries=trial.asking),
        "broken": dict(broken),
    }
    folder = Path(out) if out else run.folder / f"evaluation-{trial.protocol}"
    sheet = mistakes_sheet(result["mistakes"], trial)
    if sheet is not None:
        write_picture(folder / "mistakes.png", sheet)
    write_json(folder / "report.json", result)
    result["report"] = str(write_report(folder / "report.html", run, result, source, sheet))
    return result


def asked_trial(
    run: RetrieverRun,
    source: Path | str,
    protocol: str | None = None,
    queries: str = "boxes",
    ranks: Sequence[str] | None = None,
    layout: str | None = None,
    share: float | None = None,
    beside: Sequence[Path | str] = (),
) -> tuple[Trial, int, int]:
    """The Trial that a run is evaluated by, how many of its queries the run was trained on, and how many were left out for that.

    Raises:
      DataError: no query is left.
    """
    trial = read_trial(source, protocol, ranks or run.facts["ranks"], queries, layout, run.recipe.share if share is None else share)
    is_trained = trained_on(run.folder, trial.asking)
    if run.recipe.protocol_split == "paper":
        return trial, int(is_trained.sum()), 0
    is_trained |= trained_on_any(beside, trial.asking)
    kept = [question for question, was in zip(trial.questions, is_trained, strict=True) if not was]
    if not kept:
        raise DataError(
            f"{run.folder} was trained on every query of {source}: evaluate on other photos, or train a run that is stamped for it, with --protocol-split paper"
        )
    return dataclasses.replace(trial, questions=kept), 0, int(is_trained.sum())


def judge_indices(trial: Trial, gallery: Taps, queries: Taps, tuned: Mapping[str, keras.Model], recipe: RetrieverRecipe) -> dict[str, dict[str, Any]]:
    """{index: what `evaluation.retrieval.judge` says of it}.

    Args:
      gallery, queries: Taps; the same object where the gallery asks itself.
      tuned: name -> keras.Model.
    """
    judged = {}
    for name in recipe.indices:
        with index_vectors(gallery, name, tuned) as vectors:
            if queries is gallery:
                judged[name] = judge(trial.protocol, vectors, vectors, trial.questions, recipe.seed)
                continue
            with index_vectors(queries, name, tuned) as asked:
                judged[name] = judge(trial.protocol, asked, vectors, trial.questions, recipe.seed)
    return judged


def score_of(judged: dict[str, dict[str, Any]], recipe: RetrieverRecipe) -> dict[str, Any]:
    """The judgement of the recipe's index, and those of all by name."""
    score = next(key for key, _ in PROTOCOLS.values() if key in judged[recipe.index])
    return {
        "queries": judged[recipe.index]["queries"],
        score: judged[recipe.index][score],
        "index": recipe.index,
        "interval": judged[recipe.index]["interval"],
        "by_layer": {name: one[score] for name, one in judged.items()},
        "intervals": {name: one["interval"] for name, one in judged.items()},
        **({"recall": {name: one["recall"] for name, one in judged.items()}} if "recall" in judged[recipe.index] else {}),
    }


def _readable(trial: Trial, gallery: Taps, queries: Taps) -> Trial:
    """The Trial without the photos that could not be read."""
    if queries is gallery:
        return dataclasses.replace(trial, questions=without(trial.questions, ~gallery.is_read))
    lost = np.flatnonzero(~gallery.is_read)
    asked = [question for question in trial.questions if queries.is_read[question.query]]
    return dataclasses.replace(trial, questions=[dataclasses.replace(q, ignored=np.union1d(q.ignored, lost)) for q in asked])
