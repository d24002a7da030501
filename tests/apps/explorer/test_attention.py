"""Where the network looks, and what is told of a file, by the server's addresses."""

import datetime
import io
import threading

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from starlette.testclient import TestClient

from tfvision.apps.explorer import queries
from tfvision.apps.explorer.attention import AttentionMaps
from tfvision.apps.explorer.facts import file_facts
from tfvision.apps.explorer.server import application
from tfvision.features.extractor import Extractor
from tfvision.features.networks import FeatureNetwork
from tfvision.features.recipe import FeatureRecipe


def _client(session):
    return TestClient(application(session, "secret", 8080), base_url="http://127.0.0.1:8080", headers={"X-Token": "secret"})


def _waited(client, address):
    answer = client.get(address)
    while answer.status_code == 202:
        answer = client.get(address)
    return answer


@pytest.fixture
def seen(session, monkeypatch):
    """The session, whose gallery was made by the smallest network: three channels that are the photo's colours, seen in the middle half."""
    see = lambda images: tf.nn.conv2d(tf.cast(images, tf.float32), tf.eye(3)[None, None], 1, "SAME")
    network = FeatureNetwork(lambda images: {"colours": see(images)}, 8, (None, 8, 8, 3), "eye", view_box=(0.25, 0.25, 0.5, 0.5))
    monkeypatch.setattr(queries, "gallery_extractor", lambda gallery, trusted: Extractor(FeatureRecipe("eye"), network))
    return session


def test_the_map_of_a_picture_is_a_picture_over_it_and_kept(seen):
    client = _client(seen)
    answer = _waited(client, "/api/attention/0?q=3")
    assert answer.status_code == 200, answer.text
    with PIL.Image.open(io.BytesIO(answer.content)) as image:
        heat = np.asarray(image)
    assert heat.shape == (256, 256, 4)
    assert not heat[:60, ..., 3].any() and (heat[80:170, 80:170, 3] == round(0.62 * 255)).all()  # of one colour all over
    kept = seen.attention._asked
    assert len(kept) == 1
    client.get("/api/attention/0?q=3")
    assert len(kept) == 1
    own = _waited(client, "/api/attention/0")
    assert own.status_code == 200 and len(kept) == 2


def test_the_map_of_a_group_is_made_anew_once_its_members_are_others(seen):
    client, asked = _client(seen), "/api/attention/0?q=g:colour=greens"
    assert _waited(client, asked).status_code == _waited(client, asked).status_code == 200 and len(seen.attention._asked) == 1
    seen.corrections.correct({"colour": {seen.collection.pictures.ids[0]: "greens"}}, "Jo")
    seen.show_corrections()
    assert _waited(client, asked).status_code == 200 and len(seen.attention._asked) == 2


def test_what_cannot_be_shown_says_why(session):
    client = _client(session)
    answer = _waited(client, "/api/attention/0")
    assert answer.status_code == 400 and "tells of no recipe" in answer.json()["error"]
    assert _waited(client, "/api/attention/0?q=99").json()["error"] == "there is no picture 99: the collection has 6"
    assert client.get("/api/attention/6").status_code == 404
    session.indexing = {"layer": "colours"}
    assert "are being indexed" in client.get("/api/attention/0").json()["error"]


def test_of_many_wishes_the_last_are_made_one_at_a_time(session, monkeypatch):
    maps, begun, go_on = AttentionMaps(), [], threading.Event()

    def make(queries, layer, path, query):
        begun.append(query)
        go_on.wait(60)
        return b"png"

    monkeypatch.setattr(maps, "_make", make)
    layer = session.collection.layers[0]
    futures = [maps.ask(session.queries, layer, position, str(position)) for position in range(6)]
    while not begun:
        pass
    go_on.set()
    assert [futures[position].result(60) for position in (0, 4, 5)] == [b"png"] * 3
    assert begun == ["0", "4", "5"] and all(futures[position].cancelled() for position in (1, 2, 3))


def test_facts_of_a_file(photos, tmp_path, session):
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = 6, "Canon", "Canon EOS 90D"
    exif.get_ifd(0x8769)[0x9003] = "2020:05:17 06:30:00"
    PIL.Image.new("RGB", (60, 40)).save(tmp_path / "turned.jpg", exif=exif)
    size = (tmp_path / "turned.jpg").stat().st_size
    taken = str(datetime.datetime(2020, 5, 17, 6, 30))
    assert file_facts(str(tmp_path / "turned.jpg")) == {
        "file": "turned.jpg",
        "bytes": size,
        "width": 40,
        "height": 60,
        "taken": taken,
        "camera": "Canon EOS 90D",
    }
    assert file_facts(str(tmp_path / "gone.jpg")) == {"file": "gone.jpg"}
    facts = _client(session).get("/api/facts/0").json()
    assert (facts["file"], facts["width"], facts["height"]) == ("red 1.png", 60, 40)


def test_pictures_are_sent_as_large_as_a_tile_needs(photos, session):
    PIL.Image.new("RGB", (900, 600)).save(photos / "reds" / "red 1.png")
    client = _client(session)
    for px, width in ((320, 320), (640, 640), (1280, 900)):
        with PIL.Image.open(io.BytesIO(client.get(f"/image/0?px={px}").content)) as image:
            assert image.width == width
    assert client.get("/image/0?px=333").json()["error"] == "px must be one of 320, 640, 1280, 2560, 5120, got 333"
