"""A gallery in a folder, whose format is described in docs/gallery.md. Any number of processes read it memory-mapped while one writes."""

import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from tfvision.features.whitening import Whitening
from tfvision.index.approximate import ApproximateIndex
from tfvision.index.columns import Column, LiveRows, RowEncoder
from tfvision.index.gallery import Metadata, Say, check_additions, check_dimension, path_from_here, real_path, rows_of_all
from tfvision.index.kept_indexes import KeptIndexes, chosen_method
from tfvision.index.storage import MANIFEST, Pieces, Storage
from tfvision.index.stored_rows import REMOVED, WHITENING_FILES, StoredRows

_CHUNK_ROWS = 65_536
_LARGEST_SHARE_REMOVED = 0.2  # of the rows, before the files are written anew without them


class FolderGallery:
    """An open gallery in a folder, as gallery.Gallery, whose docstrings hold.

    A removed picture stays as a row that is not live until the files are written anew. `vectors`, `ids`, `images` and
    `metadata` are of the live rows, in one order.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._rows_by_id: dict[str, int] | None = None  # what a writer knows of the rows, read once and carried on
        self._encoder: RowEncoder | None = None
        self._indexes = KeptIndexes(self.data_folder)
        self._look_again()

    @classmethod
    def create(cls, folder: str | Path, dimension: int, facts: dict[str, Any] | None = None) -> Self:
        """A new, empty gallery, opened for writing. Raises GalleryError, StorageError."""
        check_dimension(dimension)
        return cls(Storage.create(folder, {"dimension": dimension, "columns": [], "facts": facts or {}}))

    @classmethod
    def open(cls, folder: str | Path, writable: bool = False) -> Self:
        """Opens a gallery to read, or as its only writer.

        Raises:
          GalleryError: no gallery, a missing or damaged file (named), or another writer.
        """
        return cls(Storage(folder, writable))

    @classmethod
    def exists(cls, folder: str | Path) -> bool:
        """Whether a folder holds a gallery."""
        return os.path.exists(os.path.join(folder, MANIFEST))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.live)

    def close(self) -> None:
        self._storage.close()

    @property
    def location(self) -> str:
        return str(self._storage.folder)

    @property
    def data_folder(self) -> Path:
        """The folder of the files that count now; what is derived from them lies beside them."""
        return self._storage.data

    @property
    def dimension(self) -> int:
        return self._stored.dimension

    @property
    def facts(self) -> dict[str, Any]:
        return self._storage.state["facts"]

    @property
    def whitening(self) -> Whitening | None:
        return self._stored.whitening

    @property
    def rows(self) -> int:
        return len(self.row_vectors)

    @property
    def live(self) -> np.ndarray:
        return self._stored.live

    @property
    def live_ids(self) -> list[str]:
        ids = self._stored.ids.all()
        return ids if len(self) == self.rows else [ids[row] for row in self.live]

    @property
    def columns(self) -> dict[str, Column]:
        return self._stored.columns

    @property
    def row_vectors(self) -> np.ndarray:
        return self._stored.vectors

    @property
    def vectors(self) -> np.ndarray:
        """float32 [images, dimension]; memory-mapped where no row is removed, else a copy."""
        return self.row_vectors if len(self) == self.rows else self.row_vectors[self.live]

    @property
    def ids(self) -> LiveRows:
        """The id of each picture, a sequence of texts."""
        return LiveRows(self.live, self.id_of_row)

    @property
    def images(self) -> LiveRows:
        """The path of each picture, a sequence."""
        return LiveRows(self.live, self.image_of_row)

    @property
    def metadata(self) -> LiveRows:
        """A sequence of {name: value}; names without a value are left out."""
        return LiveRows(self.live, self.metadata_of_row)

    def id_of_row(self, row: int) -> str:
        return self._stored.ids[row]

    def image_of_row(self, row: int) -> str:
        return path_from_here(os.path.normpath(os.path.join(self._root, self._stored.images[row])))

    def metadata_of_row(self, row: int) -> dict[str, Any]:
        values = {name: column[row] for name, column in self.columns.items()}
        return {name: value for name, value in values.items() if value is not None}

    def row_of(self, id: str) -> int | None:
        return self._known_ids().get(id)

    def is_of(self, row: int, image: str) -> bool:
        return self._stored.images[row] == self._relative(image)

    def vectors_of_rows(self, rows: np.ndarray) -> np.ndarray:
        return self.row_vectors[rows]

    def nearest(self, queries: np.ndarray, k: int, mask: np.ndarray | None = None, method: str = "auto") -> tuple[np.ndarray, np.ndarray]:
        if mask is None and len(self) < self.rows:
            mask = self._stored.is_live
        return self._indexes.nearest(self.row_vectors, queries, k, mask, method)

    def open_index(self, method: str) -> ApproximateIndex:
        """The approximate index by a method, built where there is none that is fresh."""
        return self._indexes.open(self.row_vectors, method)

    def refresh_index(self, say: Say) -> None:
        method = chosen_method(self.rows)
        if method != "exact":
            say(f"the {method} index of {len(self)} vectors is built where it is not fresh; this can take minutes")
            self.open_index(method)

    def add(self, ids: Iterable[str], vectors: np.ndarray, images: Iterable[str], metadata: Sequence[Metadata] | None = None) -> None:
        """As Gallery.add, all or none; paths are kept relative to the folder. Raises StorageError too: a full disk, say; the gallery is as it was."""
        self._add(ids, vectors, images, metadata)

    def replace(self, ids: Iterable[str], vectors: np.ndarray, images: Iterable[str], metadata: Sequence[Metadata] | None = None) -> None:
        ids = list(ids)
        self._add(ids, vectors, images, metadata, removed=[row for row in map(self.row_of, ids) if row is not None], is_new=False)

    def remove(self, ids: Iterable[str]) -> None:
        rows = rows_of_all(self, ids)
        self._storage.append({REMOVED: np.array(list(rows.values()), "<i8")})
        for id in rows:
            del self._known_ids()[id]
        self._look_again()
        self._compact()

    def set_facts(self, **facts: Any) -> None:
        self._storage.append({}, facts={**self.facts, **facts})

    def rewrite(self, whitening: Whitening | None = None, **facts: Any) -> None:
        """As Gallery.rewrite, without the removed rows. Raises StorageError: the gallery is as it was."""
        encoder = RowEncoder()
        kept = whitening or self.whitening
        changes = {"facts": {**self.facts, **facts}, "dimension": kept.projection.shape[1] if kept else self.dimension}
        self._storage.rewrite(self._pieces(encoder, whitening, kept), lambda: {**changes, "columns": encoder.names})
        self._rows_by_id, self._encoder = None, None
        self._indexes = KeptIndexes(self.data_folder)
        self._look_again()

    def check(self) -> None:
        """Reads every file and compares its checksum. Raises GalleryError that names the damaged one."""
        self._storage.check()
        self._indexes.check()

    def info(self) -> dict[str, Any]:
        """As Gallery.info, and "megabytes"."""
        megabytes = sum(extent["bytes"] for extent in self._storage.state["files"].values()) / 1e6
        return {
            "gallery": self.location,
            "images": len(self),
            "removed": self.rows - len(self),
            "dimension": self.dimension,
            "megabytes": round(megabytes, 1),
            "metadata": {name: len(column.values) for name, column in self.columns.items()},
            **self.facts,
            "indexes": self._indexes.facts(),
        }

    @functools.cached_property
    def _root(self) -> str:
        return os.path.realpath(self.location)

    def _look_again(self) -> None:
        """Takes the files as they are now."""
        state = self._storage.state
        self._stored = StoredRows(self._storage.maps, state["dimension"], tuple(state["columns"]))

    def _known_ids(self) -> dict[str, int]:
        """{id: row} of the live rows."""
        if self._rows_by_id is None:
            self._rows_by_id = dict(zip(self.live_ids, self.live.tolist(), strict=True))
        return self._rows_by_id

    def _add(
        self,
        ids: Iterable[str],
        vectors: np.ndarray,
        images: Iterable[str],
        metadata: Sequence[Metadata] | None,
        removed: Sequence[int] = (),
        is_new: bool = True,
    ) -> None:
        ids, first = list(ids), self.rows
        vectors = check_additions(self, ids, vectors, self._known_ids() if is_new else ())
        images = [self._relative(image) for image in images]
        encoder = self._encoder or RowEncoder(first, {name: column.values for name, column in self.columns.items()})
        self._encoder = None  # until it is done: a failed one has counted rows that are not there
        pieces = encoder.encode(ids, vectors, images, metadata or [{}] * len(ids))
        pieces[REMOVED] = np.array(removed, "<i8")
        self._storage.append(pieces, columns=encoder.names)
        self._encoder = encoder
        self._known_ids().update(zip(ids, range(first, first + len(ids)), strict=True))
        self._look_again()
        self._compact()

    def _relative(self, image: str) -> str:
        return os.path.relpath(real_path(image), self._root)

    def _compact(self) -> None:
        if self.rows - len(self) > _LARGEST_SHARE_REMOVED * self.rows:
            self.rewrite()

    def _pieces(self, encoder: RowEncoder, whitening: Whitening | None, kept: Whitening | None) -> Iterator[Pieces]:
        if kept:
            arrays = zip(WHITENING_FILES, (kept.mean, kept.projection), strict=True)
            yield {name: np.ascontiguousarray(array, "<f4") for name, array in arrays}
        for start in range(0, len(self), _CHUNK_ROWS):
            rows = self.live[start : start + _CHUNK_ROWS]
            vectors = whitening.apply(self.row_vectors[rows]) if whitening else self.row_vectors[rows]
            ids, images = ([lines[row] for row in rows] for lines in (self._stored.ids, self._stored.images))
            yield encoder.encode(ids, vectors, images, [self.metadata_of_row(row) for row in rows])
