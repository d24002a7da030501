"""Matchers, and other models that make features, side by side: CMC (tables 4 and 5, figures 6 and 8) and DET."""

import functools
from collections.abc import Sequence
from typing import Any

from tfvision.evaluation.comparison import ComparedApplication, Measure, Panel, Result, Row, Table
from tfvision.evaluation.comparison_panels import draw_cmcs, draw_dets

_KINDS = {"pairs": ("FMR of pairs", "FNMR of pairs"), "gallery": ("FPIR", "FNIR")}


def tables(rows: Sequence[Row]) -> list[Table]:
    """CMC at ranks (tables 4 and 5), and the error rates."""
    results = [run.result for row in rows for run in row.runs]
    ranks = sorted({rank for result in results for rank in result["cmc"]}, key=int)
    shares = {f"rank {rank}": _of("cmc", rank) for rank in ranks}
    fpirs = sorted({fpir for result in results for fpir in result.get("fnir", {})}, key=float)
    errors = {"EER": Measure(lambda result: result["eer"], lambda result: result["intervals"].get("eer"), 4)}
    errors |= {f"FNIR at FPIR {fpir}": _of("fnir", fpir) for fpir in fpirs}
    mean_precision = Measure(lambda result: result["map"], lambda result: result["intervals"].get("map"))
    protocol = results[0]["protocol"]
    return [
        Table(f"CMC, {protocol}: share of probes whose best-ranked mate is among the first k", {**shares, "mAP": mean_precision}, rows),
        Table("Error rates of pairs (EER) and of searches in a gallery (FNIR)", errors, rows),
    ]


def panels(rows: Sequence[Row]) -> list[Panel]:
    """CMC, and DET of pairs and of the gallery, where they were measured."""
    measured = [kind for kind in _KINDS if any(_points(kind, run.result) for row in rows for run in row.runs)]
    return [Panel("CMC", draw_cmcs), *(_det_panel(kind) for kind in measured)]


def _det_panel(kind: str) -> Panel:
    xlabel, ylabel = _KINDS[kind]
    return Panel(
        f"DET of {'pairs' if kind == 'pairs' else 'searches in the gallery'}",
        lambda axes, rows: draw_dets(axes, rows, functools.partial(_points, kind), xlabel, ylabel),
    )


def _points(kind: str, result: Result) -> Sequence[Sequence[float]]:
    return result.get("det", {}).get(kind, [])


def _of(key: str, place: str) -> Measure:
    return Measure(lambda result: result[key].get(place), lambda result: result["intervals"].get(key, {}).get(place))


def _conditions(result: Result) -> dict[str, Any]:
    return {"galleries": result["galleries"]}


def _evaluate(run: str, source: str, protocol: str | None, beside: Sequence[str]) -> Result:
    from tfvision.apps.tattoo_matching.evaluation import evaluate_matcher

    return evaluate_matcher(run, source, protocol or "identification", is_calibrated=False, beside=beside)


COMPARISON = ComparedApplication(lambda metrics: None, tables, panels, None, _conditions, _evaluate, ("seed", "fold"))
