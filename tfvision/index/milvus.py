"""A gallery in Milvus: what index.gallery.Gallery keeps in a folder, in collections of a server or of a milvus-lite file.

The collection COLLECTION says what counts: its row 0 is a JSON text with the dimension, the facts and the name of the
collection that holds the vectors, COLLECTION_data_1; the other rows hold the whitening. Writing everything anew makes
COLLECTION_data_2 and then changes row 0, in one step. The conditions of a filter are judged here, as a folder's are;
Milvus is asked by row number only, so that no text of a user is ever part of an expression.
"""

import base64
import functools
import json
import os

import numpy as np

from tfvision.errors import DataError, GalleryError, RecipeError
from tfvision.index import flat
from tfvision.index.columns import LiveRows, metadata_columns
from tfvision.index.filters import matching
from tfvision.index.gallery import check_additions, path_from_here, real_path
from tfvision.index.milvus_server import LARGEST_ANSWER, ask, connect, create_collection, index_of_kind, lite_file, parse_place, read_texts, write_texts
from tfvision.index.storage import FORMAT

_TEXT_CHARACTERS = 60_000  # of a row; Milvus allows 65,535 bytes
_ROWS_AT_ONCE = 1024  # of a request with vectors: Milvus takes 64 MB
_RECORDS_AT_ONCE = 8192  # of one without; Milvus answers at most 16,384
_RECORD = ["row", "record", "metadata"]
_HNSW_FROM = 50_000  # rows; below, Milvus compares all vectors, too


