"""Photos from tables whose rows are observations or photos: Darwin Core, iNaturalist's exports, GBIF's simple download, any CSV."""

import itertools
import re
import sqlite3

from tfvision.data.csv_table import plain_column
from tfvision.data.imports.archives import Archive
from tfvision.data.imports.darwin_core import DarwinCore, is_record_set, record_set
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_records import Photo, Source, unknown_source
from tfvision.data.imports.scratch import MOST_KEYS, Lookup
from tfvision.data.imports.tables import find_table, one_line
from tfvision.data.manifest import RANKS
from tfvision.errors import DataError

INATURALIST_RESEARCH_GRADE = "50c9509d-22c7-4a22-a47d-8c48425ef4a7"  # GBIF's key of the data set that the paper used
NO_OBSERVATION = "its observation is not in the archive"

# What a value is called, the first that is there counts; compared as tables.plain_column writes names.
_PHOTO = {
    "url": "imageurl photourl accessuri mediaurl fileurl url identifier link downloadurl associatedmedia",
    "format": "format mimetype",
    "type": "type mediatype",
    "license": "license licence licensecode photolicense usageterms webstatement rights",
    "rights_holder": "rightsholder owner author copyrightholder",
    "creator": "creator photographer recordedby username observer",
    "login": "userlogin login",
    "photo": "photoid mediaid imageid",
}
_OBSERVATION = {
    "observation": "observationid observationuuid gbifid occurrenceid group catalognumber id",
    "latitude": "decimallatitude latitude lat",
    "longitude": "decimallongitude longitude lon lng long",
    "location": "location",
    "country": "countrycode country placecountryname",
    "date": "eventdate observedon date dateobserved timeobservedat",
    "year": "year",
    "month": "month",
    "day": "day",
    "grade": "qualitygrade identificationverificationstatus",
    "dataset": "datasetkey",
    "dataset_name": "datasetname",
}
_TAXON = {
    **{rank: f"{rank} taxon{rank}name taxon{rank}" for rank in RANKS[:5]},
    "genus": "genus taxongenusname taxongenus",
    "species": "species speciesname taxonspeciesname",
    "name": "scientificname taxonname taxon name",
    "rank": "taxonrank rank taxonrankname",
    "accepted": "acceptedscientificname acceptednameusage acceptedname",
    "status": "taxonomicstatus",
    "epithet": "specificepithet epithet",
}
_CORE = {**_OBSERVATION, **_TAXON}
_FLAT = {**_PHOTO, **_CORE}
_SEVERAL = re.compile(r"\s*\|\s*|\s*;\s*(?=https?:)|\s*,\s*(?=https?:)|\s+(?=https?:)")


def archive_source(archive: Archive, described: DarwinCore, database: sqlite3.Connection) -> Source:
    """The photos of a Darwin Core archive: of its multimedia extension, else of its core's column associatedMedia."""
    core, media = described.core, described.media
    ranks = _ranks(core.table.names)
    if media is None:
        columns = _columns(core.table.names, _FLAT)
        if not {plain_column(columns["url"] or "")} & {"associatedmedia", "accessuri", "imageurl", "photourl"}:
            raise DataError(
                f"{archive.path} lists no photos: its meta.xml describes no multimedia extension. Ask GBIF for a Darwin Core Archive of occurrences with images"
            )
        source = Source("darwin-core-archive", archive, iter(()), ranks, core.table.bytes(archive))
        source.photos = _flat_photos(source, core.table, columns)
        return source
    source = Source("darwin-core-archive", archive, iter(()), ranks, core.table.bytes(archive) + media.table.bytes(archive))
    source.photos = _joined_photos(source, core, media, database)
    return source


def table_source(archive: Archive, name: str) -> Source:
    """The photos of a table whose first line names its columns."""
    table = find_table(archive, name)
    columns = _columns(table.columns, _FLAT)
    known = {plain_column(column) for column in table.columns}
    if "gbifid" in known:
        kind = "gbif-simple"
    else:
        kind = "inaturalist-export" if {"qualitygrade", "iconictaxonname"} & known or "taxoniconictaxonname" in known else "csv"
    shown = one_line(", ".join(table.columns[:12])) + (", ..." if len(table.columns) > 12 else "")
    if columns["url"] is None:
        if kind == "gbif-simple":
            raise DataError(
                f"{archive.where(name)} is GBIF's simple download, which has no addresses of photos: ask GBIF for the same search as a Darwin Core Archive"
            )
        raise unknown_source(archive.where(name), f"it has no column with addresses of photos (its columns are {shown})")
    if not any(columns[name] for name in ("species", "name", "epithet", "accepted")):
        raise unknown_source(archive.where(name), f"it has no column species or scientific_name (its columns are {shown})")
    source = Source(kind, archive, iter(()), _ranks(table.columns), table.bytes(archive))
    source.photos = _flat_photos(source, table, columns)
    return source


