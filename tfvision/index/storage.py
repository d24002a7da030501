"""A folder of files that only grow, and the one small manifest that says how much of them counts.

Bytes are appended and synced first, then the manifest is replaced atomically: killed at any moment, the folder
opens as before or after. What lies beyond the lengths of the manifest is of a writer that was killed, and is cut off
by the next one. Readers keep what they opened: bytes that count are never changed in place.
"""

import contextlib
import fcntl
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from tfvision.errors import FileError, GalleryError, StorageError
from tfvision.files import TEMPORARY_PREFIX, checksum_of, read_json, storage_errors, write_json
from tfvision.index.columns import REMEDY
from tfvision.index.gallery import fault_of_facts

MANIFEST = "gallery.json"
LOCK = "lock"
FORMAT = "tfvision gallery 1"
_CHECKSUM = "checksum"
_PARTS = {"format": str, "data": str, "files": dict, "dimension": int, "columns": list, "facts": dict}  # of the manifest, besides its checksum
_CHECKED_BYTES = 256 * 2**20  # as much is checked in a fraction of a second whenever a gallery is opened; more, where a file has changed
_COMPARED = "compared.json"
_BLOCK = 16 * 2**20

_DATA_NAME, _FILE_NAME = re.compile(r"data-\d{4,9}"), re.compile(r"(?!\.)[^/\\\0]{1,200}")

State = dict[str, Any]  # the manifest
Extent = dict[str, int]  # of a file, what counts: {"bytes", "crc32"}
Pieces = Mapping[str, Any]  # bytes or an array for each file name


class Storage:
    """The files of a gallery.

    Attributes:
      state: the manifest.
      maps: {file name: what counts of it, uint8 [bytes], memory-mapped}; files without bytes are left out. Replaced whole by every change.

    Raises:
      GalleryError: no gallery, a newer format, files that are missing, cut short or damaged, or a second writer.
    """

    def __init__(self, folder: str | Path, writable: bool = False) -> None:
        self.folder = Path(folder)
        if not (self.folder / MANIFEST).is_file():
            raise GalleryError(f"{folder} is no gallery: it has no {MANIFEST}; make one with `tfvision index build IMAGES --out {folder}`")
        self._lock = _lock(self.folder) if writable else None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, folder: str | Path, state: State) -> Self:
        """A new folder with an empty manifest, opened for writing. Raises GalleryError, StorageError."""
        folder = Path(folder)
        if (folder / MANIFEST).exists():
            raise GalleryError(f"{folder} is a gallery already: add to it with `tfvision index add`, or choose another folder")
        if folder.is_dir() and any(not path.name.startswith(TEMPORARY_PREFIX) for path in folder.iterdir()):
            raise GalleryError(f"{folder} holds other files: choose a folder that is empty or does not exist")
        _write_manifest(folder, {"format": FORMAT, "data": _data_name(1), "files": {}, **state})
        return cls(folder, writable=True)

    @property
    def data(self) -> Path:
        """The folder of the files that count now."""
        return self.folder / self.state["data"]

    def append(self, pieces: Pieces, **changes: Any) -> None:
        """Appends {file name: bytes} and changes entries of the manifest, all or nothing.

        Raises:
          StorageError: the disk is full, say; the gallery is as it was.
        """
        self._check_writable()
        files = _append_all(self.data, self.state["files"], pieces)
        self._commit({**self.state, **changes, "files": files})

    def rewrite(self, pieces: Iterable[Pieces], changes: Callable[[], State]) -> None:
        """Replaces all files by an iterable of {file name: bytes}, appended in turn, all or nothing.

        Args:
          changes: a function without arguments, asked at the end for entries of the manifest.

        Raises:
          StorageError: as `append`.
        """
        self._check_writable()
        old, new = self.data, self.folder / _data_name(1 + int(self.state["data"].rpartition("-")[2]))
        shutil.rmtree(new, ignore_errors=True)  # of a writer that was killed
        try:
            files: dict[str, Extent] = {}
            for piece in pieces:
                files = _append_all(new, files, piece)
            self._commit({**self.state, **changes(), "data": new.name, "files": files})
        except BaseException:
            if _read_manifest(self.folder)["data"] != new.name:  # else it counts already
                shutil.rmtree(new, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def check(self) -> None:
        """Reads every file and compares its checksum. Raises GalleryError that names the damaged one."""
        for name in self.state["files"]:
            self._check_file(name)

    def close(self) -> None:
        """Gives the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open(self) -> None:
        for attempt in range(3):
            self.state = _read_manifest(self.folder)
            try:
                self._map()
                stamps = self._stamps()
                break
            except FileNotFoundError as error:  # a writer may just have replaced the files: the manifest tells
                if attempt == 2:
                    raise GalleryError(f"{error.filename} is missing: {REMEDY}") from None
            except OSError as error:
                raise GalleryError(f"{error.filename or self.data} cannot be read ({error.strerror}): {REMEDY}") from None
        if self._is_large:
            self._check_changed(stamps)
        else:
            self.check()

    @property
    def _is_large(self) -> bool:
        return sum(extent["bytes"] for extent in self.state["files"].values()) > _CHECKED_BYTES

    def _check_changed(self, stamps: dict[str, list[int]]) -> None:
        """Compares the checksum of each file that changed since this was done last, which is noted beside the files."""
        known: dict[str, list[int]] = {}
        with contextlib.suppress(FileError):
            known = read_json(self.data / _COMPARED, {str: [int]})
        for name in stamps:
            if stamps[name] != known.get(name):
                self._check_file(name)
        if stamps != known:
            self._note_compared(stamps)

    def _check_file(self, name: str) -> None:
        if _checksum(self.maps.get(name, np.zeros(0, np.uint8))) != self.state["files"][name]["crc32"]:
            raise GalleryError(f"{self.data / name} is damaged: its checksum is not that of {MANIFEST}; {REMEDY}")

    def _note_compared(self, stamps: dict[str, list[int]]) -> None:
        if not self.data.exists():  # a writer has replaced the files since this gallery was opened
            return
        with contextlib.suppress(StorageError):  # a reader's folder, say: it is compared again
            write_json(self.data / _COMPARED, stamps)

    def _stamps(self) -> dict[str, list[int]]:
        """{file name: what counts of it, and what changes when it is written or copied}."""
        stamps = {}
        for name, extent in self.state["files"].items():
            status = os.stat(self.data / name)
            stamps[name] = [extent["bytes"], extent["crc32"], status.st_mtime_ns, status.st_ino]
        return stamps

    def _check_writable(self) -> None:
        if self._lock is None:
            raise GalleryError(f"{self.folder} is open for reading only: open it with writable=True")

    def _commit(self, state: State) -> None:
        _write_manifest(self.folder, state)
        self.state = state
        self._map()
        if self._is_large:  # what was there before was compared when it was opened
            self._note_compared(self._stamps())

    def _map(self) -> None:
        """Maps all files at once: what is mapped stays, also when a writer removes it."""
        _check_lengths(self.data, self.state["files"])
        lengths = {name: extent["bytes"] for name, extent in self.state["files"].items()}
        self.maps = {name: np.memmap(self.data / name, np.uint8, "r", shape=(length,)) for name, length in lengths.items() if length}


def _data_name(number: int) -> str:
    return f"data-{number:04}"


def _lock(folder: Path) -> int:
    """The descriptor of the lock file; the kernel gives the lock back when the process ends, however it ends."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written to ({error.strerror}): allow it, or copy the gallery elsewhere") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(descriptor, 20).decode(errors="replace").strip()
        os.close(descriptor)
        raise GalleryError(
            f"{folder} is being written to by process {owner or 'unknown'}: only one may write; wait for it, then run the same command again"
        ) from None
    with contextlib.suppress(OSError):  # on a full disk the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _write_manifest(folder: Path, state: State) -> None:
    write_json(folder / MANIFEST, {**state, _CHECKSUM: checksum_of(state)})


