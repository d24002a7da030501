"""One answer an animal: where a detector found animals, each box is named, and what it found else is counted."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from tfvision.apps.species.identification import ExportIdentifier, SpeciesIdentifier
from tfvision.data.detections import DETECTION_CONFIDENCE, Finder, FoundInPhoto, check_confidence, find_animals

_PHOTOS_AT_ONCE = 256


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
