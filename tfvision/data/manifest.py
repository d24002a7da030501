"""A manifest: photos with their lineages, from a folder of class folders, from a CSV, or from prepared data."""

import collections
import csv
import dataclasses
import io
import os
from pathlib import Path

import numpy as np

from tfvision.data.decoding import PHOTO_SUFFIXES
from tfvision.data.shards.prepared_index import MANIFEST, PREPARED_COLUMNS, index_of, is_prepared
from tfvision.data.shards.slices import photo_bytes, photo_file
from tfvision.data.shards.verification import read_rows
from tfvision.data.taxonomy import Taxonomy
from tfvision.errors import DataError

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
MANIFEST_NAMES = ("manifest.csv", "labels.csv")
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
    ]
).union(PREPARED_COLUMNS)
_SPLIT_ALIASES = {"val": "validation", "valid": "validation"}
_NO_BOX = (0.0, 0.0, 0.0, 0.0)


@dataclasses.dataclass(frozen=True)
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
    box: tuple[float, float, float, float] = _NO_BOX
    source_bytes: int | None = None

    @property
    def identity(self):
        """What tells the photo from others wherever its folder lies, prepared or not: file name and size in bytes."""
        return os.path.basename(self.path), photo_bytes(self.path) if self.source_bytes is None else self.source_bytes


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Photos and the ranks of their lineages, coarsest first.

    Attributes:
      ignored: files of a folder that are no photos, or lie outside its class folders.
    """

    ranks: tuple[str, ...]
    records: tuple[Record, ...]
    ignored: tuple[str, ...] = ()

    def __len__(self):
        return len(self.records)

    def select(self, is_kept):
        """A manifest of the records where `is_kept` (a sequence of bool) is true."""
        return dataclasses.replace(self, records=tuple(r for r, keep in zip(self.records, is_kept, strict=True) if keep))

    def with_splits(self, splits):
        """The same photos, each put into its split of `splits`, a sequence of texts."""
        records = (dataclasses.replace(record, split=str(split)) for record, split in zip(self.records, splits, strict=True))
        return dataclasses.replace(self, records=tuple(records))

    def taxonomy(self):
        """The taxonomy of all lineages."""
        return Taxonomy.from_lineages(self.ranks, (record.lineage for record in self.records))

    def labels(self, taxonomy):
        """The class of each photo, int32 [photos]; -1 where the taxonomy has no such class.

        Lineages are matched by the ranks that both know, so that a source may have more ranks; where
        these do not tell two classes apart, neither is given.
        """
        places = [self.ranks.index(rank) if rank in self.ranks else None for rank in taxonomy.ranks]
        if places[-1] is None:
            raise DataError(
                f"the photos are labelled by {', '.join(self.ranks)}, the model by {', '.join(taxonomy.ranks)}: "
                f"name the columns with --ranks {','.join(taxonomy.ranks)}"
            )
        known = {}
        for index, lineage in enumerate(taxonomy.lineages):
            shared = tuple(name if place is not None else "" for name, place in zip(lineage, places, strict=True))
            known[shared] = -1 if shared in known else index
        return np.array(
            [known.get(tuple("" if p is None else record.lineage[p] for p in places), -1) for record in self.records],
            np.int32,
        )


def read_source(source, ranks=None):
    """Reads SOURCE: a folder of class folders (nested = taxonomy), a folder with a manifest, a manifest, or prepared data.

    Args:
      source: a path.
      ranks: names of the label columns (CSV) or of the folder levels, coarsest first; None = from the source.

    Raises:
      DataError: nothing there, no photos, a named file is missing, labels are missing, or prepared data is damaged.
    """
    source = Path(source)
    if source.is_file() and source.suffix.lower() == ".csv":
        return read_csv(source, ranks)
    if is_prepared(source):
        return read_csv(source / MANIFEST, ranks)
    if not source.is_dir():
        raise DataError(f"{source} is neither a folder of class folders nor a manifest CSV" + ("" if source.exists() else ": it does not exist"))
    for name in MANIFEST_NAMES:
        if (source / name).is_file():
            return read_csv(source / name, ranks)
    return read_folder(source, ranks)


def read_photos(source):
    """Reads photos whose labels are of no interest: all below a folder, or those of a manifest CSV or of prepared data.

    Returns:
      Manifest of one rank, "photo", and one class. Raises DataError where there are none.
    """
    source = Path(source)
    if source.is_file() and source.suffix.lower() == ".csv":
        return _without_labels(read_csv(source))
    if is_prepared(source):
        return _without_labels(read_csv(source / MANIFEST))
    if not source.is_dir():
        raise DataError(f"{source} is neither a folder of photos nor a manifest CSV" + ("" if source.exists() else ": it does not exist"))
    names = []
    for parent, folders, files in os.walk(source, onerror=_refuse_folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found = sorted(name for name in files if not name.startswith(".") and Path(name).suffix.lower() in PHOTO_SUFFIXES)
        names += [os.path.relpath(os.path.join(parent, name), source) for name in found]
    if not names:
        raise DataError(f"{source} holds no photos ({', '.join(sorted(PHOTO_SUFFIXES))})")
    return _without_labels(Manifest(("photo",), tuple(Record(os.path.join(source, name), name, ("",), group=name) for name in names)))


def find_photos(paths):
    """Files as they are, folders as the photos below them, sorted.

    Raises:
      DataError: a path does not exist, or a folder holds no photo.
    """
    photos = []
    for path in map(Path, paths):
        if is_prepared(path):
            photos.extend(record.path for record in read_photos(path).records)
        elif path.is_dir():
            found = sorted(os.path.join(parent, name) for parent, _, names in os.walk(path) for name in names if Path(name).suffix.lower() in PHOTO_SUFFIXES)
            if not found:
                raise DataError(f"{path} holds no photos ({', '.join(sorted(PHOTO_SUFFIXES))})")
            photos.extend(found)
        elif path.exists():
            photos.append(str(path))
        else:
            raise DataError(f"{path} does not exist")
    return photos


def csv_of(source):
    """The CSV that a source is read by, a Path; None where it has none."""
    source = Path(source)
    paths = [source] if source.suffix.lower() == ".csv" else [source / name for name in MANIFEST_NAMES]
    return next((path for path in paths if path.is_file()), None)


def columns_of(path):
    """{column: [text]} of a CSV; what is wrong with it is said by who reads the photos."""
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    return {name.strip(): [row[name] for row in rows] for name in reader.fieldnames or ()}


def _without_labels(manifest):
    for record in manifest.records:
        _check_name(record.path)
    return Manifest(("photo",), tuple(dataclasses.replace(record, lineage=("photo",)) for record in manifest.records))


def read_folder(folder, ranks=None):
    """Reads a folder whose sub-folders are classes; nested sub-folders are a taxonomy. Raises DataError."""
    folder = Path(folder)
    photos, ignored = [], []
    for parent, folders, files in os.walk(folder, onerror=_refuse_folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        levels = Path(parent).relative_to(folder).parts
        for name in sorted(name for name in files if not name.startswith(".")):
            path = os.path.join(parent, name)
            if levels and Path(name).suffix.lower() in PHOTO_SUFFIXES:
                photos.append((path, levels))
            else:
                ignored.append(os.path.relpath(path, folder))
    if not photos:
        found = "no photos" + (f" in class folders (but {len(ignored)} other files)" if ignored else "")
        raise DataError(f"{folder} holds {found}: expected {folder}/CLASS/photo.jpg, or a {MANIFEST_NAMES[0]}")
    depth = max(len(levels) for _, levels in photos)
    ranks = tuple(ranks or (("species",) if depth == 1 else (f"level {level}" for level in range(1, depth + 1))))
    if len(ranks) != depth:
        raise DataError(f"{folder} has {depth} levels of folders, --ranks names {len(ranks)}: {', '.join(ranks)}")
    records = []
    for path, levels in photos:
        _check_name(path)
        name = os.path.relpath(path, folder)
        records.append(Record(path, name, (*levels, *("",) * (depth - len(levels))), group=name))
    return Manifest(ranks, tuple(records), tuple(ignored))


def read_csv(path, ranks=None):
    """Reads a manifest CSV: a column `image` or `file`, relative to the CSV, and label columns. Raises DataError."""
    path = Path(path)
    index = index_of(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [column.strip() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV ({error})") from error
    image_column = next((column for column in ("image", "file") if column in columns), None)
    if image_column is None:
        raise DataError(f"{path} has no column `image` or `file`; its columns are {', '.join(columns) or 'none'}")
    ranks = _rank_columns(path, columns, ranks or (index.ranks if index else None))
    if not rows:
        raise DataError(f"{path} lists no photos")
    records = tuple(_record(path, line, row, image_column, ranks) for line, row in rows)
    if index and set(PREPARED_COLUMNS) <= set(columns):
        places = read_rows(path, index, rows)
        records = tuple(_prepared_record(record, row) for record, row in zip(records, places, strict=True))
    else:
        _check_files(path, records)
    return Manifest(ranks, records)


def write_csv_text(manifest):
    """The text of a CSV that lists the photos with their splits and sizes."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", "bytes", "split", "group", *manifest.ranks])
    for record in manifest.records:
        writer.writerow([record.name, record.identity[1], record.split, record.group, *record.lineage])
    return buffer.getvalue()


