"""iNaturalist's open data: photos, observations and taxa in three tables, joined by their ids."""

import collections
import functools
import posixpath
import sqlite3
from collections.abc import Mapping

from tfvision.data.imports.archives import Archive
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_records import Photo, Source
from tfvision.data.imports.scratch import Lookup
from tfvision.data.imports.tables import Table, find_table
from tfvision.data.manifest import RANKS

NO_OBSERVATION = "its observation is not in observations.csv"
NO_TAXON = "its taxon is not in taxa.csv"
INACTIVE_TAXON = "its taxon is no longer in use"
_TABLES = ("photos", "observations", "taxa")
_PHOTO_COLUMNS = ("photo_id", "observation_uuid", "extension", "license", "observer_id")
_OBSERVATION_COLUMNS = ("observation_uuid", "latitude", "longitude", "taxon_id", "quality_grade", "observed_on")
_TAXON_COLUMNS = ("taxon_id", "ancestry", "rank", "name", "active")
_URL = "https://inaturalist-open-data.s3.amazonaws.com/photos/{id}/original.{extension}"


def find_tables(archive: Archive) -> dict[str, Table] | None:
    """{"photos": member, ...} where the archive holds the three tables of the open data, else None; "observers" too where it is there."""
    folders = collections.defaultdict(dict)
    for member in archive.names:
        name = posixpath.basename(member).lower().removesuffix(".gz")
        if name.endswith(".csv") and member.count("/") <= 1:
            folders[posixpath.dirname(member)].setdefault(name.removesuffix(".csv"), member)
    tops = {name.partition("/")[0] if "/" in name else "" for name in archive.names} - {"__MACOSX"}
    members = folders.get("" if "" in tops else next(iter(tops), ""), {})  # at the top, or in the one folder around all
    if not all(name in members for name in _TABLES):
        return None
    tables = {name: find_table(archive, members[name]) for name in (*_TABLES, "observers") if name in members}
    wanted = {"photos": _PHOTO_COLUMNS, "observations": _OBSERVATION_COLUMNS, "taxa": _TAXON_COLUMNS}
    return tables if all(set(columns) <= set(tables[name].columns) for name, columns in wanted.items()) else None


def open_data_source(archive: Archive, tables: Mapping[str, Table], database: sqlite3.Connection) -> Source:
    """The photos of the open data."""
    source = Source("inaturalist-open-data", archive, iter(()), RANKS, sum(table.bytes(archive) for table in tables.values()))
    source.photos = _photos(source, tables, database)
    return source


def _photos(source, tables, database):
    archive = source.archive
    taxa = Lookup(database, "taxa")
    taxa.fill(tables["taxa"].rows(archive, _TAXON_COLUMNS))
    observers = Lookup(database, "observers")
    observers.fill(tables["observers"].rows(archive, ("observer_id", "name", "login")) if "observers" in tables else ())
    observations = Lookup(database, "observations")
    observations.fill(tables["observations"].rows(archive, _OBSERVATION_COLUMNS))
    source.observations = len(observations)
    taxon = functools.lru_cache(100_000)(lambda id: _raw_taxon(id, parent))
    parent = functools.lru_cache(100_000)(taxa.get)
    observer = functools.lru_cache(10_000)(observers.get)
    for id, uuid, extension, license, observer_id in tables["photos"].rows(archive, _PHOTO_COLUMNS):
        url = _URL.format(id=id, extension=extension)
        found = observations.get(uuid)
        if found is None:
            yield Photo(url, RawTaxon(), problem=NO_OBSERVATION)
            continue
        latitude, longitude, taxon_id, grade, date = found
        raw = taxon(taxon_id)
        if not isinstance(raw, RawTaxon):
            yield Photo(url, RawTaxon(), problem=raw)
            continue
        name = next((part for part in observer(observer_id) or () if part and part != "None"), "")
        yield Photo(url, raw, "", uuid, id, license, name, name, latitude, longitude, "", date, grade)


def _raw_taxon(id, find):
    """A RawTaxon by the taxon's id and the names of its ancestors, or why there is none."""
    found = find(id)
    if found is None:
        return NO_TAXON
    ancestry, rank, name, active = found
    if active.lower() in ("false", "f", "0"):
        return INACTIVE_TAXON
    names = dict.fromkeys(RANKS, "")
    for ancestor in ancestry.split("/"):
        known = find(ancestor)
        if known and known[1] in names:
            names[known[1]] = known[2]
    if rank in names:
        names[rank] = name
    return RawTaxon(*names.values(), name=name, rank=rank)
