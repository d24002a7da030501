"""A survey in the format that Timelapse and MegaDetector's tools read (https://lila.science/megadetector-output-format).

Without a detector the box of a photo is all of it. Categories of classifications are taxa of any rank, the one that is named first.
"""

import typing
from collections.abc import Iterable
from pathlib import Path

from tfvision import __version__
from tfvision.apps.survey.observations import ANIMAL, BLANK, HUMAN, UNKNOWN, UNREADABLE, VEHICLE, Answer, MediaRow, kind_of
from tfvision.files import write_json

if typing.TYPE_CHECKING:
    from tfvision.apps.survey.job import Survey

NAME = "megadetector.json"
_CATEGORIES = {ANIMAL: "1", HUMAN: "2", VEHICLE: "3", UNKNOWN: "1"}
_ALL_OF_THE_PHOTO = [0.0, 0.0, 1.0, 1.0]


def write_mega_detector(survey: "Survey", path: Path) -> None:
    """Writes the answers to all photos. Raises StorageError."""
    numbers = {name: str(number) for number, name in enumerate(sorted(_names(survey.media)))}
    descriptions = {numbers[row.answer.taxon]: ";".join(taxon.name for taxon in row.answer.lineage) for row in survey.media if _is_named(row)}
    told = {
        "info": {"format_version": "1.4", "detector": "none: the boxes are the whole photos", "classifier": f"tfvision {__version__}, {survey.model}"},
        "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
        "classification_categories": {number: name for name, number in numbers.items()},
        "classification_category_descriptions": {number: descriptions.get(number, name) for name, number in numbers.items()},
        "images": [_image(row, numbers) for row in survey.media],
    }
    write_json(path, told)


def _names(media: Iterable[MediaRow]) -> set[str]:
    named = (row.answer for row in media if row.answer is not None)
    return {name for answer in named for name, _ in _classes(answer)}


def _is_named(row):
    return row.answer is not None and row.answer.rank != "root"


def _classes(answer: Answer) -> list[tuple[str, float]]:
    """The taxon that is named and the likeliest classes, the most probable first."""
    named = {answer.taxon: answer.probability} if answer.rank != "root" else {}
    return sorted({**dict(answer.likeliest), **named}.items(), key=lambda item: -item[1])


def _image(row, numbers):
    photo = row.photo
    if row.status == UNREADABLE:
        return {"file": photo.name, "failure": "Failure image access", "detections": None}
    time = {} if photo.time is None else {"datetime": photo.time.strftime("%Y:%m:%d %H:%M:%S")}
    if row.status == BLANK or row.answer is None:
        return {"file": photo.name, **time, "detections": []}
    classes = [[numbers[name], probability] for name, probability in _classes(row.answer)]
    box = {"category": _CATEGORIES[kind_of(row.answer)], "conf": row.answer.probability, "bbox": _ALL_OF_THE_PHOTO, "classifications": classes}
    return {"file": photo.name, **time, "detections": [box]}
