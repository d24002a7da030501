"""Labels that were corrected in the page: kept beside the collection by the pictures' ids, with who and when; no source is changed."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.apps.explorer.kept_file import KeptFile, check_name
from tfvision.data.label_columns import possible_labels
from tfvision.data.manifest import RESERVED_COLUMNS
from tfvision.errors import DataError
from tfvision.kinds import Kind, is_of

Columns = Mapping[str, tuple[list[Any], np.ndarray]]  # as collection.Pictures has them
Entry = dict[str, str]  # {"label", "who", "when"}
Entries = dict[str, dict[str, Entry | None]]  # column -> id -> what it was corrected to; None: the source's label holds
_FILE = "corrections.json"
_EMPTY: dict[str, Any] = {"version": 0, "columns": {}}
_ENTRY: Kind = {"label": str, "who": str, "when": str}
_PARTS = {"label": "a label", "who": "your name", "when": "a time"}
_KIND: Kind = {"version": int, "columns": {str: {str: _ENTRY}}}


class Corrections:
    """Corrected labels of a collection.

    The file is {"version", "columns": {column: {id: {"label", "who", "when"}}}}.
    """

    def __init__(self, folder: str | Path) -> None:
        self._file = KeptFile(Path(folder) / _FILE, _KIND, _EMPTY, "corrected labels")

    def read(self) -> dict[str, Any]:
        """The corrections as they are now, by whatever process they were written."""
        return self._file.read()

    def correct(self, labels: Mapping[str, Mapping[str, str | None]], who: str) -> Entries:
        """Gives pictures other labels, {column: {id: label}}; None takes a correction away. Returns what they were before, for `restore`.

        Raises:
          DataError: a label or name that is no short text of one line.
          RunError, StorageError.
        """
        who = _line(who, "your name")
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return self.restore(
            {
                column: {id: None if label is None else {"label": _line(label, "a label"), "who": who, "when": now} for id, label in by_id.items()}
                for column, by_id in labels.items()
            }
        )

    def restore(self, entries: Mapping[str, Mapping[str, Entry | None]]) -> Entries:
        """Writes corrections as they are given, and returns what they were before. Raises DataError, RunError, StorageError."""
        given = [entry for by_id in entries.values() for entry in by_id.values() if entry is not None]
        if not all(is_of(entry, _ENTRY) for entry in given):
            raise DataError("a correction has a label, a name and a time")
        for entry in given:
            for part, what in _PARTS.items():
                _line(entry[part], what)
        before: Entries = {}
        with self._file.changing() as kept:
            for column, by_id in entries.items():
                known = kept["columns"].setdefault(column, {})
                before[column] = {id: known.pop(id, None) for id in by_id}
                known.update({id: entry for id, entry in by_id.items() if entry is not None})
                if not known:
                    del kept["columns"][column]
        return before


def corrected_columns(given: Columns, positions: Mapping[str, int], corrections: Mapping[str, Any]) -> dict[str, tuple[list[Any], np.ndarray]]:
    """The columns with corrected labels in the place of the source's; a label that no picture had is a new value at the end."""
    columns = dict(given)
    for name, entries in corrections["columns"].items():
        there = {positions[id]: entry["label"] for id, entry in entries.items() if id in positions}
        if name not in columns or not there:
            continue
        values, codes = list(columns[name][0]), np.array(columns[name][1])
        code_of = {str(value): code for code, value in enumerate(values)}
        for position, label in there.items():
            if label not in code_of:
                code_of[label] = len(values)
                values.append(label)
            codes[position] = code_of[label]
        columns[name] = values, codes
    return columns


def ranks_above(given: Columns, column: str) -> list[str]:
    """Columns of which each label of `column` has one name: they follow when a label is corrected. Raises DataError where there is no such column."""
    if column not in given:
        raise DataError(f"there is no column {column!r:.60}: take one of {', '.join(given)}" if given else "the pictures have no labels")
    labels = possible_labels([name for name in given if name.lower() not in RESERVED_COLUMNS])
    return [name for name in labels if name != column and 1 < len(given[name][0]) < len(given[column][0]) and _is_function(given[column][1], given[name][1])]


def label_of(given: Columns, column: str, position: int) -> str | None:
    """The label of a picture, or None where it has none."""
    values, codes = given[column]
    return None if codes[position] < 0 else str(values[codes[position]])


def first_with(given: Columns, column: str, label: str) -> int | None:
    """The first picture with a label, or None."""
    values, codes = given[column]
    code = next((code for code, value in enumerate(values) if str(value) == label), len(values))
    return next(iter(np.flatnonzero(codes == code).tolist()), None)


def _is_function(codes: np.ndarray, above: np.ndarray) -> bool:
    """Whether each label has one name of another column."""
    pairs = np.unique(np.stack([codes, above])[:, codes >= 0], axis=1)
    return len(np.unique(pairs[0])) == pairs.shape[1]


def _line(text: Any, what: str) -> str:
    """A short text of one line. Raises DataError."""
    check_name(text, what)
    text = text.strip()
    if not text.isprintable():
        raise DataError(f"{what} must be one line of printable letters, got {text!r:.60}")
    return text
