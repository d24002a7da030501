"""What hostile clients do to `tfvision serve`, and to the clients beside them.

    python benchmarks/hostile_serving.py                     # all cases, some 15 minutes
    python benchmarks/hostile_serving.py --only idle --only JSON
    python benchmarks/hostile_serving.py --pictures          # the hostile pictures as well

Each case is done in a process of its own, to a server that may open 1,024 files, while `/healthz` is asked ten times a second on new
connections, and 10 normal requests are sent a second. Told are how far the memory of the server and its children rose, the slowest
`/healthz`, the normal requests' p99, how long after the last hostile byte every connection was free again, and what was answered.
Aims: 1,000 MB, 100 ms, 35 s. The hostile client keeps its connections open until the server has closed them.
"""

import argparse
import asyncio
import base64
import contextlib
import gzip
import json
import multiprocessing
import socket
import struct
import sys
import time

from serving.clients import Outcomes, RestClient
from serving.model import own_copy, sample_requests
from serving.server import Server
from serving.tables import counts, percentile, print_header, print_table

MIB = 2**20
LARGE = 60 * MIB
FILES = 1024
MOST_SECONDS = 60
NORMAL_GAP_SECONDS = 0.1


def main():
    options = _options()
    print_header()
    cases = CASES | (picture_cases() if options.pictures else {})
    chosen = {name: case for name, case in cases.items() if not options.only or any(word in name for word in options.only)}
    with own_copy(options.export) as folder:
        rows = asyncio.run(measure(folder, chosen))
    heading = ("", "memory rises MB", "slowest /healthz ms", "normal p99 ms", "normal failed", "free again after s", "answers")
    print_table(heading, *rows)


# Measuring


async def measure(folder, cases):
    rows, model, request = [], folder.parent.name, sample_requests(folder)["REST"]
    with Server(folder.parent.parent, files=FILES) as server:
        server.wait_until_ready()
        for name in cases:
            rows.append(await _measured(name, server, model, request))
            if not server.is_alive():
                raise SystemExit(f"the server ended:\n{server.log()}")
        print(f"The server's log has {server.log_bytes()} bytes.\n")
    return rows


async def _measured(name, server, model, request):
    stop, healthz, normal = asyncio.Event(), [], Outcomes()
    start, connections = server.memory_mb_of_all(), server.open_files()
    peak = [start]
    target = {"rest": server.rest_port, "grpc": server.grpc_port, "model": model}
    beside = [asyncio.create_task(task) for task in (_probe(server, healthz, stop), _send(server, model, request, normal, stop))]
    watching = asyncio.create_task(_watch(server, peak, stop))
    told = multiprocessing.get_context("spawn").Queue()
    attacker = multiprocessing.get_context("spawn").Process(target=_attack, args=(name, target, told), daemon=True)
    attacker.start()
    sent, answers = await asyncio.to_thread(_told, told, attacker)
    while not (is_free := server.open_files() <= connections + 4) and time.time() - sent < MOST_SECONDS:
        await asyncio.sleep(0.1)
    free_after = f"{time.time() - sent:.0f}" if is_free else f"not in {MOST_SECONDS}"
    attacker.terminate()
    attacker.join()
    stop.set()
    await asyncio.gather(*beside, watching)
    failed = {status: len(found) for status, found in normal.latencies.items() if status != "200"}
    slowest = f"{1e3 * max(healthz):.0f}"
    row = (name, f"{max(peak) - start:.0f}", slowest, f"{percentile(normal.of('200'), 99):.0f}", counts(failed), free_after, counts(answers) if answers else "")
    print(*row, sep=" | ", file=sys.stderr, flush=True)
    await asyncio.sleep(2)
    return row


def _told(queue, attacker):
    """(when the last hostile byte was sent, {answer: count})."""
    while attacker.is_alive() or not queue.empty():
        with contextlib.suppress(Exception):
            return queue.get(timeout=1)
    raise SystemExit("the hostile client ended without an account")


async def _probe(server, seconds, stop):
    while not stop.is_set():
        started = time.perf_counter()
        try:
            async with asyncio.timeout(30):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.rest_port)
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                is_alive = b"alive" in await reader.read()
                writer.close()
        except (TimeoutError, OSError):
            is_alive = False
        seconds.append(time.perf_counter() - started if is_alive else 30.0)
        await asyncio.sleep(0.1)


async def _send(server, model, request, outcomes, stop):
    """Normal requests, of a client that keeps its connection and of one that does not, in turn."""
    kept, turn = RestClient(server, model, request), 0
    while not stop.is_set():
        turn += 1
        client = kept if turn % 2 else RestClient(server, model, request)
        await outcomes.ask(client)
        if client is not kept:
            await client.close()
        await asyncio.sleep(NORMAL_GAP_SECONDS)
    await kept.close()


async def _watch(server, peak, stop):
    while not stop.is_set():
        peak.append(server.memory_mb_of_all())
        await asyncio.sleep(0.05)


# Hostile clients


