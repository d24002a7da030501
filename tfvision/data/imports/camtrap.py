"""Camtrap DP packages: media with what was observed in them, or in their event; boxes, sequences and places are kept."""

import datetime
import json
import posixpath
import sqlite3
import typing
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping

from tfvision.data.boxes import FRACTION
from tfvision.data.imports.archives import Archive
from tfvision.data.imports.fields import Fields
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_boxes import Marked, as_written, mark, ranks_named, rows_of_photo
from tfvision.data.imports.photo_records import Photo, Source
from tfvision.data.imports.photo_rows import as_local, is_web_address
from tfvision.data.imports.scratch import Lookup
from tfvision.data.imports.tables import Table, find_table
from tfvision.data.manifest import RANKS
from tfvision.errors import DataError

NOT_OBSERVED = "no observation is of it or of its event"
NOT_CLASSIFIED = "nobody has said what it shows (unclassified, unknown)"
PACKAGE_NAME = "datapackage.json"
_MAX_PACKAGE_BYTES = 64 * 2**20
_TABLES = ("media", "observations", "deployments")
_MEDIA = {
    "id": "mediaid multimediaid",
    "deployment": "deploymentid",
    "event": "eventid sequenceid",
    "date": "timestamp",
    "path": "filepath",
    "name": "filename",
    "format": "filemediatype",
}
_OBSERVATION = {
    "media": "mediaid multimediaid",
    "deployment": "deploymentid",
    "event": "eventid sequenceid",
    "start": "eventstart timestamp",
    "end": "eventend",
    "type": "observationtype",
    "name": "scientificname",
    **{f"bbox{side}": f"bbox{side}" for side in ("x", "y", "width", "height")},
}
_DEPLOYMENT = {"id": "deploymentid", "latitude": "latitude", "longitude": "longitude", "location": "locationname locationid"}
_BATCH = 10_000
_ANIMAL, _UNSAID = "animal", ("", "unknown", "unclassified")


class Package(typing.NamedTuple):
    """A data package of a camera trap: the name of its datapackage.json, and what that says."""

    name: str
    told: dict[str, typing.Any]


def find_package(archive: Archive) -> Package | None:
    """The package in an archive, at the top or in the one folder around all; None where there is none, or one of other tables.

    Raises:
      DataError: its description cannot be read.
    """
    found = [name for name in archive.names if posixpath.basename(name) == PACKAGE_NAME and name.count("/") <= 1 and not name.startswith("__MACOSX/")]
    if not found:
        return None
    name = min(found, key=lambda name: name.count("/"))
    package = Package(name, _read_package(archive, name))
    resources = {str(resource.get("name")) for resource in _dicts(package.told.get("resources"))}
    return package if resources & set(_TABLES) or "camtrap" in str(package.told.get("profile")) else None


def package_source(archive: Archive, found: Package, database: sqlite3.Connection) -> Source:
    """The photos of a Camtrap DP package.

    Raises:
      DataError: its description names no media or observations, or files that it does not have.
    """
    name, package = found
    tables = _tables(archive, name, package)
    source = Source("camtrap-dp", archive, iter(()), total_bytes=sum(table.bytes(archive) for table in tables.values()))
    source.photos = _photos(source, tables, package, database)
    return source


def _photos(source: Source, tables: Mapping[str, Table], package: Mapping[str, typing.Any], database: sqlite3.Connection) -> Iterator[Photo]:
    archive = source.archive
    deployments = Lookup(database, "deployments")
    deployments.fill(_rows(archive, tables["deployments"], _DEPLOYMENT) if "deployments" in tables else ())
    _keep_observations(database, _rows(archive, tables["observations"], _OBSERVATION))
    taxa = _taxa(package)
    has_names = database.execute("SELECT 1 FROM observed WHERE name != '' LIMIT 1").fetchone() is not None
    names = {name for (name,) in database.execute("SELECT DISTINCT name FROM observed WHERE type = ?", (_ANIMAL,))}
    source.ranks = ranks_named(taxa[name] for name in names if name in taxa)
    licence = _media_licence(package)
    for id, deployment, event, date, path, file, format in _rows(archive, tables["media"], _MEDIA):
        source.observations += 1
        found = _observed(database, id, deployment, event, date)
        found = [row for row in found if row.marked.label not in _UNSAID] or found
        place = deployments.get(deployment) or ("", "", "")
        url = path if is_web_address(path) else as_local(urllib.parse.unquote(path)) or file
        photo = Photo(
            url,
            RawTaxon(),
            format,
            next((row.event for row in found if row.event), event),
            id,
            licence,
            latitude=place[0],
            longitude=place[1],
            date=date,
            is_local=not is_web_address(url),
            location=place[2],
        )
        if not found:
            yield photo._replace(problem=NOT_OBSERVED)
        for label, box, problem in rows_of_photo([row.marked for row in found]) if found else ():
            kind, _, name = label.partition(" ")
            is_animal = kind == _ANIMAL and has_names
            taxon = taxa.get(name, RawTaxon(name=name)) if is_animal else as_written(kind)
            yield photo._replace(taxon=taxon, box=box, problem=problem or (NOT_CLASSIFIED if kind in _UNSAID else ""))


class _Observation(typing.NamedTuple):
    event: str
    marked: Marked


