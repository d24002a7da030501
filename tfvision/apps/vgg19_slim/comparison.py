"""Trainings of vgg19_slim side by side: how its layers correlate with those of its teachers, on unseen photos."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfvision.evaluation.comparison import ComparedApplication, Measure, Panel, Result, Row, Table
from tfvision.evaluation.comparison_panels import draw_categories


def tables(rows: Sequence[Row]) -> list[Table]:
    """The correlation with each teacher."""
    return [Table(f"Correlation with {teacher}", _measures(rows, teacher), rows) for teacher in _teachers(rows)]


def panels(rows: Sequence[Row]) -> list[Panel]:
    """The same, drawn."""
    return [_panel(rows, teacher) for teacher in _teachers(rows)]


def _panel(rows: Sequence[Row], teacher: str) -> Panel:
    measures = _measures(rows, teacher)
    return Panel(f"Correlation with {teacher}", lambda axes, rows: draw_categories(axes, rows, measures, "layer", "correlation", 1.0, is_ordered=True))


def _teachers(rows: Sequence[Row]) -> list[str]:
    return [*dict.fromkeys(teacher for row in rows for run in row.runs for teacher in run.result["correlation"])]


def _measures(rows: Sequence[Row], teacher: str) -> dict[str, Measure]:
    layers = dict.fromkeys(layer for row in rows for run in row.runs for layer in run.result["correlation"].get(teacher, {}))
    return {layer: Measure(lambda result, layer=layer: result["correlation"].get(teacher, {}).get(layer)) for layer in layers}


def _of_training(metrics: Mapping[str, Any]) -> Result | None:
    return metrics if metrics.get("correlation") else None


COMPARISON = ComparedApplication(_of_training, tables, panels)
