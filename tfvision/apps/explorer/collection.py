"""A collection as the page sees it: pictures in a fixed order, and one or more layers of vectors over them."""

import dataclasses
import functools
import hashlib
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfvision.apps.explorer import similarity
from tfvision.apps.explorer.columns import Scale, scale_of
from tfvision.apps.explorer.corrections import Columns, corrected_columns
from tfvision.apps.explorer.facts import FileSize, file_size
from tfvision.errors import DataError
from tfvision.index.columns import metadata_columns
from tfvision.index.gallery import Gallery
from tfvision.index.locations import open_gallery
from tfvision.index.sources import GalleryPhotos

_RANDOM_PAIRS = 20_000
_REMEMBERED, _REMEMBERED_BYTES = 12, 24 * 2**20  # queries whose similarities are kept: so many, of a million pictures as many as have so many bytes
_LEAST_REMEMBERED = 4


class Pictures:
    """Pictures in a fixed order; a picture's position in it is what the page knows of it.

    Attributes:
      ids: a text each.
      columns: {name: (distinct values, int32 [n] positions in these, -1 = none)}, labels as they were corrected (`correct`).
      given: the same as the source has them.
      corrections: which version of the corrections the columns have.
      changes: how often the columns were replaced.
      answers: names of the columns that say what was answered to a picture, and are no labels (`say_more`).
    """

    def __init__(self, ids: list[str], path_of: Callable[[int], str], columns: Mapping[str, tuple[list[Any], np.ndarray]]) -> None:
        self.ids, self._path_of, self.columns, self.given, self.corrections = ids, path_of, columns, columns, 0
        self._own, self.answers, self.changes = columns, frozenset[str](), 0
        self._lock = threading.Lock()  # of who replaces columns
        self._kept: Mapping[str, Any] = {"version": 0, "columns": {}}  # the corrections that are shown
        self._sizes: dict[int, FileSize | None] = {}
        self._scales: dict[str, tuple[tuple[list[Any], np.ndarray], Scale | None]] = {}  # name -> (the column that it is of, it)

    @classmethod
    def of_gallery(cls, gallery: Gallery) -> "Pictures":
        """Those of an open gallery, which may be closed then: what is asked for of a row was read with its number."""
        live = gallery.live
        columns = {name: (column.values, np.asarray(column.codes)[live]) for name, column in gallery.columns.items()}
        return cls(gallery.live_ids, lambda position: gallery.image_of_row(live[position]), columns)

    @classmethod
    def of_photos(cls, photos: GalleryPhotos) -> "Pictures":
        """Photos, indexed or not."""
        columns = {name: (column.values, np.asarray(column.codes)) for name, column in metadata_columns(photos.metadata).items()}
        return cls(list(photos.ids), lambda position: photos.manifest.records[position].path, columns)

    def say_more(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        """Puts the columns of {id: {column: text}} before their own, in place of those that were said before."""
        found = metadata_columns([{name: text for name, text in texts.get(id, {}).items() if text} for id in self.ids])
        ordered = [name for name in dict.fromkeys(name for one in texts.values() for name in one) if name in found]
        more = {f"{name} (answer)" if name in self._own else name: (found[name].values, np.asarray(found[name].codes)) for name in ordered}
        with self._lock:
            self.answers, self.given = frozenset(more), {**more, **self._own}
            self._show(self._kept)

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, position: int) -> str:
        """Where a picture is."""
        return self._path_of(position)

    def size(self, position: int) -> FileSize | None:
        """The size of a picture's file, read once; None where it cannot be."""
        if position not in self._sizes:
            self._sizes[position] = file_size(self.path(position))
        return self._sizes[position]

    def correct(self, corrections: Mapping[str, Any]) -> None:
        """Shows labels as they are corrected (Corrections.read)."""
        with self._lock:
            self._show(corrections)

    def _show(self, corrections):
        self._kept, self.columns = corrections, corrected_columns(self.given, self.positions, corrections)
        self.corrections, self.changes = corrections["version"], self.changes + 1  # after the columns: who reads these first has columns as new at least

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """{id: position}."""
        return {id: position for position, id in enumerate(self.ids)}

    def with_scales(self) -> tuple[Columns, list[Scale | None]]:
        """(the columns, for each of them what a histogram and a range need of it, computed once; None for one of texts)."""
        columns, known = self.columns, self._scales
        scales = {name: known[name][1] if name in known and known[name][0] is column else scale_of(*column) for name, column in columns.items()}
        self._scales = {name: (columns[name], scale) for name, scale in scales.items()}
        return columns, list(scales.values())

    @functools.cached_property
    def scattered(self) -> tuple[np.ndarray, np.ndarray]:
        """(hashes of the ids, uint64 [n], ascending; positions int64 [n] in that order): an order by chance, which an update keeps."""
        digests = (hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest() for id in self.ids)
        hashes = np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
        order = np.argsort(hashes)
        return hashes[order], order

    @functools.cached_property
    def fingerprint(self) -> str:
        """A text that changes with the order of the pictures: a page that numbers them otherwise is out of date."""
        return f"{len(self.ids)}-{zlib.crc32(chr(10).join(self.ids).encode('utf-8', 'surrogatepass')):08x}"

    def metadata(self, position: int) -> dict[str, Any]:
        """{name: value} of a picture."""
        found = {name: (values, codes[position]) for name, (values, codes) in self.columns.items()}
        return {name: values[code] for name, (values, code) in found.items() if code >= 0}

    def members(self, label: str) -> tuple[str, str, np.ndarray]:
        """(column, value, positions of the pictures that have it) of `COLUMN=VALUE`, where either may hold a "=". Raises DataError."""
        for end in (number for number, letter in enumerate(label) if letter == "="):
            values, codes = self.columns.get(label[:end], ([], np.zeros(0, np.int32)))
            if label[end + 1 :] in (texts := list(map(str, values))):
                return label[:end], label[end + 1 :], np.flatnonzero(codes == texts.index(label[end + 1 :]))
        raise DataError(f"there is no picture with {label.replace('=', ' = ', 1)}")


