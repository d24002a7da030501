"""A JSON file beside a collection that several pages and servers change: read anew where it was written, changed under a lock."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfvision.errors import DataError, RunError
from tfvision.files import read_json, storage_errors, write_json
from tfvision.kinds import Kind, is_of, wrong_part

_REMEDY = "restore it from a copy, or move it away to begin anew"
_LONGEST_NAME = 200


class KeptFile:
    """What people did with a collection, a JSON object with a number `version` that grows with each change.

    Args:
      path: of the file, which need not be there.
      kind: as kinds.is_of.
      empty: what holds where there is no file.
      what: as messages name it: "notes".
    """

    def __init__(self, path: Path, kind: Kind, empty: dict[str, Any], what: str) -> None:
        self._path, self._kind, self._empty, self._what = path, kind, empty, what
        self._mutex = threading.Lock()
        self._known: tuple[tuple[int, ...], dict[str, Any]] | None = None  # (which file it was, what it holds)

    def read(self) -> dict[str, Any]:
        """What it holds now, by whatever process it was written. Raises RunError where it is damaged."""
        if not os.path.lexists(self._path):
            return self._empty
        mark, known = _mark(self._path), self._known
        if known is None or known[0] != mark:
            known = self._known = mark, self._checked(read_json(self._path, object, _REMEDY, RunError))
        return known[1]

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """Yields a copy to change, which is written at the end. Raises RunError, StorageError."""
        with self._mutex, self._locked():
            before = self.read()
            changed = {"version": before["version"] + 1, **{key: _copy(before[key]) for key in self._empty if key != "version"}}
            yield changed
            write_json(self._path, changed)
            self._known = None

    @contextlib.contextmanager
    def _locked(self):
        path = self._path.with_suffix(".lock")
        with storage_errors(path, ", so nothing was noted: {remedy}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _checked(self, value):
        if not is_of(value, self._kind):
            wrong = wrong_part(value, self._kind) if isinstance(value, dict) else "whole"
            raise RunError(f"{self._path} is no file of {self._what}, its {wrong!r} cannot be: {_REMEDY}")
        return value


def check_name(name: Any, what: str) -> None:
    """Raises DataError where a name that a person gave is no short text."""
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise DataError(f"{what} must be a text of 1 to {_LONGEST_NAME} characters, got {name!r:.60}")


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return list(value) if isinstance(value, list) else value


def _mark(path):
    """Another one for each file that is renamed to this path: the clock of files stands still for some milliseconds."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_mtime_ns, status.st_ino, status.st_size
    return ()
