"""Which of a source's photos are kept: their rows made plain, filters, clean taxonomy, a cap for each species; reasons counted."""

import collections
import dataclasses
import hashlib
import itertools
import sqlite3
import typing
from collections.abc import Callable, Iterator, Mapping

from tfvision.data.detections import DETECTION_CONFIDENCE, check_confidence
from tfvision.data.folder_labels import split_word
from tfvision.data.imports.licences import KNOWN_LICENCES, plain_licence
from tfvision.data.imports.lineages import TWO_PARENTS, Lineages, misplaced_lineages
from tfvision.data.imports.photo_records import Source
from tfvision.data.imports.photo_rows import photo_address, plain_coordinates, plain_date
from tfvision.data.imports.tables import one_line
from tfvision.data.manifest import RANKS
from tfvision.data.names import KnownNames, plain_name, plain_taxon
from tfvision.errors import DataError

COLUMNS = ("image", *RANKS, "group", "license", "rights_holder", "creator", "url", "latitude", "longitude", "country", "date", "source_id")
NOT_A_PHOTO = "a sound, a video or a document"
NO_ADDRESS = "no address that begins with http"
LISTED_TWICE = "the same photo a second time"
BOXED_TWICE = "the same box in a photo a second time"
OVER_MAX, UNDER_MIN = "over --max-per-species", "under --min-per-species"
OPTIONAL_COLUMNS = ("box", "location", "split", "confidence")  # each only where the source says such a thing
UNSURE = "a detection below --detection-confidence"
_NUMBERED = "CASE WHEN count(*) OVER (PARTITION BY image) > 1 THEN image || '#' || row_number() OVER (PARTITION BY image ORDER BY rowid) ELSE '' END"
_BATCH = 10_000


@dataclasses.dataclass(frozen=True)
class Filters:
    """Which photos are wanted.

    Attributes:
      licences: of KNOWN_LICENCES; empty: any.
      is_research_grade: only observations that the source calls research grade.
      within: names of taxa of any rank; empty: all.
      countries: codes or names as the source writes them, in any case; empty: all.
      date_from, date_to: YYYY, YYYY-MM or YYYY-MM-DD, both included; "": no limit.
      max_per_species: photos at most; 0: no limit. Observations stay whole but for the last, which fills up.
      min_per_species: species with fewer photos are left out.
      keeps_gaps: lineages with a missing rank are kept; GBIF has no class for most fishes, no order for reptiles.
      detection_confidence: least confidence of a detector in its box, where a source tells it.
      seed: of the choice that max_per_species makes.
    """

    licences: tuple[str, ...] = ()
    is_research_grade: bool = False
    within: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    date_from: str = ""
    date_to: str = ""
    max_per_species: int = 0
    min_per_species: int = 1
    keeps_gaps: bool = False
    detection_confidence: float = DETECTION_CONFIDENCE
    seed: int = 0

    def __post_init__(self) -> None:
        """Makes values plain. Raises DataError."""
        plain = tuple(plain_licence(name) for name in self.licences)
        for given, name in zip(self.licences, plain, strict=True):
            if name not in KNOWN_LICENCES:
                raise DataError(f"--licence must be of {', '.join(KNOWN_LICENCES)}, got {given!r}")
        object.__setattr__(self, "licences", plain)
        check_confidence(self.detection_confidence)
        for name in ("date_from", "date_to"):
            date = getattr(self, name)
            if date and plain_date(date) != date:
                raise DataError(f"--{name.removeprefix('date_')} is YYYY, YYYY-MM or YYYY-MM-DD, got {date!r}")


