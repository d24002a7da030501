"""media.csv, a row a file of the card, observations.csv, a row an event, in which a person's answers are never overwritten, and animals.csv."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfvision.apps.survey.deployed import is_placed
from tfvision.apps.survey.observations import ANIMAL, HUMAN, SKIPPED, VEHICLE, Answer, MediaRow, Observation
from tfvision.apps.survey.placed_photos import iso
from tfvision.data.cards.card_files import CardFile
from tfvision.data.csv_table import csv_text
from tfvision.files import write_text

MEDIA, OBSERVATIONS, ANIMALS = "media.csv", "observations.csv", "animals.csv"
EVENT, REVIEW = "event", "review"  # a person's answer to an event
_ANSWER_COLUMNS = ("taxon", "rank", "probability", "lineage", "likeliest", "unknown_probability", "is_unknown")
COUNTED = {"animals": ANIMAL, "people": HUMAN, "vehicles": VEHICLE}  # column -> what a detector found
MEDIA_COLUMNS = (
    *("file", "status", "reason", "deployment", "event", "time", "camera_time", "camera", "latitude", "longitude", "width", "height"),
    *COUNTED,
    *_ANSWER_COLUMNS,
)
OBSERVATION_COLUMNS = (
    *(EVENT, "deployment", "start", "end", "camera", "latitude", "longitude", "photos", "answered", "kind", "reason"),
    *COUNTED,
    *_ANSWER_COLUMNS,
    *("agreement", REVIEW),
)
_ANIMAL_COLUMNS = ("file", EVENT, "deployment", "time", "left", "top", "width", "height", "category", "confidence", *_ANSWER_COLUMNS)


def write_media(path: Path, rows: Sequence[MediaRow], files: Sequence[CardFile]) -> None:
    """Every file of the card in one row, in the order of their names. Raises StorageError."""
    cells = {row.photo.name: _media_cells(row) for row in rows}
    blank = ("",) * (len(MEDIA_COLUMNS) - 3)
    cells.update({file.name: (file.name, SKIPPED, file.skipped, *blank) for file in files if file.skipped})
    write_text(path, csv_text([MEDIA_COLUMNS, *(cells[name] for name in sorted(cells))]))


def write_observations(path: Path, observations: Iterable[Observation], written: Mapping[str, Mapping[str, str]]) -> None:
    """Every event in one row, the columns of persons last; written: {event: {such a column: text}}. Raises StorageError."""
    added = sorted({name for texts in written.values() for name in texts} - {REVIEW})
    rows = []
    for one in observations:
        texts = written.get(one.event, {})
        rows.append([*_observation_cells(one), *(texts.get(name, "") for name in (REVIEW, *added))])
    write_text(path, csv_text([(*OBSERVATION_COLUMNS, *added), *rows]))


def write_animals(path: Path, rows: Iterable[MediaRow]) -> None:
    """Every animal, person and vehicle that a detector found in one row, the surest of a photo first; its box in fractions. Raises StorageError."""
    cells = []
    for row in rows:
        of_photo = row.photo.name, row.event, row.photo.deployment.name, row.photo.instant
        for one in row.sightings or ():
            box = (round(value, 4) for value in one.box)
            cells.append([*of_photo, *box, one.category, round(one.confidence, 4), *_answer_cells(one.answer)])
    write_text(path, csv_text([_ANIMAL_COLUMNS, *cells]))


def place_of(observation: Observation) -> tuple[float | None, float | None]:
    """Latitude and longitude of an event: its deployment's, else those of the first photo that has some."""
    deployment = observation.first.deployment
    if deployment.latitude is not None:
        return deployment.latitude, deployment.longitude
    return next(((row.photo.capture.latitude, row.photo.capture.longitude) for row in observation.media if is_placed(row)), (None, None))


def _media_cells(row):
    photo, capture = row.photo, row.photo.capture
    return (
        *(photo.name, row.status, row.reason, photo.deployment.name, row.event, photo.instant, "" if capture.time is None else iso(capture.time, None)),
        *(photo.camera, _number(capture.latitude), _number(capture.longitude), capture.width or "", capture.height or ""),
        *(_number(row.count(kind)) for kind in COUNTED.values()),
        *_answer_cells(row.answer),
    )


def _observation_cells(one):
    return (
        *(one.event, one.first.deployment.name, one.first.instant, one.last.instant, one.first.camera, *map(_number, place_of(one))),
        *(len(one.media), len(one.counted), one.kind, one.reason),
        *(_number(one.count(kind)) for kind in COUNTED.values()),
        *_answer_cells(one.answer),
        "" if one.answer is None else one.agreement,
    )


def _answer_cells(answer: Answer | None) -> tuple[object, ...]:
    if answer is None:
        return ("",) * len(_ANSWER_COLUMNS)
    lineage = " > ".join(taxon.name for taxon in answer.lineage)
    likeliest = "; ".join(f"{name} {probability:.4f}" for name, probability in answer.likeliest)
    unknown = ("", "") if answer.unknown is None else (answer.unknown, int(answer.is_unknown))
    return answer.taxon, answer.rank, answer.probability, lineage, likeliest, *unknown


def _number(value):
    return "" if value is None else value