def drop_small_classes(manifest, min_images):
    """Leaves out classes with fewer than `min_images` photos, and photos that name no leaf.

    Returns:
      The manifest of what remains, and a dict from each dropped lineage (as text) to its number of photos.
    """
    lineages = {record.lineage for record in manifest.records}
    named = {tuple(name for name in lineage if name) for lineage in lineages}
    parents = {path[:end] for path in named for end in range(1, len(path))}
    counts = collections.Counter(record.lineage for record in manifest.records)
    dropped = {lineage: count for lineage, count in counts.items() if count < min_images or tuple(name for name in lineage if name) in parents}
    kept = manifest.select([record.lineage not in dropped for record in manifest.records])
    return kept, {" / ".join(name for name in lineage if name): count for lineage, count in sorted(dropped.items())}


def _refuse_folder(error):
    raise DataError(f"{error.filename} cannot be read ({error.strerror}): allow it, or move it away")


def _check_name(path):
    try:
        path.encode()
    except UnicodeEncodeError:
        raise DataError(f"{path!r} is not a name in UTF-8, so no report could show it: rename it") from None


def _rank_columns(path, columns, ranks):
    if ranks:
        missing = [rank for rank in ranks if rank not in columns]
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r}; its columns are {', '.join(columns)}")
        return tuple(ranks)
    found = tuple(rank for rank in RANKS if rank in columns)
    if "species" in found or len(found) >= 2:
        return found
    found = tuple(c for c in columns if c and c not in RESERVED_COLUMNS and not c.endswith("_id"))
    if not found:
        raise DataError(f"{path} has no label column; its columns are {', '.join(columns)}: name them with --ranks")
    return found