def _attack(name, target, told):
    cases = CASES if name in CASES else picture_cases()
    answers = cases[name](target)
    told.put((time.time(), answers))
    time.sleep(MOST_SECONDS + 10)  # and keeps what it has open


_OPEN = []


def _connection(target, port="rest"):
    connection = socket.create_connection(("127.0.0.1", target[port]), timeout=40)
    _OPEN.append(connection)
    return connection


def _post_head(target, size, more=b""):
    return b"POST /v1/models/%b:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n" % (target["model"].encode(), size, more)


def _send_all(connection, data):
    """Whether all could be sent."""
    try:
        connection.sendall(data)
        return True
    except OSError:
        return False


def _answer(connection, seconds=40):
    """The status, or "closed" or "none"."""
    connection.settimeout(seconds)
    try:
        head = connection.recv(4096)
    except TimeoutError:
        return "none"
    except OSError:
        return "closed"
    return head.split()[1].decode() if head else "closed"


def _counted(answers):
    return {answer: answers.count(answer) for answer in set(answers)}


def unfinished_uploads(target, count=9):
    connections = [_connection(target) for _ in range(count)]
    for connection in connections:
        _send_all(connection, _post_head(target, LARGE + 1) + b" " * LARGE)
    return {}


def slow_bodies(target, count=300):
    return _trickle([_connection(target) for _ in range(count)], _post_head(target, 1000))


def slow_heads(target, count=300):
    return _trickle([_connection(target) for _ in range(count)], b"GET /healthz HTTP/1.1\r\nX-")


def _trickle(connections, start, seconds=45):
    """A byte a second, until all are closed."""
    for connection in connections:
        _send_all(connection, start)
    answers, end = [], time.time() + seconds
    while connections and time.time() < end:
        time.sleep(1)
        for connection in list(connections):
            connection.setblocking(False)
            try:
                head = connection.recv(100)
                answers.append(head.split()[1].decode() if head else "closed")
                connections.remove(connection)
            except BlockingIOError:
                connection.setblocking(True)
                if not _send_all(connection, b"a"):
                    answers.append("closed")
                    connections.remove(connection)
            except OSError:
                answers.append("closed")
                connections.remove(connection)
    return _counted(answers + ["none"] * len(connections))


def head_without_end(target):
    return _answer_to_much(target, b"GET /healthz HTTP/1.1\r\n", _large_headers(400))


def header_without_end(target):
    return _answer_to_much(target, b"GET /healthz HTTP/1.1\r\nX: ", [b"a" * MIB] * 400)


