"""One answer an animal: where a detector found animals, each box is named, and what it found else is counted."""

import itertools
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tfvision.apps.species.identification import ExportIdentifier, SpeciesIdentifier
from tfvision.data.detections import DETECTION_CONFIDENCE, Finder, FoundInPhoto, check_confidence, find_animals
from tfvision.evaluation.picture_sheet import boxed_photo
from tfvision.files import plain_file_name, write_bytes

_PHOTOS_AT_ONCE = 256
_PICTURE_PX = 1024  # of the longer side


def identify_animals(
    identifier: SpeciesIdentifier | ExportIdentifier,
    photos: Iterable[str],
    finder: Finder,
    confidence: float = DETECTION_CONFIDENCE,
    within: Sequence[str] = (),
    threshold: float | None = None,
    target_accuracy: float | None = None,
    unknown_share: float | None = None,
) -> Iterator[dict]:
    """Names each animal that a detector found in photos.

    Args:
      finder: data.detections.Detections of a detector's file, or an export.detector.Detector.
      confidence: least confidence of the detector.
      within, threshold, target_accuracy, unknown_share: as SpeciesIdentifier.identify.

    Yields:
      dict a photo: "image", "animals", a list of what `identify` answers to each, with its "box" (fractions of the photo) and "confidence", the
      surest first, and "counts", how many of each of the detector's categories; or "image" and "error".

    Raises:
      DataError: a confidence that is none, an unknown taxon, or a detector that fails.
      RecipeError: as `identify`.
    """
    check_confidence(confidence)
    photos = iter(photos)
    while batch := list(itertools.islice(photos, _PHOTOS_AT_ONCE)):
        found = [find_animals(photo, finder, confidence) for photo in batch]
        boxes = [animal.box for one in found for animal in one.animals]
        names = [one.photo for one in found for _ in one.animals]
        answers = identifier.identify(names, within, None, threshold, target_accuracy, unknown_share, boxes) if names else iter(())
        for one in found:
            yield _told(one, list(itertools.islice(answers, len(one.animals))))


class BoxedPictures:
    """Writes each photo in which animals were found with their boxes and names, as FOLDER/0001-NAME.jpg.

    Args:
      folder: made where it is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder, self._written = Path(folder), 0

    def of(self, answers: Iterable[dict]) -> Iterator[dict]:
        """The answers of identify_animals as they are, the picture of each written as it comes. Raises StorageError."""
        for answer in answers:
            self._write(answer["image"], answer)
            yield answer

    def _write(self, photo: str, answer: Mapping[str, typing.Any]) -> None:
        animals = answer.get("animals", ())
        if not animals:
            return
        captions = ["" if "error" in one else _caption(one) for one in animals]
        picture = boxed_photo(photo, [one["box"] for one in animals], captions, _PICTURE_PX)
        self._written += 1
        write_bytes(self._folder / f"{self._written:04d}-{plain_file_name(Path(photo).stem)}.jpg", picture)


def _caption(animal: Mapping[str, typing.Any]) -> str:
    if animal.get("is_unknown"):
        return f"most like {animal['top'][0]['name']}"
    return "not sure" if animal["rank"] == "root" else f"{animal['taxon']} {animal['probability']:.0%}"


def sees_boxes(identifier: SpeciesIdentifier | ExportIdentifier) -> bool:
    """Whether a box changes what a model sees; a run of one view sees the whole photo. Of an export it is not known, and taken for granted."""
    return not isinstance(identifier, SpeciesIdentifier) or len(identifier.run.recipe.views) > 1


def _told(found: FoundInPhoto, answers: list[dict]) -> dict:
    if found.problem:
        return {"image": found.photo, "error": found.problem if found.problem.startswith(found.photo) else f"{found.photo}: {found.problem}"}
    if answers and all("error" in answer for answer in answers):
        return {"image": found.photo, "error": answers[0]["error"]}
    animals = []
    for answer, animal in zip(answers, found.animals, strict=True):
        told = {key: value for key, value in answer.items() if key != "image"}
        animals.append({**told, "box": [round(value, 4) for value in animal.box], "confidence": round(animal.confidence, 4)})
    outside = {"outside": found.outside} if found.outside else {}
    return {"image": found.photo, "animals": animals, "counts": found.counts, **outside}
