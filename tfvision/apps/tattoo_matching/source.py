"""SOURCE as tattoo matching reads it: whose each photo is, and whether it asks or is searched."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.boxes import NO_BOX, Box, boxes_in_photos
from tfvision.data.manifest import ListedPhotos, Manifest, csv_of, read_source
from tfvision.data.splits import seeded_hash
from tfvision.data.tattc import TattcFiles, is_tattc, read_tattc
from tfvision.errors import DataError
from tfvision.files import parse_json

GALLERY, PROBE = "gallery", "probe"
_ROLES = {"gallery": GALLERY, "reference": GALLERY, "probe": PROBE, "query": PROBE, "": GALLERY}
_CORNERS_SUFFIX = "x1y1x2y2"  # of a column with a JSON list of boxes by their corners
_HOW = ": --folds {0} of an evaluation, --set folds={0} of a training"


@dataclasses.dataclass(frozen=True)
class MatchingPhotos:
    """Photos of tattoos, and whose they are.

    Attributes:
      subjects: the identity of each photo.
      roles: "gallery" or "probe" of each photo; all "" where the source names none: each photo then asks all others.
      media: what each is (photo, drawing, print, ...); () = not told.
      transforms: what was done to each; () = not told.
      groups: what each looks like, for similarity: tattoos of one group are alike, of whatever subject; () = not told.
      regions: a box of each, left, top, width, height in pixels of the upright image, for `roi`; () = those of the records.
      given_folds: the fold of each by the source, -1 where it names none for a photo; () = none named.
      mates: for each photo the rows that should be found, where the source lists them one by one; () = by subject.
    """

    manifest: Manifest
    subjects: tuple[str, ...]
    roles: tuple[str, ...]
    media: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    regions: tuple[tuple[float, float, float, float], ...] = ()
    given_folds: tuple[int, ...] = ()
    mates: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.manifest)

    @property
    def has_roles(self) -> bool:
        return any(self.roles)

    def is_role(self, role: str) -> np.ndarray:
        """bool [photos]; where the source names no roles, every photo has both."""
        return np.array([not named or named == role for named in self.roles])

    def select(self, is_kept: np.ndarray | Sequence[bool]) -> "MatchingPhotos":
        """The photos where `is_kept` is true."""
        rows = np.flatnonzero(is_kept).tolist()
        lists = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "manifest"}
        kept = {name: tuple(items[row] for row in rows) for name, items in lists.items() if items}
        if self.mates:
            new_row = {row: number for number, row in enumerate(rows)}
            kept["mates"] = tuple(tuple(new_row[row] for row in rows if row in new_row) for rows in kept["mates"])
        return dataclasses.replace(self, manifest=self.manifest.take(rows), **kept)

    def folds(self, count: int = 5, seed: int = 0) -> np.ndarray:
        """The fold of each photo, int [photos]: whole subjects, as many photos in each as can be; the source's own where it names any.

        Subjects are dealt out in the order of a seeded hash of their names, so that photos added later change little.

        Raises:
          DataError: a fold would be empty, or the source parts a subject.
        """
        if self.given_folds:
            return self._given(count)
        sizes = collections.Counter(self.subjects)
        if len(sizes) < count:
            raise DataError(
                f"{count} folds by subject need {count} subjects at least, got {len(sizes)}: "
                f"give photos of more subjects, or ask for fewer{_HOW.format(max(len(sizes), 2))}"
            )
        fold, filled = {}, [0] * count
        for subject in sorted(sizes, key=lambda subject: seeded_hash(seed, subject)):
            fold[subject] = min(range(count), key=filled.__getitem__)
            filled[fold[subject]] += sizes[subject]
        return np.array([fold[subject] for subject in self.subjects], int)

    def _given(self, count: int) -> np.ndarray:
        """The source's folds; what it puts into none follows its subject, and then a hash."""
        folds: dict[str, int] = {}
        for subject, fold in zip(self.subjects, self.given_folds, strict=True):
            if fold >= 0 and folds.setdefault(subject, fold) != fold:
                raise DataError(f"subject {subject!r} is in the folds {folds[subject]} and {fold}: photos of one subject belong to one fold")
        names = sorted(set(folds.values()))
        if len(names) != count:
            raise DataError(f"the source's column of folds names {len(names)}, {count} were asked for: ask for as many{_HOW.format(len(names))}")
        return np.array([names.index(folds[s]) if s in folds else _number(s) % count for s in self.subjects], int)


