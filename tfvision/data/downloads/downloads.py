"""Photos from the web into a folder: many hosts at once, each asked politely, every photo checked before it counts.

What became of each photo stands in a ledger (`download_ledger`), so that a run that was interrupted, or killed, goes on
where it was: what is there is not asked for again, what failed for a passing reason is.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import os
import typing
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import anyio.from_thread

from tfvision.data.decoding import check_photo, decode_photo
from tfvision.data.downloads.download_ledger import DONE, FAILED, RETRY, Entry, Failure, Ledger, read_ledger
from tfvision.data.downloads.download_time import DownloadTime, host_of, tell_time
from tfvision.data.downloads.photo_requests import THREADS, PhotoRequests
from tfvision.errors import DataError, RecipeError
from tfvision.files import temporary_folder, write_bytes

Progress = Callable[[int, int, int, float], None]
_COPIES_AT_ONCE = 256
_COPIES_EXPECTED = 100.0  # a second


@dataclasses.dataclass(frozen=True)
class DownloadSettings:
    """How photos are asked for.

    Attributes:
      connections: requests at once, over all hosts.
      connections_per_host: requests at once to one host.
      requests_per_second: requests that begin in a second at one host.
      attempts: tries of a photo in one run, where what went wrong may pass: 429, 5xx, silence, a cut connection.
      backoff_seconds: pause after the first such failure; doubled each time, less up to a half at random.
      most_backoff_seconds: the longest of these pauses.
      most_pause_seconds: the longest Retry-After that is waited for; a host that asks for more is left alone in this run.
      patience: photos in a row that a host may fail to send before it is left alone in this run.
      connect_seconds, read_seconds: the longest silence before a connection, and within an answer.
      photo_seconds: the longest time for one photo, however steadily it drips.
      most_bytes: of one photo.
      most_redirects: of one photo.
      is_internal_allowed: whether private and loopback addresses may be asked; link-local ones never are.
      is_failed_retried: whether photos are tried again that failed for good (a 404, no image) in an earlier run.
    """

    connections: int = 64
    connections_per_host: int = 4
    requests_per_second: float = 10.0
    attempts: int = 5
    backoff_seconds: float = 1.0
    most_backoff_seconds: float = 60.0
    most_pause_seconds: float = 900.0
    patience: int = 20
    connect_seconds: float = 15.0
    read_seconds: float = 30.0
    photo_seconds: float = 300.0
    most_bytes: int = 64 * 2**20
    most_redirects: int = 5
    is_internal_allowed: bool = False
    is_failed_retried: bool = False

    def __post_init__(self) -> None:
        for name in ("connections", "connections_per_host", "requests_per_second", "attempts", "patience", "most_bytes"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} of a download must be above 0, got {getattr(self, name)}")


@dataclasses.dataclass
class Downloads:
    """What became of the photos.

    Attributes:
      done: names of those that are there and sound.
      failed: name -> reason, of the others.
      already: how many of `done` an earlier run had brought.
    """

    done: set[str] = dataclasses.field(default_factory=set)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    already: int = 0


class Packed(typing.Protocol):
    """An archive: files that are read without being unpacked."""

    path: Path
    names: tuple[str, ...]

    def open(self, name: str) -> typing.BinaryIO:
        """A file's bytes as a stream. Raises DataError where it is damaged."""

    def size(self, name: str) -> int:
        """A file's bytes."""


def download_photos(
    wanted: Iterable[tuple[str, str]], folder: Path | str, settings: DownloadSettings | None = None, progress: Progress | None = None
) -> Downloads:
    """Brings photos from the web into `folder`, where they are not there yet; says first how long that takes at least.

    Args:
      wanted: (image, url) pairs; `image` is the file's path below `folder`, with "/".
      folder: the ledger downloads.csv is written there too.
      settings: DownloadSettings.
      progress: called as progress(finished, total, failed, seconds left) at the start and after each photo.

    Returns:
      Downloads.

    Raises:
      DataError: an image lies outside `folder`, or another process downloads into it.
      StorageError: the disk is full, or the folder cannot be written.
    """
    folder, settings = Path(folder), settings or DownloadSettings()

    def bring(todo, partial, settle):
        tell_time((url for _, url in todo), settings.connections_per_host, settings.requests_per_second)
        with anyio.from_thread.start_blocking_portal() as portal:  # its own thread: a notebook's has an event loop already
            portal.call(PhotoRequests(folder, partial, settings, settle).run, todo)

    return _with_ledger(wanted, folder, settings, progress, bring, host_of, settings.requests_per_second)


