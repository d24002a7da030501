"""A gallery in Milvus: in collections of a server or of a milvus-lite file.

The collection COLLECTION says what counts: its row 0 is a JSON text with the dimension, the facts and the name of the
collection that holds the vectors, COLLECTION_data_1; the other rows hold the whitening. Writing everything anew makes
COLLECTION_data_2 and then changes row 0, in one step. The conditions of a filter are judged here, as a folder's are;
Milvus is asked by row number only, so that no text of a user is ever part of an expression.
"""

import base64
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from tfvision.errors import DataError, GalleryError, RecipeError
from tfvision.features.whitening import Whitening
from tfvision.files import parse_json
from tfvision.index import flat
from tfvision.index.columns import Column, metadata_columns
from tfvision.index.gallery import Metadata, Say, check_additions, check_dimension, fault_of_facts, path_from_here, real_path, rows_of_all
from tfvision.index.milvus_server import LARGEST_ANSWER, ask, connect, create_collection, index_of_kind, lite_file, parse_location, read_texts, write_texts
from tfvision.index.storage import FORMAT
from tfvision.kinds import is_of

_TEXT_CHARACTERS = 60_000  # of a row; Milvus allows 65,535 bytes
_ROWS_AT_ONCE = 1024  # of a request with vectors: Milvus takes 64 MB
_RECORDS_AT_ONCE = 8192  # of one without; Milvus answers at most 16,384
_FIELDS = ["row", "record", "metadata"]
_HNSW_FROM = 50_000  # rows; below, Milvus compares all vectors, too


class _Record(NamedTuple):
    """What is kept of a picture beside its vector."""

    id: str
    image: str
    metadata: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Rows:
    """All rows at one moment; when pictures are added or removed, others take their place.

    Attributes:
      records: by row.
      read_vectors: rows int64 [n], ascending -> their vectors, float32 [n, dimension].
    """

    records: Mapping[int, _Record]
    read_vectors: Callable[[np.ndarray], np.ndarray]

    def __len__(self) -> int:
        """One more than the last row's number."""
        return int(self.live[-1]) + 1 if len(self.live) else 0

    @functools.cached_property
    def live(self) -> np.ndarray:
        return np.array(sorted(self.records), np.int64)

    @functools.cached_property
    def rows_by_id(self) -> dict[str, int]:
        return {record.id: row for row, record in self.records.items()}

    @functools.cached_property
    def columns(self) -> dict[str, Column]:
        return metadata_columns([self.records[row].metadata if row in self.records else {} for row in range(len(self))])

    @functools.cached_property
    def vectors(self) -> np.ndarray:
        found = self.read_vectors(self.live)
        if len(found) == len(self):
            return found
        vectors = np.zeros((len(self), found.shape[1]), np.float32)
        vectors[self.live] = found
        return vectors


