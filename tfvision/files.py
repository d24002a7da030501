"""Files and folders that are written whole or not at all, JSON, and folders that one process works in.

Whatever matters is written into a temporary folder beside it, synced and renamed, so that a process killed at any
moment leaves the old file or the new one, never a torn one. What it leaves besides is removed by the next one that
writes there; a lock tells it from what a living process is writing.
"""

import contextlib
import dataclasses
import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfvision.errors import DataError, FileError, StorageError, UserError, in_one_line
from tfvision.kinds import Kind, is_of, wrong_part

if TYPE_CHECKING:
    import numpy as np

TEMPORARY_PREFIX = ".partial-"
CHECKSUMS_NAME = "SHA256SUMS"
_OWN_PREFIX = f"{TEMPORARY_PREFIX}tfvision-"  # in a user's folder, another program's name may begin as ours do
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yields the path of an empty file of the same name in a temporary folder; moves it to `path` when the block ends well.

    Raises:
      StorageError: the file could not be written (a full disk, say); `path` is as it was.
    """
    path = Path(path)
    then = "; what was there before is untouched. {Remedy}, then run the same command again, with --resume where it has one"
    with storage_errors(path, then), temporary_folder(path.parent) as folder:
        temporary = folder / path.name
        temporary.touch()
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)


@contextlib.contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; syncs it and renames it to `path` when the block ends well.

    Raises:
      StorageError: the folder could not be written; nothing is left of it.
    """
    path = Path(path)
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        with storage_errors(path), temporary_folder(path.parent) as temporary:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            for part in [*temporary.rglob("*"), temporary]:
                _sync(part)
            os.rename(temporary, path)
            _sync(path.parent)
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # empty only where nothing came of it
                folder.rmdir()


@contextlib.contextmanager
def temporary_folder(beside: Path | str) -> Iterator[Path]:
    """Yields a new folder in the folder `beside`, which is made where there is none; what is in it at the end is removed.

    It is locked as long as its process lives: what a killed process left is told by that, and removed by whoever writes there next.
    """
    beside = Path(beside)
    beside.mkdir(parents=True, exist_ok=True)
    _sweep(beside)
    folder, lock = _locked_folder(beside)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_partial_files(folder: Path | str) -> None:
    """Removes what killed processes left under temporary names in a folder of ours, and below."""
    for path in Path(folder).glob(f"**/{TEMPORARY_PREFIX}*"):
        _remove_abandoned(path)


@contextlib.contextmanager
def storage_errors(path: Path | str, then: str = ": {remedy}") -> Iterator[None]:
    """A block in which whatever says that something could not be written becomes the StorageError of `path`.

    Args:
      then: how its text goes on, with {remedy} or {Remedy}.
    """
    try:
        yield
    except Exception as error:
        if (reason := unwritten(error)) is None:
            raise
        remedy = way_out(reason)
        raise StorageError(f"{path} could not be written ({reason.strerror}){then.format(remedy=remedy, Remedy=remedy.capitalize())}") from reason


def unwritten(error: BaseException) -> OSError | None:
    """What the system said where an error is that something could not be written, whatever a library made of it; else None."""
    if isinstance(error, StorageError) and error.__cause__:
        error = error.__cause__
    if isinstance(error, UserError):
        return None
    if isinstance(error, OSError) and error.errno and error.strerror == os.strerror(error.errno):
        return error
    for number in _UNWRITABLE:  # TensorFlow, HDF5 and FAISS quote the system
        if os.strerror(number) in str(error):
            return OSError(number, os.strerror(number))
    if re.search(r"\d requested and \d+ written", str(error)):  # NumPy does not
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return OSError(error.errno, str(error)) if isinstance(error, OSError) else None


def plain_file_name(name: str) -> str:
    """A name from data -> a file's name, or a part of one: letters, digits, spaces, `-`, `_` and `.`, but no dot at its ends, and short."""
    return re.sub(r"[^\w\-. ]+", "-", name).strip(" .-")[:60] or "unnamed"


def write_bytes(path: Path | str, content: bytes) -> None:
    """Writes `content` to `path` atomically. Pictures are encoded first: Pillow takes a JPEG that a full disk cut short for written."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Writes `text` to `path` atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: object) -> None:
    """Writes `value` to `path` as JSON, atomically; dataclasses become objects."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")


