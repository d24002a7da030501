"""Turns at a host: how many requests at once, how many a second, and the pauses it asks for."""

import asyncio
import contextlib
import datetime
import email.utils
from collections.abc import AsyncIterator


class Host:
    """One host's queue; every request to it, redirects included, takes a turn.

    Attributes:
      gave_up: why nothing more is asked of it in this run, or "".
    """

    def __init__(self, connections: int, requests_per_second: float) -> None:
        self.gave_up = ""
        self._slots = asyncio.Semaphore(connections)
        self._seconds_between = 1 / requests_per_second
        self._next_start = 0.0
        self._failures_in_a_row = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits until one more request may be made; holds its turn until the block ends."""
        async with self._slots:
            clock = asyncio.get_running_loop().time
            while (wait := self._next_start - clock()) > 0:
                await asyncio.sleep(wait)  # others may have started meanwhile, or a pause begun
            self._next_start = clock() + self._seconds_between
            yield

    def pause(self, seconds: float) -> None:
        """Starts no request for so long."""
        self._next_start = max(self._next_start, asyncio.get_running_loop().time() + seconds)

    def note(self, failure: str, patience: int) -> None:
        """Counts failures in a row, "" being none; gives the host up after `patience` of them."""
        self._failures_in_a_row = self._failures_in_a_row + 1 if failure else 0
        if self._failures_in_a_row >= patience and not self.gave_up:
            self.gave_up = f"its host was left alone after {self._failures_in_a_row} failures in a row, the last: {failure}"


def retry_after_seconds(header: str, now: datetime.datetime | None = None) -> float | None:
    """What a Retry-After header asks for, in seconds; None where there is none or it cannot be read.

    Args:
      header: its text, seconds or an HTTP date.
      now: an aware datetime; None = the clock.
    """
    text = (header or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, (moment - (now or datetime.datetime.now(datetime.UTC))).total_seconds())