class MilvusGallery:
    """An open gallery in Milvus; use it as a context manager, or close it.

    It answers as index.gallery.Gallery does, whose docstrings hold. A picture's row is its primary key; numbers of removed
    rows are not used again while later ones exist. There is no lock: only one may write, and has to see to that.

    Attributes:
      folder: the place as it was given, for messages.
      dimension: values a vector.
      facts: a dict.
      whitening: features.whitening.Whitening, or None.
    """

    def __init__(self, place, client, state, writable):
        self.folder, self._client, self._is_writable = str(place), client, writable
        self._name, self._known = parse_place(place)[1], {}  # {row: (id, path, metadata)}
        self._read(state)

    @classmethod
    def create(cls, place, dimension, facts=None):
        """A new, empty gallery, opened for writing.

        Raises:
          GalleryError: there is such a collection already, or Milvus cannot be reached.
          UserError: pymilvus is not installed.
        """
        if dimension < 1:
            raise GalleryError(f"a gallery's dimension must be at least 1, got {dimension}")
        client = connect(place, is_new=True)
        try:
            return cls(place, client, _create_gallery(place, client, dimension, facts), writable=True)
        except BaseException:
            client.close()
            raise

    @classmethod
    def open(cls, place, writable=False):
        """Opens a gallery to read, or as its only writer.

        Raises:
          GalleryError: Milvus cannot be reached, has no such collection, or one that is no gallery.
          UserError: pymilvus is not installed.
        """
        client, name = connect(place), parse_place(place)[1]
        try:
            if not ask(place, client.has_collection, name):
                raise GalleryError(f"{place} does not exist: make it with `tfvision index build IMAGES --out {place}`, or check the collection's name")
            ask(place, client.load_collection, name)
            return cls(place, client, _read_state(place, client, name), writable)
        except BaseException:
            client.close()
            raise

    @classmethod
    def exists(cls, place):
        """Whether there is such a collection; errors as of `open`."""
        name, file = parse_place(place)[1], lite_file(place)
        if file and not os.path.exists(file):
            return False
        client = connect(place)
        try:
            return ask(place, client.has_collection, name)
        finally:
            client.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __len__(self):
        return self._ask(self._client.query, self._data, filter="", output_fields=["count(*)"])[0]["count(*)"]

    def close(self):
        """Ends the connection."""
        self._client.close()

    @property
    def rows(self):
        """One more than the last row's number."""
        return int(self.live[-1]) + 1 if len(self.live) else 0

    @functools.cached_property
    def live(self):
        """The numbers of all rows, int64 [images], ascending; what is known of them is read on the way."""
        found = {}
        every = self._ask(self._client.query_iterator, self._data, batch_size=_RECORDS_AT_ONCE, filter="row >= 0", output_fields=_RECORD)
        while batch := self._ask(lambda **_: every.next()):
            found |= _unpacked_rows(batch)
        every.close()
        self._known = found
        return np.array(sorted(found), np.int64)

    @property
    def vectors(self):
        """float32 [images, dimension], in memory."""
        return np.concatenate([np.zeros((0, self.dimension), np.float32), *(vectors for _, vectors in self._chunks(self.live))])

    @property
    def ids(self):
        return LiveRows(self.live, self.id_of_row)

    @property
    def images(self):
        return LiveRows(self.live, self.image_of_row)

    @property
    def metadata(self):
        return LiveRows(self.live, self.metadata_of_row)

    def id_of_row(self, row):
        return self._record(row)[0]

    def image_of_row(self, row):
        return path_from_here(self._record(row)[1])

    def metadata_of_row(self, row):
        return self._record(row)[2]

    def row_of(self, id):
        return self._rows_by_id.get(id)

    def is_of(self, row, image):
        return self._record(row)[1] == real_path(image)

    def rows_where(self, where=None):
        fulfilled = np.zeros(self.rows, bool)
        fulfilled[self.live] = matching(self._columns, len(self.live), where)
        return fulfilled

    def mask_where(self, where=None):
        return self.rows_where(where) if where else None

    def vectors_of_rows(self, rows):
        """float32 [..., dimension] of rows int64 [...]; zeros where a row is -1."""
        own, places = np.unique(rows, return_inverse=True)
        vectors = np.zeros((len(own), self.dimension), np.float32)
        if (own >= 0).any():
            vectors[own >= 0] = np.concatenate([part for _, part in self._chunks(own[own >= 0])])
        return vectors[places.reshape(rows.shape)]

    def nearest(self, queries, k, mask=None, method="auto"):
        """As search.nearest. "auto" and "hnsw" ask Milvus's own index; "exact" compares all vectors here where that is HNSW."""
        if method == "ivfpq":
            raise RecipeError("the method of search in Milvus must be auto, exact or hnsw, got 'ivfpq'")
        if k > LARGEST_ANSWER or (method == "exact" and self.index() != "flat"):
            return self._compared(queries, k, mask)
        options = {"data": list(queries), "limit": k, "output_fields": _RECORD[1:], "filter": "" if mask is None else _among(mask)}
        answers = self._ask(self._client.search, self._data, search_params={"params": {"ef": max(256, 2 * k)}}, **options)
        rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        for place, hits in enumerate(answers):
            rows[place, : len(hits)] = [hit["row"] for hit in hits]
            scores[place, : len(hits)] = [hit["distance"] for hit in hits]
            self._known.update({hit["row"]: _unpacked(hit["entity"]) for hit in hits})
        return rows, scores

    def add(self, ids, vectors, images, metadata=None):
        """As Gallery.add; of more than a thousand pictures, what came before a failure stays."""
        self._write(ids, vectors, images, metadata)

    def replace(self, ids, vectors, images, metadata=None):
        """As `add`, in place of pictures that have these ids now."""
        self._write(ids, vectors, images, metadata, is_new=False)

    def remove(self, ids):
        self._check_writable()
        rows = {id: self.row_of(id) for id in ids}
        unknown = next((id for id, row in rows.items() if row is None), None)
        if unknown is not None:
            raise GalleryError(f"{self.folder} has no picture with the id {unknown!r}: nothing was removed")
        if rows:
            self._ask(self._client.delete, self._data, ids=list(rows.values()))
        self._forget()

    def set_facts(self, **facts):
        self._commit({**self._state, "facts": {**self.facts, **facts}})

    def rewrite(self, whitening=None, **facts):
        """As Gallery.rewrite, into a new collection."""
        self._check_writable()
        kept, old = whitening or self.whitening, self._data
        stem, _, number = old.rpartition("_")
        new = f"{stem}_{int(number) + 1}"
        dimension = kept.projection.shape[1] if kept else self.dimension
        if self._ask(self._client.has_collection, new):  # of a writer that was killed
            self._ask(self._client.drop_collection, new)
        create_collection(self.folder, self._client, new, dimension, "record")
        for rows, vectors in self._chunks(self.live):
            vectors = whitening.apply(vectors) if whitening else vectors
            entities = [_packed(row, vector, *self._record(row)) for row, vector in zip(rows.tolist(), vectors, strict=True)]
            self._ask(self._client.upsert, new, entities)
        stored = self._write_whitening(whitening) if whitening else self._state["whitening"]
        self._commit({**self._state, "data": new, "dimension": dimension, "whitening": stored, "facts": {**self.facts, **facts}})
        self._ask(self._client.drop_collection, old)
        self._forget()

    def check(self):
        """Reads every record. Raises GalleryError where one is damaged."""
        self._forget()
        len(self.live)

    def index(self):
        """Milvus's index: "flat" or "hnsw"."""
        names = self._ask(self._client.list_indexes, self._data)
        return self._ask(self._client.describe_index, self._data, index_name=names[0])["index_type"].lower()

    def indexes(self):
        return [{"method": self.index(), "rows": len(self)}] if self.index() != "flat" else []

    def refresh_index(self, say):
        """Has Milvus build an HNSW graph once there are 50,000 pictures; `say` is called with a line before that."""
        if len(self) < _HNSW_FROM or self.index() == "hnsw":
            return
        say(f"Milvus builds its hnsw index of {len(self)} vectors; this can take minutes")
        self._ask(self._client.release_collection, self._data)
        for name in self._ask(self._client.list_indexes, self._data):
            self._ask(self._client.drop_index, self._data, name)
        self._ask(self._client.create_index, self._data, index_of_kind("HNSW"))
        self._ask(self._client.load_collection, self._data)

    def info(self):
        """As Gallery.info, without "megabytes"."""
        metadata = {name: len(column.values) for name, column in self._columns.items()}
        return {"gallery": self.folder, "images": len(self), "removed": 0, "dimension": self.dimension, "metadata": metadata, **self.facts}

    @functools.cached_property
    def _rows_by_id(self):
        return {self.id_of_row(row): row for row in self.live.tolist()}

    @functools.cached_property
    def _columns(self):
        return metadata_columns([self.metadata_of_row(row) for row in self.live.tolist()])

    def _ask(self, call, *arguments, **options):
        return ask(self.folder, call, *arguments, **options)

    def _read(self, state):
        self._state, self._data = state, state["data"]
        self.dimension, self.facts = state["dimension"], state["facts"]
        self._ask(self._client.load_collection, self._data)
        self.whitening = self._read_whitening(state["whitening"])

    def _commit(self, state):
        self._check_writable()
        write_texts(self.folder, self._client, self._name, {0: json.dumps(state)})
        self._read(state)

    def _write(self, ids, vectors, images, metadata, is_new=True):
        self._check_writable()
        ids, metadata = list(ids), metadata or [{}] * len(ids)
        vectors = check_additions(self, ids, vectors, self._rows_by_id if is_new else ())
        metadata_columns(metadata)  # refuses what a folder's gallery does
        new_rows = iter(range(self.rows, self.rows + len(ids)))
        rows = [next(new_rows) if (row := self.row_of(id)) is None else row for id in ids]
        records = [(id, real_path(image), _present(values)) for id, image, values in zip(ids, images, metadata, strict=True)]
        entities = [_packed(row, vector, *record) for row, vector, record in zip(rows, vectors, records, strict=True)]
        try:
            for start in range(0, len(entities), _ROWS_AT_ONCE):
                self._ask(self._client.upsert, self._data, entities[start : start + _ROWS_AT_ONCE])
        except BaseException:
            self._forget()
            raise
        self._rows_by_id.update(zip(ids, rows, strict=True))
        self._known.update(zip(rows, records, strict=True))
        self.live = np.union1d(self.live, np.array(rows, np.int64))
        self.__dict__.pop("_columns", None)

    def _record(self, row):
        """(id, path, metadata) of a row."""
        if row not in self._known:
            found = self._ask(self._client.query, self._data, filter=f"row in [{int(row)}]", output_fields=_RECORD)
            self._known.update(_unpacked_rows(found))
        return self._known[row]

    def _chunks(self, rows):
        """Yields (rows int64 [n], their vectors float32 [n, dimension]) of ascending rows, a thousand at a time."""
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            own = rows[start : start + _ROWS_AT_ONCE]
            options = {"filter": f"row in {own.tolist()}", "output_fields": ["row", "vector"], "limit": _ROWS_AT_ONCE}
            found = {one["row"]: one["vector"] for one in self._ask(self._client.query, self._data, **options)}
            yield own, np.array([found[row] for row in own.tolist()], np.float32)

    def _compared(self, queries, k, mask):
        """As flat.nearest, over vectors that are fetched a thousand at a time."""
        best = np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        for rows, vectors in self._chunks(self.live if mask is None else np.flatnonzero(mask)):
            places, scores = flat.nearest(vectors, queries, min(k, len(vectors)))
            best = flat.best(np.concatenate([best[0], rows[places]], axis=1), np.concatenate([best[1], scores], axis=1), k)
        return best

    def _write_whitening(self, whitening):
        """Writes both arrays as texts behind those that count; returns what the state keeps of them."""
        data = np.concatenate([whitening.mean.ravel(), whitening.projection.ravel()]).astype("<f4").tobytes()
        text = base64.b64encode(data).decode()
        texts = [text[start : start + _TEXT_CHARACTERS] for start in range(0, len(text), _TEXT_CHARACTERS)]
        old = self._state["whitening"]
        first = old["first"] + old["count"] if old else 1
        write_texts(self.folder, self._client, self._name, dict(enumerate(texts, first)))
        return {"first": first, "count": len(texts), "shape": list(whitening.projection.shape)}

    def _read_whitening(self, stored):
        if not stored:
            return None
        from tfvision.features.whitening import Whitening

        texts = read_texts(self.folder, self._client, self._name, range(stored["first"], stored["first"] + stored["count"]))
        values = np.frombuffer(base64.b64decode("".join(texts)), "<f4")
        return Whitening(values[: stored["shape"][0]], values[stored["shape"][0] :].reshape(stored["shape"]))

    def _check_writable(self):
        if not self._is_writable:
            raise GalleryError(f"{self.folder} is open for reading only: open it with writable=True")

    def _forget(self):
        """Forgets what was read of the rows."""
        self._known = {}
        for name in ("live", "_rows_by_id", "_columns"):
            self.__dict__.pop(name, None)


