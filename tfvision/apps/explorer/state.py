"""What people did with a collection: tags and verdicts, kept beside it; several pages and servers may write."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfvision.errors import DataError, RunError
from tfvision.files import read_json, storage_errors, write_json
from tfvision.kinds import Kind, is_of, wrong_part

_FILE = "notes.json"
_EMPTY: dict[str, Any] = {"version": 0, "tags": {}, "questions": {}}
_MARKS = dict[str, dict[str, bool]]
_QUESTION: Kind = {"conclusion": str, "marks": _MARKS, "judges": dict[str, _MARKS] | None}
_KIND: Kind = {"version": int, "tags": dict[str, tuple[str, ...]], "questions": {str: _QUESTION}}
_REMEDY = "restore it from a copy, or move it away to begin anew"
_LONGEST_NAME = 200


class Notes:
    """Tags and verdicts, by the ids of pictures.

    The file is {"version", "tags": {tag: [ids]}, "questions": {X: {"conclusion", "marks": {query: {id: is right}}, "judges": {name: marks}}}}. "marks"
    are those of who gives no name; "judges" is there where somebody gave one.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder, self._mutex = Path(folder), threading.Lock()
        self._dropped: dict[str, dict[str, Any]] = {}  # questions, until the end of the process
        self._known: tuple[int, dict[str, Any]] | None = None  # (when the file was written, what it holds)

    def read(self) -> dict[str, Any]:
        """The notes as they are now, by whatever process they were written."""
        path = self._folder / _FILE
        if not os.path.lexists(path):
            return _EMPTY
        written_at, known = _written_at(path), self._known
        if known is None or known[0] != written_at:
            known = self._known = written_at, _checked(read_json(path, object, _REMEDY, RunError), path)
        return known[1]

    def tag(self, tag: str, ids: Iterable[str], is_tagged: bool = True) -> None:
        """Gives pictures a tag, or takes it away; a tag without pictures is forgotten. Raises DataError, StorageError."""
        _check_name(tag, "a tag")
        given = dict.fromkeys(ids)
        with self._changing() as notes:
            kept = [id for id in notes["tags"].get(tag, []) if id not in given]
            notes["tags"][tag] = [*kept, *given] if is_tagged else kept
            if not notes["tags"][tag]:
                del notes["tags"][tag]

    def mark(self, question: str, query: str, marks: Mapping[str, bool | None], judge: str = "") -> None:
        """Marks hits of a query for "do deep features retrieve X?": {id: True, False or None (no longer judged)}.

        Args:
          judge: who marks; the marks of each are their own. "" is who gives no name.

        Raises:
          DataError, StorageError.
        """
        _check_name(question, "X")
        if judge:
            _check_name(judge, "a judge's name")
        with self._changing() as notes:
            entry = notes["questions"].setdefault(question, {"conclusion": "", "marks": {}})
            judges = entry.pop("judges", None) or {}
            own = judges.setdefault(judge, {}) if judge else entry["marks"]
            judged = own.setdefault(query, {})
            judged.update({id: is_right for id, is_right in marks.items() if is_right is not None})
            for id in [id for id, is_right in marks.items() if is_right is None]:
                judged.pop(id, None)
            if not judged:
                del own[query]
            if judges := {name: marked for name, marked in judges.items() if marked}:
                entry["judges"] = judges

    def conclude(self, question: str, conclusion: str) -> None:
        """Writes the verdict in words. Raises DataError, StorageError."""
        _check_name(question, "X")
        with self._changing() as notes:
            notes["questions"].setdefault(question, {"conclusion": "", "marks": {}})["conclusion"] = str(conclusion)[:5000]

    def drop_question(self, question: str) -> None:
        """Forgets a question with its marks; `restore_question` takes that back."""
        with self._changing() as notes:
            if question in notes["questions"]:
                self._dropped[question] = notes["questions"].pop(question)

    def restore_question(self, question: str) -> None:
        """Takes back that a question was forgotten. Raises DataError where it was not, or has begun anew."""
        with self._changing() as notes:
            if question not in self._dropped or any(notes["questions"].get(question, {}).values()):  # one whose marks were taken back holds nothing
                raise DataError(f"{question!r:.60} was not forgotten, or has begun anew: nothing was restored")
            notes["questions"][question] = self._dropped.pop(question)

    @contextlib.contextmanager
    def _changing(self):
        with self._mutex, self._locked():
            before = self.read()
            notes = {"version": before["version"] + 1, **{key: _copy(before[key]) for key in ("tags", "questions")}}
            yield notes
            write_json(self._folder / _FILE, notes)

    @contextlib.contextmanager
    def _locked(self):
        path = self._folder / "notes.lock"
        with storage_errors(path, ", so nothing was noted: {remedy}"):
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return list(value) if isinstance(value, list) else value


def _written_at(path):
    with contextlib.suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


def _checked(value, path):
    if not is_of(value, _KIND):
        wrong = wrong_part(value, _KIND) if isinstance(value, dict) else "whole"
        raise RunError(f"{path} is no file of notes, its {wrong!r} cannot be: {_REMEDY}")
    return value


def _check_name(name, what):
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise DataError(f"{what} must be a text of 1 to {_LONGEST_NAME} characters, got {name!r:.60}")
