"""SOURCE as detection reads it: which photos show a tattoo, whose they are, and the probe lists that they are judged by."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.csv_table import read_text
from tfvision.data.manifest import RESERVED_COLUMNS, ListedPhotos, Manifest, Record, csv_of, read_folder, read_photos
from tfvision.data.names import plain_name
from tfvision.data.splits import seeded_hash
from tfvision.data.tattc import is_tattc, read_tattc_detection
from tfvision.errors import DataError

TATTOO, OTHER = "tattoo", "other"
_TATTOO_LABELS = ("tattoo", "tattoos", "1", "true", "yes")
_FOLD_COLUMNS = ("fold", "probe_list")


@dataclasses.dataclass(frozen=True)
class DetectionPhotos:
    """Labelled photos.

    Attributes:
      manifest: Manifest of one rank, "label": "tattoo" or "other"; a record's group is its subject, or the photo itself.
      folds: names of the probe lists, one a photo, or () where the source has none.
    """

    manifest: Manifest
    folds: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.manifest)

    @property
    def is_tattoo(self) -> np.ndarray:
        """bool [photos]."""
        return np.array([record.lineage == (TATTOO,) for record in self.manifest.records], bool)

    def select(self, is_kept: Sequence[bool]) -> "DetectionPhotos":
        """The photos where `is_kept` is true."""
        folds = tuple(fold for fold, keep in zip(self.folds, is_kept, strict=True) if keep) if self.folds else ()
        return DetectionPhotos(self.manifest.select(is_kept), folds)

    def dealt(self, count: int, seed: int) -> tuple[tuple[str, ...], np.ndarray]:
        """Probe lists: (names, number of each photo's list among them, int [photos]).

        The source's own, or `count` made by subject: photos of one subject are never parted, and each list has about as many
        photos of each kind. Large subjects are dealt first, equals in the order of a seeded hash.

        Raises:
          DataError: too few lists or subjects, or a list without photos to train on beside it.
        """
        if self.folds:
            names = tuple(sorted(set(self.folds), key=lambda name: (len(name), name)))
            numbers = np.array([names.index(fold) for fold in self.folds])
        else:
            names, numbers = tuple(str(number) for number in range(1, count + 1)), self._dealt_by_subject(count, seed)
        for number, name in enumerate(names):
            rest = set(self.is_tattoo[numbers != number].tolist())
            if rest != {True, False}:
                missing = "anything" if not rest else OTHER if True in rest else TATTOO
                raise DataError(f"without probe list {name} there are no photos of {missing} to train on: give at least two lists of both kinds")
        return names, numbers

    def _dealt_by_subject(self, count: int, seed: int) -> np.ndarray:
        members: dict[str, list[int]] = {}
        for row, record in enumerate(self.manifest.records):
            members.setdefault(record.group, []).append(row)
        is_tattoo = self.is_tattoo
        for kind, has_kind in ((TATTOO, is_tattoo), (OTHER, ~is_tattoo)):
            subjects = len({record.group for record, has in zip(self.manifest.records, has_kind, strict=True) if has})
            if subjects < count:
                raise DataError(
                    f"{count} probe lists need {count} subjects with photos of {kind}, got {subjects}: ask for fewer with --set folds={max(subjects, 2)}"
                )
        filled, numbers = np.zeros((count, 2)), np.zeros(len(self), int)
        for group in sorted(members, key=lambda group: (-len(members[group]), seeded_hash(seed, group))):
            counts = np.bincount(is_tattoo[members[group]].astype(int), minlength=2)
            number = int(np.argmin(filled @ counts))
            filled[number] += counts
            numbers[members[group]] = number
        return numbers


def read_detection_source(source: Path | str, others: Path | str | None = None, probe_lists: Sequence[Path | str] = ()) -> DetectionPhotos:
    """Reads photos that show a tattoo, or do not.

    Args:
      source: one of
        - a folder of class folders, one of them called `tattoo`; all others are non-tattoos;
        - a manifest: a column `label` (else its finest label) that says tattoo or anything else, and perhaps `subject`,
          `fold` or `probe_list`, `box` (only the box is seen);
        - Tatt-C's detection files;
        - where `others` is given: tattoos only, a folder of photos or a manifest.
      others: the non-tattoos, a folder of photos or a manifest.
      probe_lists: text files, one a list, that name its images one a line; () = the source's own, if any.

    Returns:
      DetectionPhotos.

    Raises:
      DataError: nothing there, photos of one kind only, or lists that leave a photo out.
    """
    if others is not None:
        parts = [_all_of(source, TATTOO), _all_of(others, OTHER)]
        if any(photos.folds for photos in parts) and not all(photos.folds for photos in parts) and not probe_lists:
            raise DataError(f"one of {source} and {others} has a column of folds, the other has none: give both one, or none")
        manifest = Manifest(("label",), sum((photos.manifest.records for photos in parts), ()))
        photos = DetectionPhotos(manifest, sum((photos.folds for photos in parts), ()))
    else:
        photos = _labelled(source)
    kinds = {record.lineage[0] for record in photos.manifest.records}
    if len(kinds) < 2:
        raise DataError(f"{source} has photos of {kinds.pop()} only: label some `tattoo` and some otherwise, or give the others with --non-tattoos DIR")
    return dataclasses.replace(photos, folds=_read_lists(photos.manifest, probe_lists)) if probe_lists else photos


def _labelled(source: Path | str) -> DetectionPhotos:
    if is_tattc(source):
        manifest, folds = read_tattc_detection(source)
        records = [_record(record, record.lineage[0], record.name) for record in manifest.records]
        return DetectionPhotos(Manifest(("label",), tuple(records)), tuple(map(str, folds)) if len(set(folds)) > 1 else ())
    if path := csv_of(source):
        listed = ListedPhotos.open(path)
        if RESERVED_COLUMNS.issuperset(listed.columns):
            raise DataError(
                f"{path} does not say which photos are tattoos: add a column `label` (tattoo, or anything else), or give the others with --non-tattoos DIR"
            )
        manifest = listed.manifest(_label_columns(listed))
        return _from_csv(manifest, [record.lineage[-1] for record in manifest.records])
    if not Path(source).is_dir():
        raise DataError(f"{source} is neither a folder nor a manifest CSV" + ("" if Path(source).exists() else ": it does not exist"))
    manifest = read_folder(source)
    records = tuple(_record(record, record.lineage[0], record.name) for record in manifest.records)
    return DetectionPhotos(Manifest(("label",), records, manifest.left_out))


def _label_columns(listed: ListedPhotos) -> tuple[str, ...] | None:
    """`label`, else the finest column that says tattoo of a photo, else the finest; None where there is none."""
    if "label" in listed.columns:
        return ("label",)
    columns = listed.possible_labels
    return ([name for name in columns if not {"tattoo", "tattoos"}.isdisjoint(map(plain_name, listed.table.texts(name)))] or columns)[-1:] or None


def _all_of(source: Path | str, label: str) -> DetectionPhotos:
    """All photos of a source as of one kind."""
    path = csv_of(source)
    if path is None:
        manifest = read_photos(source)
        return DetectionPhotos(Manifest(("label",), tuple(_record(record, label, record.path) for record in manifest.records)))
    listed = ListedPhotos.open(path)
    manifest = listed.unlabelled()
    if len({_is_tattoo(text) for text in manifest.texts("label")}) > 1:
        raise DataError(f"{path} labels its photos itself: leave --non-tattoos out, or give the tattoos alone")
    return _from_csv(manifest, [label] * len(manifest))


def _from_csv(manifest: Manifest, labels: Iterable[str]) -> DetectionPhotos:
    groups = [f"subject {subject}" if subject else record.group for subject, record in zip(manifest.texts("subject"), manifest.records, strict=True)]
    records = tuple(map(_record, manifest.records, labels, groups))
    folds = next((manifest.texts(name) for name in _FOLD_COLUMNS if name in manifest.columns), ())
    if any(folds) and not all(folds):
        raise DataError(f"{records[folds.index('')].name} is in no fold, others are: give each photo one, or none")
    return DetectionPhotos(Manifest(("label",), records), folds if any(folds) else ())


def _record(record: Record, label: str, group: str) -> Record:
    return dataclasses.replace(record, lineage=(TATTOO if _is_tattoo(label) else OTHER,), group=group)


def _is_tattoo(label: str) -> bool:
    return plain_name(label) in _TATTOO_LABELS


def _read_lists(manifest: Manifest, paths: Sequence[Path | str]) -> tuple[str, ...]:
    """The name of the list that each photo is in, by the photo's path in the source or by its file name."""
    found: dict[str, int] = {}
    for number, path in enumerate(paths, 1):
        for name in (line.split("|")[0].split(",")[0].strip() for line in read_text(path).splitlines()):
            if name and found.setdefault(name, number) != number:
                raise DataError(f"{path}: {name} is in list {found[name]} too: an image is in one list")
    numbers = [found.get(record.name, found.get(os.path.basename(record.path))) for record in manifest.records]
    if None in numbers:
        raise DataError(f"{manifest.records[numbers.index(None)].name} is in no probe list, as are {numbers.count(None) - 1} other photos: complete the lists")
    return tuple(map(str, numbers))
