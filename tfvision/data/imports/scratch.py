"""Rows that need not fit in memory: a database on disk that lives as long as the block."""

import contextlib
import errno
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tfvision.errors import StorageError
from tfvision.files import temporary_folder, way_out

MOST_KEYS = 900  # fewer than the parameters that any sqlite takes
_SEPARATOR = "\x1f"  # ASCII's own "unit separator"
_CACHE_KIB = 64 * 1024


@contextlib.contextmanager
def scratch_database(folder: Path | str) -> Iterator[sqlite3.Connection]:
    """Yields an sqlite3 connection to a file in a temporary folder of `folder`; removes it at the end.

    Raises:
      StorageError: the disk is full, or the folder cannot be written.
    """
    try:
        with temporary_folder(folder) as own, contextlib.closing(sqlite3.connect(own / "rows.sqlite3", isolation_level=None)) as database:
            # A crash loses it anyway: no journal, no sync. Sorting goes to files beside, not into memory.
            database.executescript(
                f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE; PRAGMA cache_size=-{_CACHE_KIB}; PRAGMA locking_mode=EXCLUSIVE"
            )
            yield database
    except (OSError, sqlite3.OperationalError) as error:  # of SQLite: a full disk
        remedy = way_out(error if isinstance(error, OSError) else OSError(errno.ENOSPC, str(error)))
        raise StorageError(f"{folder} could not be written ({error}): {remedy}") from error


class Lookup:
    """A table of text by key, written once in any order, then looked up.

    Args:
      database: an open scratch database.
      name: the table's name, of letters.
    """

    def __init__(self, database: sqlite3.Connection, name: str) -> None:
        self._database, self._name = database, name
        self._database.execute(f"CREATE TABLE {name} (key, text)")  # one text: half the time of a column for each value

    def fill(self, rows: Iterable[Sequence[str]]) -> None:
        """Writes (key, value, ...) rows, all with as many values; of several with one key the first counts. Space around a key is no part of it."""
        self._database.execute("BEGIN")
        self._database.executemany(f"INSERT INTO {self._name} VALUES (?, ?)", ((key.strip(), _joined(values)) for key, *values in rows))
        self._database.execute("COMMIT")
        self._database.execute(f"CREATE INDEX {self._name}_key ON {self._name} (key)")

    def get(self, key: str) -> list[str] | None:
        """The values of a key as a list, or None."""
        return self.get_all([key.strip()]).get(key.strip())

    def get_all(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """key -> its values, of the keys that are there; at most MOST_KEYS at once."""
        rows = self._database.execute(f"SELECT key, text FROM {self._name} WHERE key IN ({', '.join('?' * len(keys))}) ORDER BY rowid DESC", keys)
        return {key: text.split(_SEPARATOR) for key, text in rows}

    def __len__(self) -> int:
        return self._database.execute(f"SELECT count(*) FROM {self._name}").fetchone()[0]


def _joined(values):
    text = _SEPARATOR.join(values)
    if text.count(_SEPARATOR) != len(values) - 1:
        text = _SEPARATOR.join(value.replace(_SEPARATOR, " ") for value in values)
    return text
