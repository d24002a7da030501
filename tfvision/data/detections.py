"""What a detector found in photos, as MegaDetector writes it: a JSON of photos with relative boxes, categories and confidences."""

import collections
import dataclasses
import os
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfvision.data.boxes import FRACTION, Box, cut_box
from tfvision.data.json_items import json_items
from tfvision.data.no_taxa import kind_of_word
from tfvision.errors import DataError
from tfvision.files import write_json

DETECTION_CONFIDENCE = 0.2  # as most who use MegaDetector's fifth version take it
_ANIMAL = "animal"
_SPECIESNETS = {"1": _ANIMAL, "2": "human", "3": "vehicle"}  # categories, which its files do not tell
_LONGEST_REASON = 200
_SAME_FOLDER = "give the folder that the detector was given"


class Detection(typing.NamedTuple):
    """A box in a photo.

    Attributes:
      category: its name, such as "animal".
      confidence: 0 to 1.
      box: left, top, width, height as fractions of the photo's width and height, cut at its edge.
      classification: the likeliest name that a classifier of the same file gave, or "".
      problem: what is wrong with the box, or "".
    """

    category: str
    confidence: float
    box: Box
    classification: str = ""
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Categories:
    """The names of a file's categories, and of its classifier's, by their ids."""

    detections: Mapping[str, str]
    classifications: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, members: Mapping[str, typing.Any], where: str) -> "Categories":
        """Those that the members of a file name. Raises DataError where it names none."""
        detections = _names(members.get("detection_categories"))
        if not detections:
            raise DataError(f"{where} is no output of MegaDetector: it has no detection_categories with names")
        return cls(detections, _names(members.get("classification_categories")))

    def found_in(self, image: Mapping[str, typing.Any]) -> tuple[list[Detection], str]:
        """The detections in an item of `images`, and what is wrong with it, or ""."""
        found = image.get("detections")
        if not isinstance(found, list):
            return [], f"the detector failed: {str(image.get('failure') or 'no detections')[:_LONGEST_REASON]}"
        return [self._detection(one) for one in found if isinstance(one, dict)], ""

    def _detection(self, found: Mapping[str, typing.Any]) -> Detection:
        id, confidence, box = str(found.get("category")), found.get("conf"), found.get("bbox")
        fitted, problem = cut_box(box if isinstance(box, list) else [], FRACTION)
        if not isinstance(confidence, (int, float)) or not 0 <= confidence <= 1:
            confidence, problem = 0.0, problem or "a detection whose confidence is no number from 0 to 1"
        return Detection(self.detections.get(id, id), float(confidence), fitted, self._classification(found.get("classifications")), problem)

    def _classification(self, found: typing.Any) -> str:
        pairs = [pair for pair in found if _is_pair(pair)] if isinstance(found, list) else []
        return self.classifications.get(str(max(pairs, key=lambda pair: pair[1])[0]), "") if pairs else ""


class Finder(typing.Protocol):
    """What tells where things are in photos: a detector's file, or a detector.

    Attributes:
      animals: the names of those of its categories that are animals.
    """

    animals: frozenset[str]

    def of(self, photo: str) -> tuple[list[Detection], str]:
        """The detections in a photo, and "" or why there are none to be had."""


class FoundInPhoto(typing.NamedTuple):
    """What was found in a photo with enough confidence.

    Attributes:
      photo: its path.
      animals: their detections, the surest first.
      counts: how many of each category, animals or not.
      problem: why nothing is known of it, or "".
      outside: detections whose box is none in the photo.
      others: detections of what is no animal, the surest first.
    """

    photo: str
    animals: list[Detection]
    counts: dict[str, int]
    problem: str = ""
    outside: int = 0
    others: Sequence[Detection] = ()


def find_animals(photo: str, finder: Finder, confidence: float = DETECTION_CONFIDENCE) -> FoundInPhoto:
    """The animals in a photo that a detector is sure enough of."""
    found, problem = finder.of(photo)
    sure = [one for one in found if one.confidence >= confidence]
    sound = sorted((one for one in sure if not one.problem), key=lambda one: -one.confidence)
    animals, others = ([one for one in sound if (one.category in finder.animals) is is_animal] for is_animal in (True, False))
    return FoundInPhoto(photo, animals, dict(collections.Counter(one.category for one in sound)), problem, len(sure) - len(sound), others)


