"""Photos of a Darwin Core archive: the rows of all its extensions with media, each joined with the occurrence that it shows."""

import functools
import itertools
import sqlite3
from collections.abc import Iterator, Sequence

from tfvision.data.csv_table import plain_column
from tfvision.data.imports.archives import Archive
from tfvision.data.imports.darwin_core import DarwinCore, File
from tfvision.data.imports.fields import OBSERVATION, OF_OBSERVATION, PHOTO, PHOTO_ADDRESSES, TAXON, Facts, Fields, facts_of, photo_of, ranks_of
from tfvision.data.imports.flat_tables import flat_photos, photos_of_cell
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_records import Photo, Source
from tfvision.data.imports.scratch import MOST_KEYS, Lookup
from tfvision.data.imports.tables import Table
from tfvision.errors import DataError

NO_OBSERVATION = "its observation is not in the archive"
SEVERAL_TAXA = "its event has several taxa, and no occurrenceID says which it shows"
_OF_EVENT = ("latitude", "longitude", "location", "country", "date", "year", "month", "day")
_PLACES_OF_EVENT = tuple(map(tuple(OF_OBSERVATION).index, _OF_EVENT))


def archive_source(archive: Archive, described: DarwinCore, database: sqlite3.Connection) -> Source:
    """The photos of a Darwin Core archive: of all its extensions with media, and of what occurrences say of their photos themselves."""
    core, occurrences, media = described.core, described.occurrences, described.media
    if occurrences is None:
        raise DataError(f"{archive.path} lists events only: no extension of its meta.xml lists the occurrences, so that no photo has a species")
    if not media and not _has_photos(occurrences.table):
        raise DataError(
            f"{archive.path} lists no photos: its meta.xml describes no multimedia extension. Ask GBIF for a Darwin Core Archive of occurrences with images"
        )
    used = {id(file): file for file in (core, occurrences, *media)}
    unread = tuple(f"{file.kind} ({', '.join(file.table.members)})" for file in described.extensions if id(file) not in used)
    total_bytes = sum(file.table.bytes(archive) for file in used.values())
    source = Source("darwin-core-archive", archive, iter(()), ranks_of(occurrences.table.names), total_bytes, unread=unread)
    is_flat = not media and occurrences is core
    source.photos = flat_photos(source, core.table) if is_flat else _joined_photos(source, described, database)
    return source


def _joined_photos(source: Source, described: DarwinCore, database: sqlite3.Connection) -> Iterator[Photo]:
    occurrences = _Occurrences(source, described, database)
    for file in described.media:
        fields = Fields(file.table.names, PHOTO)
        rows = file.table.rows(source.archive, (file.key, _occurrence_id(file.table), *fields.columns))
        while batch := list(itertools.islice(rows, MOST_KEYS // 2)):
            all_facts = occurrences.find([(core_id.strip(), occurrence_id.strip()) for core_id, occurrence_id, *_ in batch])
            for (_, _, *row), facts in zip(batch, all_facts, strict=True):
                values = fields.values(row)
                yield Photo(values[0], RawTaxon(), problem=facts) if isinstance(facts, str) else photo_of(values, facts)
    yield from occurrences.own_photos()


class _Occurrences:
    """The occurrences of an archive, found by whatever its media name them by.

    In an archive of events an occurrence has the date and the place of its event where it says nothing of them itself.
    """

    def __init__(self, source: Source, described: DarwinCore, database: sqlite3.Connection) -> None:
        self._source, self._file, self._database = source, described.occurrences, database
        self._names_photos = _has_photos(self._file.table)
        of_photo = {**PHOTO, "url": " ".join(PHOTO_ADDRESSES)} if self._names_photos else {}
        self._fields = Fields(self._file.table.names, {**of_photo, **OF_OBSERVATION})
        self._event = None if described.core is self._file else self._read_events(described.core)
        self._taxon_of_event: dict[str, tuple[str, ...] | None] = {}  # None where it has several
        self._by_core_id = Lookup(database, "observations")
        self._by_core_id.fill(map(self._counted, self._rows()))
        self._is_shown = bytearray(source.observations)

    def find(self, ids: Sequence[tuple[str, str]]) -> Iterator[Facts | str]:
        """Of each (core id, occurrenceID) the facts of its occurrence, or the reason why there are none.

        In an archive of events the core id is the event's: it tells the taxon where the event has one only.
        """
        by_core_id = self._by_core_id.get_all(list({core_id for core_id, _ in ids} - {""}))
        needs_ids = self._event or any(core_id not in by_core_id for core_id, _ in ids)
        by_id = self._by_id.get_all(list({id for pair in ids for id in pair} - {""})) if needs_ids else {}
        for core_id, id in ids:
            own = None if self._event else by_core_id.get(core_id)
            found = own or by_id.get(id) or by_id.get(core_id)
            if found:
                number, core_id, *values = found
                self._is_shown[int(number)] = True
                yield self._facts(core_id, values)
            elif self._taxon_of_event.get(core_id) and not (id and _occurrence_id(self._file.table)):
                yield facts_of(by_core_id[core_id][-len(OF_OBSERVATION) :], core_id)
            else:
                yield SEVERAL_TAXA if core_id in self._taxon_of_event and not id else NO_OBSERVATION

    def own_photos(self) -> Iterator[Photo]:
        """The photos that occurrences name themselves, of those that no extension shows."""
        if self._names_photos:
            for _, _, number, core_id, *values in self._rows():
                if not self._is_shown[int(number)]:
                    yield from photos_of_cell(values[: len(PHOTO)], self._facts(core_id, values))

    @functools.cached_property
    def _by_id(self) -> Lookup:
        """By occurrenceID; the table is read again for it, which most archives do not need."""
        lookup = Lookup(self._database, "occurrence_ids")
        lookup.fill(row[1:] for row in self._rows() if row[1])
        return lookup

    def _facts(self, core_id: str, values: Sequence[str]) -> Facts:
        values = values[-len(OF_OBSERVATION) :]
        return facts_of(values, "" if self._event and values[0] else core_id)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        """Yields (core id, occurrenceID, number, core id, values of the fields...)."""
        table, fields = self._file.table, self._fields
        rows = table.rows(self._source.archive, (self._file.key, _occurrence_id(table), *fields.columns))
        for number, (core_id, id, *row) in enumerate(rows):
            core_id, values = core_id.strip(), fields.values(row)
            if self._event and (event := self._event(core_id)):
                for place, text in zip(_PLACES_OF_EVENT, event, strict=True):
                    place -= len(OF_OBSERVATION)
                    values[place] = values[place] or text
            yield core_id, id.strip(), str(number), core_id, *values

    def _counted(self, row: Sequence[str]) -> tuple[str, ...]:
        self._source.observations += 1
        if self._event:
            event, taxon = row[0], tuple(row[-len(TAXON) :])
            if self._taxon_of_event.setdefault(event, taxon) != taxon:
                self._taxon_of_event[event] = None
        return row[0], *row[2:]

    def _read_events(self, core: File):
        fields = Fields(core.table.names, {name: OBSERVATION[name] for name in _OF_EVENT})
        lookup = Lookup(self._database, "events")
        lookup.fill((key, *fields.values(row)) for key, *row in core.table.rows(self._source.archive, (core.key, *fields.columns)))
        return functools.lru_cache(10_000)(lookup.get)


def _has_photos(table: Table) -> bool:
    return any(plain_column(name) in PHOTO_ADDRESSES for name in table.names)


def _occurrence_id(table: Table) -> str:
    return next((name for name in table.names if plain_column(name) == "occurrenceid"), "")