def read_matching_source(source: Path | str, protocol: str | None = None) -> MatchingPhotos:
    """Reads photos for matching: a manifest, the files of Tatt-C, or a folder of subject folders.

    A manifest's columns: `image` (or `file`); `subject`, else its labels joined; `role` (gallery or probe), else `transform`
    (empty = gallery), else none; and perhaps `medium`, `group`, `fold`, `split`, `box` (or a column that ends in x1y1x2y2, with a
    JSON list of corners).

    Args:
      source: a path.
      protocol: which of Tatt-C's use cases is read, where the folder holds several.

    Returns:
      MatchingPhotos.

    Raises:
      DataError: nothing there, no photos, or a role or fold that is none.
    """
    if is_tattc(source):
        return _of_tattc(read_tattc(source, protocol))
    path = csv_of(source)
    if path is None:
        manifest = read_source(source)
        names = tuple(_joined(record.lineage) for record in manifest.records)
        return MatchingPhotos(manifest, names, ("",) * len(names))
    return _from_csv(path)


def _from_csv(path: Path) -> MatchingPhotos:
    listed = ListedPhotos.open(path)
    manifest = listed.manifest(("subject",) if "subject" in listed.columns else listed.possible_labels)  # a subject may be several labels
    told = lambda name: manifest.texts(name) if name in manifest.columns else ()
    return MatchingPhotos(
        manifest,
        tuple(_joined(record.lineage) for record in manifest.records),
        _roles(path, manifest),
        media=tuple(text.lower() for text in told("medium")),
        transforms=told("transform"),
        groups=told("group"),
        regions=_regions(listed, manifest),
        given_folds=_folds(path, told("fold")),
    )


def _of_tattc(read: TattcFiles) -> MatchingPhotos:
    records = read.manifest.records
    gallery_folds = {row: read.folds[probe] for probe, rows in enumerate(read.mates) for row in rows if read.folds[probe] >= 0}
    folds = tuple(fold if fold >= 0 else gallery_folds.get(row, -1) for row, fold in enumerate(read.folds))
    return MatchingPhotos(
        Manifest(("subject",), records),
        tuple(record.lineage[0] for record in records),
        tuple(PROBE if is_probe else GALLERY for is_probe in read.is_probe),
        given_folds=folds if any(fold >= 0 for fold in folds) else (),
        mates=read.mates,
    )


def _roles(path: Path, manifest: Manifest) -> tuple[str, ...]:
    if "role" in manifest.columns:
        roles = [text.lower() for text in manifest.texts("role")]
        if unknown := [role for role in roles if role not in _ROLES]:
            raise DataError(f"{path}: a role is gallery or probe, got {unknown[0]!r}")
        return tuple(_ROLES[role] for role in roles) if any(roles) else ("",) * len(manifest)
    if "transform" in manifest.columns:
        return tuple(PROBE if text else GALLERY for text in manifest.texts("transform"))
    return ("",) * len(manifest)


def _folds(path: Path, texts: Sequence[str]) -> tuple[int, ...]:
    try:
        return tuple(int(text) if text else -1 for text in texts) if any(texts) else ()
    except ValueError:
        raise DataError(f"{path}: a fold is a number, got {next(text for text in texts if not text.lstrip('-').isdecimal())!r}") from None


def _regions(listed: ListedPhotos, manifest: Manifest) -> tuple[Box, ...]:
    """What surrounds all boxes that a column lists by their corners."""
    table = listed.table
    name = next((name for name in table.header if name.endswith(_CORNERS_SUFFIX)), None)
    if not name:
        return ()
    boxes = [_surrounding(table.path, line, text) for line, text in zip(table.lines, table.texts(name), strict=True)]
    return tuple(boxes if listed.index else boxes_in_photos(table.path, table.lines, [record.path for record in manifest.records], boxes))


def _surrounding(path: Path, line: int, text: str) -> Box:
    if not text.strip():
        return NO_BOX
    try:
        corners = np.array(parse_json(text), float).reshape(-1, 4)
        left, top = np.maximum(corners[:, :2].min(axis=0), 0)
        right, bottom = corners[:, 2:].max(axis=0)
    except ValueError:  # of json as well
        raise DataError(f"{path}, line {line}: boxes by corners are [[left, top, right, bottom], ...], got {text!r}") from None
    return (float(left), float(top), float(right - left), float(bottom - top)) if right > left and bottom > top else NO_BOX


def _joined(lineage: Iterable[str]) -> str:
    """One name of a lineage: folders of the same name lie in different ones."""
    return "/".join(name for name in lineage if name)


def _number(subject: str, seed: int = 0) -> int:
    return int.from_bytes(seeded_hash(seed, subject), "big")