class Detections:
    """A detector's answers to photos, found by the photos' paths.

    Attributes:
      path: their file.
      categories: Categories.
      animals: the names of those that are animals: "animal", or where there is none all that are no people, vehicles or nothing.
    """

    def __init__(self, path: Path | str, members: Mapping[str, typing.Any], images: list[dict[str, typing.Any]]) -> None:
        self.path, self._members, self._images = Path(path), members, images
        self.categories = Categories.of(members, str(path))
        self.animals = animals_of(self.categories.detections.values())
        files = [_parts(image["file"]) for image in images]
        shared = _shared_folders(files) if all(_is_absolute(image["file"]) for image in images) else 0
        self._by_file: dict[str, list[int]] = {}
        for number, parts in enumerate(files):
            rows = self._by_file.setdefault("/".join(parts[shared:]), [])
            if all(images[row] != images[number] for row in rows):  # a file that stands there twice is one
                rows.append(number)
        self._by_end: dict[str, list[int]] | None = None
        self._claims: dict[int, dict[str, str]] = {}  # {absolute path: as it was given} of the photos that a row may be of, where there are several

    @property
    def detector(self) -> str:
        """The name of the detector, as far as its file says it."""
        info = self._members.get("info")
        name = info.get("detector") if isinstance(info, dict) else None
        return name if isinstance(name, str) and name else self.path.name

    @classmethod
    def read(cls, path: Path | str) -> "Detections":
        """Reads MegaDetector's JSON, or SpeciesNet's. Raises DataError."""
        members: dict[str, typing.Any] = {}
        images: list[dict[str, typing.Any]] = []
        try:
            with open(path, "rb") as stream:
                for key, item in json_items(stream, str(path), ("images", "predictions")):
                    if key == "predictions" and isinstance(item, dict):
                        members.setdefault("detection_categories", _SPECIESNETS)
                        members.setdefault("info", {"detector": _speciesnet(item)})
                        item = {"file": item.get("filepath"), **_speciesnets_answer(item)}
                    if key not in ("images", "predictions"):
                        members[key] = item
                    elif isinstance(item, dict) and isinstance(item.get("file"), str) and item["file"]:
                        images.append(item)
                    else:
                        raise DataError(f"{path} is no output of MegaDetector: one of its images names no file")
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}): name the JSON that MegaDetector wrote") from error
        return cls(path, members, images)

    def __len__(self) -> int:
        return len(self._images)

    def of(self, photo: str) -> tuple[list[Detection], str]:
        """The detections in a photo, and "" or why there are none to be had.

        A photo is the file whose name is the end of its path, or whose name ends as its path does.
        """
        rows = self._rows_of(photo)
        why = self._why_unnamed(photo, rows)
        return ([], why) if why else self.categories.found_in(self._images[rows[0]])

    def why_unnamed(self, photo: str) -> str:
        """Why the file tells nothing of a photo; "" where it does."""
        return self._why_unnamed(photo, self._rows_of(photo))

    def check(self, photos: Sequence[str]) -> None:
        """Holds the file against all photos that will be asked for: one that may be two of them is none of them from here on.

        Raises:
          DataError: it names none of them, or none for sure.
        """
        claims: dict[int, dict[str, str]] = {}
        for photo in photos:
            for row in self._rows_of(photo):
                claims.setdefault(row, {}).setdefault(os.path.abspath(photo), photo)
        if photos and not claims:
            named = f"it names files such as {self._images[0]['file']}" if self._images else "it names no file at all"
            raise DataError(f"{self.path} names none of the photos, such as {photos[0]}; {named}: {_SAME_FOLDER}, or run it on these photos")
        self._claims = {row: names for row, names in claims.items() if len(names) > 1}
        if photos and all(map(self.why_unnamed, photos)):
            raise DataError(f"{photos[0]}: {self.why_unnamed(photos[0])}")

    def _why_unnamed(self, photo: str, rows: Sequence[int]) -> str:
        if not rows:
            return f"{self.path} does not name it: run the detector on it, too"
        names = [self._images[row]["file"] for row in rows[:2]]
        if len(rows) > 1:
            if names[0] == names[1]:
                return f"{self.path} has two different answers to {names[0]}: remove one of them"
            return f"{self.path} names several files that it may be, {names[0]} and {names[1]}: {_SAME_FOLDER}"
        other = min((name for path, name in self._claims.get(rows[0], {}).items() if path != os.path.abspath(photo)), default="")
        return f"{self.path} names {names[0]}, which may be {other} as well: {_SAME_FOLDER}" if other else ""

    def _rows_of(self, photo: str) -> list[int]:
        """The rows that a photo may be."""
        parts = _parts(os.path.abspath(photo))
        found = next((rows for start in range(len(parts)) if (rows := self._by_file.get("/".join(parts[start:])))), None)
        return found or self._ends().get("/".join(_parts(photo)), [])

    def write(self, path: Path | str) -> None:
        """Writes all as it was read. Raises StorageError."""
        write_json(path, {"images": self._images, **self._members})

    def _ends(self) -> dict[str, list[int]]:
        if self._by_end is None:
            self._by_end = {}
            for file, rows in self._by_file.items():
                parts = file.split("/")
                for start in range(1, len(parts)):
                    self._by_end.setdefault("/".join(parts[start:]), []).extend(rows)
        return self._by_end


