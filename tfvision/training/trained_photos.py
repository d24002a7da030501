"""Which photos a run was trained on: known by file name and size, and by their bytes where these agree."""

import collections
import contextlib
import dataclasses
import hashlib
import os
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.boxes import NO_BOX, Box, box_faults, boxes_in_photos, parse_box
from tfvision.data.csv_table import CsvTable
from tfvision.data.decoding import read_encoded
from tfvision.data.manifest import ListedPhotos, Manifest, Record, csv_of, read_photos
from tfvision.data.shards.prepared_index import PreparedIndex, is_prepared
from tfvision.data.shards.slices import photo_bytes, slice_of
from tfvision.errors import DataError, FileError, RunError
from tfvision.files import check_checksum, read_json

PHOTOS_FILE = "photos.csv"
_SOURCES = ("source", "others")  # of the facts in recipe.json
_SPECIMENS = "specimens"  # in the run's folder, where it has no source
_REMEDY = "restore it, or train again"
_COLUMNS = ("image", "bytes", "split")


class _Content(typing.NamedTuple):
    """What is in a photo's file. Photos of one form are the same where their digests are."""

    form: str  # "" = as it was found, else how it was encoded anew
    digest: bytes


class RunPhotos(typing.NamedTuple):
    """The photos that a run was made of: those that trained, and those that were held out.

    Attributes:
      manifest: those that are where they were, by the names, ranks and splits of photos.csv, with the boxes of their source.
      away: the names of those that are not.
      changed: the names of those that have another size now.
      roots: where all were.
    """

    manifest: Manifest
    away: tuple[str, ...]
    changed: tuple[str, ...]
    roots: tuple[Path, ...]


def photos_of(run: Path | str) -> RunPhotos:
    """Finds the photos of a run where they lie now. Raises RunError where it has no list of them, or it is damaged."""
    run = Path(run)
    table, training = _read_list(run / PHOTOS_FILE), _TrainingPhotos(run)
    ranks = tuple(dict.fromkeys(name for name in table.header if name not in (*_COLUMNS, "group"))) or ("group",)
    found: list[Record] = []
    away: list[str] = []
    changed: list[str] = []
    times: collections.Counter[str] = collections.Counter()
    for name, size, split, group, *lineage in _rows(table, *_COLUMNS, "group", *ranks):
        record = training.record(name, times[name])
        times[name] += 1
        if record is None:
            away.append(name)
            continue
        if record.identity[1] != int(size):
            changed.append(name)
        found.append(dataclasses.replace(record, name=name, lineage=tuple(lineage), group=group, split=split))
    return RunPhotos(Manifest(ranks, tuple(found)), tuple(away), tuple(changed), tuple(training.roots))


def trained_on(run: Path | str, records: Sequence[Record], split: str | None = "train") -> np.ndarray:
    """Whether a run was trained on each photo, bool [photos].

    File name and size tell which may be the same, wherever their folder lies; then the bytes decide. Where the photos of the
    training are no longer where they were, or were encoded anew, name and size decide alone, and stderr says for how many.

    Args:
      run: its folder.
      records: photos.
      split: of the run's photos; None = all.

    Raises:
      RunError: the run has no list of its photos, or it is damaged.
    """
    run = Path(run)
    names = _names_by_identity(run / PHOTOS_FILE, split)
    training = _TrainingPhotos(run)
    known: dict[str, set[_Content | None]] = {}
    is_trained, doubtful = np.zeros(len(records), bool), 0
    for row, record in enumerate(records):
        if not (alike := names.get(record.identity)):
            continue
        own = _content(record)
        for name in alike:
            if name not in known:
                known[name] = training.contents(name, record.identity[1])
        found = set().union(*(known[name] for name in alike))
        is_comparable = own is not None and all(one is not None and one.form == own.form for one in found)
        is_trained[row] = own in found or not is_comparable
        doubtful += own not in found and not is_comparable
    if doubtful:
        print(
            f"{doubtful} of {len(records)} photos have the name and size of photos that {run} was trained on, and are taken for these: the bytes could not be "
            f"compared, as the photos of the training are no longer in {' or '.join(map(str, training.roots))}, or were encoded anew",
            file=sys.stderr,
        )
    return is_trained


def trained_on_any(runs: Sequence[Path | str], records: Sequence[Record], split: str | None = "train") -> np.ndarray:
    """Whether any of several runs was trained on each photo, bool [photos]; as `trained_on`."""
    return np.any([trained_on(run, records, split) for run in runs], axis=0) if runs else np.zeros(len(records), bool)


def _names_by_identity(path: Path, split: str | None) -> dict[tuple[str, int], list[str]]:
    """{Record.identity: names in photos.csv}."""
    table = _read_list(path)
    found = collections.defaultdict(list)
    for image, size, own in _rows(table, *_COLUMNS):
        if split in (None, own):
            found[os.path.basename(image), int(size)].append(image)
    return found