def _create_gallery(place, client, dimension, facts):
    """Makes both collections; returns the state."""
    name = parse_place(place)[1]
    if ask(place, client.has_collection, name):
        raise GalleryError(f"{place} is there already: add to it with `tfvision index add`, or choose another collection")
    data = f"{name}_data_1"
    if ask(place, client.has_collection, data):  # of a making that was killed
        ask(place, client.drop_collection, data)
    create_collection(place, client, data, dimension, "record")
    create_collection(place, client, name, 2, "text")
    state = {"format": FORMAT, "dimension": dimension, "data": data, "facts": facts or {}, "whitening": None}
    write_texts(place, client, name, {0: json.dumps(state)})
    return state


def _read_state(place, client, name):
    try:
        (text,) = read_texts(place, client, name, [0])
        state = json.loads(text)
    except (GalleryError, KeyError, ValueError):
        raise GalleryError(f"{place} is no gallery of tfvision: choose another collection") from None
    if state.get("format") != FORMAT:
        raise GalleryError(f"{place} is of {state.get('format')!r}, this tfvision reads {FORMAT!r}")
    return state


def _among(mask):
    """The expression for rows where a mask is true, the shorter of two."""
    chosen, others = np.flatnonzero(mask), np.flatnonzero(~mask)
    if not len(others):
        return ""
    return f"row in {chosen.tolist()}" if len(chosen) <= len(others) else f"row not in {others.tolist()}"


def _packed(row, vector, id, image, metadata):
    """A row as Milvus takes it: the record is JSON in ASCII, for names of files may be of any bytes."""
    record = json.dumps([id, image])
    if len(record) > 65_535:
        raise DataError(f"the id and the path of {id[:80]!r}... are too long for Milvus: {len(record)} of 65,535 bytes")
    return {"row": row, "vector": np.asarray(vector, np.float32), "record": record, "metadata": metadata}


def _unpacked(row):
    """(id, path, metadata)."""
    return (*json.loads(row["record"]), row["metadata"])


def _unpacked_rows(found):
    """{row: (id, path, metadata)} of what Milvus answers."""
    return {one["row"]: _unpacked(one) for one in found}


def _present(values):
    return {name: value for name, value in (values or {}).items() if value is not None}
