"""The ledger of downloads: a line a photo, appended as it is finished, read when the work goes on."""

import sys
import typing
from collections.abc import Mapping
from pathlib import Path

from tfvision.data.appended_csv import AppendedCsv, one_line, read_appended

COLUMNS = ("image", "url", "status", "bytes", "sha256", "reason", "attempts")
LEDGER_NAME = "downloads.csv"
DONE, FAILED, RETRY = "done", "failed", "retry"  # there and sound; will not come; may come another time


class Entry(typing.NamedTuple):
    """What became of a photo.

    Attributes:
      status: DONE, FAILED or RETRY.
      size: bytes of the file; 0 where there is none.
      reason: why it failed, "" where it did not.
    """

    status: str
    size: int = 0
    sha256: str = ""
    reason: str = ""
    attempts: int = 0


class Ledger(AppendedCsv):
    """The ledger of a folder, open for appending. Raises as AppendedCsv."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / LEDGER_NAME, COLUMNS)

    def add(self, image: str, url: str, entry: Entry) -> None:
        """Appends one line. Raises StorageError."""
        self.append((image, url, entry.status, entry.size, entry.sha256, entry.reason, entry.attempts))


def read_ledger(folder: Path, wanted: Mapping[str, str]) -> dict[str, Entry]:
    """The last entry of each photo that is wanted from the same address as then: {image: Entry}.

    Args:
      folder: its Ledger is open.
      wanted: {image: url}.
    """
    entries = {}
    for image, url, status, size, sha256, reason, attempts in read_appended(folder / LEDGER_NAME, COLUMNS):
        if size.isdecimal() and attempts.isdecimal() and image in wanted and one_line(wanted[image]) == url:
            entries[image] = Entry(sys.intern(status), int(size), sha256, sys.intern(reason), int(attempts))
    return entries


class Failure(Exception):
    """A photo that did not come.

    Attributes:
      status: FAILED or RETRY.
      is_passing: whether another attempt in this run may help.
    """

    def __init__(self, reason: str, status: str = FAILED, is_passing: bool = False) -> None:
        super().__init__(reason)
        self.status, self.is_passing = status, is_passing

    def entry(self, attempts: int) -> Entry:
        return Entry(self.status, reason=str(self), attempts=attempts)
