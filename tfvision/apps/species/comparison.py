"""Runs of species side by side: the paper's table 1, depth against target accuracy (figure 3) and accuracy by class size (figure 4)."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from tfvision.evaluation.comparison import ComparedApplication, Measure, Panel, Result, Row, Table
from tfvision.evaluation.comparison_panels import draw_categories, draw_depths
from tfvision.evaluation.plots import size_label

TABLE_1 = {
    "accuracy": Measure(lambda result: result["accuracy"], lambda result: result.get("accuracy_interval")),
    "training accuracy": Measure(lambda result: result.get("training_accuracy")),
    "specificity accuracy": Measure(lambda result: result["specificity"]["accuracy"], lambda result: result["specificity"].get("interval")),
    "depth": Measure(lambda result: result["specificity"]["depth"], lambda result: result["specificity"].get("depth_interval"), 2),
}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Table 1, and the accuracy by rank."""
    target = rows[0].runs[0].result["specificity"]["target"]
    ranks = dict.fromkeys(rank for row in rows for run in row.runs for rank in run.result["accuracy_by_rank"])
    by_rank = {rank: Measure(lambda result, rank=rank: result["accuracy_by_rank"].get(rank)) for rank in ranks}
    return [
        Table(f"Table 1: accuracy of the species named, and of answers that are asked to be right for {target:g}", TABLE_1, rows),
        Table("Accuracy of the species named, by rank", by_rank, rows),
    ]


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Figures 3 and 4."""
    return [Panel("Depth of the answers against target accuracy", draw_depths), Panel("Accuracy by class size", _draw_class_sizes)]


def _draw_class_sizes(axes: Any, rows: Sequence[Row]) -> None:
    sizes = {size["smallest"]: size_label(size) for row in rows for run in row.runs for size in run.result["by_class_size"]}
    measures = {
        sizes[smallest]: Measure(functools.partial(_of_size, "accuracy", smallest), functools.partial(_of_size, "interval", smallest))
        for smallest in sorted(sizes)
    }
    draw_categories(axes, rows, measures, "training photos of the species", "accuracy (%)", is_ordered=True)


def _of_size(key: str, smallest: int, result: Result) -> Any:
    return next((size[key] for size in result["by_class_size"] if size["smallest"] == smallest), None)


def _of_training(metrics: Mapping[str, Any]) -> Result | None:
    return metrics.get("validation")


def _conditions(result: Result) -> dict[str, Any]:
    return {f"the {key} of answers": result["specificity"].get(key) for key in ("target", "confidence", "method")}


def _evaluate(run: str, source: str, protocol: str | None, beside: Sequence[str]) -> Result:
    from tfvision.apps.species.evaluation import evaluate_species

    return evaluate_species(run, source, beside=beside)


COMPARISON = ComparedApplication(_of_training, tables, panels, "validation", _conditions, _evaluate)