def _keep_observations(database: sqlite3.Connection, rows: Iterable[tuple[str, ...]]) -> None:
    """Puts the observations into a table of the database, those of an event with the seconds at which it begins and ends."""
    database.execute("CREATE TABLE observed (media, deployment, event, start REAL, end REAL, type, name, box)")
    batch: list[tuple[typing.Any, ...]] = []

    def write() -> None:
        database.execute("BEGIN")
        database.executemany("INSERT INTO observed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch)
        database.execute("COMMIT")
        batch.clear()

    for media, deployment, event, start, end, kind, name, *box in rows:
        batch.append((media, deployment, event, _seconds(start), _seconds(end), kind.lower(), name, ",".join(box) if any(box) else ""))
        if len(batch) >= _BATCH:
            write()
    write()
    database.execute("CREATE INDEX observed_media ON observed (media)")
    database.execute("CREATE INDEX observed_event ON observed (deployment, event) WHERE media = ''")
    database.execute("CREATE INDEX observed_time ON observed (deployment, start) WHERE media = ''")


def _observed(database: sqlite3.Connection, id: str, deployment: str, event: str, date: str) -> list[_Observation]:
    """What was observed in a medium; where nothing was, what was in its event, by name or else by time."""
    columns = "SELECT event, type, name, box FROM observed WHERE"
    queries = [(f"{columns} media = ? AND media != '' ORDER BY rowid", (id,))]
    if event:
        queries.append((f"{columns} media = '' AND deployment = ? AND event = ? ORDER BY rowid", (deployment, event)))
    if (seconds := _seconds(date)) is not None:
        queries.append((f"{columns} media = '' AND deployment = ? AND start <= ? AND end >= ? ORDER BY rowid", (deployment, seconds, seconds)))
    for query, values in queries:
        if found := database.execute(query, values).fetchall():
            return [_Observation(of, _marked(kind, name, box)) for of, kind, name, box in found]
    return []


def _marked(kind: str, name: str, box: str) -> Marked:
    label = f"{kind} {name}".strip()
    if not box:
        return Marked(label)
    try:
        return mark(label, [float(text) for text in box.split(",")], FRACTION)
    except ValueError:
        return mark(label, (), FRACTION)


def _rows(archive: Archive, table: Table, aliases: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    fields = Fields(table.names, aliases)
    for row in table.rows(archive, fields.columns):
        yield tuple(value.strip() for value in fields.values(row))


def _read_package(archive: Archive, name: str) -> dict[str, typing.Any]:
    where = archive.where(name)
    if archive.size(name) > _MAX_PACKAGE_BYTES:
        raise DataError(f"{where} is refused: it has more than {_MAX_PACKAGE_BYTES >> 20} MiB")
    with archive.open(name) as stream:
        try:
            package = json.loads(stream.read().decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} cannot be read as JSON ({error}): download it again") from error
    if not isinstance(package, dict):
        raise DataError(f"{where} describes no data package: it is no JSON object")
    return package


def _tables(archive: Archive, name: str, package: Mapping[str, typing.Any]) -> dict[str, Table]:
    """{"media": Table, ...} of those that a package describes; media and observations must be among them."""
    where, folder = archive.where(name), posixpath.dirname(name)
    found = {}
    for resource in _dicts(package.get("resources")):
        kind, paths = str(resource.get("name")), resource.get("path")
        if kind in _TABLES:
            paths = paths if isinstance(paths, list) else [paths]
            found[kind] = _table(archive, [_member(archive, folder, where, kind, str(path or "")) for path in paths])
    missing = [kind for kind in _TABLES[:2] if kind not in found]
    if missing:
        raise DataError(f"{where} describes no {' and no '.join(missing)}: it is no Camtrap DP package with photos and what they show")
    return found


def _table(archive: Archive, members: list[str]) -> Table:
    first, *others = (find_table(archive, member) for member in members)
    if any(other.columns != first.columns for other in others):
        raise DataError(f"{archive.where(members[0])} and the other files of its resource have other columns")
    return Table(tuple(members), first.columns, first.dialect, first.header_lines)


def _member(archive: Archive, folder: str, where: str, kind: str, path: str) -> str:
    if is_web_address(path):
        raise DataError(f"{where}: its {kind} lie at {path}: download that file into the package, and write its name as `path`")
    member = posixpath.normpath(posixpath.join(folder, path.replace("\\", "/")))
    if member not in archive.names:
        raise DataError(f"{where} names {path!r} for its {kind}, which the package does not have: download it again")
    return member


def _taxa(package: Mapping[str, typing.Any]) -> dict[str, RawTaxon]:
    """The taxa that a package describes, by scientific name."""
    taxa = {}
    for taxon in _dicts(package.get("taxonomic")):
        name = str(taxon.get("scientificName") or "")
        taxa[name] = RawTaxon(*(str(taxon.get(rank) or "") for rank in RANKS[:6]), name=name, rank=str(taxon.get("taxonRank") or ""))
    return taxa


def _media_licence(package: Mapping[str, typing.Any]) -> str:
    licences = [one for one in _dicts(package.get("licenses")) if one.get("scope", "media") == "media"]
    return str(licences[0].get("name") or licences[0].get("path") or "") if licences else ""


def _dicts(found: typing.Any) -> list[dict[str, typing.Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _seconds(text: str) -> float | None:
    """A time as seconds, of one without a zone as if it were in the first; None where it is none."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()
