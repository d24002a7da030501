"""The way to the web for addresses that strangers wrote: a connection is made only to what may be asked.

Names are looked up and judged where the connection is made, so that neither a redirect nor a name that changes its
address between a check and the request leads into the user's own network.
"""

import contextlib
import functools
import ipaddress
import os
import socket
import urllib.request
from collections.abc import AsyncIterator

import anyio
import httpcore
import httpx

from tfvision import __version__

USER_AGENT = f"tfvision/{__version__} (photo downloads for training data; python-httpx/{httpx.__version__})"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_CLOUD_METADATA = ("fd00:ec2::254", "100.100.100.200")


class InternalAddressError(Exception):
    """A host that lies in the user's own network, or on this very machine."""


@contextlib.asynccontextmanager
async def web_client(connections: int, connect_seconds: float, read_seconds: float, is_internal_allowed: bool = False) -> AsyncIterator[httpx.AsyncClient]:
    """An httpx.AsyncClient that follows no redirects, keeps no cookies and refuses internal addresses.

    Where they are allowed, link-local ones are refused all the same: there, clouds tell a machine's secrets to whoever asks.
    Where the environment names a proxy, it looks the names up; only addresses written as numbers are judged here then.
    """
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    direct = _Transport(connections, is_internal_allowed)
    is_proxied = bool({"http", "https", "all"} & set(urllib.request.getproxies()))
    routes = {"mounts": {"all://localhost": direct, "all://127.0.0.1": direct}} if is_proxied else {"transport": direct}
    async with httpx.AsyncClient(
        **routes,
        headers={"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
        timeout=httpx.Timeout(read_seconds, connect=connect_seconds, pool=None),
        limits=httpx.Limits(max_connections=connections),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        event_hooks={"request": [functools.partial(_refuse_number, is_link_local if is_internal_allowed else is_internal)]},
    ) as client:
        yield client


def is_internal(address: str) -> bool:
    """Whether an IP address, as text, is none of the public internet: private, loopback, link-local, reserved, multicast."""
    parsed = _parsed(address)
    return not parsed.is_global or parsed.is_multicast


def is_link_local(address: str) -> bool:
    """Whether an IP address, as text, is link-local, or another at which clouds answer with a machine's secrets."""
    parsed = _parsed(address)
    return parsed.is_link_local or str(parsed) in _CLOUD_METADATA


def _parsed(address):
    """An address; of one of version 6 that stands for one of version 4, the latter."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if parsed.version == 4:
        return parsed
    return parsed.ipv4_mapped or parsed.sixtofour or (ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF) if parsed in _NAT64 else parsed)


async def _refuse_number(is_refused, request):
    with contextlib.suppress(ValueError):
        if is_refused(request.url.host):
            raise InternalAddressError(request.url.host)


@functools.cache
def _trusted(file, folder):
    """The certificates that are trusted, which take longer to read than a request takes; file and folder are where httpx looks for them."""
    return httpx.create_ssl_context()


class _Transport(httpx.AsyncBaseTransport):
    """httpcore's pool behind httpx, with a network of our own; httpx's transport takes none."""

    def __init__(self, connections, is_internal_allowed):
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=5,
            network_backend=_GuardedNetwork(is_link_local if is_internal_allowed else is_internal),
        )

    async def handle_async_request(self, request):
        url = httpcore.URL(scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path)
        with _as_httpx_errors():
            response = await self._pool.handle_async_request(
                httpcore.Request(request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions)
            )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response.stream), extensions=response.extensions)

    async def aclose(self):
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream):
        self._stream = stream

    async def __aiter__(self):
        with _as_httpx_errors():
            async for part in self._stream:
                yield part

    async def aclose(self):
        await self._stream.aclose()


class _GuardedNetwork(httpcore.AsyncNetworkBackend):
    def __init__(self, is_refused):
        self._network, self._is_refused = httpcore.AnyIOBackend(), is_refused

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        addresses = await _look_up(host, port, timeout)
        allowed = [address for address in addresses if not self._is_refused(address)]
        if not allowed:
            raise InternalAddressError(addresses[0])
        for address in allowed:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, path, timeout=None, socket_options=None):
        raise InternalAddressError(path)

    async def sleep(self, seconds):
        await self._network.sleep(seconds)


async def _look_up(host, port, timeout):
    try:
        with anyio.fail_after(timeout):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise httpcore.ConnectTimeout(f"{host} was not found in {timeout} s") from None
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} is unknown ({error})") from error
    return list(dict.fromkeys(entry[4][0] for entry in found))


@contextlib.contextmanager
def _as_httpx_errors():
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error  # both libraries use the same names
