"""Photos from the web into a folder: many hosts at once, each asked politely, every photo checked before it counts.

What became of each photo stands in a ledger (`download_ledger`), so that a run that was interrupted, or killed, goes on
where it was: what is there is not asked for again, what failed for a passing reason is.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import os
import random
import shutil
from pathlib import Path, PurePosixPath

import anyio.from_thread

from tfvision.data.decoding import check_photo, decode_photo
from tfvision.data.downloads.download_ledger import DONE, FAILED, RETRY, Entry, Ledger, read_ledger
from tfvision.errors import DataError, RecipeError, StorageError
from tfvision.runs import atomic_path

_PARTIAL_FOLDER = ".partial-downloads"
_LONGEST_URL = 8000
_PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 527, 530})
_PAUSING_STATUSES = frozenset({429, 503})  # the host itself is asked too much
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_THREADS = min(4, os.cpu_count() or 1)
_COPIES_AT_ONCE = 256


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
      is_internal_allowed: whether private, loopback and link-local addresses may be asked.
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

    def __post_init__(self):
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

    done: set = dataclasses.field(default_factory=set)
    failed: dict = dataclasses.field(default_factory=dict)
    already: int = 0


def download_photos(wanted, folder, settings=None, progress=None):
    """Brings photos from the web into `folder`, where they are not there yet.

    Args:
      wanted: (image, url) pairs; `image` is the file's path below `folder`, with "/".
      folder: the ledger downloads.csv is written there too.
      settings: DownloadSettings.
      progress: called as progress(finished, total, failed) at the start and after each photo.

    Returns:
      Downloads.

    Raises:
      DataError: an image lies outside `folder`, or another process downloads into it.
      StorageError: the disk is full, or the folder cannot be written.
    """
    settings = settings or DownloadSettings()

    def bring(todo, folder, settle):
        with anyio.from_thread.start_blocking_portal() as portal:  # its own thread: a notebook's has an event loop already
            portal.call(_Downloading(folder, settings, settle).run, todo)

    return _with_ledger(wanted, folder, settings, progress, bring)


def copy_photos(wanted, local, folder, settings=None, progress=None):
    """Stands in for `download_photos` where the photos lie in a folder already: copies, checks and notes them alike.

    A photo is found below `local` by the path of its URL or the end of that path, by `image`, by the URL's file name, or
    by its photo number; names that fit several files are no find.

    Args, Returns, Raises: as `download_photos`; also DataError where `local` is no folder.
    """
    from tfvision.data.downloads.local_photos import LocalPhotos

    settings = settings or DownloadSettings()
    wanted = dict(wanted)
    found = LocalPhotos(local, wanted.values())

    def bring(todo, folder, settle):
        def copy(pair):
            try:
                path = found.find(*pair)
                return Entry(DONE, *_copy(path, folder / pair[0], settings.most_bytes), attempts=1)
            except _Failure as failure:
                return failure.entry(1)
            except LookupError as error:
                return Entry(RETRY, reason=str(error), attempts=1)

        todo = iter(todo)
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
            while pairs := list(itertools.islice(todo, _COPIES_AT_ONCE)):
                for (image, url), entry in zip(pairs, threads.map(copy, pairs), strict=True):
                    settle(image, url, entry)

    return _with_ledger(wanted, folder, settings, progress, bring)


def _with_ledger(wanted, folder, settings, progress, bring):
    """What is left is handed to bring(todo, folder, settle); each photo is settled once."""
    folder, wanted, result = Path(folder), dict(wanted), Downloads()
    for image in wanted:
        if not image or PurePosixPath(image).is_absolute() or ".." in PurePosixPath(image).parts or "\\" in image or "\0" in image:
            raise DataError(f"{image!r} is no path below {folder}: nothing was downloaded")
    with Ledger(folder) as ledger, _partial_folder(folder):
        entries = read_ledger(folder, wanted)
        todo = [(image, url) for image, url in wanted.items() if not _is_settled(image, folder, entries.get(image), settings, result)]
        entries.clear()
        result.already = len(result.done)

        def tell():
            if progress:
                progress(len(result.done) + len(result.failed), len(wanted), len(result.failed))

        def settle(image, url, entry):
            ledger.add(image, url, entry)
            if entry.status == DONE:
                result.done.add(image)
            else:
                result.failed[image] = entry.reason
            tell()

        tell()
        if todo:
            bring(todo, folder, settle)
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


@contextlib.contextmanager
def _partial_folder(folder):
    """A place for what is on its way; what a killed process left there is removed."""
    partial = folder / _PARTIAL_FOLDER
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield partial.mkdir()
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Failure(Exception):
    """A photo that did not come.

    Attributes:
      status: FAILED or RETRY.
      is_passing: whether another attempt in this run may help.
    """

    def __init__(self, reason, status=FAILED, is_passing=False):
        super().__init__(reason)
        self.status, self.is_passing = status, is_passing

    def entry(self, attempts):
        return Entry(self.status, reason=str(self), attempts=attempts)


class _Downloading:
    """One run over the web."""

    def __init__(self, folder, settings, settle):
        self._folder, self._settings, self._settle = folder, settings, settle
        self._hosts, self._numbers = {}, itertools.count()

    async def run(self, todo):
        from tfvision.data.downloads.web_access import web_client

        settings = self._settings
        self._slots = asyncio.Semaphore(settings.connections)
        client = web_client(settings.connections, settings.connect_seconds, settings.read_seconds, settings.is_internal_allowed)
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as self._threads:
            async with client as self._client:
                try:
                    async with asyncio.TaskGroup() as workers:
                        for queue in self._queues(todo):
                            for _ in range(min(len(queue), settings.connections_per_host)):
                                workers.create_task(self._work(queue))
                except ExceptionGroup as group:
                    raise group.exceptions[0] from None

    def _queues(self, todo):
        """The photos by host; those whose address is none are settled at once."""
        queues = collections.defaultdict(collections.deque)
        for image, url in todo:
            try:
                queues[_parsed(url).host].append((image, url))
            except _Failure as failure:
                self._settle(image, url, failure.entry(0))
        return queues.values()

    async def _work(self, queue):
        while queue:
            image, url = queue.popleft()
            self._settle(image, url, await self._photo(image, url))

    async def _photo(self, image, url):
        host = self._host(_parsed(url))
        for attempt in range(1, self._settings.attempts + 1):
            if host.gave_up:
                return Entry(RETRY, reason=host.gave_up, attempts=attempt - 1)
            if attempt > 1:
                await asyncio.sleep(self._backoff(attempt - 1))
            try:
                entry = Entry(DONE, *await self._attempt(image, url, attempt), attempts=attempt)
                break
            except _Failure as failure:
                entry = failure.entry(attempt)
                if not failure.is_passing:
                    break
        host.note(entry.status != RETRY, self._settings.patience)
        return entry

    async def _attempt(self, image, url, attempt):
        """(bytes, sha256) of the photo, now in its place. Raises _Failure."""
        partial = self._folder / _PARTIAL_FOLDER / str(next(self._numbers))
        try:
            what = await self._fetch(_parsed(url), partial, attempt)
            return await asyncio.get_running_loop().run_in_executor(self._threads, _accept, partial, self._folder / image, what)
        finally:
            partial.unlink(missing_ok=True)

    async def _fetch(self, url, partial, attempt):
        """Follows redirects to a file; returns what is known of it. Raises _Failure."""
        for _ in range(self._settings.most_redirects + 1):
            host = self._host(url)
            async with host.turn(), self._slots:
                if host.gave_up:
                    raise _Failure(host.gave_up, RETRY)
                with _web_errors(self._settings):
                    async with asyncio.timeout(self._settings.photo_seconds), self._client.stream("GET", url) as response:
                        if response.status_code not in _REDIRECTS:
                            self._check_status(response, host, attempt)
                            return await self._save(response, partial)
                        url = _redirected(response)
        raise _Failure(f"it was redirected more than {self._settings.most_redirects} times")

    def _check_status(self, response, host, attempt):
        from tfvision.data.downloads.polite_hosts import retry_after_seconds

        status = response.status_code
        if status == 200:
            return
        if status not in _PASSING_STATUSES:
            raise _Failure(f"the host answered {status}")
        asked = retry_after_seconds(response.headers.get("Retry-After"))
        if asked is not None and asked > self._settings.most_pause_seconds:
            host.gave_up = f"its host asked to be left alone for {asked:.0f} s"
        elif asked is not None or status in _PAUSING_STATUSES:
            host.pause(self._backoff(attempt) if asked is None else asked)
        raise _Failure(f"the host answered {status}", RETRY, is_passing=True)

    async def _save(self, response, partial):
        """Streams the body into the file `partial`."""
        limit, size = self._settings.most_bytes, 0
        is_length_known = "Content-Length" in response.headers or "chunked" in response.headers.get("Transfer-Encoding", "")
        declared = response.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise _Failure(f"it is larger than {limit:,} bytes")
        if response.headers.get("Content-Encoding", "identity") not in ("identity", "gzip", "deflate", ""):
            raise _Failure(f"it was sent packed as {response.headers['Content-Encoding'][:40]}, which was not asked for")
        try:
            with open(partial, "wb") as file:
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > limit:
                        raise _Failure(f"it is larger than {limit:,} bytes")
                    file.write(part)
        except OSError as error:
            raise _unwritable(partial.parent.parent, error) from error
        return _Kind(response.headers.get("Content-Type", "")[:60], is_length_known)

    def _host(self, url):
        from tfvision.data.downloads.polite_hosts import Host

        if url.host not in self._hosts:
            self._hosts[url.host] = Host(self._settings.connections_per_host, self._settings.requests_per_second)
        return self._hosts[url.host]

    def _backoff(self, attempt):
        longest = min(self._settings.most_backoff_seconds, self._settings.backoff_seconds * 2 ** (attempt - 1))
        return longest * random.uniform(0.5, 1)


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What the host said of a body: its type, and whether a cut one would have been noticed."""

    content_type: str = ""
    is_length_known: bool = True