def copy_photos(
    wanted: Iterable[tuple[str, str]],
    local: Path | str | Packed,
    folder: Path | str,
    settings: DownloadSettings | None = None,
    progress: Progress | None = None,
) -> Downloads:
    """Stands in for `download_photos` where the photos lie in a folder already: copies, checks and notes them alike.

    A photo is found below `local` by the path of its URL or the end of that path, by `image`, by the URL's file name, or
    by its photo number; names that fit several files are no find.

    Args:
      local: a folder, or an archive with the photos.

    Others, Returns, Raises: as `download_photos`; also DataError where `local` is no folder.
    """
    from tfvision.data.downloads.local_photos import LocalPhotos

    folder, wanted, settings = Path(folder), dict(wanted), settings or DownloadSettings()
    packed = None if isinstance(local, (str, Path)) else local
    found = LocalPhotos(packed.path, wanted.values(), packed.names) if packed else LocalPhotos(local, wanted.values())

    def bring(todo, _, settle):
        def copy(pair):
            try:
                path = found.find(*pair)
                return Entry(DONE, *_copy(path, folder / pair[0], settings.most_bytes, packed), attempts=1)
            except Failure as failure:
                return failure.entry(1)
            except LookupError as error:
                return Entry(RETRY, reason=str(error), attempts=1)

        todo = iter(todo)
        with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
            while pairs := list(itertools.islice(todo, _COPIES_AT_ONCE)):
                for (image, url), entry in zip(pairs, threads.map(copy, pairs), strict=True):
                    settle(image, url, entry)

    return _with_ledger(wanted, folder, settings, progress, bring, lambda url: "", _COPIES_EXPECTED)


def _with_ledger(wanted, folder, settings, progress, bring, host_of, expected):
    """What is left is handed to bring(todo, folder of what is on its way, settle); each photo is settled once.

    A photo comes from host_of(url); so many a second are `expected` of each host.
    """
    wanted, result = dict(wanted), Downloads()
    for image in wanted:
        if not image or PurePosixPath(image).is_absolute() or ".." in PurePosixPath(image).parts or "\\" in image or "\0" in image:
            raise DataError(f"{image!r} is no path below {folder}: nothing was downloaded")
    with Ledger(folder) as ledger, temporary_folder(folder) as partial:
        entries = read_ledger(folder, wanted)
        todo = [(image, url) for image, url in wanted.items() if not _is_settled(image, folder, entries.get(image), settings, result)]
        entries.clear()
        result.already = len(result.done)
        times = DownloadTime((host_of(url) for _, url in todo), expected)

        def tell():
            if progress:
                progress(len(result.done) + len(result.failed), len(wanted), len(result.failed), times.seconds_left)

        def settle(image, url, entry):
            ledger.add(image, url, entry)
            if entry.status == DONE:
                result.done.add(image)
            else:
                result.failed[image] = entry.reason
            times.settle(host_of(url))
            tell()

        tell()
        if todo:
            bring(todo, partial, settle)
    return result


def _is_settled(image, folder, entry, settings, result):
    """Whether an earlier run has an answer that stands; it is put into the result then."""
    if entry is None:
        return False
    if entry.status == DONE:
        with contextlib.suppress(OSError):
            if os.path.getsize(folder / image) == entry.size:
                result.done.add(image)
                return True
    if entry.status == FAILED and not settings.is_failed_retried:
        result.failed[image] = entry.reason
        return True
    return False


def _copy(path, target, most_bytes, packed):
    """As `_accept`, from a file that stays, or from one in an archive."""
    name = path.relative_to(packed.path).as_posix() if packed else ""
    try:
        if (packed.size(name) if packed else os.path.getsize(path)) > most_bytes:
            raise Failure(f"it is larger than {most_bytes:,} bytes")
        encoded = _unpacked(packed, name) if packed else path.read_bytes()
        decode_photo(check_photo(encoded, name="it"), ratio=8, name="it")
    except OSError as error:
        raise Failure(f"{path} cannot be read ({error.strerror})", RETRY) from None
    except DataError as error:
        raise Failure(str(error)) from None
    write_bytes(target, encoded)
    return len(encoded), hashlib.sha256(encoded).hexdigest()


def _unpacked(packed, name):
    with packed.open(name) as stream:
        return stream.read()
