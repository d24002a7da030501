"""Photos from tables whose rows are observations or photos: iNaturalist's exports, GBIF's simple download, any CSV, and Darwin Core in XML."""

import re
from collections.abc import Iterator, Sequence

from tfvision.data.csv_table import plain_column
from tfvision.data.imports.archives import Archive
from tfvision.data.imports.darwin_core import is_record_set, record_set
from tfvision.data.imports.fields import OF_OBSERVATION, PHOTO, Facts, facts_of, fields_of_rows_with_photos, photo_of, ranks_of
from tfvision.data.imports.photo_records import Photo, Source, unknown_source
from tfvision.data.imports.photo_rows import local_name
from tfvision.data.imports.tables import Table, find_table, one_line
from tfvision.errors import DataError

_SEVERAL = re.compile(r"\s*\|\s*|\s*;\s*(?=https?:)|\s*,\s*(?=https?:)|\s+(?=https?:)")
_SEVERAL_NAMES = re.compile(r"\s*[;,]\s*")


def table_source(archive: Archive, name: str) -> Source:
    """The photos of a table whose first line names its columns."""
    table = find_table(archive, name)
    columns = fields_of_rows_with_photos(table.columns).columns_of
    known = {plain_column(column) for column in table.columns}
    if "gbifid" in known:
        kind = "gbif-simple"
    else:
        kind = "inaturalist-export" if {"qualitygrade", "iconictaxonname"} & known or "taxoniconictaxonname" in known else "csv"
    shown = one_line(", ".join(table.columns[:12])) + (", ..." if len(table.columns) > 12 else "")
    if not columns["url"]:
        if kind == "gbif-simple":
            raise DataError(
                f"{archive.where(name)} is GBIF's simple download, which has no addresses of photos: ask GBIF for the same search as a Darwin Core Archive"
            )
        raise unknown_source(archive.where(name), f"it has no column with addresses of photos (its columns are {shown})")
    if not any(columns[name] for name in ("species", "name", "epithet", "accepted")):
        raise unknown_source(archive.where(name), f"it has no column species or scientific_name (its columns are {shown})")
    source = Source(kind, archive, iter(()), ranks_of(table.columns), table.bytes(archive))
    source.photos = flat_photos(source, table)
    return source


def flat_photos(source: Source, table: Table) -> Iterator[Photo]:
    """The photos of a table whose rows are observations or photos, rows of one observation one after another."""
    fields = fields_of_rows_with_photos(table.names)
    previous = None
    for row in table.rows(source.archive, fields.columns):
        values = fields.values(row)
        facts = facts_of(values[len(PHOTO) :])
        if facts[0] != previous or not previous:
            source.observations += 1
            previous = facts[0]
        yield from photos_of_cell(values[: len(PHOTO)], facts)


def photos_of_cell(values: Sequence[str], facts: Facts) -> Iterator[Photo]:
    """The photos that the address of a row names, one or several."""
    urls, *rest = values
    for url in _SEVERAL.split(urls.strip()):
        names = _SEVERAL_NAMES.split(url)
        for part in names if all(map(local_name, names)) else [url]:
            if part:
                yield photo_of((part, *rest), facts)


def record_set_source(archive: Archive, name: str) -> Source:
    """The photos of a SimpleDarwinRecordSet."""
    if not is_record_set(archive, name):
        raise unknown_source(archive.where(name), "it is XML, but no SimpleDarwinRecordSet")
    source = Source("simple-darwin-record-set", archive, iter(()), total_bytes=archive.size(name))
    source.photos = _record_set_photos(source, name)
    return source


def _record_set_photos(source, name):
    for terms, media in record_set(source.archive, name):
        source.observations += 1
        known = {plain_column(term): text for term, text in terms.items()}
        facts = facts_of([_first(known, names) for names in OF_OBSERVATION.values()])
        for photo in media:
            inner = {plain_column(term): text for term, text in photo.items()}
            values = {key: _first(inner, names) for key, names in PHOTO.items()}
            if inner.get("identifier", "").isdecimal():
                values["photo"] = inner["identifier"]
            yield photo_of(list(values.values()), facts)


def _first(known, names):
    return next((known[name] for name in names.split() if known.get(name)), "")
