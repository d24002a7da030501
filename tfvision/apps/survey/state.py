"""What a survey knows so far, on disk: a process killed at any moment loses at most the photos that it was looking at.

Nothing here depends on gaps, shifts, deployments or thresholds, so that these may be changed without looking at a photo again.
"""

import datetime
import errno
import json
import os
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfvision.data.appended_csv import AppendedCsv, read_appended, unwritable
from tfvision.data.cards.capture import Capture
from tfvision.errors import DataError, FileError
from tfvision.files import read_json, write_json

FOLDER = "state"
_JOB, _CAPTURES, _SEEN, _EVIDENCE, _FOUND = "survey.json", "captures.csv", "seen.csv", "evidence.f32", "found.csv"
_FILE_COLUMNS = ("file", "bytes", "modified")
_CAPTURE_COLUMNS = (*_FILE_COLUMNS, *Capture._fields)
_SEEN_COLUMNS = (*_FILE_COLUMNS, "box", "unusable", "row", "broken")
_FOUND_COLUMNS = (*_FILE_COLUMNS, "detector", "found")
_PASSING = " cannot be read ("  # of a card that lay badly in its reader: what the system says of a file may be otherwise the next time
_REMEDY = "choose another --out, or remove {folder} to begin anew"


class FileState(typing.NamedTuple):
    """What tells that a file is as it was: its size in bytes, and when it was changed, in nanoseconds."""

    bytes: int
    modified: int


class Look(typing.NamedTuple):
    """A photo that was looked at, or an animal in it.

    Attributes:
      row: of its evidence.
      unusable: why nothing can be told of it; "" where something can.
      box: where the animal is; "" for all of the photo.
    """

    row: int
    unusable: str
    box: str = ""


