"""Runs side by side: rows of runs that differ in nothing but the seed, and tables of their figures with 95 % intervals.

It knows no application: each says in its `comparison.py` by what its runs are judged, which figures its tables have and what is drawn.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Result = Mapping[str, Any]  # what an evaluation found, as it lies in report.json


@dataclasses.dataclass(frozen=True)
class JudgedRun:
    """A run and what it was found to be worth.

    Attributes:
      run: its folder.
      recipe: as it lies in recipe.json.
      result: what its application's evaluation returned.
      source: the photos that it was judged on.
      digest: what tells these from others; "" = unknown.
    """

    run: str
    recipe: Mapping[str, Any]
    result: Result
    source: str = ""
    digest: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """Runs that count as one, such as a recipe's seeds."""

    name: str
    runs: tuple[JudgedRun, ...]

    def estimate(self, measure: Measure) -> Estimate | None:
        """A figure of the row; None where a run lacks it."""
        values = [measure.read(run.result) for run in self.runs]
        found = [value for value in values if value is not None]
        if not found or len(found) < len(values):
            return None
        own = measure.interval(self.runs[0].result) if len(found) == 1 else None
        return Estimate.of(found, own, measure.digits)


@dataclasses.dataclass(frozen=True)
class Measure:
    """A figure of a result.

    Attributes:
      read: result -> its value; None = the result has none.
      interval: result -> its own 95 % interval, over photos; None = it has none.
      digits: behind the point.
    """

    read: Callable[[Result], float | None]
    interval: Callable[[Result], Sequence[float] | None] = lambda result: None
    digits: int = 3


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The mean of a figure over runs, with its 95 % interval: Student's t over runs; of one run its own, over photos."""

    mean: float
    interval: tuple[float, float] | None
    values: tuple[float, ...]
    digits: int = 3

    @classmethod
    def of(cls, values: Sequence[float], own_interval: Sequence[float] | None = None, digits: int = 3) -> Estimate:
        mean, margin = mean_and_margin(values)
        ends = (mean - margin, mean + margin) if math.isfinite(margin) else own_interval
        return cls(mean, (float(ends[0]), float(ends[1])) if ends else None, tuple(map(float, values)), digits)

    def __str__(self) -> str:
        """ "0.812 ± 0.010" of several runs, "0.812 (0.790 to 0.834)" of one."""
        text = f"{self.mean:.{self.digits}f}"
        if self.interval is None:
            return text
        low, high = self.interval
        return f"{text} ± {high - self.mean:.{self.digits}f}" if len(self.values) > 1 else f"{text} ({low:.{self.digits}f} to {high:.{self.digits}f})"


@dataclasses.dataclass(frozen=True)
class Table:
    """Figures of some rows.

    Attributes:
      title: such as "Table 1: accuracy and depth".
      measures: heading -> Measure.
      rows: those that it is about.
    """

    title: str
    measures: Mapping[str, Measure]
    rows: Sequence[Row]

    def cells(self) -> Iterator[tuple[str, list[Estimate | None]]]:
        """Yields (name of the row, its figures)."""
        for row in self.rows:
            yield row.name, [row.estimate(measure) for measure in self.measures.values()]

    def markdown(self) -> str:
        lines = [f"{self.title}\n", "| | " + " | ".join(map(_escaped, self.measures)) + " |", "|---" * (len(self.measures) + 1) + "|"]
        lines += [f"| {_escaped(name)} | " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |" for name, cells in self.cells()]
        return "\n".join(lines)

    def csv_rows(self) -> list[list[object]]:
        """A header and a line a row: of each figure its mean, the ends of its interval, and over how many runs."""
        header: list[object] = ["run", "runs", *(f"{heading}{end}" for heading in self.measures for end in ("", " low", " high"))]
        lines = [
            [row.name, len(row.runs), *(value for cell in cells for value in _ends(cell))] for row, (_, cells) in zip(self.rows, self.cells(), strict=True)
        ]
        return [header, *lines]


@dataclasses.dataclass(frozen=True)
class Panel:
    """A part of the figure: draws rows into axes. Which row has which colour and line, and the legend, are the figure's."""

    title: str
    draw: Callable[[Axes, Sequence[Row]], None]


@dataclasses.dataclass(frozen=True)
class ComparedApplication:
    """What an application contributes, as COMPARISON of its `comparison.py`.

    Attributes:
      of_training: metrics.json of a run -> the result that its training judged it by, or None.
      tables: rows -> tables.
      panels: rows -> parts of the figure.
      held_out: `split` of the run's photos that its training judged it on; None = all.
      conditions: result -> what must be alike for a comparison to be fair, besides the photos.
      evaluate: (run, source, protocol or None, other runs whose training photos are left out as well) -> what the evaluation
        returned, with the path of its "report"; None = the application measures nothing.
      replicated_by: fields of the recipe that runs of one row may differ in.
    """

    of_training: Callable[[Mapping[str, Any]], Result | None]
    tables: Callable[[Sequence[Row]], list[Table]]
    panels: Callable[[Sequence[Row]], list[Panel]]
    held_out: str | None = None
    conditions: Callable[[Result], Mapping[str, Any]] = lambda result: {}
    evaluate: Callable[[str, str, str | None, Sequence[str]], Result] | None = None
    replicated_by: tuple[str, ...] = ("seed",)


def mean_and_margin(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval (Student's t); nan for one value."""
    from scipy.stats import t

    values = np.asarray(values, float)
    if len(values) < 2:
        return float(values.mean()), math.nan
    return float(values.mean()), float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))


def mean_curve(curves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    """Curves of several runs at the same places: their mean float [points], and its interval float [2, points], or None for one."""
    values = np.asarray(curves, float)
    if len(values) < 2:
        return values[0], None
    mean, margin = np.array([mean_and_margin(column) for column in values.T]).T
    return mean, np.stack([mean - margin, mean + margin])


def _ends(cell: Estimate | None) -> tuple[object, object, object]:
    return ("", "", "") if cell is None else (cell.mean, *(cell.interval or ("", "")))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
