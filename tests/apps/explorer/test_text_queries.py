import concurrent.futures
import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.server import application
from tfvision.apps.explorer.session import Session
from tfvision.apps.explorer.text_queries import SEEING
from tfvision.errors import DataError
from tfvision.index.folder_gallery import FolderGallery

TOKEN = "secret-token"


@pytest.fixture
def asked(make_gallery, colour_towers):
    """A session whose first gallery has vectors that were made elsewhere, of three values as the towers', and whose second was made by another network."""
    with_recipe = make_gallery("other", np.float32(np.eye(6)))
    with FolderGallery.open(with_recipe, writable=True) as gallery:
        gallery.set_facts(recipe={"model": "mobilenet_v2"})
    return Session(plan([make_gallery(), with_recipe], text_model=colour_towers))


def test_a_text_is_a_query_of_the_layers_that_its_image_tower_may_have_made(asked):
    first, second = asked.collection.layers
    assert asked.status()["text_layers"] == [0]
    query = asked.queries.open("t: a  RED\x07 bird", first)
    assert (query.title, query.key) == ("“a RED bird”", "t:a RED bird") and query.hits(2).tolist() == [0, 1]
    assert query.scores[0] == pytest.approx(1) and not np.isnan(query.scores).any()
    assert asked.queries.name_of("t:a RED bird") == "t:a RED bird"
    with pytest.raises(DataError, match="was made by mobilenet_v2, and texts are compared with pictures of .*colour towers"):
        asked.queries.open("t:red", second)
    with pytest.raises(DataError, match="nothing can be asked in words here: start the explorer with --text-model"):
        Session(plan([first.location])).queries.open("t:red", first)


def test_hostile_texts_are_refused_in_a_line(asked):
    client = TestClient(application(asked, TOKEN, 8080), base_url="http://127.0.0.1:8080", headers={"X-Token": TOKEN})
    post = lambda text: client.post("/api/texts", content=json.dumps({"text": text, "layer": 0}))
    assert post("red\x00\x1b[31m\u202e草").json() == {"name": "t:red [31m 草", "title": "“red [31m 草”"}
    for text, told in (
        ("x" * 2**20, "500 characters at most, got 1,048,576"),
        ("\x00", "is empty"),
        ("a bird", "has no vector for 'a bird'"),
        (["red"], "'text' is missing"),
    ):
        answer = post(text)
        assert answer.status_code == 400 and told in answer.json()["error"]
    assert client.get("/api/neighbours", params={"q": "t:" + "x" * 4000}).json()["error"].startswith("a text to ask with has 500")
    assert client.get("/api/neighbours", params={"q": "t:blue", "k": 1}).json()["title"] == "“blue”"
    marked = client.post("/api/mark", content=json.dumps({"question": "colour", "query": "t:blue", "marks": {"4": True}})).json()
    assert marked["marks"]["colour"] == {"t:blue": {"4": True}}
    assert client.get("/api/verdict", params={"x": "colour"}).json()["queries"][0]["title"] == "“blue”"


def test_towers_of_other_sizes_and_no_towers_are_told(make_gallery, colour_towers, tmp_path):
    session = Session(plan([make_gallery("wide", np.float32(np.eye(6)))], text_model=colour_towers))
    with pytest.raises(DataError, match="makes vectors of 3 values, those of wide have 6: give the text tower of its network"):
        session.queries.open("t:red", session.collection.layers[0])
    with pytest.raises(DataError, match="--text-model takes a folder with two towers .*, got .*nowhere, which does not exist"):
        plan([make_gallery()], text_model=tmp_path / "nowhere")


def test_a_folder_is_seen_by_the_image_tower(photos, colour_towers):
    session = Session(plan([str(photos)], text_model=colour_towers))
    session.index()
    (layer,) = session.collection.layers
    ids = session.collection.pictures.ids
    assert layer.name == "colour towers" and [ids[hit].partition("/")[0] for hit in session.queries.open("t:green", layer).hits(2)] == ["greens", "greens"]
    outside = session.queries.receive((photos / "reds" / "red 1.png").read_bytes())  # by a program, which the user named
    assert ids[session.queries.open(outside, layer).hits(1)[0]].startswith("reds")


def test_a_text_is_seen_once_and_its_title_waits_for_no_network(asked):
    first = asked.collection.layers[0]
    before = asked.queries.open("t:red", first).scores
    first._known.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as other, SEEING:  # as if a network were being opened
        assert other.submit(asked.queries.titles, "t:blue").result(60) == ("“blue”", "t:blue")
        assert other.submit(asked.queries.open, "t:red", first).result(60).scores.tolist() == before.tolist()
