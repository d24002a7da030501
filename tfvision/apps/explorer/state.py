"""What people did with a collection: tags and verdicts, kept beside it; several pages and servers may write."""

import contextlib
import fcntl
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfvision.errors import DataError, RunError
from tfvision.files import read_json, write_json

_FILE = "notes.json"
_EMPTY: dict[str, Any] = {"version": 0, "tags": {}, "questions": {}}
_LONGEST_NAME = 200


class Notes:
    """Tags and verdicts, by the ids of pictures.

    The file is {"version", "tags": {tag: [ids]}, "questions": {X: {"conclusion", "marks": {query: {id: is right}}}}}.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder, self._mutex = Path(folder), threading.Lock()
        self._known: tuple[int, dict[str, Any]] | None = None  # (when the file was written, what it holds)

    def read(self) -> dict[str, Any]:
        """The notes as they are now, by whatever process they were written."""
        path = self._folder / _FILE
        if not path.is_file():
            return _EMPTY
        written_at, known = path.stat().st_mtime_ns, self._known
        if known is None or known[0] != written_at:
            known = self._known = written_at, _checked(read_json(path), path)
        return known[1]

    def tag(self, tag: str, ids: Iterable[str], is_tagged: bool = True) -> None:
        """Gives pictures a tag, or takes it away; a tag without pictures is forgotten. Raises DataError, StorageError."""
        _check_name(tag, "a tag")
        ids = list(ids)
        with self._changing() as notes:
            kept = [id for id in notes["tags"].get(tag, []) if id not in set(ids)]
            notes["tags"][tag] = [*kept, *dict.fromkeys(ids)] if is_tagged else kept
            if not notes["tags"][tag]:
                del notes["tags"][tag]

    def mark(self, question: str, query: str, marks: Mapping[str, bool | None]) -> None:
        """Marks hits of a query for "do deep features retrieve X?": {id: True, False or None (no longer judged)}."""
        _check_name(question, "X")
        with self._changing() as notes:
            entry = notes["questions"].setdefault(question, {"conclusion": "", "marks": {}})
            judged = entry["marks"].setdefault(query, {})
            judged.update({id: is_right for id, is_right in marks.items() if is_right is not None})
            for id in [id for id, is_right in marks.items() if is_right is None]:
                judged.pop(id, None)
            if not judged:
                del entry["marks"][query]

    def conclude(self, question: str, conclusion: str) -> None:
        """Writes the verdict in words. Raises DataError, StorageError."""
        _check_name(question, "X")
        with self._changing() as notes:
            notes["questions"].setdefault(question, {"conclusion": "", "marks": {}})["conclusion"] = str(conclusion)[:5000]

    def drop_question(self, question: str) -> None:
        """Forgets a question with its marks."""
        with self._changing() as notes:
            notes["questions"].pop(question, None)

    @contextlib.contextmanager
    def _changing(self):
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._mutex, open(self._folder / "notes.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self.read()
            notes = {"version": before["version"] + 1, **{key: _copy(before[key]) for key in ("tags", "questions")}}
            yield notes
            write_json(self._folder / _FILE, notes)


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return list(value) if isinstance(value, list) else value


def _checked(value, path):
    if not isinstance(value, dict) or not all(isinstance(value.get(key), kind) for key, kind in (("version", int), ("tags", dict), ("questions", dict))):
        raise RunError(f"{path} is no file of notes: move it away, or restore it")
    return value


def _check_name(name, what):
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise DataError(f"{what} must be a text of 1 to {_LONGEST_NAME} characters, got {name!r:.60}")
