"""The figures of reports: depth against target accuracy, class sizes, reliability, ranks; CMC, DET and scores of matching; the long tail.

Each function takes numbers (of species: the result of `Evaluation.result`) and returns the bytes of an SVG or PNG picture. Figures are
drawn without pyplot, so that nothing is left behind in the process. Colours are Okabe and Ito's, which people
with any colour vision can tell apart; line style or marker always differs as well.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from tfvision.evaluation.comparison import Panel, Row

BLUE, ORANGE, GREY, INK = "#0072b2", "#d55e00", "#a7adb5", "#24303c"
_ROW_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#24303c")
_ROW_LINES, _ROW_MARKERS = ("-", "--", "-.", ":"), "osD^vPX"
_PANEL_INCHES = (5.2, 3.9)
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # rank names are the user's: "$" is no formula
    "axes.edgecolor": "#8a939c",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ec",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "svg.hashsalt": "tfvision",  # the same result gives the same bytes
}


def draw_depth_curve(result: dict[str, Any], file_format: str = "svg") -> bytes:
    """Figure 3: mean depth of the answers against the target accuracy, on both halves."""
    curve = result["depth_curve"]
    targets = [100 * point["target"] for point in curve]
    with picture_axes(file_format) as (axes, picture):
        axes.plot(targets, [point["depth"] for point in curve], "o-", color=BLUE, label="photos not used for fitting")
        fitted = [point["fitted_depth"] for point in curve]
        axes.plot(targets, fitted, "s--", color=ORANGE, markerfacecolor="white", label="photos used for fitting")
        chosen = result["specificity"]
        axes.plot(100 * chosen["target"], chosen["depth"], "o", color=BLUE, markersize=11, markerfacecolor="none")
        label_depths(axes, list(result["accuracy_by_rank"]), chosen["deepest"])
        axes.set_xlabel("accuracy asked for (%)")
        axes.legend(loc="lower left")
    return picture.getvalue()


def draw_unknown_shares(result: dict[str, Any], file_format: str = "svg") -> bytes:
    """Right answers, and depth on known species, against the share of photos of unknown species: with the thresholds of each share, and with those of 0."""
    rows, chosen = result["unknown"]["by_share"], result["specificity"]
    shares = [100 * row["share"] for row in rows]
    with picture_axes(file_format, columns=2, size_inches=(9.6, 3.9)) as ((right, depth), picture):
        for axes, key, scale in ((right, "right", 100), (depth, "depth", 1)):
            axes.plot(shares, [scale * row["unknown"][key] for row in rows], "o-", color=BLUE, label="thresholds of that share")
            axes.plot(shares, [scale * row["today"][key] for row in rows], "s--", color=ORANGE, markerfacecolor="white", label="thresholds of 0")
            axes.set_xlabel("photos of unknown species (%)")
        low, high = zip(*([100 * end for end in row["unknown"]["interval"]] for row in rows), strict=True)
        right.fill_between(shares, low, high, color=BLUE, alpha=0.15, linewidth=0)
        right.axhline(100 * chosen["target"], color=GREY, linestyle=":", linewidth=1.2)
        right.set_ylabel("right answers (%)")
        right.legend(loc="lower left")
        label_depths(depth, list(result["accuracy_by_rank"]), chosen["deepest"])
        depth.set_ylabel("mean depth of the answers, known species")
    return picture.getvalue()


def draw_class_sizes(result: dict[str, Any], file_format: str = "svg") -> bytes:
    """Figure 4: accuracy by the number of training photos a species has, with 95 % intervals."""
    rows = result["by_class_size"]
    ticks = range(len(rows))
    accuracy = [100 * row["accuracy"] for row in rows]
    below = [max(0, 100 * (row["accuracy"] - row["interval"][0])) for row in rows]
    above = [max(0, 100 * (row["interval"][1] - row["accuracy"])) for row in rows]
    with picture_axes(file_format) as (axes, picture):
        axes.errorbar(ticks, accuracy, yerr=[below, above], fmt="o-", color=BLUE, ecolor=GREY, capsize=3, elinewidth=1.5)
        axes.axhline(100 * result["accuracy"], color=ORANGE, linestyle="--", linewidth=1.2)
        axes.annotate(
            "all photos", (0, 100 * result["accuracy"]), (4, 4), xycoords=("axes fraction", "data"),
            textcoords="offset points", color=ORANGE,
        )  # fmt: skip
        turned = {"rotation": 35, "ha": "right"} if len(rows) > 7 else {}
        axes.set_xticks(list(ticks), [size_label(row) for row in rows], **turned)
        axes.set(xlabel="training photos of the species", ylabel="accuracy (%)", ylim=(0, 102))
    return picture.getvalue()


def draw_reliability(result: dict[str, Any], file_format: str = "svg") -> bytes:
    """Reliability diagram: accuracy against confidence in 15 bins, above the histogram of confidences."""
    rows = [row for row in result["reliability"] if row["count"]]
    middles = [50 * (row["low"] + row["high"]) for row in rows]
    width = 100 / len(result["reliability"])
    with picture_axes(file_format, rows=(3, 1)) as (panels, picture):
        upper, lower = panels
        upper.plot([0, 100], [0, 100], "--", color=GREY, linewidth=1.2, label="means what it says")
        confidence, accuracy = ([100 * row[key] for row in rows] for key in ("confidence", "accuracy"))
        upper.plot(confidence, accuracy, "o-", color=BLUE, label="this model")
        upper.set(ylabel="accuracy (%)", ylim=(0, 102), xlim=(0, 100))
        upper.tick_params(labelbottom=False)
        upper.legend(loc="upper left")
        lower.bar(middles, [100 * row["count"] / result["images"] for row in rows], 0.9 * width, color=GREY)
        lower.set(xlabel="confidence in the species named (%)", ylabel="photos (%)", xlim=(0, 100))
        lower.grid(axis="x", visible=False)
    return picture.getvalue()


def draw_ranks(result: dict[str, Any], file_format: str = "svg") -> bytes:
    """Accuracy at each rank: of the species named, and of the most probable taxon of the rank."""
    named, summed = result["accuracy_by_rank"], result["accuracy_by_rank_summed"]
    ticks = range(len(named))
    with picture_axes(file_format) as (axes, picture):
        axes.plot(
            [100 * value for value in named.values()],
            ticks,
            "o",
            color=BLUE,
            markersize=8,
            label="of the species named",
        )
        axes.plot(
            [100 * value for value in summed.values()], ticks, "D", color=ORANGE, markerfacecolor="none", markersize=8,
            label="of the most probable taxon of the rank",
        )  # fmt: skip
        axes.set_yticks(list(ticks), list(named))
        axes.set_ylim(len(named) - 0.5, -0.5)
        axes.set(xlabel="accuracy (%)", xlim=(90 * min(*named.values(), *summed.values()), 101))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    return picture.getvalue()


def draw_cmc(curve: Sequence[float] | np.ndarray, by_fold: Sequence[Sequence[float]] = (), file_format: str = "svg") -> bytes:
    """Share of probes whose best-ranked mate is among the first k, against k.

    Args:
      curve: float [ranks], of ranks 1, 2, ...
      by_fold: further curves, drawn thin.
    """
    with picture_axes(file_format) as (axes, picture):
        for number, values in enumerate(by_fold):
            axes.step(range(1, len(values) + 1), [100 * value for value in values], where="post", color=GREY, linewidth=1, label="" if number else "folds")
        axes.step(range(1, len(curve) + 1), [100 * value for value in curve], where="post", color=BLUE, label="all probes")
        if len(curve) > 1:
            axes.set_xscale("log")
            plain_ticks(axes.xaxis, (1, 2, 5))
        label_ranks(axes, len(curve))
        if len(by_fold):
            axes.legend(loc="lower right")
    return picture.getvalue()


def draw_det(curves: Mapping[str, Sequence[tuple[float, float]] | np.ndarray], file_format: str = "svg") -> bytes:
    """False negatives against false positives, both logarithmic, with the line on which they are equal.

    Args:
      curves: {label: [(false positive rate, false negative rate)]}; points with a zero cannot be shown.
    """
    with picture_axes(file_format) as (axes, picture):
        lows = []
        for (label, points), (colour, line) in zip(curves.items(), ((BLUE, "-"), (ORANGE, "--")), strict=False):
            shown = [(x, y) for x, y in points if x > 0 and y > 0]
            lows += [value for point in shown for value in point]
            axes.plot(*(zip(*shown, strict=True) if shown else ([], [])), line, color=colour, label=label)
        label_rates(axes, min(lows, default=0.01), "false positive rate", "false negative rate")
        axes.legend(loc="lower left")
    return picture.getvalue()


def draw_scores(edges: np.ndarray, genuine: np.ndarray, impostor: np.ndarray, file_format: str = "svg") -> bytes:
    """How scores of genuine and impostor pairs are distributed, each as shares of its own kind.

    Args:
      edges: float [bins + 1].
      genuine, impostor: float [bins].
    """
    used = [bin_number for bin_number in range(len(genuine)) if genuine[bin_number] > 0 or impostor[bin_number] > 0]
    with picture_axes(file_format) as (axes, picture):
        axes.stairs(100 * genuine, edges, color=BLUE, fill=True, alpha=0.35)
        axes.stairs(100 * genuine, edges, color=BLUE, linewidth=1.5, label="same")
        axes.stairs(100 * impostor, edges, color=ORANGE, linewidth=1.5, linestyle="--", label="different")
        if used:
            axes.set_xlim(edges[used[0]], edges[used[-1] + 1])
        axes.set(xlabel="score", ylabel="pairs (%)")
        axes.legend(loc="upper right")
    return picture.getvalue()


def draw_likelihood(scores: Sequence[float], log10_ratios: Sequence[float], file_format: str = "svg") -> bytes:
    """The likelihood ratio against the score."""
    with picture_axes(file_format) as (axes, picture):
        axes.plot(scores, log10_ratios, color=BLUE)
        axes.axhline(0, color=GREY, linestyle="--", linewidth=1.2)
        axes.set(xlabel="score", ylabel="log10 of the likelihood ratio")
    return picture.getvalue()


def draw_long_tail(sizes: Sequence[int], few: int, file_format: str = "svg") -> bytes:
    """How many photos each class has, the largest first.

    Args:
      sizes: int [classes], in descending order.
      few: classes below are marked as small.
    """
    edges = [number + 0.5 for number in range(len(sizes) + 1)]
    with picture_axes(file_format) as (axes, picture):
        axes.stairs(sizes, edges, color=BLUE, fill=True, alpha=0.35)
        axes.stairs(sizes, edges, color=BLUE, linewidth=1.5)
        is_wide = sizes[0] > 20 * sizes[-1]
        if sizes[-1] < few < sizes[0]:
            axes.axhline(few, color=ORANGE, linestyle="--", linewidth=1.2)
            axes.annotate(f"{few} photos", (1, few), (-4, 4), xycoords=("axes fraction", "data"), textcoords="offset points", color=ORANGE, ha="right")
        axes.set(xlabel="classes, the largest first", ylabel="photos", xlim=(0.5, len(sizes) + 0.5))
        axes.set(yscale="log", ylim=(0.7, 1.4 * sizes[0])) if is_wide else axes.set_ylim(0, 1.08 * sizes[0])
        if is_wide:
            plain_ticks(axes.yaxis, (1,))
        axes.xaxis.get_major_locator().set_params(integer=True)
    return picture.getvalue()


def draw_panels(panels: Sequence[Panel], rows: Sequence[Row], file_format: str = "svg") -> bytes:
    """Panels side by side, of the same rows: each row has one colour, line and marker, which a legend below all panels tells."""
    with picture_axes(file_format, columns=len(panels), size_inches=(_PANEL_INCHES[0] * len(panels), _PANEL_INCHES[1])) as (drawn, picture):
        for axes, panel in zip(drawn, panels, strict=True):
            panel.draw(axes, rows)
            axes.set_title(panel.title, fontsize=10, loc="left")
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], **row_style(number), label=row.name) for number, row in enumerate(rows)]
        longest = max(len(row.name) for row in rows)
        columns = max(1, min(len(rows), int(11 * _PANEL_INCHES[0] * len(panels)) // (longest + 8)))  # some eleven letters an inch
        drawn[0].figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return picture.getvalue()


def row_style(number: int) -> dict[str, Any]:
    """How the row of this number is drawn, in all panels: colours that any eye tells apart, and another line and marker as well."""
    return {
        "color": _ROW_COLOURS[number % len(_ROW_COLOURS)],
        "linestyle": _ROW_LINES[number % len(_ROW_LINES)],
        "marker": _ROW_MARKERS[number % len(_ROW_MARKERS)],
        "linewidth": 1.6,
        "markersize": 4.5,
    }


def size_label(row: dict[str, Any]) -> str:
    """How many training photos a bin stands for: "5", "8-15"."""
    return str(row["smallest"]) if row["smallest"] == row["largest"] else f"{row['smallest']}\N{EN DASH}{row['largest']}"


def plain_ticks(axis: Axis, steps: Sequence[float]) -> None:
    """Ticks of a logarithmic axis at these steps of each decade, as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def label_ranks(axes: Axes, longest: int) -> None:
    """Axes of a CMC of so many ranks."""
    axes.set(xlabel="rank", ylabel="probes with a mate up to this rank (%)", ylim=(0, 102), xlim=(1, max(2, longest)))


