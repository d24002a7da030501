"""A manifest: photos with their lineages, from a folder of class folders, from a CSV, or from prepared data."""

import collections
import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.boxes import NO_BOX, Box, boxes_in_photos, parse_box
from tfvision.data.csv_table import TABLE_SUFFIXES, CsvTable, column_names, csv_text
from tfvision.data.folder_labels import labels_of_folders, level_names, split_word
from tfvision.data.label_columns import choose_label_columns, possible_labels
from tfvision.data.layouts import Listing, list_layout
from tfvision.data.lineage_matching import MatchedLineages, match_lineages, shared_levels
from tfvision.data.names import tidy_name
from tfvision.data.photo_files import NOT_LISTED, NOT_UTF8, OUTSIDE, LeftOut, PhotoFiles, is_utf8, note_left_out, printable, walk_photos
from tfvision.data.shards.prepared_index import MANIFEST, PREPARED_COLUMNS, PreparedIndex, index_of, is_prepared
from tfvision.data.shards.slices import photo_bytes, photo_file, slice_of
from tfvision.data.shards.verification import PreparedRow, locate_photos
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
MANIFEST_NAMES = ("manifest.csv", "labels.csv")
IMAGE_COLUMNS = ("image", "file")
PREVIOUS = "previous_"  # begins the name of a column that says what stood in another before it was corrected
RESERVED_COLUMNS = frozenset(
    [
        "image",
        "file",
        "path",
        "group",
        "split",
        "box",
        "role",
        "subject",
        "transform",
        "number",
        "id",
        "url",
        "source",
        "licence",
        "license",
        "author",
        "creator",
        "rights",
        "rights_holder",
        "latitude",
        "longitude",
        "country",
        "date",
        "source_id",
        "wnid",
        "class_index",
        "corrected_by",
        "corrected_at",
    ]
).union(PREPARED_COLUMNS)
KNOWN_COLUMNS = (  # found in any case, with spaces or without
    *(*IMAGE_COLUMNS, *RANKS, *PREPARED_COLUMNS),
    *("id", "label", "group", "split", "box", "role", "subject", "transform", "medium", "fold", "probe_list", "latitude", "longitude"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One photo.

    Attributes:
      path: where the file is; of prepared data, where the photo lies in a shard (tfvision.data.shards.slices).
      name: the path relative to the source, for people and for matching between sources.
      lineage: a name for each rank, coarsest first; "" where a rank is not named.
      group: photos of one group (an observation) are never parted by a split.
      split: "train", "validation", "test", another word of the user's, or "".
      box: left, top, width, height in pixels of the upright image; zeros where there is none.
      source_bytes: of a prepared photo, the size of the file that it was made of.
    """

    path: str
    name: str
    lineage: tuple[str, ...]
    group: str
    split: str = ""
    box: Box = NO_BOX
    source_bytes: int | None = None

    @property
    def identity(self) -> tuple[str, int]:
        """What tells the photo from others wherever its folder lies, prepared or not: file name and size in bytes, 0 where the file is gone."""
        size = self.source_bytes
        if size is None:
            try:
                size = photo_bytes(self.path)
            except OSError:  # which the photo's reading will tell
                size = 0
        return os.path.basename(self.path), size


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Photos and the ranks of their lineages, coarsest first.

    Attributes:
      left_out: what else lies in a folder: files that are no photos, are not read, or lie outside its class folders.
      columns: {name: text of each photo} of all columns of a CSV, as they stand there; {} of folders.
      layout: of data.layouts.LAYOUTS, where the folder is a benchmark's, whose files then say what columns would; else "".
    """

    ranks: tuple[str, ...]
    records: tuple[Record, ...]
    left_out: tuple[LeftOut, ...] = ()
    columns: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    layout: str = ""

    def __post_init__(self) -> None:
        lengths = {len(texts) for texts in self.columns.values()} - {len(self.records)}
        if lengths:
            raise ValueError(f"{len(self.records)} records cannot have columns of {lengths.pop()} texts: choose both with `select` or `take`")

    def __len__(self) -> int:
        return len(self.records)

    @property
    def paths(self) -> list[str]:
        """The path of each photo."""
        return [record.path for record in self.records]

    @property
    def ignored(self) -> tuple[str, ...]:
        """The paths of what was left out."""
        return tuple(one.path for one in self.left_out)

    def select(self, is_kept: Sequence[bool] | np.ndarray) -> "Manifest":
        """A manifest of the photos where `is_kept` is true."""
        return self.take([row for row, (_, keep) in enumerate(zip(self.records, is_kept, strict=True)) if keep])

    def take(self, rows: Iterable[int]) -> "Manifest":
        """A manifest of the photos in these rows, in their order."""
        rows = list(rows)
        columns = {name: tuple(texts[row] for row in rows) for name, texts in self.columns.items()}
        return dataclasses.replace(self, records=tuple(self.records[row] for row in rows), columns=columns)

    def texts(self, column: str) -> tuple[str, ...]:
        """What stands in a column for each photo, without the space around it; "" where there is no such column."""
        return tuple(text.strip() for text in self.columns[column]) if column in self.columns else ("",) * len(self)

    def with_splits(self, splits: Iterable[object]) -> "Manifest":
        """The same photos, each put into its split of `splits`, by its text."""
        records = (dataclasses.replace(record, split=str(split)) for record, split in zip(self.records, splits, strict=True))
        return dataclasses.replace(self, records=tuple(records))

    def taxonomy(self) -> Taxonomy:
        """The taxonomy of all lineages."""
        return Taxonomy.from_lineages(self.ranks, (record.lineage for record in self.records))

    def labels(self, taxonomy: Taxonomy) -> np.ndarray:
        """The class of each photo, int32 [photos]; -1 where the taxonomy has no such class (`matched`)."""
        return self.matched(taxonomy).labels

    def matched(self, taxonomy: Taxonomy) -> MatchedLineages:
        """The class of each photo, and what is to be said of their names (lineage_matching.match_lineages).

        Lineages are matched by the ranks that both know, so that a source may have more ranks. Raises DataError where the
        finest of the taxonomy is none of the photos'.
        """
        levels = shared_levels(self.ranks, taxonomy)
        if levels is None:
            wanted = ",".join(taxonomy.ranks if self.columns else taxonomy.ranks[-len(self.ranks) :])
            named = f"name the {'columns' if self.columns else 'levels of folders'} with --ranks {wanted}"
            raise DataError(f"the photos are labelled by {', '.join(self.ranks)}, the model by {', '.join(taxonomy.ranks)}: {named}")
        return match_lineages([record.lineage for record in self.records], levels, taxonomy)


@dataclasses.dataclass(frozen=True)
class ListedPhotos:
    """A manifest CSV that was parsed, so that what its columns are can decide which of them are labels.

    Attributes:
      table: all that it says.
      index: where it lies with prepared data, their index.
    """

    table: CsvTable
    index: PreparedIndex | None

    @classmethod
    def open(cls, path: Path | str) -> "ListedPhotos":
        """Parses a manifest CSV. Raises DataError."""
        index = index_of(path)  # first, as it knows what is wrong with data that is unfinished or damaged
        return cls(CsvTable.read(path, KNOWN_COLUMNS), index)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return self.table.header

    @property
    def possible_labels(self) -> tuple[str, ...]:
        """The names of those that may be labels, ranks of one another or not."""
        return possible_labels(_unreserved(self.columns))

    @property
    def image_column(self) -> str | None:
        """The column that names the files, if any."""
        return next((name for name in IMAGE_COLUMNS if name in self.columns), None)

    def unlabelled(self) -> Manifest:
        """The photos where their labels are of no interest. Raises DataError."""
        return self.manifest((self.image_column,) if self.image_column else None)

    def manifest(self, ranks: Sequence[str] | None = None) -> Manifest:
        """The photos, labelled by the columns `ranks`, coarsest first; None = those that are labels by their names. Raises DataError."""
        path, table, index = self.table.path, self.table, self.index
        if self.image_column is None:
            raise DataError(f"{path} has no column `image` or `file`; its columns are {', '.join(self.columns) or 'none'}")
        ranks = _rank_columns(table, (ranks and column_names(ranks, self.columns)) or (index.ranks if index else None))
        if not len(table):
            raise DataError(f"{path} lists no photos")
        records = _records(table, self.image_column, ranks, has_paths=index is None)
        columns = table.columns
        if index and set(PREPARED_COLUMNS) <= set(columns):
            records = tuple(map(_prepared_record, records, locate_photos(table, index)))
            columns = {name: texts for name, texts in columns.items() if name not in PREPARED_COLUMNS}  # the records have them
        else:
            _check_files(path, records)
            boxes = boxes_in_photos(path, table.lines, [record.path for record in records], [record.box for record in records])
            records = tuple(record if record.box == box else dataclasses.replace(record, box=box) for record, box in zip(records, boxes, strict=True))
        return Manifest(ranks, records, columns=columns)


def read_source(source: Path | str, ranks: Sequence[str] | None = None, layout: str | None = None) -> Manifest:
    """Reads SOURCE: a folder of class folders (nested = taxonomy), a benchmark's, a folder with a manifest, a manifest, or prepared data.

    Args:
      source: a path.
      ranks: names of the label columns (CSV) or of the folder levels, coarsest first; None = from the source.
      layout: of data.layouts, "folders" for class folders, although there is a manifest; None = as the folder's files tell, and where ranks
        are other than the benchmark's, class folders.

    Raises:
      DataError: nothing there, no photos, a named file is missing, labels are missing, or prepared data is damaged.
    """
    source = Path(source)
    if not layout and (path := csv_of(source)):
        return read_csv(path, ranks)
    if layout and source.is_file():
        raise DataError(f"--layout {layout} is of a folder, and {source} is a file: leave it out, or give the folder")
    if not source.is_dir():
        raise DataError(f"{source} is neither a folder of class folders nor a manifest CSV" + ("" if source.exists() else ": it does not exist"))
    found = _walk_classes(source)
    return read_layout(source, ranks, layout, found) or read_folder(source, ranks, found)


def read_layout(folder: Path | str, ranks: Sequence[str] | None = None, layout: str | None = None, found: PhotoFiles | None = None) -> Manifest | None:
    """Reads a benchmark's folder as it is distributed (`found` in it); None where it is none with labels, or `ranks` are not its own. Raises DataError."""
    found = found or walk_photos(folder)
    told = list_layout(folder, found.names, layout)
    if told is None:
        return None
    name, listing = told
    wanted = tuple(ranks or listing.ranks)
    if not set(wanted) <= set(listing.ranks):
        if layout:
            raise DataError(f"the ranks of --layout {layout} are {', '.join(listing.ranks)}, got --ranks {','.join(wanted)}")
        return None
    left_out = note_left_out(folder, [LeftOut(other, NOT_LISTED, is_photo=True) for other in sorted(set(found.names) - set(listing.names))])
    return Manifest(wanted, _listed_records(Path(folder), listing, wanted), left_out + found.left_out, listing.columns, name)


def read_photos(source: Path | str) -> Manifest:
    """Reads photos whose labels are of no interest: all below a folder, or those of a manifest CSV or of prepared data.

    Returns:
      Manifest of one rank, "photo", and one class. Raises DataError where there are none.
    """
    source = Path(source)
    if source.is_file() and source.suffix.lower() in TABLE_SUFFIXES:
        return _without_labels(ListedPhotos.open(source).unlabelled())
    if is_prepared(source):
        return _without_labels(ListedPhotos.open(source / MANIFEST).unlabelled())
    if not source.is_dir():
        raise DataError(f"{source} is neither a folder of photos nor a manifest CSV" + ("" if source.exists() else ": it does not exist"))
    names, left_out = walk_photos(source)
    return _without_labels(Manifest(("photo",), tuple(Record(os.path.join(source, name), name, ("",), group=name) for name in names), left_out))


def find_photos(paths: Iterable[Path | str], is_missing_told: bool = False) -> Manifest:
    """Photos that a command is asked about: files as they are, folders as the photos below them, manifests and prepared data as those they list.

    Their names are what their answers are told by: paths, and of prepared data what the photos were called.

    Args:
      paths: of them all.
      is_missing_told: whether a path that does not exist is told where it is read, as a broken photo, and not refused.

    Raises:
      DataError: a path does not exist, or a folder holds no photo.
    """
    records: list[Record] = []
    left_out: list[LeftOut] = []
    for path in map(os.fspath, paths):
        if os.path.isdir(path) or (path.lower().endswith(TABLE_SUFFIXES) and os.path.isfile(path)):
            found = read_photos(path)
            left_out += (one._replace(path=os.path.join(path, one.path)) for one in found.left_out)
            records += (record if slice_of(record.path) else dataclasses.replace(record, name=record.path) for record in found.records)
        elif not (is_missing_told or os.path.lexists(path)):
            raise DataError(f"{printable(path)} does not exist")
        elif is_utf8(path):
            records.append(Record(path, path, ("photo",), path))
        else:
            left_out += note_left_out("", [LeftOut(printable(path), NOT_UTF8, is_photo=True)])
    return Manifest(("photo",), tuple(records), tuple(left_out))


def group_names(manifest: Manifest) -> list[str]:
    """The group of each photo: what a column of groups says, a photo without one being alone; without such a column, its folder."""
    alone = [record.group in (record.path, record.name) or record.path.endswith(os.sep + record.group) for record in manifest.records]
    if all(alone):
        return [os.path.dirname(record.name) or "." for record in manifest.records]
    return [record.name if is_alone else record.group for record, is_alone in zip(manifest.records, alone, strict=True)]


def groups_of(manifest: Manifest) -> tuple[dict[str, list[Record]], dict[str, dict[str, str]]]:
    """Photos by `group_names`, and of each group {photo: why} of those that were found in its folder and left out; some groups have none but these."""
    groups: dict[str, list[Record]] = {}
    for record, name in zip(manifest.records, group_names(manifest), strict=True):
        groups.setdefault(name, []).append(record)
    unread: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for one in manifest.left_out:
        if one.is_photo:
            name = os.path.dirname(one.path) or "."
            groups.setdefault(name, [])
            unread[name][one.path] = f"{one.path}: {one.reason}"
    return groups, unread


def csv_of(source: Path | str) -> Path | None:
    """The manifest CSV that lists a source's photos: itself, that of prepared data, or one in the folder; None where it has none."""
    source = Path(source)
    if source.is_file() and source.suffix.lower() in TABLE_SUFFIXES:
        return source
    if is_prepared(source):
        return source / MANIFEST
    return next((path for path in (source / name for name in MANIFEST_NAMES) if path.is_file()), None)


def _without_labels(manifest: Manifest) -> Manifest:
    records = tuple(dataclasses.replace(record, lineage=("photo",)) for record in manifest.records)
    return Manifest(("photo",), records, manifest.left_out, manifest.columns)


def read_folder(folder: Path | str, ranks: Sequence[str] | None = None, found: PhotoFiles | None = None) -> Manifest:
    """Reads a folder (`found` in it) whose sub-folders are classes; nested sub-folders are a taxonomy. Raises DataError."""
    folder = Path(folder)
    names, left_out = found or _walk_classes(folder)
    loose = tuple(LeftOut(name, OUTSIDE, is_photo=True) for name in names if os.sep not in name)
    photos = [(name, Path(name).parent.parts) for name in names if os.sep in name]
    if not photos:
        raise DataError(f"{folder} holds no photos in class folders (but {len(loose + left_out)} other files): expected {_expected(folder)}")
    labels = labels_of_folders(folder, [levels for _, levels in photos], ranks)
    records = []
    for (name, _), lineage, split in zip(photos, labels.lineages, labels.splits, strict=True):
        if lineage:
            records.append(Record(os.path.join(folder, name), name, lineage, group=name, split=split))
        else:
            loose += (LeftOut(name, OUTSIDE, is_photo=True),)
    return Manifest(labels.ranks, tuple(records), note_left_out(folder, loose) + left_out)


def _walk_classes(folder: Path) -> PhotoFiles:
    return walk_photos(folder, expected=_expected(folder))


def _expected(folder: Path) -> str:
    return f"{folder}/CLASS/photo.jpg, or a {MANIFEST_NAMES[0]}"


def _listed_records(folder: Path, listing: Listing, ranks: Sequence[str]) -> tuple[Record, ...]:
    columns, names = listing.columns, listing.names
    lineages = zip(*(map(tidy_name, columns[rank]) for rank in ranks), strict=True)
    others = (columns.get("group", names), columns.get("split", ("",) * len(names)), listing.boxes or (NO_BOX,) * len(names))
    return tuple(
        Record(os.path.join(folder, name), name, lineage, group, split, box) for name, lineage, group, split, box in zip(names, lineages, *others, strict=True)
    )


def read_csv(path: Path | str, ranks: Sequence[str] | None = None) -> Manifest:
    """Reads a manifest CSV: a column `image` or `file`, relative to the CSV, and label columns. Raises DataError."""
    return ListedPhotos.open(path).manifest(ranks)


def write_csv_text(manifest: Manifest) -> str:
    """The text of a CSV that lists the photos with their splits and sizes."""
    rows = ((record.name, record.identity[1], record.split, record.group, *record.lineage) for record in manifest.records)
    return csv_text([("image", "bytes", "split", "group", *manifest.ranks), *rows])


def drop_small_classes(manifest: Manifest, min_images: int) -> tuple[Manifest, dict[str, int]]:
    """Leaves out classes with fewer than `min_images` photos, and photos that name no leaf.

    A class that is left out is no longer finer than its parent, so that photos of the parent itself stay.

    Returns:
      The manifest of what remains, and a dict from each dropped lineage (as text) to its number of photos.
    """
    counts = collections.Counter(record.lineage for record in manifest.records)
    named = {lineage: tuple(filter(None, lineage)) for lineage, count in counts.items() if count >= min_images}
    parents = {path[:end] for path in named.values() for end in range(1, len(path))}
    dropped = {lineage: count for lineage, count in counts.items() if named.get(lineage) is None or named[lineage] in parents}
    kept = _without_empty_levels(manifest.select([record.lineage not in dropped for record in manifest.records]))
    return kept, {" / ".join(name for name in lineage if name): count for lineage, count in sorted(dropped.items())}


def _without_empty_levels(manifest: Manifest) -> Manifest:
    """The levels of folders down to the deepest that still holds photos, where they have no names of their own."""
    depth = max((level + 1 for record in manifest.records for level, name in enumerate(record.lineage) if name), default=0)
    if not depth or depth == len(manifest.ranks) or manifest.ranks != level_names(len(manifest.ranks)):
        return manifest
    records = tuple(dataclasses.replace(record, lineage=record.lineage[:depth]) for record in manifest.records)
    return dataclasses.replace(manifest, ranks=level_names(depth), records=records)


def _rank_columns(table: CsvTable, ranks: Sequence[str] | None) -> tuple[str, ...]:
    path, columns = table.path, table.header
    if ranks:
        missing = [rank for rank in ranks if rank not in columns]
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r}; its columns are {', '.join(columns)}")
        return tuple(ranks)
    found = tuple(rank for rank in RANKS if rank in columns)
    if "species" in found or len(found) >= 2:
        return found
    found = _unreserved(columns)
    if not found:
        raise DataError(f"{path} has no label column; its columns are {', '.join(columns)}: name them with --ranks")
    return choose_label_columns(table, found)


def _unreserved(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(c for c in columns if c and c.lower() not in RESERVED_COLUMNS and not c.endswith("_id") and not _is_previous(c, columns))


def _is_previous(name: str, columns: Sequence[str]) -> bool:
    return name.startswith(PREVIOUS) and name.removeprefix(PREVIOUS) in columns


def _records(table: CsvTable, image_column: str, ranks: Sequence[str], has_paths: bool) -> tuple[Record, ...]:
    columns = (table.texts(name) for name in (image_column, "group", "split", "box", *ranks))
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # many photos have one lineage, which is kept once
    records = []
    for line, name, group, split, box, *names in zip(table.lines, *columns, strict=True):
        name, lineage = name.strip(), tuple(map(tidy_name, names))
        if has_paths and "\\" in name and not os.path.exists(os.path.join(table.path.parent, name)):
            name = name.replace("\\", "/")  # as Windows writes paths
        if not name:
            raise DataError(f"{table.path}, line {line}: no file is named")
        if not any(lineage):
            raise DataError(f"{table.path}, line {line}: {name} has no label in {', '.join(ranks)}")
        records.append(
            Record(
                path=os.path.join(table.path.parent, name),
                name=name,
                lineage=shared.setdefault(lineage, lineage),
                group=group.strip() or name,
                split=split_word(split),
                box=parse_box(box, f"{table.path}, line {line}"),
            )
        )
    return tuple(records)


def _prepared_record(record: Record, row: PreparedRow) -> Record:
    return dataclasses.replace(record, path=row.slice.path(record.name), source_bytes=row.source_bytes)


def _check_files(path: Path, records: Sequence[Record]) -> None:
    missing = [record.name for record in records if not os.path.isfile(photo_file(record.path))]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"{path} names {missing[0]}{more}, which does not exist: correct the lines or remove them")
