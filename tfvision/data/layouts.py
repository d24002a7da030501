"""Benchmarks of retrieval as they are distributed: what file names and lists say of photos, and how many there should be.

    UKBench                    ukbench00000.jpg ... ukbench10199.jpg, flat; four of consecutive numbers show one object
    INRIA Holidays             100000.jpg ... 149902.jpg, flat; the first four digits are the group, 00 at the end is its query
    Stanford Online Products   Ebay_train.txt, Ebay_test.txt (image_id class_id super_class_id path), PRODUCT_final/*.JPG
    CUB-200-2011               images.txt, image_class_labels.txt, train_test_split.txt, bounding_boxes.txt, images/*/*.jpg
    Oxford, Paris              tfvision.data.landmarks, which has their ground truth

The files may lie in the folder itself or one below it, as archives unpack. A partial copy is read, with a warning that has both numbers.
"""

import dataclasses
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from tfvision.data.boxes import Box, boxes_in_photos, parse_box
from tfvision.data.csv_table import read_text
from tfvision.errors import DataError, DataWarning

FOLDERS = "folders"  # no layout: sub-folders are classes
GROUP_SIZE = 4  # of UKBench
QUERY, GALLERY = "query", "gallery"
_MOST_OF = 0.9  # of a folder's photos, that are called so where a layout is recognised by their names
_UKBENCH = re.compile(r"ukbench(\d{5})\.\w+", re.IGNORECASE)  # .jpg; a shrunk copy may be of another kind
_THUMBNAIL = re.compile(r".*\.th\.\w+|(.*[/\\])?thumbnails[/\\].*", re.IGNORECASE)
_HOLIDAYS = re.compile(r"(\d{4})(\d\d)\.\w+")
_MOST_IN_GROUP = 20  # of Holidays, whose largest group has 13; a camera's numbers go on
_SOP_LISTS = {"Ebay_train.txt": "train", "Ebay_test.txt": "test"}
_CUB_LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt")


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a layout says of a folder's photos, as the columns of a manifest would.

    Attributes:
      ranks: of the lineages, coarsest first.
      names: of the photos, relative to the folder.
      lineages: a name a rank, of each photo.
      groups, splits, roles: of each photo; () = not told.
      boxes: left, top, width, height of each in pixels; () = not told.
    """

    ranks: tuple[str, ...]
    names: tuple[str, ...]
    lineages: tuple[tuple[str, ...], ...]
    groups: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """{column: text of each photo}, as a manifest CSV would have them."""
        told = {**dict(zip(self.ranks, zip(*self.lineages, strict=True), strict=True)), "group": self.groups, "split": self.splits, "role": self.roles}
        return {name: texts for name, texts in told.items() if texts}


@dataclasses.dataclass(frozen=True)
class Layout:
    """A benchmark.

    Attributes:
      title: its name.
      protocol: of evaluation.retrieval.PROTOCOLS, what it is evaluated by.
      photos, parts: how many the whole set has.
      part: what the parts are, "groups", "classes" or "queries".
      has_files: (folder, names of its photos) -> whether the folder is one; None = never recognised by itself.
      read: (folder, names) -> its Listing; None = it has ground truth instead of labels (tfvision.data.landmarks).
      searches: the split whose photos ask each other; "" = all.
    """

    title: str
    protocol: str
    photos: int
    parts: int
    part: str
    has_files: Callable[[Path, Sequence[str]], bool] | None = None
    read: Callable[[Path, Sequence[str]], Listing] | None = None
    searches: str = ""

    def check(self, folder: Path | str, photos: int, parts: int) -> None:
        """Says on stderr what was read, and warns where it is not the whole set."""
        if (photos, parts) == (self.photos, self.parts):
            print(f"{folder} is read as {self.title}: {photos:,} photos, {parts:,} {self.part}", file=sys.stderr)
            return
        if photos > self.photos or parts > self.parts:
            told = f"{photos:,} photos, {parts:,} {self.part}, more than its {self.photos:,} and {self.parts:,}: another set in the same form"
        else:
            told = f"{photos:,} of its {self.photos:,} photos, {parts:,} of its {self.parts:,} {self.part}; scores are not those of the whole set"
        warnings.warn(f"{folder} is read as {self.title}: {told}", DataWarning, stacklevel=2)


def list_layout(folder: Path | str, names: Sequence[str], layout: str | None = None) -> tuple[str, Listing] | None:
    """A benchmark's (name, Listing) of a folder, with a check of its counts; None where it is none, or has no labels.

    Args:
      names: of the photos below the folder, relative to it.
      layout: of LAYOUTS, or "folders"; None = what is recognised.

    Raises:
      DataError: there is no such layout, the folder lacks its files, or they are damaged.
    """
    folder, layout = Path(folder), layout or recognise(folder, names)
    check_layout(layout)
    if layout in (None, FOLDERS) or LAYOUTS[layout].read is None:
        return None
    listing = LAYOUTS[layout].read(folder, names)
    LAYOUTS[layout].check(folder, len(listing.names), len(set(listing.lineages)))
    return layout, listing


def recognise(folder: Path | str, names: Sequence[str]) -> str | None:
    """The layout of LAYOUTS that a folder has by its files, or None."""
    return next((name for name, layout in LAYOUTS.items() if layout.has_files and layout.has_files(Path(folder), names)), None)


def check_layout(layout: str | None) -> None:
    """Raises DataError where there is no layout of that name."""
    if layout not in (None, *LAYOUT_NAMES):
        raise DataError(f"--layout must be one of {', '.join(LAYOUT_NAMES)}, got {layout!r}")


def _is_ukbench(folder: Path, names: Sequence[str]) -> bool:
    return _are_called(_UKBENCH, [name for name in names if not _THUMBNAIL.fullmatch(name)])


def _read_ukbench(folder: Path, names: Sequence[str]) -> Listing:
    number_of: dict[int, str] = {}
    for name in sorted(names, key=lambda name: bool(_THUMBNAIL.fullmatch(name))):
        if match := _UKBENCH.fullmatch(os.path.basename(name)):
            number_of.setdefault(int(match[1]), name)  # what lies in two folders, thumbnails among them, is one photo
    _refuse_nothing(folder, number_of, "ukbench", "ukbench00000.jpg, ukbench00001.jpg, ...")
    rows = sorted(number_of.items())
    groups = tuple(f"{number // GROUP_SIZE:04d}" for number, _ in rows)
    return Listing(("object",), tuple(name for _, name in rows), tuple((group,) for group in groups), groups)


def _is_holidays(folder: Path, names: Sequence[str]) -> bool:
    found = [match for name in names if (match := _HOLIDAYS.fullmatch(os.path.basename(name)))]
    folders = {os.path.dirname(name) for name in names}
    is_flat = len(folders) == 1 or all(re.fullmatch(r"(.*[/\\])?jpg\d?", name) for name in folders)
    in_range = all("1000" <= match[1] <= "1499" and int(match[2]) < _MOST_IN_GROUP for match in found)
    return is_flat and in_range and any(match[2] == "00" for match in found) and _are_called(_HOLIDAYS, names)


def _read_holidays(folder: Path, names: Sequence[str]) -> Listing:
    rows = sorted((match[1], match[2], name) for name in names if (match := _HOLIDAYS.fullmatch(os.path.basename(name))))
    _refuse_nothing(folder, rows, "holidays", "100000.jpg, 100001.jpg, ...")
    groups, positions, found = zip(*rows, strict=True)
    roles = tuple(QUERY if position == "00" else GALLERY for position in positions)
    return Listing(("scene",), found, tuple((group,) for group in groups), groups, roles=roles)


def _is_sop(folder: Path, names: Sequence[str]) -> bool:
    return any(os.path.dirname(name).endswith("_final") for name in names) and _folder_with(folder, _SOP_LISTS) is not None


def _read_sop(folder: Path, names: Sequence[str]) -> Listing:
    root = _needed(folder, "sop", _SOP_LISTS)
    known, rows = set(names), []
    for list_name, split in _SOP_LISTS.items():
        for _, (_, product, _, photo) in _fields(root / list_name, 4):
            name = os.path.normpath(os.path.join(os.path.relpath(root, folder), photo))
            if name in known:  # which the header is not
                rows.append((name, (os.path.dirname(photo).removesuffix("_final"), product), split))
    _refuse_nothing(folder, rows, "sop", "the photos that Ebay_train.txt and Ebay_test.txt list")
    found, lineages, splits = zip(*rows, strict=True)
    return Listing(("category", "product"), found, lineages, splits=splits)


def _is_cub(folder: Path, names: Sequence[str]) -> bool:
    root = _folder_with(folder, _CUB_LISTS[:2])
    return root is not None and any(name.startswith(os.path.join(_images(folder, root), "")) for name in names)


def _read_cub(folder: Path, names: Sequence[str]) -> Listing:
    root = _needed(folder, "cub", _CUB_LISTS[:2])
    photos, classes, splits, boxes = (_by_id(root / list_name, fields) for list_name, fields in zip(_CUB_LISTS, (1, 1, 1, 4), strict=True))
    class_names, known = _by_id(root / "classes.txt", 1), set(names)
    prefix = _images(folder, root)
    name_of = {id: name for id, (_, photo) in photos.items() if (name := os.path.normpath(os.path.join(prefix, photo))) in known}
    _refuse_nothing(folder, name_of, "cub", "the photos that images.txt lists, in images/")
    for list_name, rows in zip(_CUB_LISTS, (photos, classes, splits, boxes), strict=True):
        if rows and (missing := next((id for id in name_of if id not in rows), None)):
            raise DataError(f"{root / list_name} does not list image {missing}, {name_of[missing]}: restore the file")
    lines, texts = zip(*(boxes[id] for id in name_of), strict=True) if boxes else ((), ())
    own = [parse_box(text.replace(" ", ","), f"{root / _CUB_LISTS[3]}, line {line}") for line, text in zip(lines, texts, strict=True)]
    return Listing(
        ("class",),
        tuple(name_of.values()),
        tuple((class_names.get(classes[id][1], (0, os.path.basename(os.path.dirname(name))))[1],) for id, name in name_of.items()),
        splits=tuple("train" if splits[id][1] == "1" else "test" for id in name_of) if splits else (),
        boxes=tuple(boxes_in_photos(root / _CUB_LISTS[3], lines, [str(folder / name) for name in name_of.values()], own)) if boxes else (),
    )


def _images(folder: Path, root: Path) -> str:
    return os.path.relpath(root / "images", folder)


def _are_called(pattern: re.Pattern[str], names: Sequence[str]) -> bool:
    found = sum(bool(pattern.fullmatch(os.path.basename(name))) for name in names)
    return found > 0 and found >= _MOST_OF * len(names)


def _folder_with(folder: Path, files: Iterable[str]) -> Path | None:
    """The folder, or one in it, that holds all these files."""
    first, *others = files
    found = [folder / first, *sorted(folder.glob(f"*/{first}"))]
    return next((path.parent for path in found if path.is_file() and all((path.parent / name).is_file() for name in others)), None)


def _needed(folder: Path, layout: str, files: Iterable[str]) -> Path:
    root = _folder_with(folder, files)
    if root is None:
        raise DataError(f"--layout {layout} needs {' and '.join(files)}: {folder} has no such files")
    return root


def _refuse_nothing(folder: Path, found: Collection[object], layout: str, expected: str) -> None:
    if not found:
        raise DataError(f"{folder} has none of the photos of --layout {layout}: expected {expected}")


def _fields(path: Path, count: int) -> Iterator[tuple[int, list[str]]]:
    """(number, fields) of each line that is not empty; the last field takes what is left. Raises DataError where there are fewer."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not (fields := line.split(maxsplit=count - 1)):
            continue
        if len(fields) < count:
            raise DataError(f"{path}, line {number}: expected {count} fields, got {line.strip()!r}")
        yield number, [*fields[:-1], fields[-1].strip()]


