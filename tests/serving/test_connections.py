"""What connections may do: servers, patient and hasty, whose application answers with the length of the body."""

import contextlib
import logging
import resource
import socket
import threading
import time

import pytest

from tfvision.serving import connections
from tfvision.serving.connections import BoundedServer, ConnectionLimits

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
BUSY = b"POST /busy HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


async def _application(scope, receive, send):
    size, more = 0, True
    while more and scope["path"] != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    body = b"a" * 2**24 if scope["path"] == "/large" else b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def _refuse(method, path):
    return (429, b"{}") if path == b"/busy" else None


@contextlib.contextmanager
def _running(**limits):
    """A server and its address; without limits it is patient, for the machine may be busy between a test's two lines."""
    patient = dict.fromkeys(("head_seconds", "idle_seconds", "body_seconds", "grace_seconds", "unread_seconds"), 60.0)
    listener = socket.create_server(("127.0.0.1", 0))
    server = BoundedServer(_application, ConnectionLimits(**patient | limits), _refuse)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield server, listener.getsockname()
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address():
    with _running() as (_, address):
        yield address


HASTY = {"body_seconds": 0.8, "grace_seconds": 0.2}


@pytest.fixture(scope="module")
def hasty():
    """The address of a server that waits for heads, but not for bodies."""
    with _running(**HASTY) as (_, address):
        yield address


def _connect(address):
    return socket.create_connection(address, timeout=60)


def _all_answers(connection):
    """Everything until the server closes."""
    answers = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            answers += part
    return answers


def _ask(connection):
    """Asks, and reads the whole answer."""
    connection.sendall(HEAD + b"Content-Length: 3\r\n\r\nabc")
    answer = b""
    while not answer.endswith(b"\r\n\r\n3"):
        part = connection.recv(1000)
        assert part
        answer += part
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def _sent(address, data):
    with _connect(address) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        return _all_answers(connection)


def test_requests_are_answered_on_one_connection_until_it_is_idle():
    with _running(idle_seconds=0.2) as (_, address):
        answers = _sent(address, (HEAD + b"Content-Length: 3\r\n\r\nabc") * 2)
    assert answers.count(b"HTTP/1.1 200 OK") == 2 and answers.count(b"\r\n\r\n3") == 2


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"X: " + b"a" * 80_000,
        HEAD + b"X: " + b"a" * 80_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 80_000,
        HEAD + b"".join(b"X-%d: %b\r\n" % (number, b"a" * 1000) for number in range(40)),
        HEAD + b"".join(b"X-%d:\r\n" % number for number in range(200)),
        b"\r\n" * 60_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 80_000,
    ],
    ids=["one header", "one header that ends", "path", "headers", "many headers", "empty lines", "chunk extension"],
)
def test_head_is_bounded(address, data):
    assert _sent(address, data).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


def test_trailers_are_bounded(address):
    start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    assert b"HTTP/1.1 431" in _sent(address, start + b"".join(b"X-%d: a\r\n" % number for number in range(200)))
    assert b"HTTP/1.1 431" in _sent(address, start + b"X: " + b"a" * 80_000)


@pytest.fixture(scope="module")
def most_hasty():
    """The address of a server that waits for nothing."""
    with _running(head_seconds=0.2, **HASTY) as (_, address):
        yield address


