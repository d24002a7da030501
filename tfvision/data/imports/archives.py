"""A source of tables, read without unpacking: a zip, a folder or one file; hostile until shown otherwise.

An archive is checked as a whole when it is opened: nothing of it is read before, and nothing is
ever extracted, so that a member's name cannot lead anywhere. Members are decoded as they are read.
"""

import gzip
import io
import lzma
import os
import re
import stat
import struct
import typing
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfvision.data.imports.zip_checks import END_RECORD, MAX_RATIO, RATIO_FREE_BYTES, bomb, check_bomb, check_directory_size, check_members, plain_name
from tfvision.data.json_items import json_items
from tfvision.errors import DataError

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    gzip.BadGzipFile,
    lzma.LZMAError,
    EOFError,
    struct.error,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
)


def open_archive(path: Path | str) -> "Archive":
    """Opens a zip, a folder or one file (.gz or not) as an Archive, a context manager.

    Raises:
      DataError: nothing there, not whole, or something that a hostile archive has: the message says what.
    """
    path = Path(path)
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if not path.is_file():
        raise DataError(f"{path} is neither a file nor a folder")
    with _reading(path), open(path, "rb") as file:
        start = file.read(4)
    if re.search(r"\.(tar(\.\w+)?|tgz|7z|rar)$", path.name.lower()):
        raise DataError(f"{path} is an archive that is not read as it is: unpack it first, then name the folder")
    if start[:2] == b"PK" or path.suffix.lower() == ".zip":
        return _Zip(path, start)
    return _File(path)


def json_items_of(archive: "Archive", name: str) -> Iterator[tuple[str, typing.Any]]:
    """The items of a member that is JSON, as json_items tells them. Raises DataError."""
    with archive.open(name) as stream:
        yield from json_items(stream, archive.where(name))


class Archive:
    """Names of members with `/` between folders, and their contents as binary streams.

    Attributes:
      path: where it is.
      names: its files, sorted; never folders.
      bytes_read: what has been decoded so far, of all members; of use to a progress bar.
    """

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self.path, self.names, self.bytes_read = path, tuple(sorted(names)), 0
        self._known = frozenset(self.names)

    def open(self, name: str) -> io.BufferedReader:
        """A buffered binary stream of a member. Raises DataError where it has none of that name, or it is damaged."""
        if name not in self._known:
            raise DataError(f"{self.path} has no member {name!r}")
        with _reading(self.where(name)):
            return io.BufferedReader(self._open(name), 2**18)

    def size(self, name: str) -> int:
        """Decoded bytes of a member; of a .gz file a guess."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes the file."""

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def where(self, name: str) -> str:
        """How messages name a member."""
        return f"{name!r} of {self.path}"


class _Zip(Archive):
    def __init__(self, path, start):
        if start != b"PK\x03\x04" and start != END_RECORD:
            raise DataError(f"{path} is not a zip archive")
        check_directory_size(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except _BROKEN as error:
            raise DataError(f"{path} is truncated or damaged ({error}): download it again") from error
        try:
            members = self._zip.infolist()
            check_members(path, members)
            check_bomb(path, members)
        except DataError:
            self._zip.close()
            raise
        self._members = {plain_name(member.filename): member for member in members if not member.is_dir()}
        super().__init__(path, self._members)

    def size(self, name):
        return self._members[name].file_size

    def close(self):
        self._zip.close()

    def _open(self, name):
        return _Stream(self, name, self._zip.open(self._members[name]))


class _Folder(Archive):
    def __init__(self, path):
        self._root = os.path.realpath(path)
        super().__init__(path, _files_below(path, self._root))

    def size(self, name):
        return _decoded_size(self._root, name)

    def _open(self, name):
        return _open_file(self, os.path.join(self._root, name), name)


class _File(Archive):
    def __init__(self, path):
        super().__init__(path, [path.name])

    def size(self, name):
        return _decoded_size(self.path.parent, name)

    def _open(self, name):
        return _open_file(self, self.path, name)

    def where(self, name):
        return str(self.path)


class _Stream(io.RawIOBase):
    """A member's bytes: counts them, refuses what swells, and turns what goes wrong into a DataError."""

    def __init__(self, archive, name, stream, compressed=None):
        self._archive, self._name, self._stream, self._compressed, self._count = archive, name, stream, compressed, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        with _reading(self._archive.where(self._name)):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._count += len(data)
        self._archive.bytes_read += len(data)
        if self._compressed and self._count > max(RATIO_FREE_BYTES, MAX_RATIO * self._compressed.tell()):
            raise bomb(self._archive.path, f"{self._name!r} decodes to more than {MAX_RATIO} times its size")
        return len(data)

    def close(self):
        if not self.closed:
            self._stream.close()
            if self._compressed:
                self._compressed.close()
        super().close()


class _reading:
    """Turns what a damaged member raises into a DataError that names it."""

    def __init__(self, where):
        self._where = where

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, _BROKEN):
            raise DataError(f"{self._where} cannot be read ({getattr(error, 'strerror', None) or error}): download it again, or allow it to be read") from error


def _open_file(archive, path, name):
    file = open(path, "rb", buffering=0)
    if not name.lower().endswith(".gz"):
        return _Stream(archive, name, file)
    return _Stream(archive, name, gzip.GzipFile(fileobj=file), compressed=file)


def _decoded_size(folder, name):
    size = os.path.getsize(os.path.join(folder, name))
    return 4 * size if name.lower().endswith(".gz") else size


def _files_below(path, root):
    names = []
    for parent, folders, files in os.walk(root, onerror=_refuse_folder):
        for name in (*folders, *files):
            inner = os.path.join(parent, name)
            mode = os.lstat(inner).st_mode
            if stat.S_ISLNK(mode):
                target = os.path.realpath(inner)
                if os.path.commonpath([root, target]) != root:
                    raise DataError(f"{path} has a link that leads outside it, {os.path.relpath(inner, root)!r}: put the file itself there")
                mode = os.stat(target).st_mode if os.path.exists(target) else 0
            if stat.S_ISREG(mode):
                names.append(os.path.relpath(inner, root).replace(os.sep, "/"))
            elif mode and not stat.S_ISDIR(mode):
                raise DataError(f"{path} has a device or a pipe, {os.path.relpath(inner, root)!r}: take it away")
    return names


def _refuse_folder(error):
    raise DataError(f"{error.filename} cannot be read ({error.strerror}): allow it, or move it away")
