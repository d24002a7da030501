"""What a comparison draws: figures by category, depth against target accuracy, CMC and DET of several rows of runs in one panel each.

A row has one colour, line and marker in all panels. Rows of several runs are means; what is shaded, or a bar, is a 95 % interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfvision.evaluation.comparison import Measure, Result, Row, mean_curve
from tfvision.evaluation.plots import label_depths, label_ranks, label_rates, plain_ticks, row_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PERCENT = 100.0
_SPREAD = 0.5  # of the place of a category, over which the points of rows are spread, lest their bars lie on each other
_SHADE, _MOST_MARKERS = 0.15, 30


def draw_categories(
    axes: Axes, rows: Sequence[Row], measures: Mapping[str, Measure], xlabel: str, ylabel: str, factor: float = PERCENT, is_ordered: bool = False
) -> None:
    """Figures of rows by category, with their intervals: figure 4 of species, indices of retrieval.

    Args:
      measures: category -> Measure, from left to right.
      factor: of a figure as it is drawn; PERCENT for shares.
      is_ordered: whether a line from a category to the next one means something.
    """
    highest = 0.0
    for number, row in enumerate(rows):
        shift = _SPREAD * ((number + 0.5) / len(rows) - 0.5)
        found = {place: cell for place, measure in enumerate(measures.values()) if (cell := row.estimate(measure))}
        means = np.array([factor * cell.mean for cell in found.values()])
        ends = factor * np.array([cell.interval or (cell.mean, cell.mean) for cell in found.values()]).reshape(-1, 2).T
        ends = ends.clip(0, factor if factor == PERCENT else None)  # Student's t knows no limits
        bars = np.maximum(0, [means - ends[0], ends[1] - means])
        style = {**row_style(number), **({} if is_ordered else {"linestyle": "none"})}
        axes.errorbar([place + shift for place in found], means, yerr=bars, capsize=2.5, elinewidth=1.2, **style)
        highest = max(highest, *ends[1], 0) if found else highest
    is_long = len(measures) > 9 or sum(map(len, measures)) > 48
    turned: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if is_long else {}
    axes.set_xticks(range(len(measures)), list(measures), **turned)
    axes.grid(axis="x", visible=False)
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.5, len(measures) - 0.5))
    axes.set_ylim(0, 1.02 * PERCENT if factor == PERCENT else 1.08 * highest or 1)


def draw_depths(axes: Axes, rows: Sequence[Row]) -> None:
    """Figure 3 of species: mean depth of the answers against the target accuracy, on photos not used for fitting."""
    for number, row in enumerate(rows):
        curves = [{point["target"]: point["depth"] for point in run.result["depth_curve"]} for run in row.runs]
        targets = sorted(set.intersection(*map(set, curves)))
        if targets:
            _draw_band(axes, number, 100 * np.array(targets), [np.array([curve[target] for target in targets]) for curve in curves])
    results = [run.result for row in rows for run in row.runs]
    label_depths(axes, list(results[0]["accuracy_by_rank"]), max(result["specificity"]["deepest"] for result in results))
    axes.set_xlabel("accuracy asked for (%)")


def draw_cmcs(axes: Axes, rows: Sequence[Row]) -> None:
    """Share of probes whose best-ranked mate is among the first k, against k."""
    longest = 0
    for number, row in enumerate(rows):
        curves = [run.result.get("cmc_curve") or [] for run in row.runs]
        ranks = min(map(len, curves))  # of the smallest gallery
        if ranks:
            longest = max(longest, ranks)
            _draw_band(axes, number, np.arange(1, ranks + 1), [100 * np.array(curve[:ranks]) for curve in curves], is_stepped=True)
    axes.set_xscale("log")
    label_ranks(axes, longest)
    plain_ticks(axes.xaxis, (1, 2, 5))


def draw_dets(axes: Axes, rows: Sequence[Row], points_of: Callable[[Result], Sequence[Sequence[float]]], xlabel: str, ylabel: str) -> None:
    """False negatives against false positives, both logarithmic; of several runs the mean at equal rates of false positives.

    Args:
      points_of: result -> [(false positive rate, false negative rate)]; none where it was not measured.
    """
    lows = [0.01]
    for number, row in enumerate(rows):
        curves = [_shown(points_of(run.result)) for run in row.runs]
        if not all(map(len, curves)):
            continue
        if len(curves) > 1:
            places = np.geomspace(max(curve[0, 0] for curve in curves), min(curve[-1, 0] for curve in curves), 200)
            curves = [np.stack([places, np.interp(places, *curve.T)], axis=1) for curve in curves]
        _draw_band(axes, number, curves[0][:, 0], [curve[:, 1] for curve in curves])
        lows += [float(curve[curve > 0].min()) for curve in curves]
    low = label_rates(axes, min(lows), xlabel, ylabel)
    axes.annotate("equal", (low, low), (3, 8), textcoords="offset points", color="#6d7680", fontsize=8)


def _draw_band(axes: Axes, number: int, places: np.ndarray, curves: Sequence[np.ndarray], is_stepped: bool = False) -> None:
    mean, interval = mean_curve(curves)
    style = {**row_style(number), **({"marker": ""} if is_stepped or len(places) > _MOST_MARKERS else {})}
    axes.plot(places, mean, drawstyle="steps-post" if is_stepped else "default", **style)
    if interval is not None:
        axes.fill_between(places, interval[0], interval[1], color=style["color"], alpha=_SHADE, linewidth=0, step="post" if is_stepped else None)


def _shown(points: Sequence[Sequence[float]]) -> np.ndarray:
    """float [points, 2], rising; without those that a logarithm cannot show."""
    found = np.array([point for point in points if min(point) > 0], float).reshape(-1, 2)
    return found[np.lexsort((-found[:, 1], found[:, 0]))]
