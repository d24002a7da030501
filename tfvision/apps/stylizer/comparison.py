"""Stylizers side by side: their losses on unseen photos, before and after training."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from tfvision.evaluation.comparison import ComparedApplication, Measure, Panel, Result, Row, Table
from tfvision.evaluation.comparison_panels import draw_categories

LOSSES = {
    f"{kind} loss, {when}": Measure(lambda result, kind=kind, when=when: result[when][f"{kind}_loss"])
    for kind in ("content", "style")
    for when in ("before", "after")
}


def tables(rows: Sequence[Row]) -> list[Table]:
    """The losses."""
    return [Table("Losses on unseen photos", LOSSES, rows)]


def panels(rows: Sequence[Row]) -> list[Panel]:
    """The losses, drawn."""
    return [Panel("Losses on unseen photos", functools.partial(draw_categories, measures=LOSSES, xlabel="", ylabel="loss", factor=1.0))]


def _of_training(metrics: Mapping[str, Any]) -> Result | None:
    return metrics if metrics.get("after") else None


COMPARISON = ComparedApplication(_of_training, tables, panels)
