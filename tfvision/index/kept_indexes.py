"""The approximate indexes of a folder's vectors, kept in files beside these; whether they or an exact search are asked."""

import re
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tfvision.errors import FileError, GalleryError, StorageError
from tfvision.files import atomic_path, checksum_of, read_json, write_json
from tfvision.index import flat
from tfvision.index.approximate import METHODS, ApproximateIndex, build_index

_HNSW_FROM, _IVFPQ_FROM = 50_000, 200_000  # rows; below, the exact search takes milliseconds
_LARGEST_EXACT_K = 100  # above, the exact search answers: the recall was measured for few hits
_LEAST_SHARE_FILTERED = 0.05  # of the rows; where a filter leaves less, comparing all of them is quicker
_LARGEST_TAIL = 0.2  # of the rows: as many may be added before an index is built anew
_OF_THE_FILE = ("file", "crc32")  # among the facts on disk


class KeptIndexes:
    """The indexes of vectors whose rows only grow in number.

    An index covers the rows that there were when it was built; rows added later are compared exactly until they are a
    fifth of all.

    Args:
      folder: where the vectors' files lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, ApproximateIndex] = {}

    def nearest(self, vectors: np.ndarray, queries: np.ndarray, k: int, mask: np.ndarray | None = None, method: str = "auto") -> tuple[np.ndarray, np.ndarray]:
        """The rows of largest inner product.

        Args:
          vectors: float32 [rows, dimension].
          queries: float32 [q, dimension].
          mask: bool [rows], which may be found; None = all.
          method: "auto" (by the number of rows), "exact", "hnsw" or "ivfpq".

        Returns:
          rows int64 [q, k] and scores float32 [q, k], best first; -1 and -inf where an approximate search finds fewer.
        """
        method = chosen_method(len(vectors)) if method == "auto" else method
        is_few = mask is not None and mask.mean() < _LEAST_SHARE_FILTERED
        if method == "exact" or k > _LARGEST_EXACT_K or is_few:
            return flat.nearest(vectors, queries, k, mask)
        index = self.open(vectors, method)
        masks = (None, None) if mask is None else (mask[: index.rows], mask[index.rows :])
        found = index.nearest(vectors[: index.rows], queries, k, masks[0])
        if index.rows == len(vectors):
            return found
        rows, scores = flat.nearest(vectors[index.rows :], queries, k, masks[1])  # added since the index was built
        rows = np.where(rows < 0, -1, rows + index.rows)
        return flat.best(np.concatenate([found[0], rows], axis=1), np.concatenate([found[1], scores], axis=1), k)

    def open(self, vectors: np.ndarray, method: str) -> ApproximateIndex:
        """The index by a method: read from its file, or built and written there if it is missing or stale."""
        index = self._opened.get(method) or _read_index(self._folder, method)
        if index is None or index.rows < (1 - _LARGEST_TAIL) * len(vectors):
            index = build_index(vectors, method)
            _write_index(self._folder, index)
        self._opened[method] = index
        return index

    def check(self) -> None:
        """Compares the checksums of each index on disk. Raises GalleryError."""
        for method in METHODS:
            if fault := _fault_of(self._folder, method):
                raise GalleryError(f"{fault}: remove it; the next search that needs it builds it again")

    def facts(self) -> list[dict[str, Any]]:
        """The facts of each index on disk: [{"method", "rows", "recall", ...}]."""
        found = [_read_facts(self._folder, method) for method in METHODS]
        return [{key: value for key, value in facts.items() if key not in _OF_THE_FILE} for facts in found if facts]


def chosen_method(rows: int) -> str:
    """ "exact", "hnsw" or "ivfpq", by the number of vectors."""
    return "exact" if rows < _HNSW_FROM else "hnsw" if rows < _IVFPQ_FROM else "ivfpq"


def _write_index(folder: Path, index: ApproximateIndex) -> None:
    """Writes the index under a name of its own, then the facts that name it; what was there is removed last."""
    if not folder.exists():  # a writer has replaced the files since this gallery was opened
        return
    method = index.facts["method"]
    name = f"{method}-{index.rows}.faiss"
    try:
        with atomic_path(folder / name) as temporary:
            index.write(temporary)
        facts = {**index.facts, "file": name}
        write_json(folder / f"{method}.json", {**facts, "crc32": f"{_checksum(folder / name):08x}-{_own_checksum(facts)}"})
    except StorageError:
        return  # a full disk, or a reader's: the index serves from memory, and the next search builds it again
    for old in folder.glob(f"{method}-*.faiss"):
        if old.name != name:
            old.unlink(missing_ok=True)


def _read_index(folder: Path, method: str) -> ApproximateIndex | None:
    if fault := _fault_of(folder, method):
        print(f"{fault}: it is built again", file=sys.stderr)
        return None
    facts = _read_facts(folder, method)
    return ApproximateIndex.read(folder / facts["file"], {name: facts[name] for name in facts if name not in _OF_THE_FILE}) if facts else None


def _fault_of(folder: Path, method: str) -> str:
    """What is damaged of an index on disk; "" where it is whole, or there is none."""
    if not (folder / f"{method}.json").is_file():
        return ""
    facts = _read_facts(folder, method)
    if facts is None:
        return f"{folder / method}.json is damaged, or the index that it tells of is missing"
    crc32 = facts["crc32"] if isinstance(facts["crc32"], int) else int(facts["crc32"].partition("-")[0], 16)
    return "" if _checksum(folder / facts["file"]) == crc32 else f"{folder / facts['file']} is damaged"


def _read_facts(folder: Path, method: str) -> dict[str, Any] | None:
    """The facts written beside an index; None where it is missing or they are not as they were written."""
    try:
        facts = read_json(folder / f"{method}.json")
        of_itself = {name: facts[name] for name in facts if name != "crc32"}
        is_whole = (
            facts["method"] == method
            and facts["file"] == f"{method}-{facts['rows']}.faiss"
            and all(type(facts[name]) is int and facts[name] > 0 for name in ("rows", "candidates", "effort", "recall_at"))
            and all(type(facts[name]) in (int, float) and facts[name] >= 0 for name in ("recall", "seconds"))
            # As a number, of tfvision 0.2, it is the file's alone.
            and (isinstance(facts["crc32"], int) or re.fullmatch(rf"[0-9a-f]{{8}}-{_own_checksum(of_itself)}", facts["crc32"]))
        )
        return facts if is_whole and (folder / facts["file"]).is_file() else None
    except (FileError, KeyError, TypeError):
        return None


def _own_checksum(facts: dict[str, Any]) -> str:
    return checksum_of(facts)[:8]


def _checksum(path: Path) -> int:
    total = 0
    with open(path, "rb") as file:
        while block := file.read(2**24):
            total = zlib.crc32(block, total)
    return total