class Selection:
    """The photos that are kept, in a scratch database.

    Attributes:
      read: rows read, one a photo, or one a box.
      read_photos: photos read.
      dropped: reason -> rows.
    """

    def __init__(self, database: sqlite3.Connection, source: Source, filters: Filters, size: str) -> None:
        self.read, self.read_photos, self.dropped = 0, 0, collections.Counter()
        self.lineages = Lineages(source, filters.keeps_gaps)
        self._database, self._source, self._filters, self._size = database, source, filters, size
        self._within = [plain_taxon(name) for name in filters.within]
        self._countries = {plain_name(name) for name in filters.countries}
        self._is_within = {}
        # No index while rows come; the rest of COLUMNS than image, lineage and group is kept as it will be written.
        rest = "license, rights_holder, creator, url, latitude, longitude, country, date, source_id"
        database.execute(f"CREATE TABLE photos (image, lineage INTEGER, observation, {rest}, {', '.join(OPTIONAL_COLUMNS)})")

    def fill(self, progress: Callable[[int], None] | None = None) -> None:
        """Reads the source to its end; progress(photos) is called now and then."""
        rows, last = [], None
        for photo in self._source.photos:
            self.read += 1
            self.read_photos += not (last and last.url == photo.url and (last.box or photo.box))
            last = photo
            row, reason = self._row(photo)
            if reason:
                self.dropped[reason] += 1
            else:
                rows.append(row)
            if len(rows) >= _BATCH:
                self._write(rows)
            if progress and not self.read % 1000:
                progress(self.read)
        self._write(rows)

    def settle(self) -> None:
        """Drops what only the whole shows: repetitions, names under two parents, species with too few or too many photos.

        Raises:
          DataError: a taxon of --within is nowhere.
        """
        self._check_within()
        self._delete(BOXED_TWICE, "box != '' AND rowid NOT IN (SELECT min(rowid) FROM photos GROUP BY image, box)")
        self._delete(LISTED_TWICE, "rowid NOT IN (SELECT min(rowid) FROM photos GROUP BY image, box)")
        self._database.execute("CREATE INDEX photos_species ON photos (lineage, observation)")
        counts = dict(self._database.execute("SELECT lineage, count(*) FROM photos GROUP BY lineage"))
        known = self.lineages.known
        misplaced = misplaced_lineages({known[number]: count for number, count in counts.items()})
        self._delete_lineages(TWO_PARENTS, [number for number in counts if known[number] in misplaced])
        for lineage in sorted(misplaced):
            self.lineages.add_example(TWO_PARENTS, f"{lineage[-1]} ({' / '.join(name for name in lineage[:-1] if name)})")
        self._delete_lineages(
            UNDER_MIN, [number for number, count in counts.items() if count < self._filters.min_per_species and known[number] not in misplaced]
        )
        if self._filters.max_per_species:
            self._cap(self._filters.max_per_species)

    def totals(self) -> dict[str, int]:
        """{"photos", "observations", "species"} that are kept, and where there are boxes {"boxes", "rows"}."""
        count = "SELECT count(*), count(DISTINCT observation), count(DISTINCT lineage), count(nullif(box, '')) FROM photos"
        rows, observations, species, boxes = self._database.execute(count).fetchone()
        found = {"photos": rows, "observations": observations, "species": species}
        if not boxes:
            return found
        (photos,) = self._database.execute("SELECT count(DISTINCT image) FROM photos").fetchone()
        return {**found, "photos": photos, "boxes": boxes, "rows": rows}

    def licences(self) -> dict[str, int]:
        """Licence -> photos kept, most first."""
        return {
            licence or "not given": count
            for licence, count in self._database.execute("SELECT license, count(*) FROM photos GROUP BY license ORDER BY 2 DESC, 1 LIMIT 50")
        }

    def ranks(self) -> list[str]:
        """The ranks that lineages which are kept have names at, coarsest first."""
        used = [self.lineages.known[number] for (number,) in self._database.execute("SELECT DISTINCT lineage FROM photos")]
        return [rank for rank, *names in zip(RANKS, *used, strict=True) if any(names)]

    def columns(self) -> tuple[str, ...]:
        """The names of what `rows` yields."""
        largest = self._database.execute(f"SELECT {', '.join(f'max({name})' for name in OPTIONAL_COLUMNS)} FROM photos").fetchone()
        totals = self.totals()
        id = ("id",) if totals.get("rows", 0) > totals["photos"] else ()  # of a gallery's items, where an image is no name of one row
        return (*COLUMNS, *(name for name, text in zip(OPTIONAL_COLUMNS, largest, strict=True) if text), *id)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yields what is kept in the order of the source, as values of `columns`."""
        columns = ", ".join(_NUMBERED if name == "id" else name for name in self.columns() if name not in ("image", *RANKS, "group"))
        for image, lineage, *rest in self._database.execute(f"SELECT image, lineage, observation, {columns} FROM photos ORDER BY rowid"):
            yield (image, *self.lineages.known[lineage], *rest)

    def _row(self, photo):
        if photo.problem:
            self.lineages.add_example(photo.problem, photo.url)
            return None, photo.problem
        url, number, suffix = photo_address(photo, self._size)
        if not suffix:
            return None, NOT_A_PHOTO
        if not url:
            return None, NO_ADDRESS
        lineage, reason = self.lineages.number(photo.taxon)
        date, licence = plain_date(photo.date), plain_licence(photo.license)
        reason = reason or self._filter(photo, lineage, date, licence)
        if reason:
            return None, reason
        name = hashlib.blake2b(url.encode(), digest_size=10).hexdigest()
        latitude, longitude = plain_coordinates(photo.latitude, photo.longitude)
        facts = (
            one_line(photo.rights_holder),
            one_line(photo.creator),
            url,
            latitude,
            longitude,
            one_line(photo.country),
            date,
            one_line(photo.source_id or number or photo.observation),
        )
        optional = (photo.box, one_line(photo.location), split_word(photo.split), photo.confidence)
        return (f"photos/{name[:2]}/{name}{suffix}", lineage, one_line(photo.observation) or name, licence, *facts, *optional), ""

    def _filter(self, photo, lineage, date, licence):
        """The reason why filters drop a photo, or ""."""
        filters = self._filters
        if photo.confidence and float(photo.confidence) < filters.detection_confidence:
            return UNSURE
        if self._within and not self._stands_within(lineage):
            return "outside --within"
        if filters.licences and licence not in filters.licences:
            return f"licence {licence if licence in KNOWN_LICENCES else 'of another kind' if licence else 'not given'}"
        if filters.is_research_grade and photo.grade.lower() not in ("research", "research grade", "research_grade"):
            return "not research grade"
        if self._countries and plain_name(photo.country) not in self._countries:
            return "another country" if photo.country else "no country"
        if filters.date_from or filters.date_to:
            if not date:
                return "no date"
            if date < filters.date_from[: len(date)] or (filters.date_to and date[: len(filters.date_to)] > filters.date_to):
                return "another date"
        return ""

    def _stands_within(self, lineage):
        if lineage not in self._is_within:
            self._is_within[lineage] = any(plain_taxon(name) in self._within for name in self.lineages.known[lineage])
        return self._is_within[lineage]

    def _check_within(self):
        names = {name for lineage in self.lineages.known for name in lineage if name}
        known = KnownNames(names)
        for given in self._filters.within:
            if not known.same(given):
                raise DataError(f"--within: no photo of {self._source.archive.path} with a clean taxonomy is of {given!r}{known.hint(given)}")

    def _write(self, rows):
        if rows:
            self._database.execute("BEGIN")
            self._database.executemany(f"INSERT INTO photos VALUES ({', '.join('?' * len(rows[0]))})", rows)
            self._database.execute("COMMIT")
            rows.clear()

    def _delete(self, reason, condition, values=()):
        self._count(reason, self._database.execute(f"DELETE FROM photos WHERE {condition}", values).rowcount)

    def _delete_lineages(self, reason, numbers):
        self._count(reason, sum(self._database.execute("DELETE FROM photos WHERE lineage = ?", (number,)).rowcount for number in numbers))

    def _count(self, reason, count):
        if count:
            self.dropped[reason] += count

    def _cap(self, most):
        self._database.execute("CREATE TABLE surplus (lineage INTEGER, observation, kept INTEGER)")
        groups = self._database.execute("SELECT lineage, observation, count(*) FROM photos GROUP BY lineage, observation ORDER BY lineage, observation")
        for lineage, members in itertools.groupby(groups, key=lambda row: row[0]):
            sizes = {observation: count for _, observation, count in members}
            if sum(sizes.values()) > most:
                kept = choose_groups(sizes, most, self._filters.seed)
                rows = [(lineage, observation, kept.get(observation, 0)) for observation, size in sizes.items() if kept.get(observation, 0) < size]
                self._database.executemany("INSERT INTO surplus VALUES (?, ?, ?)", rows)
        number = "row_number() OVER (PARTITION BY lineage, observation ORDER BY photos.rowid)"
        ranked = f"SELECT photos.rowid AS id, {number} AS number, kept FROM photos JOIN surplus USING (lineage, observation)"
        self._delete(OVER_MAX, f"rowid IN (SELECT id FROM ({ranked}) WHERE number > kept)")


def choose_groups(sizes: Mapping[str, int], most: int, seed: typing.Any) -> dict[str, int]:
    """Chooses groups at random so that their sizes come to `most`: whole ones, and a part of one to fill up.

    Args:
      sizes: group -> photos, more than `most` in all.

    Returns:
      group -> photos to keep, the chosen ones only.
    """
    order = sorted(sizes, key=lambda group: hashlib.blake2b(f"{seed}:{group}".encode(), digest_size=8).digest())
    kept, missing = {}, most
    for group in order:
        if sizes[group] <= missing:
            kept[group] = sizes[group]
            missing -= sizes[group]
    if missing:
        kept[next(group for group in order if group not in kept)] = missing
    return kept