def label_rates(axes: Axes, lowest: float, xlabel: str, ylabel: str) -> float:
    """Axes of a DET, both logarithmic, from the lowest rate that is shown, with the line on which both are equal; returns where they begin."""
    low = max(1e-7, lowest)
    axes.plot([low, 1], [low, 1], ":", color=GREY, linewidth=1.2, label="equal")
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel, xlim=(low, 1), ylim=(low, 1.1))
    for axis in (axes.xaxis, axes.yaxis):
        plain_ticks(axis, (1,))
    return low


def label_depths(axes: Axes, ranks: Sequence[str], deepest: int) -> None:
    """Marks depths with their ranks where the tree has one level a rank, else with numbers."""
    names = ["abstains", *ranks] if deepest == len(ranks) else ["abstains", *map(str, range(1, deepest + 1))]
    axes.set_yticks(range(deepest + 1), [f"{name}  {depth}" for depth, name in enumerate(names)])
    axes.set(ylabel="mean depth of the answers", ylim=(-0.2, deepest + 0.2))


@contextlib.contextmanager
def picture_axes(
    file_format: str, rows: Sequence[float] = (1,), columns: int | None = None, size_inches: tuple[float, float] | None = None
) -> Iterator[tuple[Any, io.BytesIO]]:
    """Yields axes (a list where there are several rows, or columns are asked for) and the buffer that holds the picture afterwards."""
    import matplotlib
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size_inches or (6.4, 3.9 if len(rows) == 1 else 4.6), layout="constrained")
        panels = figure.subplots(len(rows), columns or 1, squeeze=False, height_ratios=rows)
        yield (panels[0, 0] if columns is None and len(rows) == 1 else list(panels.ravel())), picture
        metadata = {"Date": None} if file_format == "svg" else None
        figure.savefig(picture, format=file_format, dpi=150, metadata=metadata)