def _read_list(path: Path) -> CsvTable:
    if not path.is_file():
        raise RunError(f"{path} does not exist, so nobody knows what {path.parent} was trained on: {_REMEDY}")
    check_checksum(path, _REMEDY, RunError)
    table = CsvTable.read(path)
    if missing := [name for name in _COLUMNS if name not in table.header]:
        raise RunError(f"{path} was changed: it has no column {missing[0]!r}; {_REMEDY}")
    for line, size in zip(table.lines, table.texts("bytes"), strict=True):
        if size != "bytes" and not size.strip().isdecimal():
            raise RunError(f"{path}, line {line}, was changed: {size!r} is no number of bytes; {_REMEDY}")
    return table


def _rows(table: CsvTable, *columns: str) -> Iterator[list[str]]:
    """The cells of each photo; stylizers' lists have the header once more between the photos that train and the others."""
    for size, *cells in zip(table.texts("bytes"), *map(table.texts, columns), strict=True):
        if size != "bytes":
            yield cells


class _TrainingPhotos:
    """The photos of a training, where they still lie in its sources."""

    def __init__(self, run: Path) -> None:
        facts: dict[str, typing.Any] = {}
        with contextlib.suppress(FileError):  # a folder with no more than a list of photos
            facts = read_json(run / "recipe.json", dict.fromkeys(_SOURCES, str | None))
        sources = [facts.get(name) for name in _SOURCES]
        self.roots = [Path(source) for source in sources if source] or [run / _SPECIMENS]
        self._prepared: dict[Path, dict[str, list[Record]]] = {}
        self._boxes: dict[Path, dict[str, list[Box]]] = {}

    def record(self, name: str, time: int) -> Record | None:
        """The photo called so, with its box; None where it is not there. Of one that is listed several times, as it stands there for the `time`-th, from 0."""
        for root in self.roots:
            if record := self._record(root, name, time):
                boxes = self._listed_boxes(root)[name]
                return dataclasses.replace(record, box=boxes[time]) if record.box == NO_BOX and time < len(boxes) else record
        return None

    def contents(self, name: str, size: int) -> set[_Content | None]:
        """Those of the photos called so; None for what is not there, or has another size by now."""
        found = {_content(record) for root in self.roots if (record := self._record(root, name)) and record.identity[1] == size}
        return found or {None}

    def _record(self, root: Path, name: str, time: int = -1) -> Record | None:
        folder = root.parent if root.is_file() else root
        if is_prepared(folder):
            records = self._prepared_records(folder)[name]
            return records[min(time, len(records) - 1)] if records else None
        path = folder / name
        return Record(str(path), name, ("",), name) if path.is_file() else None

    def _listed_boxes(self, root: Path) -> dict[str, list[Box]]:
        """{name: boxes} of a source's manifest, as the training read them; NO_BOX where one does not lie in its photo any more."""
        if root not in self._boxes:
            found = self._boxes[root] = collections.defaultdict(list)
            with contextlib.suppress(DataError):  # damaged by now
                listed = ListedPhotos.open(path) if (path := csv_of(root)) else None
                if listed and listed.image_column and "box" in listed.columns:
                    names = [name.strip() for name in listed.table.texts(listed.image_column)]
                    for name, box in zip(names, _boxes_still_in_photos(listed.table, names), strict=True):
                        found[name].append(box)
        return self._boxes[root]

    def _prepared_records(self, folder: Path) -> dict[str, list[Record]]:
        if folder not in self._prepared:
            found = self._prepared[folder] = collections.defaultdict(list)
            with contextlib.suppress(DataError):  # damaged by now
                for record in read_photos(folder).records:
                    found[record.name].append(record)
        return self._prepared[folder]


def _boxes_still_in_photos(table: CsvTable, names: Sequence[str]) -> list[Box]:
    """The boxes of a table, as boxes_in_photos; NO_BOX for those that do not lie in their photos."""
    paths = [str(table.path.parent / name) for name in names]
    boxes = [parse_box(box, f"{table.path}, line {line}") for line, box in zip(table.lines, table.texts("box"), strict=True)]
    try:
        return boxes_in_photos(table.path, table.lines, paths, boxes)
    except DataError:
        kept = [NO_BOX if fault else box for fault, box in zip(box_faults(paths, boxes), boxes, strict=True)]
        return boxes_in_photos(table.path, table.lines, paths, kept)


def _content(record: Record) -> _Content | None:
    """None where the photo cannot be read."""
    try:
        return _Content(_form(record), hashlib.sha256(read_encoded(record.path)).digest())
    except DataError:
        return None


def _form(record: Record) -> str:
    location = slice_of(record.path)
    if location is None or record.source_bytes == photo_bytes(record.path):
        return ""
    settings = PreparedIndex.open(Path(location.shard).parent).settings
    return " ".join(f"{name} {settings.get(name)}" for name in ("size_px", "quality"))