def _record(path, line, row, image_column, ranks):
    name = (row[image_column] or "").strip()
    lineage = tuple((row[rank] or "").strip() for rank in ranks)
    if not name:
        raise DataError(f"{path}, line {line}: no file is named")
    if not any(lineage):
        raise DataError(f"{path}, line {line}: {name} has no label in {', '.join(ranks)}")
    split = (row.get("split") or "").strip().lower()
    return Record(
        path=os.path.join(path.parent, name),
        name=name,
        lineage=lineage,
        group=(row.get("group") or "").strip() or name,
        split=_SPLIT_ALIASES.get(split, split),
        box=parse_box(row.get("box"), f"{path}, line {line}"),
    )


def _prepared_record(record, row):
    return dataclasses.replace(record, path=row.place.path(record.name), source_bytes=row.source_bytes)


def parse_box(text, where="--box"):
    """Parses "left,top,width,height" in pixels, brackets allowed; empty = zeros. Raises DataError."""
    text = (text or "").strip()
    if not text:
        return _NO_BOX
    try:
        left, top, width, height = map(float, text.strip("[]").split(","))
    except ValueError:
        raise DataError(f"{where}: a box is left,top,width,height in pixels, got {text!r}") from None
    if not (width > 0 and height > 0 and np.isfinite([left, top, width, height]).all()):
        raise DataError(f"{where}: a box has a positive width and height, got {text!r}")
    return left, top, width, height


def _check_files(path, records):
    missing = [record.name for record in records if not os.path.isfile(photo_file(record.path))]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"{path} names {missing[0]}{more}, which does not exist: correct the lines or remove them")


def read_trained_photos(path, split="train"):
    """Of a run's photos.csv, what tells the photos of a split (None = all): {(file name, bytes)}, as Record.identity."""
    with open(path, newline="", encoding="utf-8") as file:
        return {(os.path.basename(row["image"]), int(row["bytes"])) for row in csv.DictReader(file) if split in (None, row["split"])}
