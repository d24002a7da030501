"""The figures of a survey: activity by hour and by month, the map of deployments, the accumulation of taxa. As plots.py, bytes of SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tfvision.evaluation.plots import BLUE, GREY, INK, ORANGE, picture_axes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_KM_A_DEGREE = 111.32
_LEAST_MAP_KM = 0.2
_MOST_NAMED = 40


def draw_activity(by_hour: Sequence[int], by_month: Sequence[int], file_format: str = "svg") -> bytes:
    """Events by the hour of the day and by the month of the year.

    Args:
      by_hour: int [24].
      by_month: int [12].
    """
    with picture_axes(file_format, columns=2, size_inches=(8.4, 3.3)) as (panels, picture):
        hours, months = panels
        hours.bar([hour + 0.5 for hour in range(24)], by_hour, 0.9, color=BLUE)
        hours.set(xlabel="hour of the day", ylabel="events", xlim=(0, 24), xticks=range(0, 25, 4))
        months.bar(range(12), by_month, 0.8, color=BLUE)
        months.set_xticks(range(12), [month[:1] for month in _MONTHS])
        months.set(xlabel="month")
        for axes in panels:
            axes.grid(axis="x", visible=False)
            axes.yaxis.get_major_locator().set_params(integer=True)
    return picture.getvalue()


def draw_map(places: Mapping[str, tuple[float, float]], events: Mapping[str, int], file_format: str = "svg") -> bytes:
    """Deployments at their places: a plain map, north above, as far as a degree is as long everywhere on it.

    Args:
      places: {name: (latitude, longitude)}.
      events: {name: how many}, as areas.
    """
    with picture_axes(file_format, size_inches=(6.4, 5.2)) as (axes, picture):
        latitudes, longitudes = ([place[axis] for place in places.values()] for axis in (0, 1))
        middle = (min(latitudes) + max(latitudes)) / 2
        squeeze = max(0.05, math.cos(math.radians(middle)))
        most = max(events.values(), default=1) or 1
        sizes = [30 + 270 * events.get(name, 0) / most for name in places]
        axes.scatter(longitudes, latitudes, s=sizes, color=BLUE, alpha=0.6, edgecolor=INK, linewidth=0.8)
        for name, (latitude, longitude) in list(places.items())[:_MOST_NAMED]:
            axes.annotate(name, (longitude, latitude), (7, 5), textcoords="offset points", fontsize=8)
        height = max(1.25 * (max(latitudes) - min(latitudes)), _LEAST_MAP_KM / _KM_A_DEGREE)
        width = max(1.25 * (max(longitudes) - min(longitudes)), height / squeeze)
        height = max(height, 0.6 * width * squeeze)
        centre = (min(longitudes) + max(longitudes)) / 2
        axes.set(xlim=(centre - width / 2, centre + width / 2), ylim=(middle - height / 2, middle + height / 2), xlabel="longitude", ylabel="latitude")
        axes.set_aspect(1 / squeeze)
        axes.ticklabel_format(useOffset=False)
        axes.tick_params(axis="x", labelrotation=20)
        _scale_bar(axes, width * squeeze * _KM_A_DEGREE, centre - 0.46 * width, middle - 0.46 * height, squeeze)
    return picture.getvalue()


def draw_accumulation(days: Sequence[int], found: Sequence[int], file_format: str = "svg") -> bytes:
    """How many taxa were found after so many camera days.

    Args:
      days: camera days until each event, ascending.
      found: taxa found until then.
    """
    with picture_axes(file_format) as (axes, picture):
        axes.step([0, *days], [0, *found], where="post", color=BLUE)
        axes.plot(days[-1:], found[-1:], "o", color=ORANGE)
        axes.axhline(found[-1] if found else 0, color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel="camera days", ylabel="taxa found", xlim=(0, max([1, *days])), ylim=(0, 1.1 * max([1, *found])))
        axes.yaxis.get_major_locator().set_params(integer=True)
    return picture.getvalue()


def _scale_bar(axes: Axes, width_km: float, left: float, bottom: float, squeeze: float) -> None:
    """A bar of a round length, about a quarter of the map."""
    length = 10 ** math.floor(math.log10(width_km / 4))
    length *= next(step for step in (5, 2, 1) if step * length <= width_km / 4 or step == 1)
    axes.plot([left, left + length / _KM_A_DEGREE / squeeze], [bottom, bottom], color=INK, linewidth=2.5, solid_capstyle="butt")
    text = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    axes.annotate(text, (left, bottom), (0, 4), textcoords="offset points", fontsize=8)