def _by_id(path: Path, values: int) -> dict[str, tuple[int, str]]:
    """{id: (line, the rest)} of a list; {} where there is none."""
    if not path.is_file():
        return {}
    return {id: (number, " ".join(rest)) for number, (id, *rest) in _fields(path, 1 + values)}


LAYOUTS = {
    "ukbench": Layout("UKBench", "ukbench", 10_200, 2_550, "groups", _is_ukbench, _read_ukbench),
    "holidays": Layout("INRIA Holidays", "holidays", 1_491, 500, "groups", _is_holidays, _read_holidays),
    "sop": Layout("Stanford Online Products", "labels", 120_053, 22_634, "classes", _is_sop, _read_sop, searches="test"),
    "cub": Layout("CUB-200-2011", "labels", 11_788, 200, "classes", _is_cub, _read_cub, searches="test"),
    "oxford": Layout("Oxford buildings", "oxford", 5_063, 55, "queries"),
    "paris": Layout("Paris", "oxford", 6_392, 55, "queries"),
    "roxford": Layout("revisited Oxford", "revisited-medium", 4_993, 70, "queries"),
    "rparis": Layout("revisited Paris", "revisited-medium", 6_322, 70, "queries"),
}
LAYOUT_NAMES = (*LAYOUTS, FOLDERS)