def record_set_source(archive: Archive, name: str) -> Source:
    """The photos of a SimpleDarwinRecordSet."""
    if not is_record_set(archive, name):
        raise unknown_source(archive.where(name), "it is XML, but no SimpleDarwinRecordSet")
    source = Source("simple-darwin-record-set", archive, iter(()), total_bytes=archive.size(name))
    source.photos = _record_set_photos(source, name)
    return source


def _joined_photos(source, core, media, database):
    columns = _columns(core.table.names, _CORE)
    wanted = [column for column in dict.fromkeys(columns.values()) if column]
    observations = Lookup(database, "observations")
    rows = core.table.rows(source.archive, (core.key, *wanted))
    observations.fill(_counted(source, rows))
    indices = _indices(columns, wanted)
    of_media = _columns(media.table.names, _PHOTO)
    media_wanted = [column for column in dict.fromkeys(of_media.values()) if column]
    media_indices = _indices(of_media, media_wanted)
    rows = media.table.rows(source.archive, (media.key, *media_wanted))
    while batch := list(itertools.islice(rows, MOST_KEYS)):
        found = observations.get_all(list({row[0] for row in batch}))
        facts = {key: _facts(values, indices, key) for key, values in found.items()}
        for key, *row in batch:
            url, *rest = [row[index] if index is not None else "" for index in media_indices]
            yield _photo(url, rest, facts[key]) if key in facts else Photo(url, RawTaxon(), problem=NO_OBSERVATION)


def _counted(source, rows):
    for row in rows:
        source.observations += 1
        yield row


def _flat_photos(source, table, columns):
    wanted = [column for column in dict.fromkeys(columns.values()) if column]
    indices = _indices(columns, wanted)
    of_photo, of_observation = indices[: len(_PHOTO)], indices[len(_PHOTO) :]
    previous = None
    for row in table.rows(source.archive, wanted):
        facts = _facts(row, of_observation, "")
        if facts[0] != previous or not previous:
            source.observations += 1
            previous = facts[0]
        urls, *rest = (row[index] if index is not None else "" for index in of_photo)
        for url in _SEVERAL.split(urls.strip()):
            if url:
                yield _photo(url, rest, facts)


def _record_set_photos(source, name):
    for terms, media in record_set(source.archive, name):
        source.observations += 1
        known = {plain_column(term): text for term, text in terms.items()}
        facts = _facts([_first(known, names) for names in _CORE.values()], range(len(_CORE)), "")
        for photo in media:
            inner = {plain_column(term): text for term, text in photo.items()}
            values = {key: _first(inner, names) for key, names in _PHOTO.items()}
            url, *rest = values.values()
            rest[-1] = inner["identifier"] if inner.get("identifier", "").isdecimal() else rest[-1]
            yield _photo(url, rest, facts)


def _first(known, names):
    return next((known[name] for name in names.split() if known.get(name)), "")


def _facts(row, indices, key):
    """(observation, (latitude, longitude, country, date, grade), RawTaxon) of a row, by the indices of _CORE."""
    values = [row[index] if index is not None else "" for index in indices]
    observation, latitude, longitude, location, country, date, year, month, day, grade, dataset, dataset_name, *taxon = values
    if location and not latitude:
        latitude, _, longitude = location.strip("() ").partition(",")
    if year and not date[:4].isdecimal():
        date = "-".join(part.zfill(2) for part in (year, month, day) if part)
    if not grade and (dataset == INATURALIST_RESEARCH_GRADE or "research-grade" in dataset_name):
        grade = "research"
    return key or observation, (latitude, longitude, country, date, grade), RawTaxon(*taxon)


def _photo(url, rest, facts):
    format, type, license, rights_holder, creator, login, photo = rest
    observation, (latitude, longitude, country, date, grade), taxon = facts
    return Photo(url, taxon, format or type, observation, photo, license, rights_holder, creator or login, latitude, longitude, country, date, grade)


def _columns(names, fields):
    """field -> the name of its column, or None."""
    known = {}
    for name in names:
        known.setdefault(plain_column(name), name)
    return {field: next((known[name] for name in aliases.split() if name in known), None) for field, aliases in fields.items()}


def _indices(columns, wanted):
    return [None if column is None else wanted.index(column) for column in columns.values()]


def _ranks(names):
    columns = _columns(names, _TAXON)
    return tuple(rank for rank in RANKS if columns.get(rank))
