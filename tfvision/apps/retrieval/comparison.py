"""Retrievers side by side: Feature Tuning's tables 1 to 4, and every index of every run in one figure."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from tfvision.apps.retrieval.report import SCORES
from tfvision.evaluation.comparison import ComparedApplication, Measure, Panel, Result, Row, Table
from tfvision.evaluation.comparison_panels import draw_categories
from tfvision.trained.retriever_run import ADDITIONS

_LOSSES = {"softmax": "Table 2", "cosface": "Table 3"}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Table 1 (single taps), 2 and 3 (last tap, additions and tuned indices, by the loss that trained them), 4 (norms of the taps), and recall."""
    score = _score(rows)
    made = [Table(f"Table 1: {score} of single taps", {tap: _of_index(tap) for tap in _taps(rows)}, rows)]
    of_loss = {row.name: row.runs[0].recipe.get("loss") for row in rows}
    for loss, number in _LOSSES.items():
        if own := [row for row in rows if of_loss[row.name] == loss]:
            tuned = [name for name in _indices(own) if name not in (*_taps(own), *ADDITIONS)]
            measures = {"last tap": Measure(_last_tap, _last_tap_interval), **{name: _of_index(name) for name in (*ADDITIONS, *tuned)}}
            made.append(Table(f"{number}: {score}, trained with {loss}", measures, own))
    norms = {tap: Measure(functools.partial(_of_tap_norm, tap), digits=2) for tap in _taps(rows)}
    made.append(Table("Table 4: mean norms of the taps", norms, rows))
    if any("recall" in run.result for row in rows for run in row.runs):
        recall = {f"recall@{k}": Measure(functools.partial(_recall, k)) for k in ("1", "5", "10")}
        made.append(Table("Recall of each run's own index", recall, rows))
    return made


def panels(rows: Sequence[Row]) -> list[Panel]:
    """The score of every index."""
    score, most = _score(rows), SCORES[_protocol(rows)][1]
    measures = {name.replace("_", " "): _of_index(name) for name in _indices(rows)}
    label, factor = (f"{score} (%)", 100.0) if most == 1 else (score, 1.0)
    return [Panel(f"{score} by index", lambda axes, rows: draw_categories(axes, rows, measures, "", label, factor))]


def _protocol(rows: Sequence[Row]) -> str:
    return rows[0].runs[0].result.get("protocol", "labels")


def _score(rows: Sequence[Row]) -> str:
    return SCORES[_protocol(rows)][0]


def _taps(rows: Sequence[Row]) -> list[str]:
    """Of all runs, shallow to deep."""
    return [*dict.fromkeys(tap for row in rows for run in row.runs for tap in run.result["tap_norms"])]


def _indices(rows: Sequence[Row]) -> list[str]:
    found = dict.fromkeys(name for row in rows for run in row.runs for name in run.result["by_layer"])
    return [*dict.fromkeys([*_taps(rows), *found])]


def _of_index(name: str) -> Measure:
    return Measure(lambda result: result["by_layer"].get(name), lambda result: result["intervals"].get(name))


def _last_tap(result: Result) -> float | None:
    return result["by_layer"].get([*result["tap_norms"]][-1])


def _last_tap_interval(result: Result) -> Sequence[float] | None:
    return result["intervals"].get([*result["tap_norms"]][-1])


def _of_tap_norm(tap: str, result: Result) -> float | None:
    return result["tap_norms"].get(tap)


def _recall(k: str, result: Result) -> float | None:
    return result.get("recall", {}).get(result["index"], {}).get(k)


def _of_training(metrics: Mapping[str, Any]) -> Result | None:
    return metrics if "by_layer" in metrics else None


def _conditions(result: Result) -> dict[str, Any]:
    return {"protocol_split": result.get("protocol_split"), "the share of groups": result.get("share", 1.0)}


def _evaluate(run: str, source: str, protocol: str | None, beside: Sequence[str]) -> Result:
    from tfvision.apps.retrieval.evaluation import evaluate_retriever

    return evaluate_retriever(run, source, protocol, beside=beside)


COMPARISON = ComparedApplication(_of_training, tables, panels, "held-out", _conditions, _evaluate)
