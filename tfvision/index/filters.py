"""Filters by metadata: `species=Vanessa atalanta`, `year>=2015`, `licence!=none`."""

import json
import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfvision.data.names import KnownNames
from tfvision.errors import DataError
from tfvision.index.columns import NO_VALUE, Column

_FORM = re.compile(r"(?s)(.+?)(<=|>=|!=|<|>|=)(.*)")
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def parse_where(where: str | Sequence[str] | None) -> list[tuple[str, str, str]]:
    """Conditions as texts (one, several or None) -> (column, comparison, wanted) of each. Raises DataError."""
    conditions = []
    for text in [where] if isinstance(where, str) else where or ():
        match = _FORM.fullmatch(text)
        if not match:
            raise DataError(f"--where must be like species=Vanessa atalanta or year>=2015, got {text!r}")
        column, comparison, wanted = match.groups()
        conditions.append((column.strip(), comparison, wanted.strip()))
    return conditions


def matching(columns: Mapping[str, Column], rows: int, where: str | Sequence[str] | None) -> np.ndarray:
    """Which rows fulfil all conditions; of several `=` on one column, one is enough.

    Args:
      columns: by name.
      rows: how many there are.
      where: as of `parse_where`. `=` and `!=` compare texts, or numbers where both are; a text that is no value as it stands
        is one that is the same name in another spelling. `<` and its kind compare numbers where the bound is one, else texts
        (dates like 2015-03-01 are in order). A row without a value is "".

    Returns:
      bool [rows]. Raises DataError for a column that the gallery does not have.
    """
    fulfilled, chosen = np.ones(rows, bool), dict[str, np.ndarray]()
    for name, comparison, wanted in parse_where(where):
        column = _column(columns, name)
        rows_of = _rows_that(column, comparison, wanted)
        if comparison == "=":
            chosen[name] = chosen.get(name, np.zeros(rows, bool)) | rows_of
        else:
            fulfilled &= rows_of
    return np.logical_and.reduce([fulfilled, *chosen.values()])


def near_misses(columns: Mapping[str, Column], where: str | Sequence[str] | None) -> list[str]:
    """A sentence for each value that is asked for by `=` and stands nowhere, where others look like it."""
    told = []
    for name, comparison, wanted in parse_where(where):
        values = _column(columns, name).values
        if comparison == "=" and wanted and not any(_fulfils(value, "=", wanted) for value in values):
            known = KnownNames(value for value in values if isinstance(value, str))
            if not known.same(wanted) and (hint := known.hint(wanted)):
                told.append(f"no picture has {name}={wanted}{hint}")
    return told


def _column(columns: Mapping[str, Column], name: str) -> Column:
    found = KnownNames(columns).find(name)
    if found is None:
        raise DataError(f"the gallery has no metadata {name!r}; it has {', '.join(columns) or 'none'}")
    return columns[found]


def _rows_that(column: Column, comparison: str, wanted: str) -> np.ndarray:
    values = column.values
    same = _same_names(values, wanted) if comparison in ("=", "!=") else []
    fulfils = [(value in same) == (comparison == "=") if same else _fulfils(value, comparison, wanted) for value in values]
    of_none = comparison in ("=", "!=") and _fulfils("", comparison, wanted)
    table = np.array([*fulfils, of_none], bool)  # code NO_VALUE reads the last entry
    assert NO_VALUE == -1
    return table[column.codes]


def _same_names(values: Sequence[Any], wanted: str) -> list[str]:
    """Values that are a name in another spelling, where none is as it stands."""
    if not wanted or any(_fulfils(value, "=", wanted) for value in values):
        return []
    return KnownNames(value for value in values if isinstance(value, str)).same(wanted)


def _fulfils(value: Any, comparison: str, wanted: str) -> bool:
    number, bound = _number(value), _number(wanted)
    if comparison in ("=", "!="):
        is_equal = _text(value) == wanted or (number is not None and number == bound)
        return is_equal == (comparison == "=")
    if bound is None:
        return _COMPARISONS[comparison](_text(value), wanted)
    return number is not None and _COMPARISONS[comparison](number, bound)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
