"""A new manifest with corrected labels, to train from; the source is never written."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tfvision.apps.explorer.collection import Pictures
from tfvision.apps.explorer.selection import free_path, harmless
from tfvision.data.csv_table import csv_text
from tfvision.data.manifest import PREVIOUS, ListedPhotos, csv_of, read_csv
from tfvision.data.shards.prepared_index import is_prepared
from tfvision.errors import DataError
from tfvision.files import write_text

WHO, WHEN = "corrected_by", "corrected_at"
_IMAGE = "image"


class CorrectedManifest(NamedTuple):
    """Attributes:
    path: where it was written.
    corrected: how many pictures have a corrected label.
    command: that trains from it, as a shell takes it.
    """

    path: str
    corrected: int
    command: str


class _Rows(NamedTuple):
    """A manifest that is being made: its header, a dict a row, and the picture's id of each."""

    header: list[str]
    rows: list[dict[str, str]]
    ids: list[str]


def write_corrected_manifest(
    source: str | None, pictures: Pictures, columns: Mapping[str, Mapping[str, Mapping[str, str]]], folder: str | Path, name: str
) -> CorrectedManifest:
    """Writes FOLDER/NAME-corrected.csv, or one with a number where there is one.

    Of a source that is a manifest all columns and rows are kept as they are, but for the file's name, which becomes absolute; of a folder or a gallery the
    pictures and their metadata are listed. Beside each corrected column C there is `previous_C`; `corrected_by` and `corrected_at` tell
    who corrected last.

    Args:
      source: the folder or manifest, or None where only a gallery is known.
      columns: of Corrections.read: {column: {id: {"label", "who", "when"}}}.

    Raises:
      DataError: nothing is corrected, or no training can read what was written.
      StorageError.
    """
    listed = csv_of(source) if source else None
    table = _of_csv(listed) if listed and not is_prepared(listed.parent) else _of_pictures(pictures)
    corrected = _correct(table, columns)
    if not corrected:
        raise DataError("no label is corrected: correct one first")
    path = free_path(Path(folder) / f"{name}-corrected.csv")
    write_text(path, csv_text([table.header, *([row.get(name, "") for name in table.header] for row in table.rows)]))
    ranks = _ranks_option(path, [name for name in columns if name in table.header])
    return CorrectedManifest(str(path), corrected, f"tfvision train species {shlex.quote(str(path))}{ranks}")


def _of_csv(path: Path) -> _Rows:
    listed = ListedPhotos.open(path)
    photos, header = listed.unlabelled(), list(dict.fromkeys(listed.columns))
    rows = [dict(zip(header, cells, strict=True)) for cells in zip(*(listed.table.texts(name) for name in header), strict=True)]
    for row, record in zip(rows, photos.records, strict=True):
        row[str(listed.image_column)] = os.path.abspath(record.path)
    return _Rows(header, rows, [id or record.name for id, record in zip(photos.texts("id"), photos.records, strict=True)])


def _of_pictures(pictures: Pictures) -> _Rows:
    names = {name: f"{name} (metadata)" if name == _IMAGE else name for name in pictures.given if name not in pictures.answers}
    rows = [{_IMAGE: os.path.abspath(pictures.path(position))} for position in range(len(pictures))]
    for name, written in names.items():
        values, codes = pictures.given[name]
        for row, code in zip(rows, codes.tolist(), strict=True):
            row[written] = "" if code < 0 else str(values[code])
    return _Rows([_IMAGE, *names.values()], rows, pictures.ids)


def _correct(table: _Rows, columns: Mapping[str, Mapping[str, Mapping[str, str]]]) -> int:
    """Writes corrected labels into the rows, and beside them what they were; returns how many rows have one."""
    latest: dict[int, Mapping[str, str]] = {}
    for name, entries in columns.items():
        if name not in table.header:
            continue
        previous, row_of = PREVIOUS + name, {id: row for row, id in enumerate(table.ids)}
        there = {row_of[id]: entry for id, entry in entries.items() if id in row_of}
        if there and previous not in table.header:
            table.header.append(previous)
        for number, entry in there.items():
            table.rows[number] |= {previous: table.rows[number][name], name: entry["label"]}
            latest[number] = max(latest.get(number, entry), entry, key=lambda one: one["when"])
    table.header.extend(name for name in (WHO, WHEN) if latest and name not in table.header)
    for number, entry in latest.items():
        table.rows[number] |= {WHO: harmless(entry["who"]), WHEN: entry["when"]}
    return len(latest)


def _ranks_option(path: Path, corrected: Sequence[str]) -> str:
    """What the command says of ranks where training would not take the corrected columns for labels by itself. Raises DataError."""
    try:
        ranks: Sequence[Any] = read_csv(path).ranks
    except DataError:
        ranks = ()
    if set(corrected) & set(ranks):
        return ""
    read_csv(path, corrected[:1])
    return f" --ranks {shlex.quote(corrected[0])}"
