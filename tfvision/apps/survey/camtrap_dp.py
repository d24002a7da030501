"""A survey as a Camera Trap Data Package (Camtrap DP 1.0): datapackage.json and its three tables, photos by their paths.

What the format does not take is left out and counted: photos without a time, deployments without a place.
"""

import datetime
import re
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tfvision import __version__
from tfvision.apps.survey import camtrap_schemas
from tfvision.apps.survey.deployed import Deployed, deployed
from tfvision.apps.survey.observations import ANIMAL, BLANK, DETECTED, HUMAN, UNKNOWN, UNREADABLE, VEHICLE, Answer, MediaRow, Observation, kind_of
from tfvision.apps.survey.placed_photos import PlacedPhoto
from tfvision.data.boxes import Box
from tfvision.data.csv_table import csv_text
from tfvision.errors import DataWarning, FileError
from tfvision.files import read_json, write_json, write_text

if typing.TYPE_CHECKING:
    from tfvision.apps.survey.job import Survey

FOLDER = "camtrap-dp"
PACKAGE, OFFLINE = "datapackage.json", "datapackage.offline.json"
_TABLES = ("deployments", "media", "observations")
_KEPT = ("name", "id", "created", "title", "description", "contributors", "licenses", "keywords", "homepage", "project", "references", "version")
_MEDIA_TYPES = {"jpg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "mpo": "jpeg", "tif": "tiff", "hif": "heif", "cr2": "x-canon-cr2", "cr3": "x-canon-cr3"}
_MEDIA_TYPES |= {"nef": "x-nikon-nef", "arw": "x-sony-arw", "dng": "x-adobe-dng", "rw2": "x-panasonic-rw2", "orf": "x-olympus-orf", "raf": "x-fuji-raf"}

_PEOPLE = "Homo sapiens"
_LEAST_SIDE = 1e-4  # of a box: none has no width

_Row = dict[str, typing.Any]


def write_camtrap_dp(survey: "Survey", folder: Path, reviews: Mapping[str, str]) -> None:
    """Writes the package. What a person wrote into datapackage.json (title, contributors, licences, project) stays.

    Args:
      reviews: {event: a person's answer}, which takes the place of the machine's.

    Raises:
      StorageError: it cannot be written.
    """
    stations = [one for one in deployed(survey.media) if one.latitude is not None and one.start is not None and one.end is not None]
    names = _unique_names(stations)
    rows = [row for row in survey.media if row.photo.deployment in names and row.photo.time is not None and row.status != UNREADABLE]
    _tell_left_out(survey, stations, rows)
    observations = [one for one in survey.observations if one.first.deployment in names and one.start is not None]
    model = f"tfvision {__version__}, {survey.model}"
    tables = {
        "deployments": [_deployment_row(one, names[one.deployment]) for one in stations],
        "media": [_media_row(row, names) for row in rows],
        "observations": [row for one in observations for row in _observation_rows(one, names, model, survey.detector, reviews)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for table, own in tables.items():
        columns = camtrap_schemas.columns(table)
        write_text(folder / f"{table}.csv", csv_text([columns, *([row.get(name, "") for name in columns] for row in own)]))
    package = _package(survey, folder, stations, observations, reviews)
    write_json(folder / PACKAGE, package)
    offline = [{**one, "schema": camtrap_schemas.schema(one["name"])} for one in package["resources"]]
    write_json(folder / OFFLINE, {**package, "resources": offline, "profile": "data-package"})


def instant(time: datetime.datetime, zone_minutes: int | None) -> str:
    """2021-05-03T14:22:33+02:00; of an unknown zone as of UTC, which `timestampIssues` then tells."""
    zone = datetime.timezone(datetime.timedelta(minutes=zone_minutes or 0))
    return time.replace(microsecond=0, tzinfo=zone).isoformat().replace("+00:00", "Z")


def media_type(name: str) -> str:
    """image/jpeg, and so on, of a photo by its name."""
    suffix = Path(name).suffix.lower().lstrip(".") or "jpeg"
    return f"image/{_MEDIA_TYPES.get(suffix, suffix)}"


def _unique_names(stations: Sequence[Deployed]) -> dict[typing.Any, str]:
    """{deployment: its identifier}; of two of one name that of the folder stands behind."""
    names = [one.deployment.name for one in stations]
    return {
        one.deployment: one.deployment.name if names.count(one.deployment.name) == 1 else f"{one.deployment.name} ({one.deployment.folder})" for one in stations
    }


def _tell_left_out(survey, stations, rows):
    known = {one.deployment for one in stations}
    nowhere = sorted({one.deployment.name for one in deployed(survey.media) if one.deployment not in known and one.latitude is None})
    if nowhere:
        more = f" and {len(nowhere) - 5} more" if len(nowhere) > 5 else ""
        _warn(f"{FOLDER} leaves out deployments without a place: {', '.join(nowhere[:5])}{more}; give latitude and longitude with --deployments")
    untimed = sum(row.photo.time is None and row.status != UNREADABLE and row.photo.deployment in known for row in survey.media)
    if untimed:
        _warn(f"{FOLDER} leaves out {untimed:,} photo{'s' * (untimed > 1)} without a time, which its format asks for")
    if rows and any(one.has_wrong_times and one.zone_minutes is None for one in stations):
        _warn(f"{FOLDER} calls times UTC whose zone is not known (timestampIssues is true there): give --zone +01:00")


def _deployment_row(one: Deployed, name: str) -> _Row:
    start, end = (instant(time, one.zone_minutes) for time in (one.start, one.end))
    photo = one.media[0].photo
    return {
        "deploymentID": name,
        "locationID": one.deployment.location or one.deployment.name,
        "locationName": one.deployment.location or one.deployment.name,
        "latitude": one.latitude,
        "longitude": one.longitude,
        "deploymentStart": start,
        "deploymentEnd": end,
        "setupBy": one.deployment.setup_by,
        "cameraID": photo.capture.serial,
        "cameraModel": "-".join(filter(None, (photo.capture.make, photo.capture.model))),
        "timestampIssues": str(one.has_wrong_times).lower(),
        "habitat": one.deployment.habitat,
    }


def _media_row(row: MediaRow, names: Mapping[typing.Any, str]) -> _Row:
    photo = row.photo
    return {
        "mediaID": photo.name,
        "deploymentID": names[photo.deployment],
        "timestamp": _instant_of(photo),
        "filePath": _path(photo.name),
        "filePublic": "false",
        "fileName": photo.name.rsplit("/", 1)[-1],
        "fileMediatype": media_type(photo.name),
        "mediaComments": row.reason,
    }


def _observation_rows(one: Observation, names: Mapping[typing.Any, str], model: str, detector: str, reviews: Mapping[str, str]) -> Iterator[_Row]:
    """An event, by the machine or by a person, and each of its photos, or what a detector found in them, by the machine."""
    event = {"deploymentID": names[one.first.deployment], "eventID": one.event, "eventStart": _instant_of(one.first), "eventEnd": _instant_of(one.last)}
    found_by = detector if detector and (one.answer is None or one.answer.rank == DETECTED) else model
    told = _reviewed(reviews[one.event]) if reviews.get(one.event) else _classified(one.answer, found_by, one.kind, one.count(ANIMAL))
    kind = told["observationType"]
    own = {"observationLevel": "event", "observationComments": one.reason}
    yield {"observationID": f"{one.event}#event", **event, **own, **told, "count": one.count(kind) or ""}
    for other in (HUMAN, VEHICLE):
        if one.count(other) and other != kind:  # beside an animal
            yield {"observationID": f"{one.event}#{other}", **event, "observationLevel": "event", **_found(other, detector), "count": one.count(other)}
    for row in one.media:
        own = {"mediaID": row.photo.name, **event, "observationLevel": "media", "observationComments": row.reason}
        if not row.sightings:
            yield {"observationID": row.photo.name, **own, **_classified(row.answer, detector or model, BLANK if row.status == BLANK else kind_of(row.answer))}
        for number, sighting in enumerate(row.sightings or (), 1):
            is_animal = sighting.kind == ANIMAL
            told = _classified(sighting.answer, model, kind_of(sighting.answer), 1) if is_animal else _found(sighting.kind, detector, sighting.confidence)
            yield {"observationID": f"{row.photo.name}#{number}", **own, **told, "count": 1, **_box(sighting.box)}


def _classified(answer: Answer | None, model: str, kind: str, animals: int | None = None) -> _Row:
    """What a model says; what it cannot name is an animal all the same where a detector found some."""
    name = "" if answer is None else _scientific_name(answer, kind)
    return {
        "observationType": ANIMAL if kind == UNKNOWN and animals else kind,
        "scientificName": name,
        "classificationMethod": "machine",
        "classifiedBy": model,
        "classificationProbability": answer.probability if answer is not None and name else "",
    }


def _found(kind: str, detector: str, confidence: float | str = "") -> _Row:
    """What a detector alone says."""
    told = {"observationType": kind, "scientificName": _PEOPLE if kind == HUMAN else "", "classificationMethod": "machine", "classifiedBy": detector}
    return {**told, "classificationProbability": confidence}


def _reviewed(text: str) -> _Row:
    answer = Answer.named(text)
    kind = kind_of(answer)
    return {"observationType": kind, "scientificName": _scientific_name(answer, kind), "classificationMethod": "human"}


def _scientific_name(answer: Answer, kind: str) -> str:
    return _PEOPLE if kind == HUMAN else answer.taxon if kind == ANIMAL else ""


def _box(box: Box) -> _Row:
    sides = zip(("bboxX", "bboxY", "bboxWidth", "bboxHeight"), box, (0.0, 0.0, _LEAST_SIDE, _LEAST_SIDE), strict=True)
    return {name: max(round(value, 4), least) for name, value, least in sides}


def _package(survey, folder, stations, observations, reviews):
    """datapackage.json, in which what a person wrote stays."""
    title = f"Survey of {survey.card.resolve().name or 'a card'}"
    slug = re.sub(r"[^a-z0-9._-]+", "-", title.lower()).strip("-.")
    project = {"title": title, "samplingDesign": "opportunistic", "captureMethod": ["activityDetection"], "individualAnimals": False}
    package = {
        "resources": [_resource(table) for table in _TABLES],
        "profile": f"{camtrap_schemas.ADDRESS}/camtrap-dp-profile.json",
        "name": slug,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "title": title,
        "contributors": [{"title": "unknown", "role": "contributor"}],
        "version": "1.0",
        "sources": [{"title": "tfvision", "version": __version__}],
        "project": {**project, "observationLevel": ["media", "event"]},
        "spatial": _spatial([(one.longitude, one.latitude) for one in stations]),
        "temporal": _temporal(stations),
        "taxonomic": _taxa(observations, reviews),
    }
    try:
        written = read_json(folder / PACKAGE, dict)
    except FileError:
        return package
    return {**package, **{key: written[key] for key in _KEPT if key in written}}


def _resource(table):
    told = {"name": table, "path": f"{table}.csv", "profile": "tabular-data-resource", "format": "csv", "mediatype": "text/csv", "encoding": "utf-8"}
    return {**told, "schema": camtrap_schemas.address(table)}


def _spatial(points):
    if not points:
        return {"type": "GeometryCollection", "geometries": []}
    if len(set(points)) == 1:
        return {"type": "Point", "coordinates": list(points[0])}
    west, south, east, north = (choose(point[axis] for point in points) for choose in (min, max) for axis in (0, 1))
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "bbox": [west, south, east, north], "coordinates": [corners]}


def _temporal(stations):
    starts, ends = [one.start for one in stations], [one.end for one in stations]
    today = datetime.date.today()
    return {"start": str(min(starts).date() if starts else today), "end": str(max(ends).date() if ends else today)}


def _taxa(observations, reviews):
    """The taxa of all observations, with their lineages."""
    answers = [one.answer for one in observations if not reviews.get(one.event) and one.answer is not None]
    answers += [answer for one in observations for row in one.media for answer in (row.answer, *row.answers) if answer is not None]
    answers += [Answer.named(reviews[one.event]) for one in observations if reviews.get(one.event)]
    taxa: dict[str, _Row] = {}
    for answer in answers:
        if name := _scientific_name(answer, kind_of(answer)):
            taxa.setdefault(name, _taxon(answer) if name == answer.taxon else {"scientificName": name})
    if any(one.count(HUMAN) for one in observations):
        taxa.setdefault(_PEOPLE, {"scientificName": _PEOPLE})
    return [taxa[name] for name in sorted(taxa)]


def _taxon(answer):
    taxon = {"scientificName": answer.taxon}
    if answer.rank in camtrap_schemas.RANKS:
        taxon["taxonRank"] = answer.rank
    return taxon | {one.rank: one.name for one in answer.lineage if one.rank in camtrap_schemas.RANKS[:6]}


def _instant_of(photo: PlacedPhoto) -> str:
    return instant(typing.cast(datetime.datetime, photo.time), photo.zone_minutes)


def _path(name):
    """A path that the format takes: none that could lead out of the package."""
    path = name.replace("..", "%2E%2E")
    return f"%{ord(path[0]):02X}{path[1:]}" if path[0] in "./~" else path


def _warn(text):
    warnings.warn(text, DataWarning, stacklevel=2)
