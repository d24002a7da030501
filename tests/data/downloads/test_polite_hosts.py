import asyncio
import datetime
import itertools

import pytest

from tfvision.data.downloads.polite_hosts import Host, retry_after_seconds

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 01 Mar 2026 13:01:30 +0100", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert retry_after_seconds(header, NOW) == seconds


class Clockwork(asyncio.SelectorEventLoop):
    """A loop whose clock goes on to what is waited for, and at no other time."""

    now = 0.0

    def time(self):
        return self.now

    def _run_once(self):
        if self._scheduled and not self._ready:
            self.now = max(self.now, self._scheduled[0].when())
        super()._run_once()


def starts_of(host, count, pause_after=None):
    """When each of so many turns began, by the loop's clock."""

    async def run():
        starts = []

        async def ask():
            async with host.turn():
                starts.append(asyncio.get_running_loop().time())
                if len(starts) == pause_after:
                    host.pause(0.2)

        await asyncio.gather(*(ask() for _ in range(count)))
        return starts

    with asyncio.Runner(loop_factory=Clockwork) as runner:
        return runner.run(run())


def gaps(starts):
    return [later - earlier for earlier, later in itertools.pairwise(starts)]


def test_turns_keep_their_distance_however_many_wait():
    assert min(gaps(starts_of(Host(connections=8, requests_per_second=50), 8))) >= 0.0199


def test_a_pause_holds_back_all_that_wait():
    starts = starts_of(Host(connections=8, requests_per_second=1e6), 8, pause_after=3)
    assert len(starts) == 8 and gaps(starts)[2] >= 0.1999


def test_a_host_is_given_up_after_failures_in_a_row_only():
    host = Host(1, 1)
    for failure in ("silent", "silent", "", "silent", "silent"):
        host.note(failure, patience=3)
    assert not host.gave_up
    host.note("the host answered 503", patience=3)
    assert host.gave_up == "its host was left alone after 3 failures in a row, the last: the host answered 503"
    host.note(host.gave_up, patience=3)
    assert host.gave_up.count("failures in a row") == 1
