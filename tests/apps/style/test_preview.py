import http.client
import io
import json
import math
import threading
import time
import urllib.parse

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.style import preview as module
from tfvision.apps.style.preview import Preview, preview_page
from tfvision.apps.style.preview_html import PAGE
from tfvision.apps.style.stylization import Progress

RED, BLUE = (np.full((30, 40, 3), colour, np.uint8) for colour in ((250, 0, 0), (0, 0, 250)))


def progress(iteration=1, picture=RED):
    losses = {"content_loss": 3.0 / iteration, "style_loss": 2.0 / iteration, "total_loss": 5.0 / iteration}
    return Progress(scale=1, scales=2, iteration=iteration, iterations=20, evaluations=iteration, **losses, picture=lambda: picture)


def ask(url, path, host=None):
    """(status, headers, body)."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request("GET", path, headers={"Host": host or parts.netloc})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers, body


def colour_of(encoded):
    with PIL.Image.open(io.BytesIO(encoded)) as image:
        assert image.format == "JPEG"
        return tuple(np.asarray(image).reshape(-1, 3).mean(0).round())


@pytest.fixture
def page(monkeypatch):
    """(address, Preview) of a page that is served; who has asked is there for as long as the test takes."""
    monkeypatch.setattr(module, "_WATCHED_SECONDS", math.inf)
    lines = []
    with preview_page(lines.append, is_opened=False) as preview:
        (line,) = lines
        yield line.removeprefix("preview at "), preview


@pytest.mark.slow
def test_the_page_is_whole_and_names_nothing_from_elsewhere(page):
    url, _ = page
    status, headers, body = ask(url, "/")
    assert (status, body.decode()) == (200, PAGE)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "http" not in PAGE
    status, headers, script = ask(url, "/preview.js")
    assert status == 200 and headers["content-type"].startswith("text/javascript") and b"fetch(" in script


@pytest.mark.slow
def test_the_state_tells_losses_and_time_left(page):
    url, preview = page
    preview.begin("photo.jpg", [RED, BLUE])
    preview.update(progress(1), 0.25, 12.5)
    preview.update(progress(2), 0.5, 9.0)
    state = json.loads(ask(url, "/state")[2])
    expected = {"title": "photo.jpg", "inputs": 2, "iteration": 2, "iterations": 20, "scale": 1, "scales": 2, "share": 0.5, "seconds_left": 9.0}
    assert {key: state[key] for key in expected} == expected
    assert state["curve"] == [[3.0, 2.0], [1.5, 1.0]] and not state["is_done"]


@pytest.mark.slow
def test_photo_and_paintings_are_shown(page):
    url, preview = page
    preview.begin("photo.jpg", [RED, BLUE])
    assert colour_of(ask(url, "/input/0")[2])[0] > 240
    assert colour_of(ask(url, "/input/1")[2])[2] > 240
    assert ask(url, "/input/2")[0] == 404


@pytest.mark.slow
def test_the_picture_is_computed_only_while_somebody_watches(page, monkeypatch):
    url, preview = page
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_PICTURES", 0)
    monkeypatch.setattr(module, "_LARGEST_SHARE", 1e9)
    preview.begin("photo.jpg", [RED])
    unseen = Progress(**{**vars(progress(1)), "picture": lambda: pytest.fail("nobody watches")})
    preview.update(unseen)
    assert ask(url, "/picture")[0] == 404
    ask(url, "/state")
    preview.update(progress(2, BLUE))
    assert json.loads(ask(url, "/state")[2])["version"] == 1
    assert colour_of(ask(url, "/picture")[2])[2] > 240


@pytest.mark.slow
def test_a_finished_picture_is_fetched_before_the_page_goes(page, monkeypatch):
    monkeypatch.setattr(module, "_FAREWELL_SECONDS", 600)  # not that it has waited long enough, but that the picture was fetched ends the wait
    url, preview = page
    preview.begin("photo.jpg", [RED])
    ask(url, "/state")
    preview.finish("out.png", BLUE)
    waiting = threading.Thread(target=preview.wait_for_farewell)
    waiting.start()
    state = json.loads(ask(url, "/state")[2])
    assert state["is_done"] and state["output"] == "out.png"
    assert colour_of(ask(url, "/picture")[2])[2] > 240
    waiting.join(timeout=60)
    assert not waiting.is_alive()


def test_without_a_watcher_nothing_is_waited_for(monkeypatch):
    preview = Preview()
    preview.finish("out.png", BLUE)
    monkeypatch.setattr(preview._farewell, "wait", lambda seconds: pytest.fail("waited"))
    preview._asked = time.monotonic() - 60
    preview.wait_for_farewell()


@pytest.mark.slow
def test_a_next_picture_begins_a_new_curve(page):
    url, preview = page
    for name in ("1.jpg", "2.jpg"):
        preview.begin(name, [RED])
        preview.update(progress(1))
        preview.finish(name, RED)
    preview.begin("3.jpg", [RED, BLUE])
    state = json.loads(ask(url, "/state")[2])
    assert (state["title"], state["started"], state["inputs"], state["curve"], state["is_done"]) == ("3.jpg", 3, 2, [], False)


def test_a_long_curve_is_thinned_and_keeps_its_newest_point():
    preview = Preview()
    for iteration in range(1, 1001):
        preview.update(progress(iteration))
    curve = preview.state()["curve"]
    assert 200 <= len(curve) <= 300 and curve[-1] == (0.003, 0.002)


@pytest.mark.slow
def test_other_names_for_this_machine_are_refused(page):
    url, _ = page
    assert ask(url, "/state", host="elsewhere.example")[0] == 400


@pytest.mark.slow
def test_large_pictures_are_shown_smaller(page):
    url, preview = page
    preview.finish("out.png", np.zeros((1500, 3000, 3), np.uint8))
    with PIL.Image.open(io.BytesIO(ask(url, "/picture")[2])) as image:
        assert image.size == (1024, 512)