def _read_manifest(folder: Path) -> State:
    try:
        state = read_json(folder / MANIFEST)
    except FileError as error:
        raise GalleryError(f"{folder / MANIFEST} is damaged ({error.__cause__}): {REMEDY}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise GalleryError(f"{folder / MANIFEST} is of {state.get('format') if isinstance(state, dict) else 'another kind'!r}, this tfvision reads {FORMAT!r}")
    checksum = state.pop(_CHECKSUM, None)  # galleries of tfvision 0.2 have none
    if fault := _fault_of(state) or (checksum is not None and checksum != checksum_of(state) and "it is not as it was written"):
        raise GalleryError(f"{folder / MANIFEST} is damaged ({fault}): {REMEDY}")
    return state


def _fault_of(state: State) -> str:
    """What is wrong with the parts of a manifest, or ""."""
    if strange := state.keys() ^ _PARTS.keys():
        return f"{', '.join(sorted(strange))} is missing or unknown"
    for name, kind in _PARTS.items():
        if not isinstance(state[name], kind):
            return f"{name} is of another kind"
    if not _DATA_NAME.fullmatch(state["data"]) or state["dimension"] < 1 or not all(isinstance(name, str) for name in state["columns"]):
        return "data, dimension or columns cannot be"
    for name, extent in state["files"].items():
        is_extent = isinstance(extent, dict) and extent.keys() == {"bytes", "crc32"} and all(type(number) is int and number >= 0 for number in extent.values())
        if not is_extent or not _FILE_NAME.fullmatch(name):
            return f"files: {name} is no file with its bytes and crc32"
    if fault := fault_of_facts(state["facts"]):
        return fault
    rows = state["files"].get("vectors.f32", {"bytes": 0})["bytes"] / 4 / state["dimension"]
    codes = {name: extent["bytes"] / 4 for name, extent in state["files"].items() if name.startswith("column-") and name.endswith(".i32")}
    is_whole = rows.is_integer() and all(count == rows and name.replace(".i32", ".jsonl") in state["files"] for name, count in codes.items())
    return "" if is_whole and len(codes) == len(state["columns"]) else "its files have different numbers of rows"


def _check_lengths(folder: Path, files: dict[str, Extent]) -> None:
    for name, extent in files.items():
        length = os.path.getsize(folder / name)
        if length < extent["bytes"]:
            raise GalleryError(f"{folder / name} is cut short: {length} bytes of {extent['bytes']}; {REMEDY}")


def _append_all(folder: Path, files: dict[str, Extent], pieces: Pieces) -> dict[str, Extent]:
    """The extents after all pieces were written and synced; `files` itself is left alone."""
    files = dict(files)
    for name, data in pieces.items():
        files[name] = _append(folder / name, files.get(name, {"bytes": 0, "crc32": 0}), memoryview(data).cast("B"))
    return files


def _append(path: Path, extent: Extent, data: memoryview) -> Extent:
    with storage_errors(path, "; the gallery is as it was. {Remedy}, then run the same command again"):
        path.parent.mkdir(exist_ok=True)
        with open(path, "r+b" if path.exists() else "w+b") as file:
            try:
                file.truncate(extent["bytes"])
                file.seek(extent["bytes"])
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(path, extent["bytes"])
                raise
    return {"bytes": extent["bytes"] + data.nbytes, "crc32": zlib.crc32(data, extent["crc32"])}


def _checksum(data: np.ndarray) -> int:
    total = 0
    for start in range(0, len(data), _BLOCK):
        total = zlib.crc32(data[start : start + _BLOCK].data, total)
    return total