def _parsed(url):
    import httpx

    try:
        parsed = httpx.URL(url)
        is_usable = parsed.scheme in ("http", "https") and parsed.host and len(url) <= _LONGEST_URL and (parsed.port or 0) < 65536
    except (httpx.InvalidURL, UnicodeError, ValueError, TypeError):
        is_usable = False
    if not is_usable:
        raise _Failure("its address is none of the web: expected http://... or https://...")
    return parsed


def _redirected(response):
    location = response.headers.get("Location", "")
    try:
        return _parsed(str(response.url.join(location)))
    except Exception:  # joining what a hostile host sent fails in many ways
        raise _Failure(f"it was redirected to {location[:80]!r}, which is no address of the web") from None


@contextlib.contextmanager
def _web_errors(settings):
    """Whatever goes wrong on the way becomes a _Failure."""
    import httpx

    from tfvision.data.downloads.web_access import InternalAddressError

    try:
        yield
    except (_Failure, StorageError):
        raise
    except InternalAddressError as error:
        raise _Failure(f"{error} is an address of an internal network, which is not asked without --allow-private", RETRY) from None
    except TimeoutError:
        raise _Failure(f"it took longer than {settings.photo_seconds:g} s", RETRY) from None
    except httpx.TimeoutException:
        raise _Failure(f"the host was silent for {settings.read_seconds:g} s", RETRY, is_passing=True) from None
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise _Failure(f"it cannot be asked for ({_first_words(error)})") from None
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise _Failure(f"the connection failed ({_first_words(error)})", RETRY, is_passing=True) from None
    except Exception as error:  # one odd host among thousands must not stop the others
        raise _Failure(f"it cannot be asked for ({type(error).__name__}: {_first_words(error)})") from None


