"""A survey in the format that Timelapse and MegaDetector's tools read (https://lila.science/megadetector-output-format).

Boxes are the detector's; without one the box of a photo is all of it. Categories of classifications are taxa of any rank, the one that is named first.
"""

import typing
from collections.abc import Iterable
from pathlib import Path

from tfvision import __version__
from tfvision.apps.survey.observations import (
    ANIMAL,
    BLANK,
    DETECTED,
    HUMAN,
    SKIPPED,
    UNKNOWN,
    UNREADABLE,
    VEHICLE,
    Answer,
    MediaRow,
    Sighting,
    kind_of,
)
from tfvision.files import write_json

if typing.TYPE_CHECKING:
    from tfvision.apps.survey.job import Survey

NAME = "megadetector.json"
_CATEGORIES = {ANIMAL: "1", HUMAN: "2", VEHICLE: "3", UNKNOWN: "1"}
_ALL_OF_THE_PHOTO = (0.0, 0.0, 1.0, 1.0)
_NO_DETECTOR = "none: the boxes are the whole photos"


def write_mega_detector(survey: "Survey", path: Path) -> None:
    """Writes the answers to all photos. Raises StorageError."""
    numbers = {name: str(number) for number, name in enumerate(sorted(_names(survey.media)))}
    descriptions = {numbers[one.taxon]: ";".join(taxon.name for taxon in one.lineage) for row in survey.media for one in row.answers if one.rank != "root"}
    told = {
        "info": {"format_version": "1.4", "detector": survey.detector or _NO_DETECTOR, "classifier": f"tfvision {__version__}, {survey.model}"},
        "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
        "classification_categories": {number: name for name, number in numbers.items()},
        "classification_category_descriptions": {number: descriptions.get(number, name) for name, number in numbers.items()},
        "images": [_image(row, numbers) for row in survey.media],
    }
    write_json(path, told)


def _names(media: Iterable[MediaRow]) -> set[str]:
    return {name for row in media for answer in row.answers for name, _ in _classes(answer)}


def _classes(answer: Answer) -> list[tuple[str, float]]:
    """The taxon that is named and the likeliest classes, the most probable first."""
    named = {answer.taxon: answer.probability} if answer.rank not in ("root", DETECTED) else {}
    return sorted({**dict(answer.likeliest), **named}.items(), key=lambda item: -item[1])


def _image(row, numbers):
    photo = row.photo
    if row.status in (UNREADABLE, SKIPPED):
        return {"file": photo.name, "failure": "Failure image access" if row.status == UNREADABLE else row.reason, "detections": None}
    time = {} if photo.time is None else {"datetime": photo.time.strftime("%Y:%m:%d %H:%M:%S")}
    sightings = row.sightings
    if sightings is None:
        answer = None if row.status == BLANK else row.answer
        sightings = () if answer is None else (Sighting(kind_of(answer), "", answer.probability, _ALL_OF_THE_PHOTO, answer),)
    return {"file": photo.name, **time, "detections": [_detection(one, numbers) for one in sightings]}


def _detection(one, numbers):
    told = {"category": _CATEGORIES[one.kind], "conf": round(one.confidence, 4), "bbox": [round(value, 4) for value in one.box]}
    classes = [[numbers[name], probability] for name, probability in _classes(one.answer)]
    return {**told, "classifications": classes} if classes else told