class SurveyState:
    """The notes of a survey; a context manager.

    Attributes:
      captures: {name of a photo: (FileState, Capture)}.
      looks: {name of a photo: (FileState, its Looks)}.
      broken: {name of a photo that cannot be read: (FileState, why)}.
      found: {name of a photo: (FileState, the identity of a detector, what that found, as JSON)}.
    """

    def __init__(self, out: Path, model: str, width: Callable[[], int]) -> None:
        """Opens or begins the notes in OUT/state.

        Args:
          model: the identity of the model.
          width: tells how many numbers the evidence of a photo has; asked where the notes begin.

        Raises:
          DataError: they are of another model, or another process works on them.
          StorageError: they cannot be written.
        """
        self._folder = out / FOLDER
        remedy = _REMEDY.format(folder=self._folder)
        job = self._folder / _JOB
        if not job.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(job, {"version": 1, "model": model, "width": width()})
        stored = read_json(job, {"version": int, "model": str, "width": int}, remedy)
        if stored["model"] != model:
            raise DataError(f"{out} holds a survey by another model, or by one that was trained again: {remedy}")
        self._width = width = stored["width"]
        self._capture_book = AppendedCsv(self._folder / _CAPTURES, _CAPTURE_COLUMNS)
        self._seen_book = AppendedCsv(self._folder / _SEEN, _SEEN_COLUMNS)
        self._evidence = open(self._folder / _EVIDENCE, "ab+", buffering=0)
        self.captures = dict(filter(None, map(_capture_of, read_appended(self._folder / _CAPTURES, _CAPTURE_COLUMNS))))
        self._found_book = AppendedCsv(self._folder / _FOUND, _FOUND_COLUMNS)
        self.found = dict(filter(None, map(_found_of, read_appended(self._folder / _FOUND, _FOUND_COLUMNS))))
        self.looks: dict[str, tuple[FileState, list[Look]]] = {}
        self.broken: dict[str, tuple[FileState, str]] = {}
        rows, whole = 0, os.path.getsize(self._folder / _EVIDENCE) // (4 * width)
        for cells in read_appended(self._folder / _SEEN, _SEEN_COLUMNS):
            if (noted := _look_of(cells)) and (noted[3] or noted[2].row < whole):
                self._keep(*noted)
                rows = max(rows, noted[2].row + 1)
        self._rows = rows
        self._evidence.truncate(4 * width * rows)  # what was written and not yet noted

    def note_captures(self, found: Iterable[tuple[str, FileState, Capture]]) -> None:
        """Keeps what photos' headers say. Raises StorageError."""
        found = list(found)
        self._capture_book.append(*((json.dumps(name), *state, *_told(capture)) for name, state, capture in found))
        self.captures.update({name: (state, capture) for name, state, capture in found})

    def note_found(self, detector: str, found: Iterable[tuple[str, FileState, str]]) -> None:
        """Keeps what a detector found in photos. Raises StorageError."""
        found = list(found)
        self._found_book.append(*((json.dumps(name), *state, detector, text) for name, state, text in found if _PASSING not in text))
        self.found.update({name: (state, detector, text) for name, state, text in found})

    def knows(self, name: str, state: FileState, box: str = "") -> bool:
        """Whether a photo, or an animal in it, was looked at as it is."""
        known, looks = self.looks.get(name, (None, []))
        return self.broken.get(name, (None,))[0] == state or (known == state and any(look.box == box for look in looks))

    def look_of(self, name: str, box: str = "") -> Look:
        """What is known of a photo, or of an animal in it."""
        return next(look for look in self.looks[name][1] if look.box == box)

    def note_looks(self, found: Sequence[tuple[str, FileState, str, str]], evidence: np.ndarray, broken: Mapping[str, tuple[FileState, str]]) -> None:
        """Keeps what was seen: first the evidence, then that it is there.

        Args:
          found: name of the photo, its FileState, box, and why it is unusable, of each row of the evidence.
          evidence: float32 [rows, width].
          broken: {name of a photo: (FileState, why it cannot be read)}.

        Raises:
          StorageError: it cannot be written.
        """
        content = np.ascontiguousarray(evidence, "<f4").tobytes()
        try:
            if self._evidence.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise unwritable(self._folder / _EVIDENCE, error) from error
        looks = [(name, state, Look(self._rows + number, unusable, box), "") for number, (name, state, box, unusable) in enumerate(found)]
        looks += [(name, state, Look(-1, ""), why) for name, (state, why) in broken.items()]
        lasting = [(json.dumps(name), *state, look.box, look.unusable, look.row, why) for name, state, look, why in looks if _PASSING not in why]
        self._seen_book.append(*lasting)
        for one in looks:
            self._keep(*one)
        self._rows += len(found)

    def evidence(self, rows: Sequence[int]) -> np.ndarray:
        """float32 [rows, width]. Raises FileError."""
        try:
            parts = [os.pread(self._evidence.fileno(), 4 * self._width, 4 * self._width * row) for row in rows]
            return np.frombuffer(b"".join(parts), "<f4").reshape(len(rows), self._width)
        except (OSError, ValueError) as error:
            raise FileError(f"{self._folder / _EVIDENCE} was changed: remove {self._folder} to begin anew") from error

    def close(self) -> None:
        os.fsync(self._evidence.fileno())
        self._evidence.close()
        self._capture_book.close()
        self._seen_book.close()
        self._found_book.close()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _keep(self, name, state, look, why):
        known, looks = self.looks.pop(name, (None, []))
        self.broken.pop(name, None)
        if why:
            self.broken[name] = (state, why)
        else:
            self.looks[name] = (state, [*(one for one in looks if known == state and one.box != look.box), look])


def _told(capture):
    return ("" if value is None else value.isoformat() if isinstance(value, datetime.datetime) else value for value in capture)


def _capture_of(cells):
    """(name, (FileState, Capture)) of a line; None where it is damaged."""
    try:
        name, size, modified, width, height, time, zone, latitude, longitude, *camera = cells
        taken = datetime.datetime.fromisoformat(time) if time else None
        place = [float(text) if text else None for text in (latitude, longitude)]
        return json.loads(name), (FileState(int(size), int(modified)), Capture(int(width), int(height), taken, int(zone) if zone else None, *place, *camera))
    except ValueError:
        return None


def _found_of(cells):
    """(name, (FileState, detector, what it found)) of a line; None where it is damaged."""
    try:
        name, size, modified, detector, text = cells
        return json.loads(name), (FileState(int(size), int(modified)), detector, text)
    except ValueError:
        return None


def _look_of(cells):
    """(name, FileState, Look, why it is broken) of a line; None where it is damaged."""
    try:
        name, size, modified, box, unusable, row, why = cells
        return json.loads(name), FileState(int(size), int(modified)), Look(int(row), unusable, box), why
    except ValueError:
        return None
