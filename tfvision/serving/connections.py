"""What a server of this suite bears from strangers' connections: how many, how large and how slow.

`uvicorn` and its parser have no bound for the head of a request, for the time that head and body take, and for clients that do not read
their answers. `BoundedServer` has; the local server and the explorer's are one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import resource
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from typing import Any

    Refuse = Callable[[str, bytes], tuple[int, bytes] | None]

_ACCEPTED_AT_ONCE = 128  # before any is closed that is too many
_WAITING = 4096  # connections that the system accepts meanwhile; what it drops is tried again by clients after a second
_RESERVED_FILES = 128 + _ACCEPTED_AT_ONCE  # for models, logs, threads and libraries
_MOST_FILES = 65_536
_MOST_PIPELINED = 16
_REPEAT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class ConnectionLimits:
    """What one connection may do.

    Attributes:
      max_connections: at once; beyond it one without a request is closed, the oldest of those that have had none or of those that have had one,
        whichever are more; where there is none, the new one.
      max_head_bytes, max_headers: of a request's first line and headers, and of what frames its body.
      head_seconds: until the first request, and from a request's first byte to the end of its head.
      idle_seconds: between two requests.
      body_seconds: for a whole body.
      min_bytes_per_second: of a body, once `grace_seconds` have passed.
      unread_seconds: that an answer may lie before the client reads on.
    """

    max_connections: int = 1024
    max_head_bytes: int = 32 * 1024
    max_headers: int = 128
    head_seconds: float = 10.0
    idle_seconds: float = 30.0
    body_seconds: float = 30.0
    min_bytes_per_second: int = 1024
    grace_seconds: float = 5.0
    unread_seconds: float = 20.0


def max_connections(most: int = 4096) -> int:
    """How many connections the files that this process may open are enough for; raises its limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return most if soft == resource.RLIM_INFINITY else max(8, min(most, soft - _RESERVED_FILES))


