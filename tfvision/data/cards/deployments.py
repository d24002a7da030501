"""Deployments: a camera at one place for some time. They are the folders of a card, or what a deployments.csv says of them."""

import collections
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
      start, end: where known otherwise than by its photos; with a zone where a table has it.
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

    def days(self, zone_minutes: int | None) -> tuple[datetime.datetime | None, datetime.datetime | None]:
        """Its start and end as a clock of this zone has them; of an unknown zone, as they are written."""
        zone = None if zone_minutes is None else datetime.timezone(datetime.timedelta(minutes=zone_minutes))
        start, end = (_at_zone(time, zone) if time and time.tzinfo and zone else time for time in (self.start, self.end))
        return start and start.replace(tzinfo=None), end and end.replace(tzinfo=None)


def deployment_of_folder(folder: str, card: str) -> Deployment:
    """The deployment of photos in a folder, relative to the card; where cameras alone named it, it is the card's."""
    parts = folder.split(os.sep) if folder else []
    while parts and _CAMERAS_OWN.fullmatch(parts[-1]):
        parts.pop()
    return Deployment("/".join(parts) or card, os.sep.join(parts))


def read_deployments(path: Path | str) -> list[Deployment]:
    """Reads a table of deployments, ours or a Camtrap DP's. A row without a folder has that of its name.

    Raises:
      DataError: it cannot be read, names no deployments, or a place that cannot be, or a folder twice whose rows no times part.
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
        if times["start"] and times["end"] and _instant(times["end"]) < _instant(times["start"]):
            raise DataError(f"{where} ends before it starts: {row['start']} to {row['end']}")
        plain = {part: row[part] for part in ("location", "habitat", "setup_by")}
        found.append(Deployment(row["name"] or folder, "" if folder == "." else folder, latitude=latitude, longitude=longitude, **times, **plain))
    _check_parted(found, path)
    return found


def deployments_of(folders: Iterable[str], card: str, listed: Sequence[Deployment] = ()) -> dict[str, list[Deployment]]:
    """{folder of photos, relative to the card: its deployments}: the listed ones of the longest folder that holds it, else one by its name."""
    by_folder: dict[str, list[Deployment]] = {}
    for one in listed:
        by_folder.setdefault(one.folder, []).append(one)
    return {
        folder: next((by_folder[parent] for parent in _with_parents(folder) if parent in by_folder), [deployment_of_folder(folder, card)]) for folder in folders
    }


def deployment_at(deployments: Sequence[Deployment], time: datetime.datetime | None, zone_minutes: int | None = None) -> Deployment:
    """That of several of one folder whose days hold a time, or are next to it; of a photo without a time it is the first."""
    if len(deployments) == 1 or time is None:
        return deployments[0]

    def distance(one: Deployment) -> datetime.timedelta:
        start, end = one.days(zone_minutes)
        return max((start or time) - time, time - (end or time), datetime.timedelta())

    return min(deployments, key=distance)


def _check_parted(found, path):
    for folder, count in collections.Counter(one.folder for one in found).items():
        rows = sorted((one for one in found if one.folder == folder), key=lambda one: _instant(one.start or datetime.datetime.min))
        ends = [one.end and _instant(one.end) for one in rows[:-1]]
        starts = [one.start and _instant(one.start) for one in rows[1:]]
        if count > 1 and (len({one.name for one in rows}) < count or any(not end or not start or end > start for end, start in zip(ends, starts, strict=True))):
            raise DataError(f"{path} has the folder {folder!r} twice: give each deployment a folder of its own, or a name, a start and an end of its own")


def _at_zone(time, zone):
    """Near the ends of the calendar, where tables say that nothing has begun or ended, as it is written."""
    try:
        return time.astimezone(zone)
    except OverflowError:
        return time


def _instant(time):
    """Comparable whether or not it has a zone."""
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)


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
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{where} has a time that cannot be read, {text!r}: write 2026-05-03 or 2026-05-03T14:30:00") from None
