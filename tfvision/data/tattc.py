"""Tatt-C's files (NIST, Tattoo Recognition Technology Challenge): one folder a use case, with lists and a ground truth.

The data are licensed and were not at hand. The paper says that a use case has a `ground_truth.txt` and five probe lists,
and NISTIR 8078 that a ranking is judged against all gallery images that belong to a probe. What follows is assumed, and
the reader is lenient where it can be:

    TATTC/                              or the folder of one use case
      tattoo_similarity/                identification, roi, mixed media, detection: told by a part of the name
        ground_truth.txt                PROBE GALLERY [GALLERY ...], one or several lines a probe; of detection IMAGE LABEL
        probe_list_1.txt ... _5.txt     an image a line; the last number of the name is the fold. None = all of the ground truth
        gallery_list.txt, or _1 ... _5  an image a line. None = all that the ground truth names as mates
        images/...                      anywhere below the folder, found by their relative path, else by their name

Fields are separated by blanks, commas, semicolons, tabs or bars; a line that begins with # is skipped.
Images that belong together through any probe make one subject, so that no fold parts them.
"""

import dataclasses
import os
import re
from pathlib import Path

from tfvision.data.csv_table import read_text
from tfvision.data.manifest import Manifest, Record
from tfvision.data.photo_files import walk_photos
from tfvision.errors import DataError

GROUND_TRUTH = "ground_truth.txt"
USE_CASES = {  # protocol -> parts of a folder's name
    "identification": ("ident",),
    "roi": ("roi", "region"),
    "mixed-media": ("mixed", "media"),
    "similarity": ("simil",),
    "detection": ("detect",),
}
IS_TATTOO = {"tattoo": True, "1": True, "non-tattoo": False, "nontattoo": False, "non_tattoo": False, "-1": False, "0": False}
_FIELDS = re.compile(r"[\s,;|]+")
_UNKNOWN = -1


@dataclasses.dataclass(frozen=True)
class TattcFiles:
    """A matching use case.

    Attributes:
      manifest: Manifest of one rank, "subject".
      is_probe: of each photo.
      folds: of each photo, by its list's number; -1 where no list has one.
      mates: of each photo the rows of the gallery that belong to it.
    """

    manifest: Manifest
    is_probe: tuple[bool, ...]
    folds: tuple[int, ...]
    mates: tuple[tuple[int, ...], ...]


def is_tattc(source: Path | str) -> bool:
    """Whether a folder is one of Tatt-C's use cases, or holds them."""
    return Path(source).is_dir() and bool(_use_cases(source))


def read_tattc(source: Path | str, protocol: str | None = None) -> TattcFiles:
    """Reads a use case for matching. Raises DataError."""
    folder = use_case_folder(source, protocol)
    truth, images = _lines(folder / GROUND_TRUTH), _Images(folder)
    if truth and len(truth[0]) > 1 and truth[0][1].lower() in IS_TATTOO:
        raise DataError(f"{folder} is Tatt-C's detection: its photos are labelled, not matched. Use `tfvision train tattoo-detector`")
    mates: dict[str, list[str]] = {}
    for probe, *found in truth:
        mates.setdefault(images.path(probe), []).extend(images.path(name) for name in found)
    probes = _listed(folder, "probe", images) or dict.fromkeys(mates, _UNKNOWN)
    gallery = _listed(folder, "gallery", images) or {path: _UNKNOWN for found in mates.values() for path in found}
    if not probes or not gallery:
        raise DataError(f"{folder / GROUND_TRUTH} names no probe with a gallery image: expected lines PROBE GALLERY [GALLERY ...]")
    return _table(folder, probes, gallery, mates)