def write_arrays(path: Path | str, arrays: "Mapping[str, np.ndarray]", is_compressed: bool = False) -> None:
    """Writes arrays to `path` as `np.savez` does, atomically; that one leaves a traceback behind where the disk is full."""
    import numpy as np

    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED if is_compressed else zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def read_arrays(path: Path | str, kinds: "Mapping[str, tuple[str, tuple[int | None, ...]]]", remedy: str) -> "dict[str, np.ndarray]":
    """Reads the arrays of an npz that `write_arrays` wrote, each against its CRC-32.

    Args:
      kinds: {name: (kind of its dtype, as "f" or "i", shape)}, None in a shape being any number.
      remedy: what to do where it is damaged.

    Raises:
      FileError: it is missing, damaged, or holds other arrays.
    """
    import numpy as np

    arrays = {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            for name, (kind, shape) in kinds.items():
                arrays[name] = array = stored[name]
                is_shape = len(array.shape) == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
                if array.dtype.kind != kind or not is_shape:
                    raise ValueError(f"its {name} is {array.dtype} {list(array.shape)}")
    except Exception as cause:  # zipfile, zlib and NumPy raise many kinds
        raise FileError(f"{path} cannot be read ({in_one_line(cause)}); {remedy}") from cause
    return arrays


def write_checksums(paths: Sequence[Path]) -> None:
    """Writes SHA256SUMS beside files of one folder, as `sha256sum` does."""
    folder = paths[0].parent
    write_text(folder / CHECKSUMS_NAME, checksum_lines(paths, folder))


def checksum_lines(paths: Iterable[Path], folder: Path) -> str:
    """Lines as of `sha256sum`, of files below a folder. Raises OSError."""
    return "".join(f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths)


def check_checksum(path: Path, remedy: str, error: type[UserError] = FileError) -> None:
    """Compares a file with what SHA256SUMS beside it says; where there is none, or the file is not listed, nothing is said.

    Raises:
      FileError, or `error`: the file is not as it was written.
    """
    sums = path.parent / CHECKSUMS_NAME
    try:
        lines = sums.read_text(encoding="utf-8").splitlines() if os.path.lexists(sums) else []
        known = dict(line.split("  ", 1)[::-1] for line in lines)
        is_changed = path.name in known and known[path.name] != sha256_of(path)
    except FileNotFoundError as cause:
        raise error(f"{cause.filename} does not exist: {remedy}") from None
    except (OSError, ValueError) as cause:
        raise error(f"{sums} cannot be read ({in_one_line(cause)}): restore it, or remove it if {path.name} is to be read unchecked") from cause
    if is_changed:
        raise error(f"{path} is damaged or was changed since it was written: its SHA-256 is not that in {sums.name} beside it; {remedy}")


def sha256_of(path: Path | str) -> str:
    """The SHA-256 of a file, hex. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_room(folder: Path | str, size_bytes: int) -> None:
    """Raises the OSError that a file of that size in `folder` would meet: for libraries that do not outlive it, such as HDF5."""
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)


def checksum_of(value: object) -> str:
    """The SHA-256 of a value as JSON, hex, the same before it was written and after it was read."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()


def read_json(path: Path | str, kind: Kind = object, remedy: str = "restore the file, or make it again", error: type[UserError] = FileError) -> Any:
    """Reads JSON.

    Args:
      kind: what it must hold, as `kinds.is_of` takes it.
      remedy: what to do where it is damaged.
      error: the class of what is raised.

    Raises:
      FileError, or `error`: the file is missing, is not JSON, or holds something else.
    """
    path = Path(path)
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path} does not exist: check the path, or make the file by the command that writes it") from None
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path} cannot be read as JSON ({in_one_line(cause)}); {remedy}") from cause
    if not is_of(value, kind):
        wrong = wrong_part(value, kind) if isinstance(kind, Mapping) and isinstance(value, dict) else None
        what = f"its {wrong!r:.80} is missing or of another kind" if wrong is not None else "it holds something else"
        raise error(f"{path} was changed: {what}; {remedy}")
    return value


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, also where it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@contextlib.contextmanager
def sole_process(folder: Path | str) -> Iterator[None]:
    """A block in which no other process that asks for the same works in `folder`, which is made where there is none.

    Raises:
      DataError: another process does.
      StorageError: the folder cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StorageError(f"{folder} could not be made ({error.strerror}): {way_out(error)}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"another process works on {folder}: wait for it, or choose another folder") from None
        yield
    finally:
        os.close(descriptor)


def way_out(error: OSError) -> str:
    """What to do where something could not be written, by what the system says."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return "allow it to be written to, or choose another folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space or choose another folder"
    if error.errno == errno.ENAMETOOLONG:
        return "choose a shorter name"
    return "choose another folder"


def _plain(value: Any) -> Any:
    import numpy as np

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return str(value)


def _locked_folder(beside: Path) -> tuple[Path, int]:
    """A new folder and the descriptor that locks it."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=beside, prefix=_OWN_PREFIX))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # swept before it was locked
            continue
        with contextlib.suppress(OSError):  # where there are no locks, nobody sweeps either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)


@functools.lru_cache(maxsize=4096)  # a process that writes many files into a folder lists it once
def _sweep(folder: Path) -> None:
    """Removes what killed processes left directly in a folder, which may be any user's."""
    for path in folder.glob(f"{_OWN_PREFIX}*"):
        _remove_abandoned(path)


def _remove_abandoned(path: Path) -> None:
    """Removes a temporary file or folder unless its process lives."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
