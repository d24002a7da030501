import asyncio
import collections
import csv
import datetime
import email.utils
import hashlib
import http.server
import io
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
import trustme
from PIL import Image

from tfvision.data.downloads import download_time, web_access
from tfvision.data.downloads.downloads import DownloadSettings, copy_photos, download_photos
from tfvision.errors import DataError, RecipeError, StorageError

tf.zeros(1)  # TensorFlow's start takes seconds: not within a request's time

QUICK = {"is_internal_allowed": True, "backoff_seconds": 0.01, "requests_per_second": 10_000, "attempts": 3}


def photo(number, suffix="png"):
    """A small picture, another one for each number."""
    pixels = np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, {"png": "PNG", "jpg": "JPEG"}[suffix])
    return buffer.getvalue()


class Server:
    """A real HTTP server that misbehaves as the path asks.

    Attributes:
      asked: Counter of paths.
      most: how many requests were open at once.
    """

    def __init__(self, certificate=None):
        self.asked, self.headers, self.open, self.most = collections.Counter(), [], 0, 0
        self.lock, self.released, self.gate = threading.Lock(), threading.Event(), None
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = self.path.split("?")[0]
                with server.lock:
                    server.asked[path] += 1
                    server.headers.append(dict(self.headers))
                    server.open += 1
                    server.most = max(server.most, server.open)
                try:
                    server.answer(self, path)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with server.lock:
                        server.open -= 1

            def log_message(self, *arguments):
                pass

            def send(self, body=b"", status=200, declared=None, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body) if declared is None else declared))
                self.end_headers()
                self.wfile.write(body)

        class Listener(http.server.ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *arguments):
                pass

        self._server = Listener(("0.0.0.0", 0), Handler)
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path, host="127.0.0.1", scheme="http"):
        return f"{scheme}://{host}:{self.port}/{path}"

    def close(self):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler, path):
        kind, _, rest = path.strip("/").partition("/")
        getattr(self, f"_{kind}")(handler, rest, self.asked[path])

    def _photo(self, handler, rest, times):
        handler.send(photo(int(rest.split(".")[0])), Content_Type="image/png")

    def _gated(self, handler, rest, times):
        self.gate.wait(timeout=120)
        self._photo(handler, rest, times)

    def _held(self, handler, rest, times):
        """The photos from 10 on wait until the test lets them go."""
        if int(rest.split(".")[0]) >= 10:
            self.released.wait(60)
        self._photo(handler, rest, times)

    def _missing(self, handler, rest, times):
        handler.send(b"nothing here", 404)

    def _busy(self, handler, rest, times):
        """429 with the Retry-After that the path asks for, then the photo."""
        if times == 1:
            return handler.send(status=429, Retry_After=rest)
        self._photo(handler, "7", times)

    def _failing(self, handler, rest, times):
        if times <= int(rest):
            return handler.send(status=500)
        self._photo(handler, "3", times)

    def _slow(self, handler, rest, times):
        self.released.wait(60)

    def _drip(self, handler, rest, times):
        handler.send(photo(1)[:4], declared=100_000)
        while not self.released.wait(0.02):
            handler.wfile.write(b"x")

    def _cut(self, handler, rest, times):
        """The connection ends before what was declared; from the time in the path on it does not."""
        if times < int(rest):
            handler.send(photo(5)[:200], declared=len(photo(5)))
            handler.close_connection = True
        else:
            self._photo(handler, "5", times)

    def _undeclared(self, handler, rest, times):
        """No Content-Length: the end of the connection is the end of the file, a cut one at first."""
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(photo(6, "jpg")[: 300 if times == 1 else None])
        handler.close_connection = True

    def _reset(self, handler, rest, times):
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True

    def _html(self, handler, rest, times):
        handler.send(b"<html><body>Please log in.</body></html>", Content_Type="image/jpeg")

    def _broken(self, handler, rest, times):
        body = photo(8, "jpg")
        handler.send(body[:-100], Content_Type="image/jpeg")

    def _empty(self, handler, rest, times):
        handler.send(b"", Content_Type="image/jpeg")

    def _endless(self, handler, rest, times):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        while not self.released.is_set():
            handler.wfile.write(b"\xff" * 65536)

    def _declared(self, handler, rest, times):
        handler.send(b"", declared=10**12)
        self.released.wait(60)

    def _packed(self, handler, rest, times):
        handler.send(b"whatever", Content_Encoding="br")

    def _to(self, handler, rest, times):
        handler.send(status=302, Location=f"/{rest}")

    def _away(self, handler, rest, times):
        handler.send(status=301, Location=rest.replace("@", str(self.port)))

    def _circle(self, handler, rest, times):
        handler.send(status=307, Location=f"/circle/{int(rest) + 1}")


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture
def bring(server, tmp_path):
    """A function that downloads the paths of the server into tmp_path/out; (Downloads, ledger rows by image)."""

    def run(*paths, **settings):
        wanted = [(f"photos/{number}.png", server.url(path)) for number, path in enumerate(paths)]
        result = download_photos(wanted, tmp_path / "out", DownloadSettings(**{**QUICK, **settings}))
        return result, ledger(tmp_path / "out")

    return run


