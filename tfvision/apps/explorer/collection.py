"""A collection as the page sees it: pictures in a fixed order, and one or more layers of vectors over them."""

import functools
import threading
import zlib

import numpy as np

from tfvision.apps.explorer import similarity
from tfvision.errors import DataError
from tfvision.index.columns import metadata_columns
from tfvision.index.gallery import Gallery

_RANDOM_PAIRS = 20_000
_REMEMBERED = 12  # queries whose similarities are kept


class Pictures:
    """Pictures in a fixed order; a picture's place in it is what the page knows of it.

    Attributes:
      ids: list of texts.
      columns: {name: (distinct values, int32 [n] places in these, -1 = none)}.
    """

    def __init__(self, ids, path_of, columns):
        self.ids, self._path_of, self.columns = ids, path_of, columns

    @classmethod
    def of_gallery(cls, gallery):
        """Those of an open Gallery."""
        live = gallery.live
        columns = {name: (column.values, np.asarray(column.codes)[live]) for name, column in gallery.columns.items()}
        return cls(list(gallery.ids), lambda place: gallery.image_of_row(live[place]), columns)

    @classmethod
    def of_photos(cls, photos):
        """Those of sources.GalleryPhotos, indexed or not."""
        columns = {name: (column.values, np.asarray(column.codes)) for name, column in metadata_columns(photos.metadata).items()}
        return cls(list(photos.ids), lambda place: photos.manifest.records[place].path, columns)

    def __len__(self):
        return len(self.ids)

    def path(self, place):
        """Where a picture is."""
        return self._path_of(place)

    @functools.cached_property
    def places(self):
        """{id: place}."""
        return {id: place for place, id in enumerate(self.ids)}

    def metadata(self, place):
        """{name: value} of a picture."""
        found = {name: (values, codes[place]) for name, (values, codes) in self.columns.items()}
        return {name: values[code] for name, (values, code) in found.items() if code >= 0}

    def members(self, column, value):
        """Places of the pictures that have a value. Raises DataError for a column or value that is not there."""
        values, codes = self.columns.get(column, ([], None))
        if value not in map(str, values):
            raise DataError(f"there is no picture with {column} = {value}")
        return np.flatnonzero(codes == list(map(str, values)).index(value))


class Layer:
    """The vectors of pictures by one network and layer, in a gallery that may still grow.

    Attributes:
      name: as the page shows it.
      gallery: an open Gallery.
      row_of: int64 [pictures], the gallery's row of each, -1 where it has none (yet).
    """

    def __init__(self, name, folder, pictures):
        self.name, self.folder = name, folder
        self._pictures, self._lock = pictures, threading.Lock()
        self.refresh()

    def refresh(self):
        """Reads what was added to the gallery since."""
        gallery = Gallery.open(self.folder)
        ids = gallery.ids
        places = self._pictures.places if len(gallery) else {}
        row_of = np.full(len(self._pictures), -1, np.int64)
        for row, id in zip(gallery.live.tolist(), ids, strict=True):
            if id in places:
                row_of[places[id]] = row
        self.gallery, self.row_of = gallery, row_of
        self._known, self._ordered, self._pairs = {}, {}, None
        self.shortlists = {}  # {query's name: places of its first hits}: small, and asked for again after every mark

    @property
    def dimension(self):
        return self.gallery.dimension

    @property
    def count(self):
        """How many pictures have a vector."""
        return int((self.row_of >= 0).sum())

    @functools.cached_property
    def recipe(self):
        """The gallery's recipe, or {}."""
        return self.gallery.facts.get("recipe", {})

    @property
    def fingerprint(self):
        """A text that changes with the vectors: results derived from them are kept under it."""
        rows = self.gallery.rows
        ends = [self.gallery.row_vectors[row].tobytes() for row in {0, rows // 2, rows - 1}] if rows else []
        return f"{rows}-{zlib.crc32(b''.join([*sorted(ends), self.row_of.tobytes()])):08x}"

    def vector(self, place):
        """float32 [dimension] of a picture. Raises DataError where it has none."""
        row = self.row_of[place]
        if row < 0:
            raise DataError(f"{self._pictures.ids[place]} has no vector in {self.name}: it is not indexed yet, or it cannot be read")
        return np.array(self.gallery.row_vectors[row])

    def places_of_rows(self, rows):
        """Places of the gallery's rows, -1 where a row is of none of the pictures; -1 stays."""
        place_of = np.full(self.gallery.rows + 1, -1, np.int64)
        there = self.row_of >= 0
        place_of[self.row_of[there]] = np.flatnonzero(there)
        return place_of[rows]

    def compact_vectors(self):
        """(vectors float32 [m, dimension] of those that have one, their places int64 [m]); memory-mapped where nothing is missing."""
        there = np.flatnonzero(self.row_of >= 0)
        rows = self.row_of[there]
        is_whole = len(rows) == self.gallery.rows and np.array_equal(rows, np.arange(len(rows)))
        return (self.gallery.row_vectors if is_whole else self.gallery.row_vectors[rows]), there

    def similarities(self, key, vector, excluded=()):
        """float32 [pictures] to a query; NaN for what has no vector and for the query's own pictures.

        Args:
          key: the query's name: the last dozen are remembered.
        """
        with self._lock:
            found = self._known.pop(key, None)
            if found is None:
                by_row = np.append(similarity.similarities(self.gallery.row_vectors, vector), np.float32(np.nan))
                found = by_row[self.row_of]
                found[list(excluded)] = np.nan
            self._known[key] = found
            while len(self._known) > _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            return found

    def ordered(self, key, scores):
        """The known scores in ascending order, remembered with the query."""
        if key not in self._ordered or key not in self._known:
            self._ordered = {one: kept for one, kept in self._ordered.items() if one in self._known}
            self._ordered[key] = np.sort(scores[~np.isnan(scores)])
        return self._ordered[key]

    def random_pairs(self):
        """Similarities of random pairs, float32 [pairs], ascending: what a query that means nothing would have."""
        with self._lock:
            if self._pairs is None:
                vectors, _ = self.compact_vectors()
                self._pairs = np.sort(similarity.random_pair_similarities(vectors, _RANDOM_PAIRS))
            return self._pairs


class Collection:
    """Pictures and their layers."""

    def __init__(self, name, pictures, version=1):
        self.name, self.pictures, self.version, self.layers = name, pictures, version, []

    def layer(self, number):
        """A layer by its number. Raises DataError."""
        if not 0 <= number < len(self.layers):
            raise DataError("there are no vectors yet: the pictures are still being indexed" if not self.layers else f"there is no layer {number}")
        return self.layers[number]
