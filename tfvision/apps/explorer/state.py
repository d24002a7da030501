"""What people did with a collection: tags and verdicts, kept beside it; several pages and servers may write."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfvision.apps.explorer.kept_file import KeptFile, check_name
from tfvision.errors import DataError
from tfvision.kinds import Kind

_FILE = "notes.json"
_EMPTY: dict[str, Any] = {"version": 0, "tags": {}, "questions": {}}
_MARKS = dict[str, dict[str, bool]]
_QUESTION: Kind = {"conclusion": str, "marks": _MARKS, "judges": dict[str, _MARKS] | None}
_KIND: Kind = {"version": int, "tags": dict[str, tuple[str, ...]], "questions": {str: _QUESTION}}


class Notes:
    """Tags and verdicts, by the ids of pictures.

    The file is {"version", "tags": {tag: [ids]}, "questions": {X: {"conclusion", "marks": {query: {id: is right}}, "judges": {name: marks}}}}. "marks"
    are those of who gives no name; "judges" is there where somebody gave one.
    """

    def __init__(self, folder: str | Path) -> None:
        self._file = KeptFile(Path(folder) / _FILE, _KIND, _EMPTY, "notes")
        self._dropped: dict[str, dict[str, Any]] = {}  # questions, until the end of the process

    def read(self) -> dict[str, Any]:
        """The notes as they are now, by whatever process they were written."""
        return self._file.read()

    def tag(self, tag: str, ids: Iterable[str], is_tagged: bool = True) -> None:
        """Gives pictures a tag, or takes it away; a tag without pictures is forgotten. Raises DataError, StorageError."""
        check_name(tag, "a tag")
        given = dict.fromkeys(ids)
        with self._file.changing() as notes:
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
        check_name(question, "X")
        if judge:
            check_name(judge, "a judge's name")
        with self._file.changing() as notes:
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
        check_name(question, "X")
        with self._file.changing() as notes:
            notes["questions"].setdefault(question, {"conclusion": "", "marks": {}})["conclusion"] = str(conclusion)[:5000]

    def drop_question(self, question: str) -> None:
        """Forgets a question with its marks; `restore_question` takes that back."""
        with self._file.changing() as notes:
            if question in notes["questions"]:
                self._dropped[question] = notes["questions"].pop(question)

    def restore_question(self, question: str) -> None:
        """Takes back that a question was forgotten. Raises DataError where it was not, or has begun anew."""
        with self._file.changing() as notes:
            if question not in self._dropped or any(notes["questions"].get(question, {}).values()):  # one whose marks were taken back holds nothing
                raise DataError(f"{question!r:.60} was not forgotten, or has begun anew: nothing was restored")
            notes["questions"][question] = self._dropped[question]
        self._dropped.pop(question, None)  # once it is written