def read_tattc_detection(source: Path | str) -> tuple[Manifest, tuple[int, ...]]:
    """Reads the detection use case: (Manifest with the labels "tattoo" and "non-tattoo", fold of each photo, -1 = none). Raises DataError."""
    folder = use_case_folder(source, "detection")
    images = _Images(folder)
    folds = _listed(folder, "probe", images)
    records = []
    for name, *label in _lines(folder / GROUND_TRUTH):
        if not label or label[0].lower() not in IS_TATTOO:
            raise DataError(f"{folder / GROUND_TRUTH}: a label is tattoo or non-tattoo, got {' '.join(label)!r} for {name}")
        path = images.path(name)
        records.append(_record(folder, path, "tattoo" if IS_TATTOO[label[0].lower()] else "non-tattoo"))
    if not records:
        raise DataError(f"{folder / GROUND_TRUTH} lists no photos")
    return Manifest(("label",), tuple(records)), tuple(folds.get(record.path, _UNKNOWN) for record in records)


def use_case_folder(source: Path | str, protocol: str | None = None) -> Path:
    """The folder of a protocol's use case; the only one where none is named. Raises DataError."""
    folders = _use_cases(source)
    if Path(source) in folders:
        return Path(source)
    parts = USE_CASES.get(protocol, ())
    fitting = [folder for folder in folders if any(part in folder.name.lower() for part in parts)] if parts else folders
    if len(fitting) != 1:
        asked = f" for --protocol {protocol}" if protocol else ""
        raise DataError(f"{source} holds {len(fitting)} use cases of Tatt-C{asked}, of {', '.join(f.name for f in folders)}: name the folder of one")
    return fitting[0]


def _use_cases(source):
    source = Path(source)
    if (source / GROUND_TRUTH).is_file():
        return [source]
    return sorted(path.parent for path in source.glob(f"*/{GROUND_TRUTH}"))


def _table(folder, probes, gallery, mates):
    """Probes first; an image that is both has a row for each."""
    paths = [*probes, *gallery]
    row_of = {path: len(probes) + row for row, path in enumerate(gallery)}
    subjects = _Groups(paths)
    for path, found in mates.items():
        for mate in found:
            subjects.join(path, mate)
    return TattcFiles(
        Manifest(("subject",), tuple(_record(folder, path, os.path.relpath(subjects.root(path), folder)) for path in paths)),
        (True,) * len(probes) + (False,) * len(gallery),
        (*probes.values(), *gallery.values()),
        tuple(tuple(row_of[mate] for mate in mates.get(path, ()) if mate in row_of) for path in probes) + ((),) * len(gallery),
    )


def _record(folder, path, label):
    return Record(path, os.path.relpath(path, folder), (label,), group=label)


def _listed(folder, kind, images):
    """{path: fold} of the images in all lists of a kind."""
    found = {}
    for path in sorted(folder.glob("**/*.txt")):
        if kind in path.name.lower() and path.name != GROUND_TRUTH:
            numbers = re.findall(r"\d+", path.stem)
            for name, *_ in _lines(path):
                found[images.path(name)] = int(numbers[-1]) if numbers else _UNKNOWN
    return found


def _lines(path):
    lines = [line.strip() for line in read_text(path).splitlines()]
    return [[field for field in _FIELDS.split(line) if field] for line in lines if line and not line.startswith("#")]


class _Images:
    """Images below a folder, by relative path or by name."""

    def __init__(self, folder):
        self._folder = folder
        self._by_name = {}
        for path in (folder / name for name in walk_photos(folder).names):
            self._by_name.setdefault(path.name, []).append(path)

    def path(self, name):
        if (direct := self._folder / name).is_file():
            return os.path.normpath(direct)
        found = self._by_name.get(os.path.basename(name), [])
        if len(found) != 1:
            raise DataError(f"{self._folder} has {len(found) or 'no'} images called {name}, which a list names: complete the folder")
        return os.path.normpath(found[0])


class _Groups:
    """What belongs together, also by way of others."""

    def __init__(self, items):
        self._parent = {item: item for item in items}

    def root(self, item):
        while self._parent.setdefault(item, item) != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, one, other):
        one, other = sorted((self.root(one), self.root(other)))
        self._parent[other] = one
