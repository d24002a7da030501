"""A gallery: vectors of pictures with ids, paths, metadata and the recipe that made them, in a folder.

The format is described in docs/gallery.md. A gallery is read memory-mapped by any number of processes while one writes.
"""

import collections
import functools
import os

import numpy as np

from tfvision.errors import GalleryError
from tfvision.index import search
from tfvision.index.columns import Column, LiveRows, RowEncoder, TextLines, codes_file, values_file
from tfvision.index.filters import matching
from tfvision.index.storage import MANIFEST, Storage

_CHUNK_ROWS = 65_536
_WHITENING_FILES = ("whitening-mean.f32", "whitening-projection.f32")
_LARGEST_SHARE_REMOVED = 0.2  # of the rows, before the files are written anew without them


class Gallery:
    """An open gallery; use it as a context manager, or close it.

    A removed picture stays as a row that is not live until the files are written anew. `vectors`, `ids`, `images` and
    `metadata` are of the live rows, in one order; what has `rows` in its name counts all.

    Attributes:
      facts: a dict: "recipe", "identity" and whatever else its maker wrote.
    """

    def __init__(self, storage):
        self._storage = storage
        self.derived = {}  # what search built of these rows, by name

    @classmethod
    def create(cls, folder, dimension, facts=None):
        """A new, empty gallery, opened for writing. Raises GalleryError, StorageError."""
        if dimension < 1:
            raise GalleryError(f"a gallery's dimension must be at least 1, got {dimension}")
        return cls(Storage.create(folder, {"dimension": dimension, "columns": [], "facts": facts or {}}))

    @classmethod
    def open(cls, folder, writable=False):
        """Opens a gallery to read, or as its only writer.

        Raises:
          GalleryError: no gallery, a missing or damaged file (named), or another writer.
        """
        return cls(Storage(folder, writable))

    @classmethod
    def exists(cls, folder):
        """Whether a folder holds a gallery."""
        return os.path.exists(os.path.join(folder, MANIFEST))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __len__(self):
        return len(self.live)

    def close(self):
        """Gives the writer's lock back."""
        self._storage.close()

    @property
    def folder(self):
        """The folder, a Path."""
        return self._storage.folder

    @property
    def data_folder(self):
        """The folder of the files that count now; what is derived from them lies beside them."""
        return self._storage.data

    @property
    def dimension(self):
        """Values a vector."""
        return self._storage.state["dimension"]

    @property
    def facts(self):
        """What was written at its making, a dict."""
        return self._storage.state["facts"]

    @functools.cached_property
    def row_vectors(self):
        """float32 [rows, dimension], memory-mapped, rows that are not live included."""
        return self._storage.bytes_of("vectors.f32").view("<f4").reshape(-1, self.dimension)

    @property
    def rows(self):
        """How many rows there are, rows that are not live included."""
        return len(self.row_vectors)

    @functools.cached_property
    def live(self):
        """The numbers of live rows, int64 [images], ascending."""
        is_live = np.ones(len(self.row_vectors), bool)
        is_live[self._storage.bytes_of("removed.i64").view("<i8")] = False
        return np.flatnonzero(is_live)

    @functools.cached_property
    def columns(self):
        """{name: Column} of the metadata, over all rows."""
        read = self._storage.bytes_of
        return {name: Column(read(values_file(number)), read(codes_file(number)).view("<i4")) for number, name in enumerate(self._storage.state["columns"])}

    @functools.cached_property
    def whitening(self):
        """What whitened the vectors (features.whitening.Whitening), or None."""
        mean, projection = (self._storage.bytes_of(name).view("<f4") for name in _WHITENING_FILES)
        if not len(mean):
            return None
        from tfvision.features.whitening import Whitening

        return Whitening(mean, projection.reshape(len(mean), -1))

    @property
    def vectors(self):
        """float32 [images, dimension]; memory-mapped where no row is removed, else a copy."""
        return self.row_vectors if len(self) == len(self.row_vectors) else self.row_vectors[self.live]

    @property
    def ids(self):
        """The id of each picture, a sequence of texts."""
        return LiveRows(self.live, self.id_of_row)

    @property
    def images(self):
        """The path of each picture, a sequence."""
        return LiveRows(self.live, self.image_of_row)

    @property
    def metadata(self):
        """A sequence of {name: value}; names without a value are left out."""
        return LiveRows(self.live, self.metadata_of_row)

    def id_of_row(self, row):
        """The id of a row."""
        return self._id_lines[row]

    def image_of_row(self, row):
        """The path of a row's picture: relative to the working folder where it lies below, else absolute."""
        return path_from_here(os.path.normpath(os.path.join(self._root, self._image_lines[row])))

    def metadata_of_row(self, row):
        """{name: value} of a row."""
        values = {name: column[row] for name, column in self.columns.items()}
        return {name: value for name, value in values.items() if value is not None}

    def row_of(self, id):
        """The live row that has an id, or None."""
        return self._rows_by_id.get(id)

    def is_of(self, row, image):
        """Whether a row is of the picture at a path."""
        return self._image_lines[row] == self._relative(image)

    def rows_where(self, where=None):
        """bool [rows]: the live rows that fulfil all conditions (filters.matching). Raises DataError."""
        is_live = np.zeros(len(self.row_vectors), bool)
        is_live[self.live] = True
        return is_live & matching(self.columns, len(is_live), where)

    def mask_where(self, where=None):
        """As `rows_where`; None where that is every row."""
        return None if not where and len(self) == self.rows else self.rows_where(where)

    def vectors_of_rows(self, rows):
        """float32 [..., dimension] of rows int64 [...]."""
        return self.row_vectors[rows]

    def nearest(self, queries, k, mask=None, method="auto"):
        """The rows of largest inner product: search.nearest."""
        return search.nearest(self, queries, k, mask, method)

    def indexes(self):
        """What is known of each approximate index: [{"method", "rows", "recall", ...}]."""
        return search.index_facts(self)

    def refresh_index(self, say):
        """Builds the approximate index where one is due and none is fresh; `say` is called with a line before that."""
        method = search.chosen_method(self.rows)
        if method != "exact":
            say(f"the {method} index of {len(self)} vectors is built where it is not fresh; this can take minutes")
            search.open_index(self, method)

    def add(self, ids, vectors, images, metadata=None):
        """Adds pictures, all or none.

        Args:
          ids: texts that the gallery does not have yet.
          vectors: float32 [n, dimension], finite.
          images: paths; kept relative to the gallery's folder.
          metadata: a dict of texts, numbers and truths for each, or None.

        Raises:
          GalleryError: an id twice, NaN or infinite vectors, another dimension, open for reading only.
          StorageError: a full disk, say; the gallery is as it was.
        """
        self._add(ids, vectors, images, metadata)

    def remove(self, ids):
        """Removes pictures by id, all or none. Raises GalleryError for an id that is not there, StorageError."""
        rows = {id: self.row_of(id) for id in ids}
        unknown = next((id for id, row in rows.items() if row is None), None)
        if unknown is not None:
            raise GalleryError(f"{self.folder} has no picture with the id {unknown!r}: nothing was removed")
        self._storage.append({"removed.i64": np.array(list(rows.values()), "<i8")})
        for id in rows:
            del self._rows_by_id[id]
        self._forget()
        self._compact()

    def replace(self, ids, vectors, images, metadata=None):
        """As `add`, in place of pictures that have these ids now, all or none."""
        self._add(ids, vectors, images, metadata, removed=[row for row in map(self.row_of, ids) if row is not None], is_new=False)

    def set_facts(self, **facts):
        """Changes entries of `facts`. Raises StorageError."""
        self._storage.append({}, facts={**self.facts, **facts})

    def rewrite(self, whitening=None, **facts):
        """Writes all files anew: without removed rows and, if asked for, every vector whitened.

        Args:
          whitening: features.whitening.Whitening fitted on these vectors, kept for the vectors to come; None = as it was.
          facts: entries of `facts` to change.

        Raises:
          StorageError: the gallery is as it was.
        """
        encoder = RowEncoder()
        kept = whitening or self.whitening
        changes = {"facts": {**self.facts, **facts}, "dimension": kept.projection.shape[1] if kept else self.dimension}
        self._storage.rewrite(self._pieces(encoder, whitening, kept), lambda: {**changes, "columns": encoder.names})
        self._forget("_rows_by_id", "_encoder")
        self.derived.clear()

    def check(self):
        """Reads every file and compares its checksum. Raises GalleryError that names the damaged one."""
        self._storage.check()

    def info(self):
        """{"gallery", "images", "removed", "dimension", "megabytes", "metadata": {name: distinct values}, facts...}."""
        megabytes = sum(extent["bytes"] for extent in self._storage.state["files"].values()) / 1e6
        return {
            "gallery": str(self.folder),
            "images": len(self),
            "removed": len(self.row_vectors) - len(self),
            "dimension": self.dimension,
            "megabytes": round(megabytes, 1),
            "metadata": {name: len(column.values) for name, column in self.columns.items()},
            **self.facts,
        }

    @functools.cached_property
    def _root(self):
        return os.path.realpath(self.folder)

    @functools.cached_property
    def _id_lines(self):
        return TextLines(self._storage.bytes_of("ids.jsonl"))

    @functools.cached_property
    def _image_lines(self):
        return TextLines(self._storage.bytes_of("images.jsonl"))

    @functools.cached_property
    def _rows_by_id(self):
        ids = self._id_lines.all()
        return {ids[row]: row for row in self.live.tolist()}

    @functools.cached_property
    def _encoder(self):
        return RowEncoder(len(self.row_vectors), {name: column.values for name, column in self.columns.items()})

    def _add(self, ids, vectors, images, metadata, removed=(), is_new=True):
        ids, first = list(ids), len(self.row_vectors)
        vectors = check_additions(self, ids, vectors, self._rows_by_id if is_new else ())
        images = [self._relative(image) for image in images]
        try:
            pieces = self._encoder.encode(ids, vectors, images, metadata or [{}] * len(ids))
            pieces["removed.i64"] = np.array(removed, "<i8")
            self._storage.append(pieces, columns=self._encoder.names)
        except BaseException:
            self._forget("_encoder")  # it has counted rows that are not there
            raise
        self._rows_by_id.update(zip(ids, range(first, first + len(ids)), strict=True))
        self._forget()
        self._compact()

    def _relative(self, image):
        return os.path.relpath(real_path(image), self._root)

    def _compact(self):
        if len(self.row_vectors) - len(self) > _LARGEST_SHARE_REMOVED * len(self.row_vectors):
            self.rewrite()

    def _pieces(self, encoder, whitening, kept):
        if kept:
            arrays = zip(_WHITENING_FILES, (kept.mean, kept.projection), strict=True)
            yield {name: np.ascontiguousarray(array, "<f4") for name, array in arrays}
        for start in range(0, len(self), _CHUNK_ROWS):
            rows = self.live[start : start + _CHUNK_ROWS]
            vectors = whitening.apply(self.row_vectors[rows]) if whitening else self.row_vectors[rows]
            ids, images = ([lines[row] for row in rows] for lines in (self._id_lines, self._image_lines))
            yield encoder.encode(ids, vectors, images, [self.metadata_of_row(row) for row in rows])

    def _forget(self, *more):
        """Forgets what was read of the files before they changed."""
        for name in ("row_vectors", "live", "whitening", "columns", "_id_lines", "_image_lines", *more):
            self.__dict__.pop(name, None)