def trailers_without_end(target):
    start = _post_head(target, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n"
    return _answer_to_much(target, start, _large_headers(100))


def _large_headers(count):
    return (b"X-%d: " % number + b"a" * MIB + b"\r\n" for number in range(count))


def _answer_to_much(target, start, parts):
    """Sends the parts, as many as the server takes."""
    connection = _connection(target)
    connection.sendall(start)
    for part in parts:
        if not _send_all(connection, part):
            break
    return {_answer(connection): 1}


def idle_connections(target, port="rest", count=1100):
    for _ in range(count):
        with contextlib.suppress(OSError):
            _connection(target, port)
    return {}


def idle_after_an_answer(target, count=1100):
    answers = []
    for _ in range(count):
        connection = _connection(target)
        _send_all(connection, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answers.append(_answer(connection))
    return _counted(answers)


def pipelined(target, count=20):
    for _ in range(count):
        _send_all(_connection(target), b"GET /monitoring/prometheus/metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
    return {}


def unread_answers(target, count=300):
    for _ in range(count):
        connection = socket.socket()
        _OPEN.append(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", target["rest"]))
        for _ in range(12):
            _send_all(connection, b"GET /monitoring/prometheus/metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    return {}


def posted(body, more=b"", count=2):
    """A case: some clients send the same body at the same time."""

    def case(target):
        made = body()
        connections = [_connection(target) for _ in range(count)]
        for connection in connections:
            _send_all(connection, _post_head(target, len(made), more) + made)
        return _counted([_answer(connection, 60) for connection in connections])

    return case


def _json_of(value, size=LARGE):
    return b'{"instances":[' + (value + b",") * (size // (len(value) + 1)) + value + b"]}"


def unfinished_calls(target, count=9):
    """gRPC, by hand: a message of which the last byte does not come."""
    for _ in range(count):
        connection = _call(target)
        message = b"\0" + struct.pack(">I", LARGE + 1) + b" " * LARGE
        _send_frames(connection, message)
    return {}


def call_of(message):
    def case(target):
        import grpc

        made = message()
        channel = grpc.insecure_channel(f"127.0.0.1:{target['grpc']}")
        with channel:
            predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            calls = [predict.future(made, timeout=60) for _ in range(2)]
            return _counted([call.code().name for call in calls])

    return case


def _call(target):
    path, authority = b"/tensorflow.serving.PredictionService/Predict", b"x"
    fields = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", authority))
    more = ((b"te", b"trailers"), (b"content-type", b"application/grpc"))
    block = b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields + more)
    connection = _connection(target, "grpc")
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 4, 1, block))
    return connection


def _frame(kind, flags, stream, data):
    return struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + data


def _send_frames(connection, message, seconds=4):
    """Sends a message as far as the server's windows let it, in DATA frames; its window updates are obeyed."""
    windows, sent, received, end = {0: 65535, 1: 65535}, 0, b"", time.time() + seconds
    connection.settimeout(0.5)
    while sent < len(message) and time.time() < end:
        size = min(16384, len(message) - sent, *windows.values())
        if size > 0:
            if not _send_all(connection, _frame(0, 0, 1, message[sent : sent + size])):
                return
            sent += size
            windows = {stream: window - size for stream, window in windows.items()}
            if min(windows.values()) > 0 and sent % (1 << 20) > 16384:
                continue
        try:
            received += connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return
        while len(received) >= 9 and len(received) >= 9 + (size := int.from_bytes(received[:3])):
            kind, flags, stream, data = received[3], received[4], int.from_bytes(received[5:9]), received[9 : 9 + size]
            received = received[9 + size :]
            if kind == 8:
                windows[stream] = windows.get(stream, 65535) + int.from_bytes(data)
            elif kind == 4 and not flags & 1:
                for place in range(0, len(data), 6):
                    if int.from_bytes(data[place : place + 2]) == 4:
                        windows[1] += int.from_bytes(data[place + 2 : place + 6]) - 65535
                connection.sendall(_frame(4, 1, 0, b""))
            elif kind == 6 and not flags & 1:
                connection.sendall(_frame(6, 1, 0, data))
            elif kind in (3, 7):
                return


def _varint(number):
    return bytes([number & 127 | 128]) + _varint(number >> 7) if number > 127 else bytes([number])


def _field(number, data):
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _predict_message(tensor):
    return _field(1, _field(1, b"tiny")) + _field(2, _field(1, b"image_bytes") + _field(2, tensor))


def picture_cases():
    import hostile_pictures

    def case(make):
        def body():
            return json.dumps({"instances": [{"b64": base64.b64encode(make()).decode()}]}).encode()

        return posted(body, count=4)

    return {f"4 x {name}": case(make) for name, make in hostile_pictures.PICTURES.items()}


CASES = {
    "nothing hostile": lambda target: time.sleep(8) or {},
    "9 unfinished uploads of 60 MB": unfinished_uploads,
    "9 unfinished gRPC messages of 60 MB": unfinished_calls,
    "head of 400 MB, many headers": head_without_end,
    "head of 400 MB, one header": header_without_end,
    "trailers of 100 MB": trailers_without_end,
    "300 heads of a byte a second": slow_heads,
    "300 bodies of a byte a second": slow_bodies,
    "1,100 idle connections": idle_connections,
    "1,100 idle connections after an answer": idle_after_an_answer,
    "1,100 idle gRPC connections": lambda target: idle_connections(target, "grpc"),
    "20 x 2,000 pipelined requests": pipelined,
    "300 clients that do not read": unread_answers,
    "JSON, 60 MB of numbers": posted(lambda: _json_of(b"0")),
    "JSON, 60 MB of decimals": posted(lambda: _json_of(b"0.5")),
    "JSON, 60 MB of lists": posted(lambda: _json_of(b"[]")),
    "JSON, 60 MB of objects": posted(lambda: _json_of(b'{"a":0}')),
    "JSON, 60 MB of strings": posted(lambda: _json_of(b'"ab"')),
    "JSON, 60 MB of nested lists": posted(lambda: b'{"instances":' + b"[" * LARGE),
    "JSON, 60 MB of base64": posted(lambda: _json_of(b'{"b64":"' + b"A" * (4 * MIB) + b'"}')),
    "JSON, 60 MB of one string": posted(lambda: _json_of(b'"' + b"a" * (LARGE - 100) + b'"', 1)),
    "JSON, 4 MB of lists": posted(lambda: _json_of(b"[]", 4 * MIB - 100), count=8),
    "JSON, 60 MB of numbers in 60 kB of gzip": posted(lambda: gzip.compress(_json_of(b"0")), b"Content-Encoding: gzip\r\n"),
    "gRPC, 60 MB of empty strings": call_of(lambda: _predict_message(b"\x08\x07" + _field(8, b"") * (LARGE // 2 - 100))),
    "gRPC, 60 MB of integers": call_of(lambda: _predict_message(b"\x08\x03" + _field(7, b"\1" * (LARGE - 100)))),
    "gRPC, 60 MB of inputs": call_of(lambda: _field(1, _field(1, b"tiny")) + b"".join(_field(2, _field(1, b"%07x" % i)) for i in range(LARGE // 11 - 100))),
    "gRPC, 60 MB of names of outputs": call_of(lambda: _field(1, _field(1, b"tiny")) + _field(3, b"") * (LARGE // 2 - 100)),
}


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", nargs="?", metavar="EXPORT_FOLDER", help="a model's folder of versions; none: a tiny model made here")
    parser.add_argument("--only", action="append", metavar="WORD", help="cases whose name has this word")
    parser.add_argument("--pictures", action="store_true", help="the pictures of hostile_pictures.py, too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
