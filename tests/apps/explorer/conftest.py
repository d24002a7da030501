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