@pytest.mark.parametrize("data", [b"GET / HTT", HEAD, HEAD + b"Content-Length: 10\r\n\r\nabc", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"])
def test_head_and_body_that_do_not_come_are_408(most_hasty, data):
    answers = (_sent(most_hasty, data) for _ in range(100))  # none where the first byte came too late
    assert next(filter(None, answers)).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_connection_without_a_request_is_closed(most_hasty):
    assert _sent(most_hasty, b"") == b""


def _trickle(connection, size, part):
    """Sends a body in small parts, the first with its head, until the server ends it, a minute at most; returns when it began."""
    started = time.monotonic()
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % size + part)
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < started + 60:
            connection.sendall(part)
            time.sleep(0.01)
    return started


def test_body_that_trickles_is_ended_however_long_it_would_take(hasty):
    with _connect(hasty) as connection:
        started = _trickle(connection, 1_000_000, b"a")
        assert b"408" in _all_answers(connection) or time.monotonic() < started + 60


def test_body_within_its_rate_has_a_last_moment(hasty):
    with _connect(hasty) as connection:
        started = _trickle(connection, 100_000_000, b"a" * 4096)
    assert 0.7 < time.monotonic() - started < 60


def test_body_after_its_answer_is_bounded_too(hasty):
    answers = _sent(hasty, b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert answers.startswith(b"HTTP/1.1 200") and answers.count(b"HTTP/1.1") == 1


def test_refusal_comes_before_the_body_and_the_connection_goes_on():
    with _running() as (server, address), _connect(address) as connection:
        connection.sendall(BUSY)
        assert connection.recv(1000).startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        connection.sendall(b"body" + HEAD + b"Content-Length: 3\r\n\r\nabc")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        (held,) = server.server_state.connections
        held._limits = ConnectionLimits(**HASTY)  # from now on, so that the rest of the body is not waited for
        connection.sendall(BUSY + b"bo")
        assert b"connection: close" not in _all_answers(connection)


def test_refused_request_of_http_1_0_ends_the_connection(address):
    assert b"connection: close" in _sent(address, BUSY.replace(b"HTTP/1.1", b"HTTP/1.0"))


def test_answer_that_nobody_reads_is_dropped():
    with _running(unread_seconds=0.3) as (server, address), _connect(address) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            connection.recv(1)  # it is being answered, or was
        _wait_until(lambda: not server.server_state.connections)


def test_requests_in_advance_are_few(address):
    answers = _sent(address, (HEAD + b"Content-Length: 3\r\n\r\nabc") * 1000)
    assert answers.count(b"HTTP/1.1 200") < 100


def test_beyond_the_most_connections_the_one_idle_longest_gives_way():
    with _running(max_connections=3) as (_, address):
        waiting = [_connect(address) for _ in range(3)]
        with _connect(address) as connection:
            _ask(connection)
            assert waiting[0].recv(1000) == b""
            with _connect(address):
                assert waiting[1].recv(1000) == b""  # and not the one that was answered before
            for other in [connection, waiting[2]]:
                _ask(other)
        for other in waiting:
            other.close()


def test_where_no_connection_is_idle_a_new_one_is_503():
    with _running(max_connections=2) as (server, address):
        uploads = [_connect(address) for _ in range(2)]
        for upload in uploads:
            upload.sendall(HEAD + b"Content-Length: 3\r\n\r\n")
        _wait_until(lambda: len(server.server_state.connections) == 2 and not server.unasked and not server.idle)
        answer = _sent(address, b"")
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n") and b"retry-after: 1\r\n" in answer
        for upload in uploads:
            upload.sendall(b"abc")
            assert upload.recv(1000).startswith(b"HTTP/1.1 200")
            upload.close()


def _wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


def test_connections_leave_files_for_the_rest(monkeypatch):
    limits = {"soft": 256, "hard": 1024}
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limits["soft"], limits["hard"]))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.update(soft=pair[0], hard=pair[1]))
    assert connections.max_connections() == 1024 - 256
    assert limits == {"soft": 1024, "hard": 1024}
    limits.update(soft=100_000, hard=resource.RLIM_INFINITY)
    assert connections.max_connections() == 4096
    assert limits["soft"] == 100_000


def test_strangers_doings_are_logged_once_a_minute(caplog):
    logger = logging.getLogger("asyncio")
    with connections._seldom_logged():
        for _ in range(5):
            logger.error("socket.accept() out of system resource\nsocket: x", exc_info=(OSError, OSError(24, "Too many open files"), None))
            logger.error("another")
    logger.error("after")
    assert [record.getMessage() for record in caplog.records] == [
        "socket.accept() out of system resource: [Errno 24] Too many open files",
        "another",
        "after",
    ]
    assert not caplog.records[0].exc_info


def test_connection_whose_second_request_is_being_answered_is_not_idle():
    with _running() as (server, address), _connect(address) as connection:
        connection.sendall(HEAD + b"Content-Length: 3\r\n\r\nabc" + b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(16).startswith(b"HTTP/1.1 200")
        assert not server.idle
