"""Photos asked of the web: redirects, attempts and pauses, and what comes is looked at before it counts."""

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import os
import random
import typing
from collections.abc import Callable, Iterable
from pathlib import Path

from tfvision.data.appended_csv import unwritable
from tfvision.data.decoding import check_photo, decode_photo
from tfvision.data.downloads.download_ledger import DONE, FAILED, RETRY, Entry, Failure
from tfvision.errors import DataError, StorageError
from tfvision.files import atomic_path

if typing.TYPE_CHECKING:
    from tfvision.data.downloads.downloads import DownloadSettings

_LONGEST_URL = 8000
_PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 527, 530})
_PAUSING_STATUSES = frozenset({429, 503})  # the host itself is asked too much
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
THREADS = min(4, os.cpu_count() or 1)  # that look at photos


class PhotoRequests:
    """One run over the web."""

    def __init__(self, folder: Path, partial: Path, settings: "DownloadSettings", settle: Callable[[str, str, Entry], None]) -> None:
        """A run into `folder`, by way of the folder `partial`; settle(image, url, Entry) is called once for each photo."""
        self._folder, self._partial, self._settings, self._settle = folder, partial, settings, settle
        self._hosts, self._numbers = {}, itertools.count()

    async def run(self, todo: Iterable[tuple[str, str]]) -> None:
        """Asks for all (image, url) pairs."""
        from tfvision.data.downloads.web_access import web_client

        settings = self._settings
        self._slots = asyncio.Semaphore(settings.connections)
        client = web_client(settings.connections, settings.connect_seconds, settings.read_seconds, settings.is_internal_allowed)
        with concurrent.futures.ThreadPoolExecutor(THREADS) as self._threads:
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
            except Failure as failure:
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
            except Failure as failure:
                entry = failure.entry(attempt)
                if not failure.is_passing:
                    break
        host.note(entry.reason if entry.status == RETRY else "", self._settings.patience)
        return entry

    async def _attempt(self, image, url, attempt):
        """(bytes, sha256) of the photo, now at its path. Raises Failure."""
        partial = self._partial / str(next(self._numbers))
        try:
            what = await self._fetch(_parsed(url), partial, attempt)
            return await asyncio.get_running_loop().run_in_executor(self._threads, _accept, partial, self._folder / image, what)
        finally:
            partial.unlink(missing_ok=True)

    async def _fetch(self, url, partial, attempt):
        """Follows redirects to a file; returns what is known of it. Raises Failure."""
        for _ in range(self._settings.most_redirects + 1):
            host = self._host(url)
            async with host.turn(), self._slots:
                if host.gave_up:
                    raise Failure(host.gave_up, RETRY)
                with _web_errors(self._settings):
                    async with asyncio.timeout(self._settings.photo_seconds), self._client.stream("GET", url) as response:
                        if response.status_code not in _REDIRECTS:
                            self._check_status(response, host, attempt)
                            return await self._save(response, partial)
                        url = _redirected(response)
        raise Failure(f"it was redirected more than {self._settings.most_redirects} times")

    def _check_status(self, response, host, attempt):
        from tfvision.data.downloads.polite_hosts import retry_after_seconds

        status = response.status_code
        if status == 200:
            return
        if status not in _PASSING_STATUSES:
            raise Failure(f"the host answered {status}")
        asked = retry_after_seconds(response.headers.get("Retry-After"))
        if asked is not None and asked > self._settings.most_pause_seconds:
            host.gave_up = f"its host asked to be left alone for {asked:.0f} s"
        elif asked is not None or status in _PAUSING_STATUSES:
            host.pause(self._backoff(attempt) if asked is None else asked)
        raise Failure(f"the host answered {status}", RETRY, is_passing=True)

    async def _save(self, response, partial):
        """Streams the body into the file `partial`."""
        limit, size = self._settings.most_bytes, 0
        is_length_known = "Content-Length" in response.headers or "chunked" in response.headers.get("Transfer-Encoding", "")
        declared = response.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise Failure(f"it is larger than {limit:,} bytes")
        if response.headers.get("Content-Encoding", "identity") not in ("identity", "gzip", "deflate", ""):
            raise Failure(f"it was sent packed as {response.headers['Content-Encoding'][:40]}, which was not asked for")
        try:
            with open(partial, "wb") as file:
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > limit:
                        raise Failure(f"it is larger than {limit:,} bytes")
                    file.write(part)
        except OSError as error:
            raise unwritable(self._folder, error) from error
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
        raise Failure("its address is none of the web: expected http://... or https://...")
    return parsed


def _redirected(response):
    location = response.headers.get("Location", "")
    try:
        return _parsed(str(response.url.join(location)))
    except Exception:  # joining what a hostile host sent fails in many ways
        raise Failure(f"it was redirected to {location[:80]!r}, which is no address of the web") from None


@contextlib.contextmanager
def _web_errors(settings):
    """Whatever goes wrong on the way becomes a Failure."""
    import httpx

    from tfvision.data.downloads.web_access import InternalAddressError, is_link_local

    try:
        yield
    except (Failure, StorageError):
        raise
    except InternalAddressError as error:
        if is_link_local(str(error)):
            raise Failure(f"{error} is a link-local address, at which clouds keep a machine's secrets: it is never asked", RETRY) from None
        raise Failure(f"{error} is an address of an internal network, which is not asked without --allow-private", RETRY) from None
    except TimeoutError:
        raise Failure(f"it took longer than {settings.photo_seconds:g} s", RETRY) from None
    except httpx.TimeoutException:
        raise Failure(f"the host was silent for {settings.read_seconds:g} s", RETRY, is_passing=True) from None
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise Failure(f"it cannot be asked for ({_first_words(error)})") from None
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise Failure(f"the connection failed ({_first_words(error)})", RETRY, is_passing=True) from None
    except Exception as error:  # one odd host among thousands must not stop the others
        raise Failure(f"it cannot be asked for ({type(error).__name__}: {_first_words(error)})") from None


def _accept(partial, target, kind):
    """Puts a file that is a sound image to its path; (bytes, sha256). Raises Failure, StorageError."""
    try:
        encoded = partial.read_bytes()
    except OSError as error:
        raise unwritable(partial, error) from error
    try:
        decode_photo(check_photo(encoded, name="it"), ratio=8, name="it")  # a JPEG is read to its end at any ratio
    except DataError as error:
        sent_as = f", sent as {kind.content_type}" if kind.content_type else ""
        raise Failure(f"{error}{sent_as}", *((FAILED,) if kind.is_length_known else (RETRY, True))) from None
    with atomic_path(target) as temporary:
        os.replace(partial, temporary)
    return len(encoded), hashlib.sha256(encoded).hexdigest()


def _first_words(error):
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__