def _accept(partial, target, kind):
    """Puts a file that is a sound image into its place; (bytes, sha256). Raises _Failure, StorageError."""
    try:
        encoded = partial.read_bytes()
    except OSError as error:
        raise _unwritable(partial, error) from error
    try:
        decode_photo(check_photo(encoded, name="it"), ratio=8, name="it")  # a JPEG is read to its end at any ratio
    except DataError as error:
        sent_as = f", sent as {kind.content_type}" if kind.content_type else ""
        raise _Failure(f"{error}{sent_as}", *((FAILED,) if kind.is_length_known else (RETRY, True))) from None
    with atomic_path(target) as temporary:
        os.replace(partial, temporary)
    return len(encoded), hashlib.sha256(encoded).hexdigest()


def _copy(path, target, most_bytes):
    """As `_accept`, from a file that stays."""
    try:
        if os.path.getsize(path) > most_bytes:
            raise _Failure(f"it is larger than {most_bytes:,} bytes")
        encoded = Path(path).read_bytes()
        decode_photo(check_photo(encoded, name="it"), ratio=8, name="it")
    except OSError as error:
        raise _Failure(f"{path} cannot be read ({error.strerror})", RETRY) from None
    except DataError as error:
        raise _Failure(str(error)) from None
    with atomic_path(target) as temporary:
        temporary.write_bytes(encoded)
    return len(encoded), hashlib.sha256(encoded).hexdigest()


def _unwritable(path, error):
    return StorageError(f"{path} could not be written ({error.strerror or error}): free some space, then run the same command again; it goes on")


def _first_words(error):
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__