def ledger(folder):
    with open(folder / "downloads.csv", newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_photos_arrive_whole_and_stand_in_the_ledger(bring, server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(download_time, "_TOLD_SECONDS", 0)
    told = []
    wanted = [(f"photos/a{number // 2}/{number}.png", server.url(f"photo/{number}")) for number in range(5)]
    result = download_photos(wanted, tmp_path / "out", DownloadSettings(**QUICK), progress=lambda *counts: told.append(counts))
    assert result.done == {image for image, _ in wanted} and not result.failed and result.already == 0
    assert files_below(tmp_path / "out") == sorted(["downloads.csv", *result.done])
    for number, (image, url) in enumerate(wanted):
        assert (tmp_path / "out" / image).read_bytes() == photo(number)
        row = ledger(tmp_path / "out")[image]
        assert (row["url"], row["status"], row["bytes"], row["attempts"]) == (url, "done", str(len(photo(number))), "1")
        assert row["sha256"] == hashlib.sha256(photo(number)).hexdigest()
    assert told[0] == (0, 5, 0, pytest.approx(5 / 10_000, rel=0.1)) and told[-1] == (5, 5, 0, 0) and len(told) == 6
    assert capsys.readouterr().err.startswith("5 photos at 127.0.0.1: at least 0.0005 s at 10000 a second and host")
    assert all(headers["User-Agent"].startswith("tfvision/0.") for headers in server.headers)


def test_photos_come_by_https_from_hosts_with_a_known_certificate_only(tmp_path, monkeypatch):
    authority = trustme.CA()
    server = Server(authority.issue_cert("localhost"))
    wanted = [("photos/0.png", server.url("photo/0", "localhost", "https"))]
    result = download_photos(wanted, tmp_path / "unknown", DownloadSettings(**QUICK))
    assert not result.done and "certificate verify failed" in result.failed["photos/0.png"]
    authority.cert_pem.write_to_path(tmp_path / "known.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "known.pem"))
    assert download_photos(wanted, tmp_path / "known", DownloadSettings(**QUICK)).done == {"photos/0.png"}
    server.close()


def test_photos_arrive_where_an_event_loop_runs_as_in_a_notebook(bring):
    async def cell():
        return bring("photo/0")

    result, _ = asyncio.run(cell())
    assert result.done == {"photos/0.png"}


@pytest.mark.parametrize(
    ("path", "status", "reason", "asked"),
    [
        ("missing/1", "failed", "the host answered 404", 1),
        ("html/1", "failed", "it is no image that can be read: expected JPEG, PNG", 1),
        ("broken/1", "failed", "it is damaged: its header is whole, its pixels are not; it may be cut short, sent as image/jpeg", 1),
        ("empty/1", "failed", "it is empty (0 bytes), sent as image/jpeg", 1),
        ("endless/1", "failed", "it is larger than 1,000,000 bytes", 1),
        ("declared/1", "failed", "it is larger than 1,000,000 bytes", 1),
        ("packed/1", "failed", "it was sent packed as br, which was not asked for", 1),
        ("away/file:///etc/passwd", "failed", "it was redirected to 'file:///etc/passwd', which is no address of the web", 1),
        ("away/ftp://localhost/1.jpg", "failed", "which is no address of the web", 1),
        ("away/javascript:alert(1)", "failed", "it cannot be asked for (InvalidURL", 1),
        ("slow/1", "retry", "the host was silent for 1 s", 3),
        ("failing/9", "retry", "the host answered 500", 3),
        ("cut/9", "retry", "the connection failed", 3),
        ("reset/1", "retry", "the connection failed", 3),
    ],
    ids=lambda value: value.replace("/", "_") if isinstance(value, str) and "/" in value else "",
)
def test_what_fails_leaves_no_file_and_says_why(bring, server, tmp_path, path, status, reason, asked):
    result, rows = bring(path, "photo/2", most_bytes=1_000_000, read_seconds=1.0 if path == "slow/1" else 30.0)
    assert result.done == {"photos/1.png"} and reason in result.failed["photos/0.png"]
    row = rows["photos/0.png"]
    assert (row["status"], row["reason"], row["attempts"], row["bytes"]) == (status, result.failed["photos/0.png"], str(asked), "0")
    assert server.asked[f"/{path}"] == asked
    assert files_below(tmp_path / "out") == ["downloads.csv", "photos/1.png"]


def test_a_photo_that_drips_is_given_up(bring, server):
    result, rows = bring("drip/1", photo_seconds=0.3, read_seconds=30)
    assert result.failed == {"photos/0.png": "it took longer than 0.3 s"}
    assert rows["photos/0.png"]["status"] == "retry" and server.asked["/drip/1"] == 1


@pytest.mark.parametrize("path", ["failing/2", "cut/3", "undeclared/1"])
def test_what_passes_is_tried_again_in_the_same_run(bring, server, path):
    result, rows = bring(path)
    assert result.done == {"photos/0.png"}
    assert int(rows["photos/0.png"]["attempts"]) == server.asked[f"/{path}"] == (2 if path == "undeclared/1" else 3)


def test_redirects_are_followed_but_not_for_ever(bring, server):
    result, _ = bring("to/to/photo/4", "circle/0", most_redirects=2)
    assert result.done == {"photos/0.png"}
    assert result.failed == {"photos/1.png": "it was redirected more than 2 times"}
    assert sum(count for path, count in server.asked.items() if "circle" in path) == 3


def test_retry_after_holds_back_the_whole_host(server, tmp_path):
    """The pause is in whole seconds; nothing is asked before it ends."""
    arrivals = []
    answer = server.answer
    server.answer = lambda handler, path: (arrivals.append((time.monotonic(), path)), answer(handler, path))
    wanted = [("0.png", server.url("busy/1")), *((f"{number}.png", server.url(f"photo/{number}")) for number in range(1, 6))]
    result = download_photos(wanted, tmp_path, DownloadSettings(**{**QUICK, "connections_per_host": 1}))
    assert len(result.done) == 6
    assert arrivals[0][1] == "/busy/1"
    assert min(moment for moment, _ in arrivals[1:]) - arrivals[0][0] >= 0.9


def test_retry_after_as_a_date_is_understood(bring, server):
    soon = email.utils.format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1), usegmt=True)
    result, rows = bring(f"busy/{soon.replace(' ', '%20')}")
    assert result.done == {"photos/0.png"} and rows["photos/0.png"]["attempts"] == "2"


def test_a_host_that_asks_for_a_long_pause_is_left_alone(bring, server):
    result, rows = bring("busy/3600", *(f"photo/{number}" for number in range(20)), connections_per_host=1)
    assert not result.done and len(result.failed) == 21
    assert set(result.failed.values()) == {"its host asked to be left alone for 3600 s", "the host answered 429"} or set(result.failed.values()) == {
        "its host asked to be left alone for 3600 s"
    }
    assert sum(server.asked.values()) == 1 and {row["status"] for row in rows.values()} == {"retry"}


def test_a_dead_host_is_left_alone_and_the_others_go_on(server, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = unused.getsockname()[1]
    wanted = [(f"dead{number}.png", f"http://localhost:{dead}/{number}.png") for number in range(30)]
    wanted += [(f"{number}.png", server.url(f"photo/{number}")) for number in range(3)]
    result = download_photos(wanted, tmp_path, DownloadSettings(**{**QUICK, "patience": 5, "attempts": 1}))
    assert result.done == {"0.png", "1.png", "2.png"} and len(result.failed) == 30
    assert sum("its host was left alone" in reason for reason in result.failed.values()) >= 30 - 5 - 4


@pytest.mark.parametrize(("connections", "per_host", "expected"), [(64, 3, 3), (2, 8, 2)])
def test_no_more_requests_at_once_than_allowed(server, tmp_path, connections, per_host, expected):
    server.gate = threading.Barrier(expected)  # passes only where so many are open together
    wanted = [(f"{number}.png", server.url(f"gated/{number}")) for number in range(6 * expected)]
    result = download_photos(wanted, tmp_path, DownloadSettings(**{**QUICK, "connections": connections, "connections_per_host": per_host}))
    assert len(result.done) == 6 * expected and server.most == expected


def test_a_second_run_asks_only_for_what_may_come(bring, server, tmp_path):
    paths = ("photo/0", "missing/1", "failing/3", "photo/3", "html/4")
    result, _ = bring(*paths)
    assert result.done == {"photos/0.png", "photos/3.png"}
    os.unlink(tmp_path / "out" / "photos" / "3.png")
    before = server.asked.copy()
    result, _ = bring(*paths)
    assert result.done == {"photos/0.png", "photos/2.png", "photos/3.png"} and result.already == 1
    assert set(result.failed) == {"photos/1.png", "photos/4.png"}
    assert server.asked - before == {"/failing/3": 1, "/photo/3": 1}
    server.asked.clear()
    result, _ = bring(*paths, is_failed_retried=True)
    assert server.asked == {"/missing/1": 1, "/html/4": 1} and result.already == 3


def test_a_file_that_was_cut_since_or_a_new_address_is_asked_for_again(bring, server, tmp_path):
    bring("photo/0", "photo/1")
    path = tmp_path / "out" / "photos" / "0.png"
    path.write_bytes(path.read_bytes()[:-5])
    server.asked.clear()
    result, _ = bring("photo/0", "photo/9")
    assert server.asked == {"/photo/0": 1, "/photo/9": 1} and len(result.done) == 2
    assert path.read_bytes() == photo(0) and (tmp_path / "out" / "photos" / "1.png").read_bytes() == photo(9)


def test_a_half_line_at_the_end_of_the_ledger_is_tolerated(bring, server, tmp_path):
    bring("photo/0", "photo/1")
    book = tmp_path / "out" / "downloads.csv"
    whole = book.read_bytes()
    book.write_bytes(whole + b'photos/2.png,"http://127.0.0.1/ph')
    server.asked.clear()
    result, rows = bring("photo/0", "photo/1", "photo/2")
    assert server.asked == {"/photo/2": 1} and result.already == 2
    assert book.read_bytes().startswith(whole) and len(rows) == 3 and rows["photos/2.png"]["status"] == "done"


CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell begins with it ignored
from tfvision.data.downloads import photo_requests
from tfvision.data.downloads.downloads import DownloadSettings, download_photos
photo_requests.decode_photo = lambda encoded, ratio, name: None  # all are whole, and TensorFlow takes seconds to come
wanted = [(f"photos/{number}.png", f"{sys.argv[1]}{number}.png") for number in range(14)]
settings = DownloadSettings(is_internal_allowed=True, requests_per_second=10_000)
print("ready", flush=True)
result = download_photos(wanted, sys.argv[2], settings)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_what_was_done_before_a_stop_is_not_asked_for_again(server, tmp_path, stop):
    child = subprocess.Popen([sys.executable, "-c", CHILD, server.url("held/"), str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 400
        while not (tmp_path / "downloads.csv").exists() or len(ledger(tmp_path)) < 10:
            assert child.poll() is None and time.monotonic() < deadline, child.communicate()[1]
            time.sleep(0.05)
        child.send_signal(stop)
        child.wait(120)
    finally:
        child.kill()
        child.communicate()
    server.released.set()
    assert files_below(tmp_path) == sorted(["downloads.csv", *(f"photos/{number}.png" for number in range(10))] + partial_files(tmp_path))
    wanted = [(f"photos/{number}.png", server.url(f"held/{number}.png")) for number in range(14)]
    result = download_photos(wanted, tmp_path, DownloadSettings(**QUICK))
    assert len(result.done) == 14 and result.already == 10
    assert all(server.asked[f"/held/{number}.png"] == 1 for number in range(10))
    assert not partial_files(tmp_path)


def partial_files(folder):
    return [name for name in files_below(folder) if name.startswith(".partial")]


def test_internal_addresses_are_not_asked(bring, server, tmp_path):
    hosts = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "[fe80::1]",
    ]
    wanted = [(f"{number}.png", server.url("photo/1", host)) for number, host in enumerate(hosts)]
    result = download_photos(wanted, tmp_path, DownloadSettings(**{**QUICK, "is_internal_allowed": False}))
    assert not result.done and not server.asked
    told = ("is an address of an internal network, which is not asked without --allow-private", "is a link-local address")
    assert all(any(text in reason for text in told) for reason in result.failed.values())
    never = [(f"{number}.png", server.url("photo/1", host)) for number, host in enumerate(("169.254.169.254", "[fe80::1]"))]
    result = download_photos(never, tmp_path / "allowed", DownloadSettings(**QUICK))
    assert not result.done and all("link-local address, at which clouds keep" in reason for reason in result.failed.values())
    assert {row["status"] for row in ledger(tmp_path).values()} == {"retry"}
    reached = {"0.png", "1.png", "2.png"}  # the other ways to this machine depend on the system
    assert reached <= download_photos(wanted[:3], tmp_path, DownloadSettings(**QUICK)).done


def test_a_redirect_does_not_lead_into_the_internal_network(server, tmp_path, monkeypatch):
    """127.0.0.2 alone counts as internal here, so that a host that may be asked can point to it."""
    monkeypatch.setattr(web_access, "is_internal", lambda address: address == "127.0.0.2")
    wanted = [
        ("0.png", server.url("away/http://127.0.0.2:@/photo/1")),
        ("1.png", server.url("away/http://0x7f000002:@/photo/2")),
        ("2.png", server.url("away/http://127.0.0.1:@/photo/3")),
    ]
    result = download_photos(wanted, tmp_path, DownloadSettings(**{**QUICK, "is_internal_allowed": False}))
    assert result.done == {"2.png"} and set(result.failed) == {"0.png", "1.png"}
    assert "/photo/1" not in server.asked and "/photo/2" not in server.asked


@pytest.mark.parametrize(
    "url", ["", "photo.jpg", "ftp://localhost/a.jpg", "file:///etc/passwd", "http://", "http://[::1", "http://a\nb/", "x" * 9000, "http://localhost:99999/a"]
)
def test_what_is_no_address_is_noted_and_the_rest_goes_on(server, tmp_path, url):
    wanted = [("0.png", url), ("1.png", server.url("photo/1"))]
    for _ in range(2):
        result = download_photos(wanted, tmp_path, DownloadSettings(**QUICK))
        assert result.done == {"1.png"} and "0.png" in result.failed
    assert server.asked == {"/photo/1": 1} and len(ledger(tmp_path)) == 2


@pytest.mark.parametrize("image", ["../outside.png", "/tmp/outside.png", "a/../../b.png", "", "a\\b.png"])
def test_no_file_is_written_outside_the_folder(server, tmp_path, image):
    with pytest.raises(DataError, match="is no path below"):
        download_photos([(image, server.url("photo/1"))], tmp_path / "out", DownloadSettings(**QUICK))
    assert not server.asked and not (tmp_path / "out").exists()


def test_two_processes_do_not_share_a_folder(bring, server, tmp_path):
    told = []

    def second(*counts):
        if not told:
            told.append(counts)
            with pytest.raises(DataError, match="another process works on"):
                download_photos([("1.png", server.url("photo/1"))], tmp_path, DownloadSettings(**QUICK))

    download_photos([("0.png", server.url("photo/0"))], tmp_path, DownloadSettings(**QUICK), second)
    assert told


def test_a_folder_that_cannot_be_written_stops_the_run(server, tmp_path):
    (tmp_path / "photos").write_text("a file where a folder is needed")
    with pytest.raises(StorageError, match="could not be written"):
        download_photos([("photos/1.png", server.url("photo/1"))], tmp_path, DownloadSettings(**QUICK))


def test_settings_that_ask_for_nothing_are_refused():
    with pytest.raises(RecipeError, match="requests_per_second of a download must be above 0, got 0"):
        DownloadSettings(requests_per_second=0)


def test_a_file_that_is_no_ledger_is_left_as_it_is(server, tmp_path):
    (tmp_path / "downloads.csv").write_text("name,price\napple,1\npear")
    with pytest.raises(DataError, match="is another table than the one that is kept there"):
        download_photos([("1.png", server.url("photo/1"))], tmp_path, DownloadSettings(**QUICK))
    assert (tmp_path / "downloads.csv").read_text() == "name,price\napple,1\npear"


class TestCopies:
    @pytest.fixture
    def local(self, tmp_path):
        folder = tmp_path / "local"
        for number, name in enumerate(
            ["photos/11/original.jpg", "photos/12/original.jpg", "wing.png", "13.png", "deep/er/shell.JPG", "a/twin.png", "b/twin.png"]
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(photo(number))
        (folder / "broken.jpg").write_bytes(photo(9, "jpg")[:-100])
        return folder

    WANTED = {
        "photos/x1.jpg": ("https://host/photos/11/original.jpg", 0),
        "photos/x2.jpg": ("https://host/photos/12/original.jpg", 1),
        "photos/x3.jpg": ("https://host/images/wing.png?size=large", 2),
        "photos/x4.jpg": ("https://host/photos/13/medium.jpeg", 3),
        "photos/x5.jpg": ("https://host/show?file=shell.jpg", 4),
        "photos/13.jpg": ("https://elsewhere/nothing-alike", 3),
        "photos/x6.jpg": ("https://host/twin.png", "several files of"),
        "photos/x7.jpg": ("https://host/absent.png", "it is not in"),
        "photos/x8.jpg": ("https://host/photos/14/original.jpg", "it is not in"),
        "photos/x9.jpg": ("https://host/broken.jpg", "it is damaged"),
    }

    def test_photos_are_found_checked_and_noted(self, local, tmp_path):
        wanted = [(image, url) for image, (url, _) in self.WANTED.items()]
        result = copy_photos(wanted, local, tmp_path / "out")
        rows = ledger(tmp_path / "out")
        for image, (url, expected) in self.WANTED.items():
            if isinstance(expected, int):
                assert (tmp_path / "out" / image).read_bytes() == photo(expected) and image in result.done
                assert rows[image]["sha256"] == hashlib.sha256(photo(expected)).hexdigest()
            else:
                assert expected in result.failed[image] == rows[image]["reason"]
                assert rows[image]["status"] == ("failed" if image == "photos/x9.jpg" else "retry")
            assert rows[image]["url"] == url
        assert result.done | set(result.failed) == set(self.WANTED)

    def test_photos_behind_links_are_found_and_pipes_are_not_opened(self, tmp_path):
        (tmp_path / "far").mkdir()
        (tmp_path / "far/one.jfif").write_bytes(photo(1))
        (tmp_path / "local").mkdir()
        (tmp_path / "local/link").symlink_to(tmp_path / "far")
        (tmp_path / "local/self").symlink_to(".")
        os.mkfifo(tmp_path / "local/two.jpg")
        wanted = {"photos/1.jpg": "https://x.org/one.jfif", "photos/2.jpg": "https://x.org/two.jpg"}
        result = copy_photos(wanted.items(), tmp_path / "local", tmp_path / "out")
        assert result.done == {"photos/1.jpg"} and "it is not in" in result.failed["photos/2.jpg"]

    def test_a_second_copy_takes_what_came_since(self, local, tmp_path):
        wanted = [(image, url) for image, (url, _) in self.WANTED.items()]
        copy_photos(wanted, local, tmp_path / "out")
        (local / "absent.png").write_bytes(photo(20))
        lines = len((tmp_path / "out" / "downloads.csv").read_text().splitlines())
        result = copy_photos(wanted, local, tmp_path / "out")
        assert "photos/x7.jpg" in result.done and result.already == 6
        assert len((tmp_path / "out" / "downloads.csv").read_text().splitlines()) == lines + 3  # x6, x7, x8; x9 is final

    def test_a_name_that_several_addresses_share_tells_none_of_them(self, tmp_path):
        (tmp_path / "local").mkdir()
        (tmp_path / "local" / "image.png").write_bytes(photo(1))
        wanted = [("1.png", "https://host/a/image.png"), ("2.png", "https://host/b/image.png")]
        assert not copy_photos(wanted, tmp_path / "local", tmp_path / "out").done
        assert copy_photos(wanted[:1], tmp_path / "local", tmp_path / "out").done == {"1.png"}

    def test_a_photo_that_was_uploaded_to_label_studio_is_found_by_its_own_name(self, tmp_path):
        (tmp_path / "local").mkdir()
        (tmp_path / "local/fox.jpg").write_bytes(photo(1))
        wanted = {"1.jpg": "3/8f3a1b2c-fox.jpg", "2.jpg": "3/8f3a1b2c-badger.jpg"}
        assert copy_photos(wanted.items(), tmp_path / "local", tmp_path / "out").done == {"1.jpg"}

    def test_a_folder_that_is_none_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="nowhere is no folder of photos: it does not exist"):
            copy_photos([], tmp_path / "nowhere", tmp_path / "out")
