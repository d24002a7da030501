"""A CSV that grows line by line while work goes on: a process killed at any moment loses at most its last line."""

import csv
import errno
import fcntl
import io
import os
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tfvision.errors import DataError, StorageError
from tfvision.files import way_out


class AppendedCsv:
    """Open for appending, by one process at a time."""

    def __init__(self, path: Path | str, columns: Sequence[str]) -> None:
        """Opens the file, and cuts off a line that a killed process left unfinished.

        Raises:
          DataError: another process has it open, or it is another table.
          StorageError: it cannot be written.
        """
        self._path = Path(path)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "ab", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check_header(columns)
            _drop_half_line(self._path)
        except BlockingIOError:
            raise DataError(f"another process works on {self._path.parent}: wait for it, or choose another folder") from None
        except OSError as error:
            raise unwritable(self._path, error) from error
        if not os.path.getsize(self._path):
            self.append(columns)

    def append(self, *rows: Iterable[object]) -> None:
        """Appends a line for each row of cells. Raises StorageError."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([one_line(cell) for cell in row] for row in rows)
        lines = text.getvalue().encode()
        try:
            if self._file.write(lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _check_header(self, columns: Sequence[str]) -> None:
        expected = ",".join(columns).encode() + b"\n"
        with open(self._path, "rb") as file:
            found = file.read(len(expected))
        if os.path.getsize(self._path) and found != expected[: len(found)]:
            raise DataError(f"{self._path} is another table than the one that is kept there, of {', '.join(columns)}: move it away")

    def close(self) -> None:
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_appended(path: Path | str, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yields the whole lines of such a CSV, once AppendedCsv has opened it, as lists of cells."""
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.reader(line.replace("\0", "") for line in file if line.endswith("\n"))
        _next(rows)
        while (row := _next(rows)) is not None:
            if len(row) == len(columns):
                yield row


def _next(rows):
    """The next row that can be read; None at the end."""
    while True:
        try:
            return next(rows, None)
        except csv.Error:  # a cell as long as none of ours, say
            continue


def one_line(cell: object) -> str:
    """A cell as text without line breaks and other control characters."""
    text = str(cell)
    return (text if text.isprintable() else "".join(character if character.isprintable() else " " for character in text)).strip()


def _drop_half_line(path: Path) -> None:
    with open(path, "r+b") as file:
        size = whole = file.seek(0, os.SEEK_END)
        while whole:
            start = max(0, whole - 65536)
            file.seek(start)
            newline = file.read(whole - start).rfind(b"\n")
            whole = start + newline + 1
            if newline >= 0:
                break
        if whole < size:
            file.truncate(whole)


def unwritable(path: Path | str, error: OSError) -> StorageError:
    """The StorageError of a file that belongs to work which goes on when its command is given again."""
    return StorageError(f"{path} could not be written ({error.strerror or error}): {way_out(error)}, then run the same command again; it goes on")
