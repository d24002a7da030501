"""Queries: a picture of the collection, a picture from outside, a group of pictures with one label, or a text.

A query has a name: `id:bees/12.jpg` or `12` (the picture at position 12, which is another one after an update), `u:1f0a...` (from
outside, by its checksum), `g:species=Apis mellifera` (a group) or `t:a bee on a flower` (a text).
"""

import contextlib
import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfvision.apps.explorer import similarity
from tfvision.apps.explorer.collection import Layer, Pictures
from tfvision.apps.explorer.tables import kept_arrays
from tfvision.apps.explorer.text_queries import SEEING, TextQueries
from tfvision.data.decoding import check_photo
from tfvision.data.photo_files import printable
from tfvision.errors import DataError
from tfvision.features.text_encoder import checked_text
from tfvision.files import write_bytes
from tfvision.index.making import gallery_extractor, whitened
from tfvision.index.sources import photo_manifest

_MOST_DIGITS = 10
_LONGEST_NAME = 200
_OUTSIDE, _GROUP, _ID, _TEXT = "u:", "g:", "id:", "t:"


class Query(NamedTuple):
    """A query and its similarities in one layer.

    Attributes:
      name: as in addresses.
      title: for people.
      key: for notes: the id instead of the picture's position.
      scores: float32 [pictures], NaN for what has no vector and for the query's own pictures.
    """

    name: str
    title: str
    key: str
    scores: np.ndarray

    def hits(self, k: int, kept: np.ndarray | None = None) -> np.ndarray:
        """Positions of the k most similar, best first; of those alone that bool [pictures] keeps."""
        return similarity.nearest(self.scores if kept is None else np.where(kept, self.scores, np.float32(np.nan)), k)