class MilvusGallery:
    """An open gallery in Milvus, as gallery.Gallery, whose docstrings hold.

    A picture's row is its primary key; numbers of removed rows are not used again while later ones exist. There is no lock: only
    one may write, and has to see to that.

    Attributes:
      location: as it was given.
      whitening: what whitened the vectors, or None.
    """

    def __init__(self, location: str, client: Any, state: dict[str, Any], writable: bool) -> None:
        self.location, self._client, self._is_writable = location, client, writable
        self._name = parse_location(location)[1]
        self._rows: _Rows | None = None
        self._seen: dict[int, _Record] = {}  # what searches told of single rows
        self._take(state)

    @classmethod
    def create(cls, location: str, dimension: int, facts: dict[str, Any] | None = None) -> Self:
        """A new, empty gallery, opened for writing.

        Raises:
          GalleryError: there is such a collection already, or Milvus cannot be reached.
          UserError: pymilvus is not installed.
        """
        check_dimension(dimension)
        client = connect(location, is_new=True)
        try:
            return cls(location, client, _create_gallery(location, client, dimension, facts), writable=True)
        except BaseException:
            client.close()
            raise

    @classmethod
    def open(cls, location: str, writable: bool = False) -> Self:
        """Opens a gallery to read, or as its only writer.

        Raises:
          GalleryError: Milvus cannot be reached, has no such collection, or one that is no gallery.
          UserError: pymilvus is not installed.
        """
        client, name = connect(location), parse_location(location)[1]
        try:
            if not ask(location, client.has_collection, name):
                raise GalleryError(f"{location} does not exist: make it with `tfvision index build IMAGES --out {location}`, or check the collection's name")
            ask(location, client.load_collection, name)
            return cls(location, client, _read_state(location, client, name), writable)
        except BaseException:
            client.close()
            raise

    @classmethod
    def exists(cls, location: str) -> bool:
        """Whether there is such a collection; errors as of `open`."""
        name, file = parse_location(location)[1], lite_file(location)
        if file and not os.path.exists(file):
            return False
        client = connect(location)
        try:
            return ask(location, client.has_collection, name)
        finally:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._ask(self._client.query, self._data, filter="", output_fields=["count(*)"])[0]["count(*)"]

    def close(self) -> None:
        self._client.close()

    @property
    def dimension(self) -> int:
        return self._state["dimension"]

    @property
    def facts(self) -> dict[str, Any]:
        return self._state["facts"]

    @property
    def rows(self) -> int:
        return len(self._all())

    @property
    def live(self) -> np.ndarray:
        return self._all().live

    @property
    def live_ids(self) -> list[str]:
        rows = self._all()
        return [rows.records[row].id for row in rows.live.tolist()]

    @property
    def columns(self) -> dict[str, Column]:
        return self._all().columns

    @property
    def row_vectors(self) -> np.ndarray:
        return self._all().vectors

    def id_of_row(self, row: int) -> str:
        return self._record(row).id

    def image_of_row(self, row: int) -> str:
        return path_from_here(self._record(row).image)

    def metadata_of_row(self, row: int) -> dict[str, Any]:
        return self._record(row).metadata

    def row_of(self, id: str) -> int | None:
        return self._all().rows_by_id.get(id)

    def is_of(self, row: int, image: str) -> bool:
        return self._record(row).image == real_path(image)

    def vectors_of_rows(self, rows: np.ndarray) -> np.ndarray:
        own, positions = np.unique(rows, return_inverse=True)
        vectors = np.zeros((len(own), self.dimension), np.float32)
        vectors[own >= 0] = self._vectors(own[own >= 0])
        return vectors[positions.reshape(rows.shape)]

    def nearest(self, queries: np.ndarray, k: int, mask: np.ndarray | None = None, method: str = "auto") -> tuple[np.ndarray, np.ndarray]:
        """As Gallery.nearest. "auto" and "hnsw" ask Milvus's own index; "exact" compares all vectors here where that is HNSW."""
        if method == "ivfpq":
            raise RecipeError("the method of search in Milvus must be auto, exact or hnsw, got 'ivfpq'")
        if k > LARGEST_ANSWER or (method == "exact" and self.index() != "flat"):
            return self._compared(queries, k, mask)
        options = {"data": list(queries), "limit": k, "output_fields": _FIELDS[1:], "filter": "" if mask is None else _among(mask)}
        found = self._ask(self._client.search, self._data, search_params={"params": {"ef": max(256, 2 * k)}}, **options)
        rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        for query, hits in enumerate(found):
            rows[query, : len(hits)] = [hit["row"] for hit in hits]
            scores[query, : len(hits)] = [hit["distance"] for hit in hits]
            self._seen.update({hit["row"]: _unpacked(hit["entity"]) for hit in hits})
        return rows, scores

    def add(self, ids: Iterable[str], vectors: np.ndarray, images: Iterable[str], metadata: Sequence[Metadata] | None = None) -> None:
        """As Gallery.add; of more than a thousand pictures, what came before a failure stays."""
        self._write(ids, vectors, images, metadata)

    def replace(self, ids: Iterable[str], vectors: np.ndarray, images: Iterable[str], metadata: Sequence[Metadata] | None = None) -> None:
        self._write(ids, vectors, images, metadata, is_new=False)

    def remove(self, ids: Iterable[str]) -> None:
        self._check_writable()
        rows = rows_of_all(self, ids)
        if rows:
            self._ask(self._client.delete, self._data, ids=list(rows.values()))
        self._forget()

    def set_facts(self, **facts: Any) -> None:
        self._commit({**self._state, "facts": {**self.facts, **facts}})

    def rewrite(self, whitening: Whitening | None = None, **facts: Any) -> None:
        """As Gallery.rewrite, into a new collection."""
        self._check_writable()
        kept, old = whitening or self.whitening, self._data
        stem, _, number = old.rpartition("_")
        new = f"{stem}_{int(number) + 1}"
        dimension = kept.projection.shape[1] if kept else self.dimension
        if self._ask(self._client.has_collection, new):  # of a writer that was killed
            self._ask(self._client.drop_collection, new)
        create_collection(self.location, self._client, new, dimension, "record")
        for rows, vectors in self._chunks(self.live):
            vectors = whitening.apply(vectors) if whitening else vectors
            entities = [_packed(row, vector, self._record(row)) for row, vector in zip(rows.tolist(), vectors, strict=True)]
            self._ask(self._client.upsert, new, entities)
        stored = self._write_whitening(whitening) if whitening else self._state["whitening"]
        self._commit({**self._state, "data": new, "dimension": dimension, "whitening": stored, "facts": {**self.facts, **facts}})
        self._ask(self._client.drop_collection, old)
        self._forget()

    def check(self) -> None:
        """Reads every record. Raises GalleryError where one is damaged."""
        self._forget()
        self._all()

    def index(self) -> str:
        """Milvus's index: "flat" or "hnsw"."""
        names = self._ask(self._client.list_indexes, self._data)
        return self._ask(self._client.describe_index, self._data, index_name=names[0])["index_type"].lower()

    def refresh_index(self, say: Say) -> None:
        """Has Milvus build an HNSW graph once there are 50,000 pictures; `say` is called with a line before that."""
        if len(self) < _HNSW_FROM or self.index() == "hnsw":
            return
        say(f"Milvus builds its hnsw index of {len(self)} vectors; this can take minutes")
        self._ask(self._client.release_collection, self._data)
        for name in self._ask(self._client.list_indexes, self._data):
            self._ask(self._client.drop_index, self._data, name)
        self._ask(self._client.create_index, self._data, index_of_kind("HNSW"))
        self._ask(self._client.load_collection, self._data)

    def info(self) -> dict[str, Any]:
        metadata = {name: len(column.values) for name, column in self.columns.items()}
        own = {"gallery": self.location, "images": len(self), "removed": 0, "dimension": self.dimension, "metadata": metadata, **self.facts}
        return {**own, "indexes": [{"method": self.index(), "rows": len(self)}] if self.index() != "flat" else []}

    @property
    def _data(self) -> str:
        """The collection that holds the vectors."""
        return self._state["data"]

    def _ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return ask(self.location, call, *arguments, **options)

    def _take(self, state: dict[str, Any]) -> None:
        self._ask(self._client.load_collection, state["data"])
        self.whitening = self._read_whitening(state["whitening"])
        self._state = state

    def _commit(self, state: dict[str, Any]) -> None:
        self._check_writable()
        write_texts(self.location, self._client, self._name, {0: json.dumps(state)})
        self._take(state)

    def _write(self, ids: Iterable[str], vectors: np.ndarray, images: Iterable[str], metadata: Sequence[Metadata] | None, is_new: bool = True) -> None:
        self._check_writable()
        ids, known = list(ids), self._all()
        metadata = metadata or [{}] * len(ids)
        vectors = check_additions(self, ids, vectors, known.rows_by_id if is_new else ())
        metadata_columns(metadata)  # refuses what a folder's gallery does
        new_rows = iter(range(len(known), len(known) + len(ids)))
        rows = [next(new_rows) if (row := self.row_of(id)) is None else row for id in ids]
        records = [_Record(id, real_path(image), _present(values)) for id, image, values in zip(ids, images, metadata, strict=True)]
        entities = [_packed(row, vector, record) for row, vector, record in zip(rows, vectors, records, strict=True)]
        try:
            for start in range(0, len(entities), _ROWS_AT_ONCE):
                self._ask(self._client.upsert, self._data, entities[start : start + _ROWS_AT_ONCE])
        except BaseException:
            self._forget()
            raise
        self._rows = _Rows({**known.records, **dict(zip(rows, records, strict=True))}, self._vectors)

    def _forget(self) -> None:
        """Forgets what was read of the rows."""
        self._rows, self._seen = None, {}

    def _all(self) -> _Rows:
        if self._rows is None:
            records: dict[int, _Record] = {}
            every = self._ask(self._client.query_iterator, self._data, batch_size=_RECORDS_AT_ONCE, filter="row >= 0", output_fields=_FIELDS)
            while batch := self._ask(lambda **_: every.next()):
                records |= _unpacked_rows(batch)
            every.close()
            self._rows = _Rows(records, self._vectors)
        return self._rows

    def _record(self, row: int) -> _Record:
        if self._rows is not None and row in self._rows.records:
            return self._rows.records[row]
        if row not in self._seen:
            found = self._ask(self._client.query, self._data, filter=f"row in [{int(row)}]", output_fields=_FIELDS)
            self._seen.update(_unpacked_rows(found))
        return self._seen[row]

    def _vectors(self, rows: np.ndarray) -> np.ndarray:
        """float32 [n, dimension] of ascending rows int64 [n]."""
        return np.concatenate([np.zeros((0, self.dimension), np.float32), *(vectors for _, vectors in self._chunks(rows))])

    def _chunks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (rows int64 [n], their vectors float32 [n, dimension]) of ascending rows, a thousand at a time."""
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            own = rows[start : start + _ROWS_AT_ONCE]
            options = {"filter": f"row in {own.tolist()}", "output_fields": ["row", "vector"], "limit": _ROWS_AT_ONCE}
            found = {one["row"]: one["vector"] for one in self._ask(self._client.query, self._data, **options)}
            yield own, np.array([found[row] for row in own.tolist()], np.float32)

    def _compared(self, queries: np.ndarray, k: int, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """As flat.nearest, over vectors that are fetched a thousand at a time."""
        best = np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        for rows, vectors in self._chunks(self.live if mask is None else np.flatnonzero(mask)):
            positions, scores = flat.nearest(vectors, queries, min(k, len(vectors)))
            best = flat.best(np.concatenate([best[0], rows[positions]], axis=1), np.concatenate([best[1], scores], axis=1), k)
        return best

    def _write_whitening(self, whitening: Whitening) -> dict[str, Any]:
        """Writes both arrays as texts behind those that count; returns what the state keeps of them."""
        data = np.concatenate([whitening.mean.ravel(), whitening.projection.ravel()]).astype("<f4").tobytes()
        text = base64.b64encode(data).decode()
        texts = [text[start : start + _TEXT_CHARACTERS] for start in range(0, len(text), _TEXT_CHARACTERS)]
        old = self._state["whitening"]
        first = old["first"] + old["count"] if old else 1
        write_texts(self.location, self._client, self._name, dict(enumerate(texts, first)))
        return {"first": first, "count": len(texts), "shape": list(whitening.projection.shape)}

    def _read_whitening(self, stored: dict[str, Any] | None) -> Whitening | None:
        if not stored:
            return None
        texts = read_texts(self.location, self._client, self._name, range(stored["first"], stored["first"] + stored["count"]))
        values = np.frombuffer(base64.b64decode("".join(texts)), "<f4")
        return Whitening(values[: stored["shape"][0]], values[stored["shape"][0] :].reshape(stored["shape"]))

    def _check_writable(self) -> None:
        if not self._is_writable:
            raise GalleryError(f"{self.location} is open for reading only: open it with writable=True")


def _create_gallery(location: str, client: Any, dimension: int, facts: dict[str, Any] | None) -> dict[str, Any]:
    """Makes both collections; returns the state."""
    name = parse_location(location)[1]
    if ask(location, client.has_collection, name):
        raise GalleryError(f"{location} is there already: add to it with `tfvision index add`, or choose another collection")
    data = f"{name}_data_1"
    if ask(location, client.has_collection, data):  # of a making that was killed
        ask(location, client.drop_collection, data)
    create_collection(location, client, data, dimension, "record")
    create_collection(location, client, name, 2, "text")
    state = {"format": FORMAT, "dimension": dimension, "data": data, "facts": facts or {}, "whitening": None}
    write_texts(location, client, name, {0: json.dumps(state)})
    return state


def _read_state(location: str, client: Any, name: str) -> dict[str, Any]:
    try:
        (text,) = read_texts(location, client, name, [0])
        state = parse_json(text)
    except (GalleryError, KeyError, ValueError):
        raise GalleryError(f"{location} is no gallery of tfvision: choose another collection") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise GalleryError(f"{location} is of {state.get('format') if isinstance(state, dict) else 'another kind'!r}, this tfvision reads {FORMAT!r}")
    fault = "" if is_of(state, {"dimension": int, "data": str, "facts": dict, "whitening": dict | None}) else "parts of it are missing or of another kind"
    if fault := fault or fault_of_facts(state["facts"]):
        raise GalleryError(f"{location} was changed ({fault}): build the gallery again")
    return state


def _among(mask: np.ndarray) -> str:
    """The expression for rows where a mask is true, the shorter of two."""
    chosen, others = np.flatnonzero(mask), np.flatnonzero(~mask)
    if not len(others):
        return ""
    return f"row in {chosen.tolist()}" if len(chosen) <= len(others) else f"row not in {others.tolist()}"


def _packed(row: int, vector: np.ndarray, record: _Record) -> dict[str, Any]:
    """A row as Milvus takes it: the record is JSON in ASCII, for names of files may be of any bytes."""
    text = json.dumps([record.id, record.image])
    if len(text) > 65_535:
        raise DataError(f"the id and the path of {record.id[:80]!r}... are too long for Milvus: {len(text)} of 65,535 bytes")
    return {"row": row, "vector": np.asarray(vector, np.float32), "record": text, "metadata": record.metadata}


def _unpacked(row: Mapping[str, Any]) -> _Record:
    id, image = parse_json(row["record"])
    return _Record(id, image, row["metadata"])


def _unpacked_rows(found: Iterable[Mapping[str, Any]]) -> dict[int, _Record]:
    """What Milvus answers, by row."""
    return {one["row"]: _unpacked(one) for one in found}


def _present(values: Metadata | None) -> dict[str, Any]:
    return {name: value for name, value in (values or {}).items() if value is not None}
