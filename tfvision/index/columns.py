"""Texts and metadata of a gallery's rows on disk: JSON lines, and columns of codes into a list of distinct values.

A gallery of a million rows opens without a Python object a row: a line is parsed when it is asked for, and a filter
judges each distinct value once.
"""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfvision.errors import DataError, GalleryError
from tfvision.files import parse_json

REMEDY = "restore it from a copy, or build the gallery again"
NO_VALUE = -1  # the code of a row without a value


class TextLines:
    """A JSON value a line, read where asked for.

    Args:
      data: uint8 [bytes], each line ended by a newline.
      types: of the values; GalleryError tells of one of another type, and of a line that is no JSON.
    """

    def __init__(self, data: np.ndarray, types: Collection[type] = (str, int, float, bool)) -> None:
        self._data, self._types = data, set(types)
        self._ends = np.flatnonzero(data == ord("\n"))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> Any:
        start = self._ends[row - 1] + 1 if row else 0
        return self._read(self._data[start : self._ends[row]].tobytes())[0]

    def all(self) -> list[Any]:
        """A list of all values."""
        return self._read(self._data.tobytes().replace(b"\n", b",")[:-1])

    def _read(self, text: bytes) -> list[Any]:
        try:
            values = parse_json(b"[" + text + b"]")
        except ValueError as error:
            raise GalleryError(f"a line of the gallery is no JSON ({error}): {REMEDY}") from None
        if not set(map(type, values)) <= self._types:
            raise GalleryError(f"a line of the gallery holds no id, path or value: {REMEDY}")
        return values


class Column:
    """A metadata column.

    Attributes:
      values: the distinct values, a list.
      codes: int32 [rows], the position in `values` for each row; NO_VALUE where a row has none.
    """

    def __init__(self, values: np.ndarray, codes: np.ndarray) -> None:
        self._values, self.codes = TextLines(values), codes

    @property
    def values(self) -> list[Any]:
        return self._values.all()

    @property
    def distinct(self) -> int:
        """How many distinct values there are."""
        return len(self._values)

    def __getitem__(self, row: int) -> Any:
        """The value of a row, or None."""
        code = self.codes[row]
        return None if code == NO_VALUE else self._values[code]


class RowEncoder:
    """Turns rows into the bytes to append to a gallery's files; it remembers rows and distinct values so far.

    Args:
      rows: how many there are.
      columns: {name: its distinct values, in order}.
    """

    def __init__(self, rows: int = 0, columns: Mapping[str, Sequence[Any]] | None = None) -> None:
        self._rows = rows
        self._codes: dict[str, dict[str, int]] = {name: {_json(value): code for code, value in enumerate(values)} for name, values in (columns or {}).items()}

    @property
    def names(self) -> list[str]:
        """Names of the columns, in the order of their files."""
        return list(self._codes)

    def encode(self, ids: Sequence[str], vectors: np.ndarray, images: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """{file name: bytes} of new rows. Raises DataError for a value that is no text, number or truth."""
        pieces: dict[str, Any] = {"vectors.f32": np.ascontiguousarray(vectors, "<f4"), "ids.jsonl": _lines(ids), "images.jsonl": _lines(images)}
        for name in dict.fromkeys(name for row in metadata for name in row if row[name] is not None):
            if name not in self._codes:  # the rows before have no value
                self._codes[name] = {}
                pieces[codes_file(len(self._codes) - 1)] = np.full(self._rows, NO_VALUE, "<i4").tobytes()
        for number, (name, codes) in enumerate(self._codes.items()):
            known = len(codes)
            rows = np.array([_code(codes, name, row.get(name)) for row in metadata], "<i4")
            pieces[codes_file(number)] = pieces.get(codes_file(number), b"") + rows.tobytes()
            pieces[values_file(number)] = "".join(f"{value}\n" for value in list(codes)[known:]).encode("utf-8", "surrogatepass")
        self._rows += len(ids)
        return pieces


def metadata_columns(metadata: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """{name: Column} of a list of dicts, held in memory. Raises DataError as `RowEncoder.encode`."""
    encoder = RowEncoder()
    pieces = encoder.encode([""] * len(metadata), np.zeros((0, 0)), [], metadata)
    read = lambda name, dtype: np.frombuffer(pieces[name], dtype)
    return {name: Column(read(values_file(number), np.uint8), read(codes_file(number), "<i4")) for number, name in enumerate(encoder.names)}


class LiveRows(Sequence):
    """A sequence over live rows that reads an item when it is asked for."""

    def __init__(self, rows: np.ndarray, read: Callable[[int], Any]) -> None:
        self._rows, self._read = rows, read

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: Any) -> Any:
        """The item of the live row with this number among the live ones, or a list of those of a slice."""
        if isinstance(number, slice):
            return [self._read(row) for row in self._rows[number]]
        return self._read(self._rows[number])


def values_file(number: int) -> str:
    """Name of the file with the distinct values of the column with this number."""
    return f"column-{number}.jsonl"


def codes_file(number: int) -> str:
    """Name of the file with the code of each row."""
    return f"column-{number}.i32"


def _code(codes: dict[str, int], name: str, value: Any) -> int:
    if value is None:
        return NO_VALUE
    if not isinstance(value, (str, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
        raise DataError(f"metadata {name!r} must be a text, a finite number or a truth, got {value!r}")
    return codes.setdefault(_json(value), len(codes))


def _lines(values: Iterable[str]) -> bytes:
    return "".join(f"{_json(value)}\n" for value in values).encode("utf-8", "surrogatepass")  # names of files may not be UTF-8


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
