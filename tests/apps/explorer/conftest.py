import asyncio
import contextlib
import functools
import http.server
import os
import threading

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.session import Session
from tfvision.index.folder_gallery import FolderGallery

NAMES = ["red 1.png", "red 2.png", 'green "quoted" & <b>.png', "grün 草.png", "blue'1'.png", "blue 2.png"]  # quotes, markup, other scripts
COLOURS = [(220, 40, 40), (200, 60, 60), (40, 200, 60), (60, 190, 80), (40, 60, 210), (70, 80, 200)]
VECTORS = np.float32([[1, 0, 0], [0.98, 0.199, 0], [0, 1, 0], [0.0, 0.98, 0.199], [0, 0, 1], [0.199, 0, 0.98]])
PATIENCE_MS = 180_000  # of a browser's tests: the machine may be busy


@pytest.fixture
def photos(tmp_path):
    """A folder of six pictures in three folders by colour, with awkward names."""
    return _write_photos(tmp_path / "my photos")


@pytest.fixture(scope="session")
def write_photos():
    """A function that writes these pictures into a folder and returns it."""
    return _write_photos


def _write_photos(folder):
    for name, colour in zip(NAMES, COLOURS, strict=True):
        path = folder / ("reds", "greens", "blues")[NAMES.index(name) // 2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (60, 40), colour).save(path)
    return folder


@pytest.fixture
def make_gallery(tmp_path, photos):
    """A function that writes a gallery of vectors over the six pictures."""

    def make(name="colours", vectors=VECTORS):
        paths = [str(path) for colour in ("reds", "greens", "blues") for path in sorted((photos / colour).iterdir(), key=lambda path: NAMES.index(path.name))]
        metadata = [{"colour": os.path.basename(os.path.dirname(path)), "number": number} for number, path in enumerate(paths)]
        with FolderGallery.create(tmp_path / name, vectors.shape[1], {"identity": name}) as gallery:
            gallery.add([os.path.relpath(path, photos) for path in paths], vectors, paths, metadata)
        return tmp_path / name

    return make


@pytest.fixture
def session(make_gallery):
    """A Session over two galleries of the six pictures: the second sees all alike but for noise."""
    other = np.float32(np.ones((6, 2)) + 0.1 * np.random.default_rng(0).normal(size=(6, 2)))
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return Session(plan([make_gallery(), make_gallery("other", other)]))


@pytest.fixture
def layer(session):
    return session.collection.layers[0]


@pytest.fixture(scope="session")
def chromium():
    """(Debian's Chromium, cut off from all but the loopback, the event loop by which Playwright drives it)."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'tfvision[test]'")
    path = os.environ.get("TFVISION_CHROMIUM", "/usr/bin/chromium")
    if not os.path.exists(path):
        pytest.skip(f"no browser at {path}: apt-get install chromium, or set TFVISION_CHROMIUM")
    playwright.expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        opened = started.chromium.launch(executable_path=path, timeout=3 * PATIENCE_MS, args=arguments)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield opened, loop
        asyncio._set_running_loop(loop)
        opened.close()


@pytest.fixture
def browser(chromium):
    """Chromium; its loop, which stands still between Playwright's calls, counts as this thread's running one during the test alone: others run theirs."""
    opened, loop = chromium
    asyncio._set_running_loop(loop)
    yield opened
    asyncio._set_running_loop(None)


@pytest.fixture
def watched_page(browser):
    """A function (address, width, height, scheme, options of the context) -> page; at the end, no error was told and nothing asked of other hosts.

    The browser's line on an answer of 400 is none: the page shows a user's error itself.
    """
    opened, told = [], []

    def open_page(url, width=1280, height=800, scheme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True, **options)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text) if message.type == "error" and "status of 400" not in message.text else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(("http://127.0.0.1:", "blob:", "data:")) else told.append(f"asked {request.url}"))
        opened.append(context)
        page.goto(url)
        return page

    yield open_page
    for context in opened:
        with contextlib.suppress(Exception):
            context.close()
    assert told == []


@pytest.fixture
def serve_folder():
    """A function that serves a folder by the standard library, as a static site is: folder -> address."""
    servers = []

    class Patient(http.server.ThreadingHTTPServer):
        request_queue_size = 64  # of 5 a busy machine resets some

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    def serve(folder):
        servers.append(Patient(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
