"""The vectors of a manifest's photos, kept in a file while they are made, so that a stopped extraction goes on."""

import hashlib
import io
import json
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfvision.data.manifest import Manifest
from tfvision.data.pipeline import BrokenPhotos
from tfvision.data.shards.slices import photo_bytes
from tfvision.errors import FileError
from tfvision.features.extraction import extract
from tfvision.features.extractor import Extractor
from tfvision.files import checksum_of, read_json, storage_errors, write_json

_PHOTOS_BETWEEN_SAVES = 512
_FACTS = {"identity": str, "done": int, "crc32": int, "broken": dict[str, str]}  # crc32: of the rows that count


def feature_table(
    manifest: Manifest,
    extractor: Extractor,
    cache: Path | str | None = None,
    batch_size: int = 32,
    broken: BrokenPhotos | None = None,
    on_photos: Callable[[int], object] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of all photos.

    Args:
      manifest, extractor, batch_size, broken: as `extract`.
      cache: path of an .npy file that keeps the vectors, float32 [photos, dimension], with a .json beside it. What it holds
        of the same photos, seen by an equal extractor, is not made again.
      on_photos: called with a number of photos whenever so many more are done.

    Returns:
      (vectors float32 [photos, dimension], is_read bool [photos]); the rows of broken photos are zeros.

    Raises:
      StorageError: the cache cannot be written; what was written before is still good.
    """
    broken = BrokenPhotos() if broken is None else broken
    advance = on_photos or (lambda count: None)
    vectors = np.zeros((len(manifest), extractor.dimension), np.float32)
    stored = _Cache(cache, _identity(manifest, extractor)) if cache else None
    saved = done = stored.load(vectors, broken) if stored else 0
    advance(done)
    for indices, part in extract(manifest, extractor, batch_size, done, broken):
        if not len(indices):
            continue
        vectors[indices] = part
        advance(int(indices[-1]) + 1 - done)
        done = int(indices[-1]) + 1
        if stored and done - saved >= _PHOTOS_BETWEEN_SAVES:
            stored.save(vectors, saved, done, broken)
            saved = done
    advance(len(manifest) - done)
    if stored and saved < len(manifest):
        stored.save(vectors, saved, len(manifest), broken)
    return vectors, np.array([record.path not in broken for record in manifest.records], bool)


class _Cache:
    """The rows of a table in an .npy file, which grows, and beside it, in a .json, how many of them count."""

    def __init__(self, path: Path | str, identity: str) -> None:
        self._path = Path(path)
        self._facts_path = self._path.with_suffix(".json")
        self._identity, self._crc32 = identity, 0

    def load(self, vectors: np.ndarray, broken: BrokenPhotos) -> int:
        """Reads the rows that are there into `vectors`; returns how many."""
        if not self._facts_path.exists():
            return 0
        try:
            facts = read_json(self._facts_path, _FACTS)
            if facts.pop("checksum", None) != checksum_of(facts):
                raise FileError(f"{self._facts_path} is not as it was written")
            if facts["identity"] != self._identity:
                return 0
            done, width = facts["done"], vectors.shape[1]
            with open(self._path, "rb") as file:
                file.seek(len(_header(vectors)))
                rows = np.fromfile(file, np.float32, done * width) if 0 < done <= len(vectors) else vectors[:0]
            if rows.size != done * width or facts["crc32"] != zlib.crc32(rows.tobytes()):
                raise FileError(f"{self._path} is damaged")
        except (FileError, OSError) as error:
            print(f"{error}: its vectors are made again", file=sys.stderr)
            return 0
        vectors[:done], self._crc32 = rows.reshape(done, width), facts["crc32"]
        broken.update(facts["broken"])
        return done

    def save(self, vectors: np.ndarray, start: int, stop: int, broken: BrokenPhotos) -> None:
        """Writes rows start to stop, then that they count."""
        rows = vectors[start:stop].tobytes()
        with storage_errors(self._path, ": {remedy}, then run the same command again"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "r+b" if start else "wb") as file:
                file.write(_header(vectors))
                file.seek(len(_header(vectors)) + vectors[:start].nbytes)
                file.write(rows)
                file.flush()
                os.fsync(file.fileno())
        self._crc32 = zlib.crc32(rows, self._crc32 if start else 0)
        facts = {"identity": self._identity, "done": stop, "crc32": self._crc32, "broken": dict(broken)}
        write_json(self._facts_path, {**facts, "checksum": checksum_of(facts)})


def _header(vectors: np.ndarray) -> bytes:
    """The first bytes of an .npy file of `vectors`."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, np.lib.format.header_data_from_array_1_0(vectors))
    return buffer.getvalue()


def _identity(manifest: Manifest, extractor: Extractor) -> str:
    """Of the extractor and of the photos: their names, sizes in bytes, and boxes."""
    photos = [(record.name, photo_bytes(record.path), record.box) for record in manifest.records]
    return hashlib.sha256(json.dumps([extractor.identity, photos]).encode()).hexdigest()