def _speciesnet(prediction):
    return f"SpeciesNet {prediction.get('model_version', '')}".strip()


def _speciesnets_answer(prediction):
    """What SpeciesNet's detector says of a photo, as MegaDetector would; its species are not taken, the model that is asked names them."""
    failures = prediction.get("failures")
    if isinstance(failures, list) and "DETECTOR" in failures:
        return {"detections": None, "failure": "DETECTOR"}
    return {"detections": prediction.get("detections")}


class NamedFinder(Finder, typing.Protocol):
    """A detector that is run.

    Attributes:
      name: its own.
      categories: the names of its categories by id.
    """

    name: str
    categories: Mapping[str, str]


class DetectorLog:
    """A detector whose answers are kept, to be written when all photos were asked; a Finder."""

    def __init__(self, detector: NamedFinder) -> None:
        self.animals = detector.animals
        self._detector = detector
        self._found: dict[str, tuple[list[Detection], str]] = {}

    def of(self, photo: str) -> tuple[list[Detection], str]:
        """As the detector's; a photo is looked at once."""
        if photo not in self._found:
            self._found[photo] = self._detector.of(photo)
        return self._found[photo]

    def write(self, path: Path | str) -> None:
        """Writes all as MegaDetector's JSON. Raises StorageError."""
        write_detections(path, self._found, self._detector.categories, self._detector.name)


def write_detections(path: Path | str, found: Mapping[str, tuple[Sequence[Detection], str]], categories: Mapping[str, str], detector: str) -> None:
    """Writes what a detector found as MegaDetector's JSON.

    Args:
      found: {file: (its detections, why the detector failed or "")}.
      categories: their names by id.
      detector: its name.

    Raises:
      StorageError: it cannot be written.
    """
    ids = {name: id for id, name in categories.items()}
    images: list[dict[str, typing.Any]] = []
    for file, (detections, failure) in found.items():
        told = [
            {"category": ids[one.category], "conf": round(one.confidence, 4), "bbox": [round(value, 4) for value in one.box]}
            for one in detections
            if not one.problem
        ]
        images.append({"file": file, "detections": None, "failure": failure} if failure else {"file": file, "detections": told})
    write_json(path, {"images": images, "detection_categories": dict(categories), "info": {"detector": detector, "format_version": "1.4"}})


def check_confidence(confidence: float) -> None:
    """Raises DataError where a least confidence is none."""
    if not 0 <= confidence <= 1:
        raise DataError(f"--detection-confidence must lie between 0 and 1, got {confidence:g}")


def animals_of(names: Iterable[str]) -> frozenset[str]:
    """Of a detector's categories those that are animals."""
    names = list(names)
    return frozenset(name for name in names if name.lower() == _ANIMAL) or frozenset(name for name in names if not kind_of_word(name))


def _names(found: typing.Any) -> dict[str, str]:
    return {str(id): str(name) for id, name in found.items()} if isinstance(found, dict) else {}


def _is_pair(found: typing.Any) -> bool:
    return isinstance(found, list) and len(found) == 2 and isinstance(found[1], (int, float))


def _parts(file: str) -> list[str]:
    return [part for part in file.replace("\\", "/").split("/") if part not in ("", ".")]


def _shared_folders(files: list[list[str]]) -> int:
    """How many folders at their beginning all files have in common."""
    first, last = min(files, default=[]), max(files, default=[])
    return next((depth for depth, (one, other) in enumerate(zip(first[:-1], last[:-1], strict=False)) if one != other), max(0, min(len(first), len(last)) - 1))


def _is_absolute(file: str) -> bool:
    return file.startswith(("/", "\\")) or file[1:3] in (":\\", ":/")
