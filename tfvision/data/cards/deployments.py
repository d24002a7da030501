"""Deployments: a camera at one place for some time. They are the folders of a card, or what a deployments.csv says of them."""

import dataclasses
import datetime
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfvision.command_line import finite
from tfvision.data.csv_table import CsvTable
from tfvision.errors import DataError

_CAMERAS_OWN = re.compile(r"DCIM|\d{3}[A-Z0-9_]{5}", re.IGNORECASE)  # folders as cameras name them (DCF): they say nothing of the place
_NAMES = {  # what is read -> the columns that may have it
    "name": ("deployment", "deploymentID", "deployment_id", "station", "site"),
    "folder": ("folder", "path", "directory"),
    "location": ("location", "locationName", "location_name", "locality"),
    "latitude": ("latitude", "lat", "decimalLatitude"),
    "longitude": ("longitude", "lon", "lng", "long", "decimalLongitude"),
    "start": ("start", "deploymentStart", "setup_date"),
    "end": ("end", "deploymentEnd", "retrieval_date"),
    "habitat": ("habitat",),
    "setup_by": ("setup_by", "setupBy"),
}
_DAY_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%Y:%m:%d")


@dataclasses.dataclass(frozen=True)
class Deployment:
    """A camera at one place.

    Attributes:
      name: what it is told by.
      folder: of the card, whose photos it has.
      location: of its place; "" where only the name tells it.
      latitude, longitude: degrees; None where unknown.
      start, end: where known otherwise than by its photos.
    """

    name: str
    folder: str
    location: str = ""
    latitude: float | None = None
    longitude: float | None = None
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    habitat: str = ""
    setup_by: str = ""


def deployment_of_folder(folder: str, card: str) -> Deployment:
    """The deployment of photos in a folder, relative to the card; where cameras alone named it, it is the card's."""
    parts = folder.split(os.sep) if folder else []
    while parts and _CAMERAS_OWN.fullmatch(parts[-1]):
        parts.pop()
    return Deployment("/".join(parts) or card, os.sep.join(parts))


def read_deployments(path: Path | str) -> list[Deployment]:
    """Reads a table of deployments, ours or a Camtrap DP's. A row without a folder has that of its name.

    Raises:
      DataError: it cannot be read, names no deployments, one of them twice, or a place that cannot be.
    """
    table = CsvTable.read(path, [name for names in _NAMES.values() for name in names])
    columns = {part: next((name for name in names if name in table.columns), "") for part, names in _NAMES.items()}
    if not columns["name"] and not columns["folder"]:
        raise DataError(f"{path} has no column `deployment` or `folder`; its columns are {', '.join(table.header) or 'none'}")
    if not len(table):
        raise DataError(f"{path} lists no deployments")
    cells = {part: [text.strip() for text in table.texts(column)] for part, column in columns.items()}
    found = []
    for number, line in enumerate(table.lines):
        row = {part: texts[number] for part, texts in cells.items()}
        where = f"{path}, line {line}"
        folder = (row["folder"] or row["name"]).replace("\\", "/")  # as Windows writes it
        folder = os.path.normpath(folder).strip("/") if folder else ""
        if not folder:
            raise DataError(f"{where} names neither a deployment nor a folder")
        latitude, longitude = _place(row["latitude"], row["longitude"], where)
        times = {part: _time(row[part], where, is_end=part == "end") for part in ("start", "end")}
        if times["start"] and times["end"] and times["end"] < times["start"]:
            raise DataError(f"{where} ends before it starts: {row['start']} to {row['end']}")
        plain = {part: row[part] for part in ("location", "habitat", "setup_by")}
        found.append(Deployment(row["name"] or folder, "" if folder == "." else folder, latitude=latitude, longitude=longitude, **times, **plain))
    folders = [one.folder for one in found]
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise DataError(f"{path} has the folder {twice!r} twice: give each deployment a folder of its own")
    return found


def deployments_of(folders: Iterable[str], card: str, listed: Sequence[Deployment] = ()) -> dict[str, Deployment]:
    """{folder of photos, relative to the card: its deployment}: the listed one with the longest folder that holds it, else by its name."""
    by_folder = {one.folder: one for one in listed}
    return {
        folder: next((by_folder[parent] for parent in _with_parents(folder) if parent in by_folder), deployment_of_folder(folder, card)) for folder in folders
    }


def _with_parents(folder):
    while folder:
        yield folder
        folder = os.path.dirname(folder)
    yield ""


def _place(latitude, longitude, where):
    if not latitude and not longitude:
        return None, None
    numbers = [finite(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text) for text in (latitude, longitude)]
    if None in numbers or abs(numbers[0]) > 90 or abs(numbers[1]) > 180:
        raise DataError(f"{where} has no place on Earth: latitude {latitude!r}, longitude {longitude!r}; degrees such as 52.70442, -3.5 are read")
    return numbers


def _time(text, where, is_end):
    if not text:
        return None
    for form in _DAY_FORMATS:
        try:
            day = datetime.datetime.strptime(text, form)
        except ValueError:
            continue
        return day + datetime.timedelta(days=1, seconds=-1) if is_end else day
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise DataError(f"{where} has a time that cannot be read, {text!r}: write 2026-05-03 or 2026-05-03T14:30:00") from None
