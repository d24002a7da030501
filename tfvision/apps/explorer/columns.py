"""Columns that hold numbers or dates: which they are, their values as numbers, and the bins of their histogram."""

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_MOST_BINS = 40
_LARGEST_OTHERS = 0.1  # share of a column's distinct values that may be something else, as "n/a"
_SKEWED = 50  # times the median: a histogram with even bins would be one bar
_SAMPLE = 1000
_LARGEST, _LEAST_SPREAD = 1e300, 1e-300  # beyond, bins cannot be computed
_ISO = re.compile(r"(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2}))?(?:[T ](\d{1,2}:\d{2}(?::\d{2})?)(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_EXIF = re.compile(r"(\d{4}):(\d{2}):(\d{2}) (\d{2}:\d{2}:\d{2})")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?: (\d{1,2}:\d{2}(?::\d{2})?))?")
_DAY_SECONDS = 86_400
_STEPS_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, _DAY_SECONDS, 7 * _DAY_SECONDS)
_STEPS_MONTHS = (1, 3, 12, 24, 60, 120, 240, 600, 1200, 2400)


class Scale(NamedTuple):
    """What a histogram and a range need of a column.

    Attributes:
      kind: "number" or "date".
      numbers: float64 [distinct values]; of a date the seconds since 1970, as it is written, whatever its zone; NaN for what is none.
      edges: float64 [bins + 1], ascending; even for most, of equal ratio where the values spread over orders of magnitude.
    """

    kind: str
    numbers: np.ndarray
    edges: np.ndarray


def scale_of(values: Sequence[Any], codes: np.ndarray) -> Scale | None:
    """The Scale of a column whose distinct values are numbers or dates but for a few; None for all others.

    Args:
      values: the distinct values.
      codes: int [n], the position in `values` for each picture, -1 where it has none.
    """
    for kind, read in (("number", _numbers), ("date", _seconds)):
        if not _fits(read(values[:_SAMPLE])):
            continue
        numbers = read(values)
        held = numbers[codes[codes >= 0]]
        held = held[~np.isnan(held)]
        if _fits(numbers) and held.size and held.max() - held.min() > _LEAST_SPREAD:
            return Scale(kind, numbers, date_edges(held) if kind == "date" else number_edges(held))
    return None


def described(columns: Mapping[str, tuple[Sequence[Any], np.ndarray]], scales: Sequence[Scale | None], answers: Collection[str] = ()) -> list[dict[str, Any]]:
    """What a page is told of each column: {"name", "values"}, "kind", "edges" of one of numbers or dates, and "is_answer" of those in `answers`."""
    told = [{} if scale is None else {"kind": scale.kind, "edges": scale.edges.tolist()} for scale in scales]
    found = [{"name": name, "values": values, **more} for (name, (values, _)), more in zip(columns.items(), told, strict=True)]
    return [{**one, "is_answer": True} if one["name"] in answers else one for one in found]


def number_edges(held: np.ndarray) -> np.ndarray:
    """Edges of at most 40 bins over numbers that differ: round where they are even."""
    low, high, is_whole = held.min(), held.max(), bool((held == np.round(held)).all())
    if is_whole and high - low < _MOST_BINS:
        return np.arange(low, high + 2) - 0.5
    if low > 0 and high > _SKEWED * np.median(held):
        return np.geomspace(low, high, _MOST_BINS // 2 + 1)
    exponent = 10.0 ** np.floor(np.log10((high - low) / _MOST_BINS))
    step = next(step for step in exponent * np.array([1, 2, 5, 10, 20, 50]) if np.floor(high / step) - np.floor(low / step) < _MOST_BINS)
    return step * np.arange(np.floor(low / step), np.floor(high / step) + 2)


def date_edges(held: np.ndarray) -> np.ndarray:
    """Edges of at most 40 bins over dates that differ: whole seconds, hours, days, months or years."""
    low, high = held.min(), held.max()
    for step in _STEPS_SECONDS:
        if np.floor(high / step) - np.floor(low / step) < _MOST_BINS:
            return step * np.arange(np.floor(low / step), np.floor(high / step) + 2)
    first, last = (int(np.datetime64(int(end), "s").astype("datetime64[M]").astype(int)) for end in (low, high))
    step = next((step for step in _STEPS_MONTHS if last // step - first // step < _MOST_BINS), (last - first) // _MOST_BINS + 1)
    months = step * np.arange(first // step, last // step + 2)
    return months.astype("datetime64[M]").astype("datetime64[s]").astype(np.float64)


def _fits(numbers: np.ndarray) -> bool:
    """Whether two of a column's values at least were read, and all but a few."""
    others = int(np.isnan(numbers).sum())
    return len(numbers) - others >= 2 and others <= max(1, _LARGEST_OTHERS * len(numbers))


def _numbers(values):
    """float64, NaN for what is no number with a histogram; at once where all are."""
    if values and all(isinstance(value, str) for value in values) and "_" not in "".join(values):
        with contextlib.suppress(ValueError):
            return _bounded(np.fromiter(map(float, values), np.float64, len(values)))
    return _bounded(np.array([_number(value) for value in values], np.float64))


def _bounded(numbers):
    return np.where(np.abs(numbers) < _LARGEST, numbers, np.nan)


def _number(value):
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        return np.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return np.nan


def _seconds(values):
    """float64, NaN for what is no date; a day that does not exist is none."""
    dates = list(map(_iso, values))
    try:
        seconds = np.array(dates, "datetime64[s]")
    except ValueError:
        seconds = np.array(list(map(_existing, dates)), "datetime64[s]")
    return np.where(np.isnat(seconds), np.nan, seconds.astype(np.float64))


def _iso(value):
    """A text that NumPy reads as a date, "NaT" for what is none."""
    if not isinstance(value, str):
        return "NaT"
    value = value.strip()
    if found := _EXIF.fullmatch(value) or _ISO.fullmatch(value):
        year, month, day, time = found.groups()
    elif found := _DAY_FIRST.fullmatch(value):
        day, month, year, time = found.groups()
    else:
        return "NaT"
    return f"{year}-{month:>02}-{day or '01':>02}T{time if time and len(time) % 3 == 2 else '0' + time if time else '00:00'}"


def _existing(date):
    try:
        np.datetime64(date)
    except ValueError:
        return "NaT"
    return date
