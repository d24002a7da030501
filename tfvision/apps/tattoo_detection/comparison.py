"""Detectors side by side: the paper's table 3."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from tfvision.evaluation.comparison import ComparedApplication, Measure, Panel, Result, Row, Table
from tfvision.evaluation.comparison_panels import draw_categories

_KINDS = {"non_tattoo": "non-tattoo", "tattoo": "tattoo", "overall": "overall"}  # in the order of table 3
TABLE_3 = {
    heading: Measure(lambda result, kind=kind: result[kind]["accuracy"], lambda result, kind=kind: result[kind]["interval"], 4)
    for kind, heading in _KINDS.items()
}


def tables(rows: Sequence[Row]) -> list[Table]:
    """Table 3."""
    return [Table("Table 3: accuracy", TABLE_3, rows)]


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Table 3, drawn."""
    return [Panel("Accuracy", functools.partial(draw_categories, measures=TABLE_3, xlabel="", ylabel="accuracy (%)"))]


def _of_training(metrics: Mapping[str, Any]) -> Result | None:
    return metrics if "overall" in metrics else None


def _evaluate(run: str, source: str, protocol: str | None, beside: Sequence[str]) -> Result:
    from tfvision.apps.tattoo_detection.evaluation import evaluate_detector

    return evaluate_detector(run, source, beside=beside)


COMPARISON = ComparedApplication(_of_training, tables, panels, evaluate=_evaluate)
