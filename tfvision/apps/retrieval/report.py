"""A retriever's report: every index with its score, the norms of the taps, and whether the queries were trained on."""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.evaluation.page import bar, compose, paragraph, picture, section, table
from tfvision.files import write_text
from tfvision.trained.retriever_run import RetrieverRun

SCORES = {
    "ukbench": ("NS-score", 4.0, "how many of a group's four photos are among the first four, the query included"),
    "holidays": ("mAP", 1.0, "mean average precision by the trapezoid rule; each query is dropped from its own ranking"),
    "oxford": ("mAP", 1.0, "mean average precision by the trapezoid rule; good and ok photos count, junk is taken out of the ranking"),
    **{
        f"revisited-{difficulty}": ("mAP", 1.0, f"mean average precision by the trapezoid rule; {counted} photos count, {out} are taken out of the ranking")
        for difficulty, counted, out in (("easy", "easy", "hard and junk"), ("medium", "easy and hard", "junk"), ("hard", "hard", "easy and junk"))
    },
    "labels": ("MAP@R", 1.0, "mean average precision among the first R, R being the number of photos with the query's label"),
}
TRAINED = (
    "Trained on the queries (--protocol-split paper, as the paper does): these scores say how well the photos were learnt, not how well unseen ones are found."
)
HELD_OUT = "No query was trained on."


def write_report(path: Path, run: RetrieverRun, result: dict[str, Any], source: Path | str | None = None, mistakes: np.ndarray | None = None) -> Path:
    """Writes a page on what `evaluate_retriever` or `train_retriever` returned; returns its path. Raises StorageError.

    Args:
      mistakes: the sheet of `mistakes_sheet`.
    """
    sections = [_stamp(result), *([_scores(result)] if "by_layer" in result else []), _mistakes(result, mistakes), _norms(result), _facts(run, result, source)]
    write_text(path, compose(run.folder.name, sections))
    return path


def stamp(result: dict[str, Any]) -> str:
    """Whether the queries were trained on, and of what share of the groups they are, where that is not all."""
    told = TRAINED if result["protocol_split"] == "paper" else HELD_OUT
    return told if result.get("share", 1) == 1 else f"On a share of {result['share']:g} of the groups, which is easier than on all. {told}"


def _stamp(result: dict[str, Any]) -> str:
    return f'<p class="headline">{escape(stamp(result))}</p>'


def _scores(result: dict[str, Any]) -> str:
    name, most, explained = SCORES[result.get("protocol", "labels")]
    rows = []
    for index, value in result["by_layer"].items():
        low, high = result["intervals"][index]
        label = f"<em>{escape(index)}</em>, the run's own" if index == result["index"] else escape(index)
        rows.append([label, bar(value / most, f"{value:.3f}"), f"{low:.3f} to {high:.3f}"])
    text = f"{name} of {result['queries']:,} queries: {explained}. Intervals: 95 %, bootstrap over queries."
    return section(f"{name} by index", paragraph(text) + table(("index", name, "interval"), rows, numbers=(2,)))


def _mistakes(result: dict[str, Any], sheet: np.ndarray | None) -> str:
    if "mistakes" not in result:
        return ""
    rows = [[escape(index), f"{one['count']:,}"] for index, one in result["mistakes"].items()]
    text = (
        f"Queries, of {result['queries']:,}, whose first hit is wrong (the query itself apart). Of all taps at once, "
        f"{result['mistaken_by_all_taps']:,} have it wrong. Below, the wrong hits that were nearest; on the left of each pair is the query."
    )
    parts = paragraph(text) + table(("index", "wrong first hits"), rows, numbers=(1,))
    return section("Mistakes", parts + (picture(sheet, "wrong first hits of each index") if sheet is not None else ""))


def _norms(result: dict[str, Any]) -> str:
    rows = [[escape(tap), f"{norm:.3g}"] for tap, norm in result["tap_norms"].items()]
    text = "Mean L2 norm of each tap, averaged over positions. In the addition a tap counts by its norm; in the normalised addition all count alike."
    return section("Norms of the taps", paragraph(text) + table(("tap", "norm"), rows, numbers=(1,)))


def _facts(run: RetrieverRun, result: dict[str, Any], source: Path | str | None) -> str:
    recipe = run.recipe
    facts = {
        "Run": run.folder,
        "Photos": source or run.facts["source"],
        "Recipe": f"{recipe.name}: {recipe.network} at {recipe.size_px} px, {recipe.loss}, seed {recipe.seed}",
        "Queries left out": f"{result['left_out']}, since they were trained on" if result.get("left_out") else "none",
        "Broken photos": "; ".join(result["broken"].values()) or "none",
    }
    return section("Facts", table((), [[escape(key), escape(str(value))] for key, value in facts.items()], kind="facts"))
