"""How long photos of the web take: hosts are asked side by side, each so often a second, so that the one with the most photos decides."""

import collections
import sys
import time
import urllib.parse
from collections.abc import Iterable

from tfvision.progress import duration

_TOLD_SECONDS = 60
_TRUSTED_SECONDS = 10  # of answers, that weigh as much as what is expected


def host_of(url: str) -> str:
    """The host of an address, "" where it is none of the web."""
    try:
        return urllib.parse.urlsplit(url).hostname or ""
    except ValueError:
        return ""


def tell_time(urls: Iterable[str], connections_per_host: int, requests_per_second: float) -> None:
    """Says on stderr what is asked of which host and how long that takes at least, where it is a minute or more."""
    hosts = collections.Counter(map(host_of, urls))
    host, most = hosts.most_common(1)[0] if hosts else ("", 0)
    if most / requests_per_second < _TOLD_SECONDS:
        return
    where = f"at {host}" if len(hosts) == 1 else f"of {len(hosts):,} hosts, {most:,} of them at {host}"
    print(
        f"{sum(hosts.values()):,} photos {where}: at least {duration(most / requests_per_second)} at {requests_per_second:g} a second and host "
        f"(--requests-per-second), and longer where a photo takes more than {duration(connections_per_host / requests_per_second)}, "
        f"as {connections_per_host} are asked for at once (--connections-per-host)",
        file=sys.stderr,
    )


class DownloadTime:
    """How long the photos that are left will take, by what is allowed and by the answers so far."""

    def __init__(self, hosts: Iterable[str], requests_per_second: float) -> None:
        self._left, self._done, self._expected = collections.Counter(hosts), collections.Counter[str](), requests_per_second
        self._started = time.monotonic()

    def settle(self, host: str) -> None:
        """One photo of the host is done with."""
        self._left[host] -= 1
        self._done[host] += 1

    @property
    def seconds_left(self) -> float:
        """Of the host that takes longest."""
        seconds = time.monotonic() - self._started + _TRUSTED_SECONDS
        return max((left * seconds / (self._done[host] + _TRUSTED_SECONDS * self._expected) for host, left in self._left.items()), default=0.0)