def check_additions(gallery, ids, vectors, known):
    """Vectors as float32 [n, dimension], where they can be added to a gallery under these ids and none is in `known`.

    Raises:
      GalleryError: an id twice, NaN or infinite vectors, another dimension.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.shape != (len(ids), gallery.dimension):
        raise GalleryError(f"{gallery.folder} holds vectors of {gallery.dimension} values, got {list(vectors.shape)} for {len(ids)} pictures")
    is_finite = np.isfinite(vectors).all(axis=1)
    if not is_finite.all():
        raise GalleryError(f"the vector of {ids[np.argmin(is_finite)]} is not finite (NaN or infinite): nothing was added")
    there = [id for id in ids if id in known]
    twice = there or [id for id, count in collections.Counter(ids).items() if count > 1]
    if twice:
        raise GalleryError(f"{gallery.folder} has the id {twice[0]!r} already, or it is given twice: remove it first, or replace it")
    return vectors


def real_path(image):
    """The absolute path of a picture, links of its folders resolved."""
    parent, name = os.path.split(image)
    return os.path.join(os.path.realpath(parent), name)


def path_from_here(path):
    """An absolute path, relative to the working folder where it lies below."""
    here = os.getcwd()
    return os.path.relpath(path, here) if path.startswith(os.path.join(here, "")) else path