class Queries:
    """Opens queries of a collection; pictures from outside are kept in a folder.

    Args:
      folder: for pictures from outside and their vectors.
      trusted: models that the user named, which may be programs.
      texts: what makes vectors of texts.
    """

    def __init__(self, pictures: Pictures, folder: str | Path, trusted: Collection[str] = (), texts: TextQueries | None = None) -> None:
        self._pictures, self._folder, self._trusted, self._texts = pictures, Path(folder), trusted, texts or TextQueries()
        self._extractors: dict[str, Any] = {}

    def open(self, name: str, layer: Layer) -> Query:
        """The query of a name in a layer. Raises DataError, and what opening a network raises for a picture from outside."""
        title, key, vector, own = self._parts(name, layer)
        return Query(name, title, key, layer.similarities(name, vector, own))

    def vector(self, name: str, layer: Layer) -> np.ndarray:
        """float32 [dimension] of a query in a layer. Raises as `open`."""
        return self._parts(name, layer)[2]

    @contextlib.contextmanager
    def seeing(self, layer: Layer) -> Iterator[Any]:
        """The Extractor of a layer, opened once, for one at a time. Raises what opening a network raises."""
        with SEEING:
            if layer.location not in self._extractors:
                self._extractors[layer.location] = gallery_extractor(layer.gallery, trusted=self._trusted)
            yield self._extractors[layer.location]

    def shortlist(self, name: str, layer: Layer, k: int) -> list[int]:
        """Positions of a query's first k hits, a list; remembered. Raises as `open`."""
        changes, known = self.changes_of(name), layer.shortlists.get(name)
        if known is None or known[0] != changes or known[1] < k:
            known = layer.shortlists[name] = changes, k, self.open(name, layer).hits(k).tolist()
        return known[2][:k]

    def changes_of(self, name: str) -> int:
        """Another number where a query may be of other pictures than before: a group's members change with the labels."""
        return self._pictures.changes if name.startswith(_GROUP) else 0

    def titles(self, name: str) -> tuple[str, str]:
        """(title, key) of a name, without any vector. Raises DataError."""
        return self._parts(name, None)[:2]

    def own(self, name: str) -> Collection[int]:
        """Positions of the pictures that the query itself consists of. Raises DataError."""
        return self._parts(name, None)[3]

    def name_of(self, key: str) -> str | None:
        """The name of a note's key, or None where its picture is gone."""
        if key.startswith((_OUTSIDE, _GROUP, _TEXT)):
            return key
        position = self._pictures.positions.get(key.removeprefix(_ID))
        return None if position is None else str(position)

    def receive(self, encoded: bytes, file_name: str = "") -> str:
        """Keeps a picture from outside and returns its name. Raises DataError for what is no image, StorageError.

        Args:
          file_name: as it is called where it comes from; its title from now on.
        """
        check_photo(encoded, "the picture")
        digest = _digest(encoded)
        path = self._folder / f"{digest}.picture"
        if not path.is_file() or _digest(path.read_bytes()) != digest:
            write_bytes(path, encoded)
        if title := printable(file_name.replace("\\", "/").rpartition("/")[2])[:_LONGEST_NAME].strip():
            write_bytes(path.with_suffix(".name"), title.encode())
        return _OUTSIDE + digest

    def outside_path(self, name: str) -> Path:
        """Where a picture from outside is kept. Raises DataError where there is none of that name."""
        digest = name.removeprefix(_OUTSIDE)
        path = self._folder / f"{digest}.picture"
        if not _is_digest(digest) or not path.is_file():
            known = _title(path).removesuffix(" (from outside)") if _is_digest(digest) and path.with_suffix(".name").is_file() else "this picture"
            raise DataError(f"{known} from outside is not here (any more): drop it once more")
        return path

    def _parts(self, name, layer):
        """(title, key, vector or None, positions of its own)."""
        pictures = self._pictures
        if is_whole(name):
            position = int(name)
            if position >= len(pictures):
                raise DataError(f"there is no picture {position}: the collection has {len(pictures)}")
            return pictures.ids[position], f"{_ID}{pictures.ids[position]}", layer and layer.vector(position), (position,)
        if name.startswith(_ID):
            if (number := self.name_of(name)) is None:
                raise DataError(f"the picture {name.removeprefix(_ID)} is not in the collection (any more)")
            return self._parts(number, layer)
        if name.startswith(_OUTSIDE):
            path = self.outside_path(name)
            return _title(path), name, layer and self._outside_vector(path, layer), ()
        if name.startswith(_TEXT):
            text = checked_text(name.removeprefix(_TEXT))
            return f"“{text}”", f"{_TEXT}{text}", layer and self._texts.vector(text, layer), ()
        if not name.startswith(_GROUP) or "=" not in name:
            raise DataError(f"a query is a number, id:ID, u:CHECKSUM, g:COLUMN=VALUE or t:TEXT, got {name!r:.80}")
        column, value, members = pictures.members(name.removeprefix(_GROUP))
        return f"{column} {value} ({len(members)})", name, layer and self._group_vector(members, layer, name), members

    def _group_vector(self, members, layer, name):
        """The mean of the members' vectors: its inner product with a picture is the mean similarity to the members."""
        rows = layer.row_of[members]
        if not (rows >= 0).any():
            raise DataError(f"none of the pictures of {name.removeprefix(_GROUP)} has a vector yet")
        return np.asarray(layer.gallery.row_vectors[rows[rows >= 0]]).mean(axis=0, dtype=np.float64).astype(np.float32)

    def _outside_vector(self, path, layer):
        kept = path.with_name(f"{path.stem}-{_digest(str(layer.gallery.facts.get('identity')).encode())}-{layer.dimension}.npz")
        with contextlib.nullcontext() if kept.is_file() else SEEING:  # a picture is seen once; what is kept waits for no network
            kinds, make = {"vector": ("f", (layer.dimension,))}, lambda: {"vector": self._see(path, layer)}
            return kept_arrays(kept, kinds, make, lambda arrays: bool(np.isfinite(arrays["vector"]).all()))["vector"]

    def _see(self, path, layer):
        if _digest(path.read_bytes()) != path.stem:
            raise DataError("this picture from outside is damaged: drop it once more")
        from tfvision.data.pipeline import BrokenPhotos
        from tfvision.features.extraction import extract

        broken = BrokenPhotos()
        with self.seeing(layer) as extractor:
            for _, vectors in extract(photo_manifest([str(path)]), extractor, broken=broken):
                if len(vectors):
                    return whitened(layer.gallery, vectors)[0]
        raise DataError(next(iter(broken.values()), "the picture cannot be read").replace(str(path), "the picture"))


def is_whole(text: str) -> bool:
    """Whether a text from an address is a whole number that can be that of a picture."""
    return text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS


def _is_digest(text):
    return len(text) == 20 and set(text) <= set("0123456789abcdef")


def _title(path):
    """What a picture from outside was called; its file of that name may be gone."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return f"{path.with_suffix('.name').read_text('utf-8')} (from outside)"
    return "a picture from outside"


def _digest(encoded):
    return hashlib.sha256(encoded).hexdigest()[:20]