class Layer:
    """The vectors of pictures by one network and layer, as the gallery is now; of one that has grown, another is made.

    Attributes:
      name: as the page shows it.
      location: of the gallery.
      gallery: open; it is not closed while someone may still ask.
      row_of: int64 [pictures], the gallery's row of each, -1 where it has none (yet).
      shortlists: {query's name: (Queries.changes_of it, k, positions of its first hits)}: small, and asked for again after every mark.
    """

    def __init__(self, name: str, location: str, pictures: Pictures) -> None:
        self.name, self.location, self.gallery = name, location, open_gallery(location)
        self._pictures, self._lock = pictures, threading.Lock()
        self.row_of = np.full(len(pictures), -1, np.int64)
        ids, rows = self.gallery.live_ids, self.gallery.live
        positions = np.arange(len(ids)) if ids == pictures.ids else np.array([pictures.positions.get(id, -1) for id in ids], np.int64)
        self.row_of[positions[positions >= 0]] = rows[positions >= 0]
        self._known: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # query's name -> (its vector, its similarities)
        self._ordered: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # query's name -> (its similarities, the same in order)
        self.shortlists: dict[str, tuple[int, int, list[int]]] = {}

    @property
    def dimension(self) -> int:
        return self.gallery.dimension

    @property
    def count(self) -> int:
        """How many pictures have a vector."""
        return int((self.row_of >= 0).sum())

    @property
    def fingerprint(self) -> str:
        """A text that changes with the vectors: results derived from them are kept under it."""
        rows = self.gallery.rows
        ends = [self.gallery.row_vectors[row].tobytes() for row in {0, rows // 2, rows - 1}] if rows else []
        return f"{rows}-{zlib.crc32(b''.join([*sorted(ends), self.row_of.tobytes()])):08x}"

    def vector(self, position: int) -> np.ndarray:
        """float32 [dimension] of a picture. Raises DataError where it has none."""
        row = self.row_of[position]
        if row < 0:
            raise DataError(f"{self._pictures.ids[position]} has no vector in {self.name}: it is not indexed yet, or it cannot be read")
        return np.array(self.gallery.row_vectors[row])

    def products(self, positions: np.ndarray) -> np.ndarray:
        """The similarity of every two of some pictures that have vectors, float32 [m, m]."""
        vectors = self.gallery.row_vectors[self.row_of[positions]]
        return vectors @ vectors.T

    def positions_of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Positions of the gallery's rows, -1 where a row is of none of the pictures (another process may have added it); -1 stays."""
        position_of = np.full(self.gallery.rows + 1, -1, np.int64)
        there = self.row_of >= 0
        position_of[self.row_of[there]] = np.flatnonzero(there)
        return position_of[np.where(rows < self.gallery.rows, rows, -1)]

    def compact_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """(vectors float32 [m, dimension] of those that have one, their positions int64 [m]); memory-mapped where nothing is missing."""
        there = np.flatnonzero(self.row_of >= 0)
        rows = self.row_of[there]
        is_whole = len(rows) == self.gallery.rows and np.array_equal(rows, np.arange(len(rows)))
        return (self.gallery.row_vectors if is_whole else self.gallery.row_vectors[rows]), there

    def similarities(self, key: str, vector: np.ndarray, excluded: Sequence[int] = ()) -> np.ndarray:
        """float32 [pictures] to a query; NaN for what has no vector and for the query's own pictures.

        Args:
          key: the query's name: the last dozen are remembered, with their vector: a group may have other members by now.
        """
        with self._lock:
            known = self._known.pop(key, None)
            if known is None or not np.array_equal(known[0], vector):
                by_row = np.append(similarity.similarities(self.gallery.row_vectors, vector), np.float32(np.nan))
                known = vector, by_row[self.row_of]
                known[1][list(excluded)] = np.nan
            self._known[key] = known
            while len(self._known) > max(_LEAST_REMEMBERED, min(_REMEMBERED, _REMEMBERED_BYTES // max(1, known[1].nbytes))):
                self._known.pop(next(iter(self._known)))
            return known[1]

    def ordered(self, key: str, scores: np.ndarray) -> np.ndarray:
        """The known scores in ascending order, remembered with the query."""
        kept = self._ordered.get(key)
        if kept is None or kept[0] is not scores:
            kept = scores, similarity.ordered(scores)
            with self._lock:
                self._ordered = {**{one: other for one, other in self._ordered.items() if one in self._known}, key: kept}
        return kept[1]

    def random_pairs(self) -> np.ndarray:
        """Similarities of random pairs, float32 [pairs], ascending: what a query that means nothing would have."""
        with self._lock:
            return self._pairs

    @functools.cached_property
    def _pairs(self) -> np.ndarray:
        return np.sort(similarity.random_pair_similarities(self.compact_vectors()[0], _RANDOM_PAIRS))


@dataclasses.dataclass(frozen=True)
class Collection:
    """Pictures and their layers.

    Attributes:
      name: for people.
      version: which of those that one run of the explorer has shown, from 1.
    """

    name: str
    pictures: Pictures
    version: int = 1
    layers: tuple[Layer, ...] = ()

    def layer(self, number: int) -> Layer:
        """A layer by its number. Raises DataError."""
        if not 0 <= number < len(self.layers):
            raise DataError("there are no vectors yet: the pictures are still being indexed" if not self.layers else f"there is no layer {number}")
        return self.layers[number]
