"""A selection of pictures, taken out: CSV, manifest, or a folder of links to the files."""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfvision.apps.explorer.collection import Pictures
from tfvision.data.decoding import read_encoded
from tfvision.data.shards.slices import slice_of
from tfvision.errors import DataError
from tfvision.files import atomic_folder

_LONGEST_NAME = 80
_SIGNED_NUMBER = re.compile(r"\+[\d.,  %]+([eE][+-]?\d+)?")


def as_csv(pictures: Pictures, positions: Sequence[int], tags: Mapping[str, Sequence[str]]) -> str:
    """A CSV text of pictures for spreadsheets: id, image (absolute), tags, metadata; a formula is written as a text."""
    rows = ([pictures.ids[position], os.path.abspath(pictures.path(position)), "; ".join(tags.get(pictures.ids[position], ()))] for position in positions)
    return _table(["id", "image", _another("tags", pictures.columns, "explorer")], rows, pictures, positions, harmless)


def as_manifest(pictures: Pictures, positions: Sequence[int]) -> str:
    """A manifest that the suite's other commands read: image (absolute) and metadata as it is."""
    return _table(["image"], ([os.path.abspath(pictures.path(position))] for position in positions), pictures, positions, lambda cell: cell)


def link_folder(pictures: Pictures, positions: Sequence[int], folder: str | Path, name: str) -> str:
    """Makes FOLDER/NAME with a link to each picture's file that is there (of prepared data, a copy); returns its path.

    Raises:
      DataError, StorageError.
    """
    target = free_path(Path(folder) / _file_name(name))
    with atomic_folder(target) as temporary:
        for position in positions:
            path = os.path.abspath(pictures.path(position))
            if slice_of(path):
                free_path(temporary / os.path.basename(path)).write_bytes(read_encoded(path))
            elif os.path.exists(path):
                os.symlink(path, free_path(temporary / os.path.basename(path)))
    return str(target)


def harmless(cell: Any) -> Any:
    """A text that a spreadsheet does not take for a formula; a number with its sign is none."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "@") and not _SIGNED_NUMBER.fullmatch(cell) else cell


def free_path(path: Path) -> Path:
    """The path, or with a number where something is there."""
    candidates = (path, *(path.with_name(f"{path.stem} {number}{path.suffix}") for number in range(2, 100_000)))
    return next(candidate for candidate in candidates if not os.path.lexists(candidate))


def _table(header, rows, pictures, positions, written):
    """Lines of our own cells and all metadata; a column that is called as one of ours gets another name."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([*header, *(_another(name, [*header, *pictures.columns], "metadata") if name in header else name for name in pictures.columns)])
    for row, position in zip(rows, positions, strict=True):
        metadata = pictures.metadata(position)
        writer.writerow([written(cell) for cell in [*row, *(metadata.get(name, "") for name in pictures.columns)]])
    return buffer.getvalue()


def _another(name, taken, mark):
    while name in taken:
        name = f"{name} ({mark})"
    return name


def _file_name(name):
    plain = re.sub(r"[^\w\- ]+", "-", name).strip(" -.")[:_LONGEST_NAME]
    if not plain:
        raise DataError(f"a folder needs a name of letters or digits, got {name!r:.60}")
    return plain