class BoundedServer(uvicorn.Server):
    """A uvicorn.Server of an ASGI application, within ConnectionLimits.

    Args:
      refuse: (method, path with its query) -> the status and JSON with which a request is refused before anything else is
        done for it, or None; under overload refusing must cost little.
      settings: of uvicorn.Config.
    """

    def __init__(self, app: Any, limits: ConnectionLimits = ConnectionLimits(), refuse: Refuse | None = None, **settings: Any) -> None:
        self.limits, self.refuse = limits, refuse
        self.unasked: dict[_BoundedProtocol, None] = {}  # connections that have not had a request, the oldest first
        self.idle: dict[_BoundedProtocol, None] = {}  # those between two requests, the idle longest first
        protocol: Any = self._protocol
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                backlog=_ACCEPTED_AT_ONCE,
                timeout_keep_alive=max(1, round(limits.idle_seconds)),
                **settings,
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with _seldom_logged():
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_WAITING)

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second, as uvicorn calls it: closes what is overdue."""
        now = time.monotonic()
        for connection in list(self.server_state.connections):
            connection.check(now)  # type: ignore[union-attr]
        return await super().on_tick(counter)

    def _protocol(self, **arguments: Any) -> _BoundedProtocol:
        return _BoundedProtocol(self, **arguments)


class _BoundedProtocol(HttpToolsProtocol):
    """One connection.

    It waits for a head, for the rest of a head or for a body, since `_since`, or for nothing: then an answer is being made.
    """

    def __init__(self, owner: BoundedServer, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._owner, self._limits = owner, owner.limits
        self._since, self._waits_for, self._seconds = time.monotonic(), "head", owner.limits.head_seconds
        self._body_bytes, self._head_bytes, self._unparsed_bytes = 0, 0, 0
        self._unread_since: float | None = None
        self._fault: HTTPStatus | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            idlest = next(iter(max(self._owner.unasked, self._owner.idle, key=len)), None)  # of the kind that there is a flood of
            if idlest is None:
                return self._end(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections; try again")
            idlest.close()
        self._owner.unasked[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_busy()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        size = self._limits.max_head_bytes
        for start in range(0, len(data), size):
            part = data[start : start + size]
            self._unparsed_bytes += len(part)
            super().data_received(part)
            if self._unparsed_bytes > size:
                self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too large")
            if self.transport.is_closing():
                return

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._wait("rest of a head", self._limits.head_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unparsed_bytes = 0
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self._limits.max_head_bytes or len(self.headers) >= self._limits.max_headers:
            self._fault = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError  # which ends the parser
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unparsed_bytes, self._body_bytes = 0, 0
        self._is_busy()
        self._wait("body", self._limits.body_seconds)
        if len(self.pipeline) >= _MOST_PIPELINED:
            self._fault = HTTPStatus.TOO_MANY_REQUESTS
            raise ValueError
        is_next = self.cycle is None or self.cycle.response_complete
        refusal = self._owner.refuse(self.parser.get_method().decode("ascii"), self.url) if self._owner.refuse and is_next else None
        if refusal:
            return self._refuse(*refusal)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._unparsed_bytes = 0
        self._wait("", 0)
        if self.cycle.response_complete:
            self._rest()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._waits_for and self.cycle.response_complete:  # and not only that of a request before the last
            self._rest()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """As uvicorn calls it where its parser gives up."""
        self._end(self._fault or HTTPStatus.BAD_REQUEST, msg)

    def check(self, now: float) -> None:
        """Ends the connection where the client has taken too long."""
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
            if self._waits_for == "next head":
                self._owner.idle.setdefault(self)
        elif self._unread_since is None:
            self._unread_since = now
        if self._unread_since is not None and now - self._unread_since > self._limits.unread_seconds:
            return self.transport.abort()
        if self.flow.read_paused:  # it is not the client who is late
            self._since, self._body_bytes = now, 0
        late = now - self._since
        is_overdue = self._waits_for and late > self._seconds
        if self._waits_for == "body" and late > self._limits.grace_seconds:
            is_overdue = is_overdue or self._body_bytes < self._limits.min_bytes_per_second * (late - self._limits.grace_seconds)
        if not is_overdue or self.transport.is_closing():
            return
        if self._waits_for in ("head", "next head"):
            return self.close()
        self._end(HTTPStatus.REQUEST_TIMEOUT, f"The {self._waits_for} did not come in time")

    def close(self) -> None:
        """Closes it, between two requests."""
        self._is_busy()
        self.transport.close()

    def _wait(self, waits_for, seconds):
        self._since, self._waits_for, self._seconds = time.monotonic(), waits_for, seconds

    def _is_busy(self):
        self._owner.unasked.pop(self, None)
        self._owner.idle.pop(self, None)

    def _rest(self):
        """Until the next request."""
        self._wait("next head", self._limits.idle_seconds)
        if not self.transport.get_write_buffer_size():  # else it is idle once the answer has gone out
            self._owner.idle[self] = None

    def _refuse(self, status, document):
        """An answer without the application; the request's body is passed over."""
        is_kept = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.cycle = _REFUSED
        self.transport.write(_response(HTTPStatus(status), document, is_kept))
        if not is_kept:
            self.transport.close()

    def _end(self, status: HTTPStatus, message: str) -> None:
        """The last answer of this connection, and of a request that is being read."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        is_asked = cycle is None or (self._waits_for != "body" if cycle.response_complete else not cycle.response_started)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # what the application would still answer is dropped
            cycle.message_event.set()
        if is_asked:
            self.transport.write(_response(status, b'{"error":"%b"}' % message.encode(), is_kept=False))
        self._is_busy()
        self.transport.close()


class _Refused:
    """A request that is answered."""

    response_complete, response_started, disconnected, keep_alive = True, True, False, True

    class message_event:
        set = staticmethod(lambda: None)


_REFUSED: Any = _Refused()


class _Seldom(logging.Filter):
    """Lets a message of one form pass once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], OSError):
            record.msg, record.args, record.exc_info = f"{record.getMessage().splitlines()[0]}: {record.exc_info[1]}", (), None
        form, now = (record.name, record.lineno, str(record.msg).partition("\n")[0]), time.monotonic()
        if now - self._told.get(form, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            return False
        if len(self._told) > 100:
            self._told.clear()
        self._told[form] = now
        return True


@contextlib.contextmanager
def _seldom_logged() -> Iterator[None]:
    """Within the block what servers log of strangers' doings is logged once a minute, and a full table of files without a traceback."""
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio", "tfvision.serving.api", "grpc._cython.cygrpc")]
    seldom = _Seldom()
    for logger in loggers:
        logger.addFilter(seldom)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(seldom)


def _response(status, document, is_kept):
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", "content-type: application/json", f"content-length: {len(document)}"]
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        lines.append("retry-after: 1")
    if not is_kept:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + document
