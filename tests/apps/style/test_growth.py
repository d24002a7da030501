import io
import math
import threading
import time

import numpy as np
import PIL.Image
import pytest

from tfvision.apps.style import growth as module
from tfvision.apps.style.growth import DONE, PAINTING, Growth
from tfvision.apps.style.stylization import Progress

RED, BLUE = (np.full((30, 40, 3), colour, np.uint8) for colour in ((250, 0, 0), (0, 0, 250)))


def progress(iteration=1, picture=RED):
    losses = {"content_loss": 3.0 / iteration, "style_loss": 2.0 / iteration, "total_loss": 5.0 / iteration}
    return Progress(scale=1, scales=2, iteration=iteration, iterations=20, evaluations=iteration, **losses, picture=lambda: picture)


def colour_of(encoded):
    with PIL.Image.open(io.BytesIO(encoded)) as image:
        assert image.format == "JPEG"
        return tuple(np.asarray(image).reshape(-1, 3).mean(0).round())


@pytest.fixture
def growth(monkeypatch):
    """A Growth; who has asked is there for as long as the test takes."""
    monkeypatch.setattr(module, "_WATCHED_SECONDS", math.inf)
    return Growth()


def test_the_state_tells_losses_and_time_left(growth):
    growth.begin("photo.jpg", [RED, BLUE])
    growth.update(progress(1), 0.25, 12.5)
    growth.update(progress(2), 0.5, 9.0)
    state = growth.state()
    expected = {"title": "photo.jpg", "inputs": 2, "iteration": 2, "iterations": 20, "scale": 1, "scales": 2, "share": 0.5, "seconds_left": 9.0}
    assert {key: state[key] for key in expected} == expected
    assert state["curve"] == [(3.0, 2.0), (1.5, 1.0)] and state["stage"] == PAINTING


def test_photo_and_paintings_are_shown(growth):
    growth.begin("photo.jpg", [RED, BLUE])
    assert colour_of(growth.input(0))[0] > 240 and colour_of(growth.input(1))[2] > 240
    assert growth.input(2) is growth.input(-1) is None


def test_the_picture_is_computed_only_while_somebody_watches(monkeypatch):
    growth = Growth()
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_PICTURES", 0)
    monkeypatch.setattr(module, "_LARGEST_SHARE", 1e9)
    growth.begin("photo.jpg", [RED])
    growth.update(Progress(**{**vars(progress(1)), "picture": lambda: pytest.fail("nobody watches")}))
    assert growth.picture() is None
    monkeypatch.setattr(module, "_WATCHED_SECONDS", math.inf)
    growth.state()
    growth.update(progress(2, BLUE))
    assert growth.state()["version"] == 1 and growth.state()["has_picture"] and colour_of(growth.picture())[2] > 240


def test_a_finished_picture_is_fetched_before_the_page_goes(growth, monkeypatch):
    monkeypatch.setattr(module, "_FAREWELL_SECONDS", 600)  # not that it has waited long enough, but that the picture was fetched ends the wait
    growth.begin("photo.jpg", [RED])
    growth.state()
    growth.finish("out.png", BLUE)
    waiting = threading.Thread(target=growth.wait_for_farewell)
    waiting.start()
    assert growth.state()["stage"] == DONE and growth.state()["output"] == "out.png"
    assert colour_of(growth.picture())[2] > 240
    waiting.join(timeout=60)
    assert not waiting.is_alive()


def test_without_a_watcher_nothing_is_waited_for(monkeypatch):
    growth = Growth()
    growth.finish("out.png", BLUE)
    monkeypatch.setattr(growth._farewell, "wait", lambda seconds: pytest.fail("waited"))
    growth._asked = time.monotonic() - 60
    growth.wait_for_farewell()


def test_a_next_picture_begins_a_new_curve(growth):
    for name in ("1.jpg", "2.jpg"):
        growth.begin(name, [RED])
        growth.update(progress(1))
        growth.finish(name, RED)
    growth.begin("3.jpg", [RED, BLUE])
    state = growth.state()
    assert (state["title"], state["started"], state["inputs"], state["curve"], state["stage"]) == ("3.jpg", 3, 2, [], PAINTING)
    assert (state["iteration"], state["share"], state["has_picture"]) == (None, 0, False)


def test_a_long_curve_is_thinned_and_keeps_its_newest_point():
    growth = Growth()
    for iteration in range(1, 1001):
        growth.update(progress(iteration))
    curve = growth.state()["curve"]
    assert 200 <= len(curve) <= 300 and curve[-1] == (0.003, 0.002)


def test_large_pictures_are_shown_smaller(growth):
    growth.finish("out.png", np.zeros((1500, 3000, 3), np.uint8))
    with PIL.Image.open(io.BytesIO(growth.picture())) as image:
        assert image.size == (1024, 512)
