"""The one walk over a folder of photos: each file in it is read, or left out for a reason that is told.

A command runs within `noted_left_out` and ends with their `account`, so that no file goes in silence, whatever folder is read.
"""

import collections
import contextlib
import contextvars
import os
import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tfvision.data.image_formats import is_photo_name, why_no_photo
from tfvision.errors import DataError

NOT_UTF8 = "the name is not UTF-8: rename it"
OUTSIDE = "outside the class folders"
WITHOUT_PHOTOS = "a folder of which no photo is read"
NOT_LISTED = "none of the benchmark's photos"
_HIDDEN = "hidden, the name begins with a dot"
_OF_THE_SYSTEM = "a folder that a system keeps for itself"
_LEFTOVER = "a backup or an unfinished download"
_READ_ALREADY = "a link to a folder that is read already or holds the link"
_DANGLING = "a link that leads nowhere"
_NO_FILE = "a pipe, a socket or a device"
_BELOW = "a folder in the folder"
_NO_ANSWER = (_HIDDEN, _OF_THE_SYSTEM, _READ_ALREADY, WITHOUT_PHOTOS, _BELOW)
_OURS = ".tfvision"  # what the explorer keeps beside photos

_SYSTEM_FOLDERS = frozenset(["@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found", "__macosx"])
_LEFTOVER_NAME = re.compile(r".*(~|_original|\.(bak|orig|part|partial|crdownload|download|tmp))", re.IGNORECASE | re.DOTALL)


class LeftOut(typing.NamedTuple):
    """A file or a folder that is not read.

    Attributes:
      path: as people are told it; it can be printed.
      reason: in words that many may share.
      is_photo: whether the name is a photo's, so that an answer would be expected.
    """

    path: str
    reason: str
    is_photo: bool = False


class PhotoFiles(typing.NamedTuple):
    """What lies in a folder.

    Attributes:
      names: of the photos, relative to the folder; its own come before those of its folders.
      left_out: all else, relative to the folder as well.
    """

    names: list[str]
    left_out: tuple[LeftOut, ...]


def walk_photos(folder: Path | str, is_deep: bool = True, expected: str = "", may_be_empty: bool = False) -> PhotoFiles:
    """Finds the photos in a folder and names all else with its reason.

    Links are followed. Each folder is read once, under its own name rather than a link's. What has a photo's name is not opened: that it
    is damaged, may not be read or was a link to a photo now gone is told when it is read.

    Args:
      folder: its path.
      is_deep: whether its folders are looked into.
      expected: what should lie there, for the error.
      may_be_empty: whether a folder without photos is none too few.

    Raises:
      DataError: it cannot be read, or holds no photos.
    """
    folder = os.fspath(folder)
    if not is_utf8(folder):
        raise DataError(f"{printable(folder)}: {NOT_UTF8}")
    start = len(os.path.join(folder, ""))
    entries = [(path[start:], reason) for path, reason in _entries(folder, is_deep)]
    names = sorted((name for name, reason in entries if not reason), key=_in_order)
    holding = {"", *(str(parent) for inner in {os.path.dirname(name) for name in names} for parent in (Path(inner), *Path(inner).parents))}
    left_out = sorted(
        LeftOut(printable(name), reason, is_photo_name(name) and reason not in _NO_ANSWER)
        for name, reason in entries
        if reason and (reason != WITHOUT_PHOTOS or (name not in holding and os.path.dirname(name) in holding))
    )
    if not names and not may_be_empty:
        told = f" (left out {'; '.join(account(left_out))})" if left_out else ""
        raise DataError(f"{folder} holds no photos{told}" + (f": expected {expected}" if expected else ""))
    return PhotoFiles(names, note_left_out(folder, left_out))


def is_utf8(path: str) -> bool:
    """Whether a path can be written to reports and lists."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(path: str) -> str:
    r"""A path as it can be printed anywhere: \xe9 stands for a byte that is not UTF-8, \n and the like for what would move the cursor."""
    path = os.fsencode(path).decode(errors="backslashreplace")
    return path if path.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in path)


def account(left_out: Iterable[LeftOut]) -> list[str]:
    """A line for each reason, the most frequent first: how many, why, and one of them."""
    by_reason = collections.defaultdict(list)
    for one in left_out:
        by_reason[one.reason].append(one.path)
    return [f"{len(paths):,}: {reason}, such as {min(paths)}" for reason, paths in sorted(by_reason.items(), key=lambda item: -len(item[1]))]


_noted: contextvars.ContextVar[dict[str, LeftOut] | None] = contextvars.ContextVar("noted", default=None)


@contextlib.contextmanager
def noted_left_out() -> Iterator[dict[str, LeftOut]]:
    """A block that collects what all walks in it leave out, by path."""
    noted: dict[str, LeftOut] = {}
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def note_left_out(folder: Path | str, left_out: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
    """Adds what was left out of a folder to the account of the command that runs; returns it."""
    noted = _noted.get()
    if noted is not None:
        noted.update({path: one._replace(path=path) for one in left_out for path in [os.path.join(folder, one.path)]})
    return tuple(left_out)


def _entries(root: str, is_deep: bool) -> Iterator[tuple[str, str | None]]:
    """(path, reason that it is left out, or None) of all files, and of folders that are left out or may turn out to hold no photo."""
    read, folders, links = set[str](), [root], collections.deque[str]()
    real_root = os.path.realpath(root)
    while folders or links:
        folder = folders.pop() if folders else links.popleft()
        real = os.path.realpath(folder)
        if real in read or (folder != root and os.path.commonpath([real, real_root]) == real):
            yield folder, _READ_ALREADY
            continue
        read.add(real)
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry for entry in entries if entry.name != _OURS), key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise DataError(f"{folder} cannot be read ({error.strerror}): allow it, or move it away") from error
            yield folder, f"cannot be read ({error.strerror})"
            continue
        if folder != root:
            yield folder, WITHOUT_PHOTOS
        for entry in found:
            if is_deep and _is_folder_to_read(entry):
                (links if entry.is_symlink() else folders).append(entry.path)
            else:
                yield entry.path, _why_left_out(entry)


def _is_folder_to_read(entry):
    try:
        return entry.is_dir() and not entry.name.startswith(".") and entry.name.lower() not in _SYSTEM_FOLDERS
    except OSError:  # a link to itself
        return False


def _why_left_out(entry: "os.DirEntry[str]") -> str | None:
    if entry.name.startswith("."):
        return _HIDDEN
    if entry.is_symlink() and not os.path.exists(entry.path):
        return None if is_photo_name(entry.name) and is_utf8(entry.path) else _DANGLING
    if entry.is_dir():
        return _OF_THE_SYSTEM if entry.name.lower() in _SYSTEM_FOLDERS else _BELOW
    if not entry.is_file():
        return _NO_FILE
    if not is_utf8(entry.path):
        return NOT_UTF8
    return _LEFTOVER if _LEFTOVER_NAME.fullmatch(entry.name) else why_no_photo(entry.path)


def _in_order(name: str) -> list[tuple[bool, str]]:
    *folders, file = name.split(os.sep)
    return [*((True, folder) for folder in folders), (False, file)]
