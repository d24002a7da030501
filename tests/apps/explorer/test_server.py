import csv
import io
import json
import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from tfvision.apps.explorer import answers, pooling
from tfvision.apps.explorer.routes import STATIC
from tfvision.apps.explorer.server import application, running
from tfvision.errors import UserError
from tfvision.serving.local_page import listen
from tfvision.serving.page_answers import PAGE

TOKEN = "secret-token"


@pytest.fixture
def stranger(session):
    """A client without the token."""
    return TestClient(application(session, TOKEN, 8080), base_url="http://127.0.0.1:8080", follow_redirects=False)


@pytest.mark.parametrize("path", ["/", "/api/status", "/image/0", "/static/main.js", "/?token=wrong", "/api/status?token=" + TOKEN, "/nowhere"])
def test_without_the_token_nothing_is_told(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 403 and "its token" in answer.text and "colours" not in answer.text


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(stranger):
    answer = stranger.get(f"/?token={TOKEN}")
    assert answer.headers["location"] == "/" and TOKEN not in answer.headers["location"]
    assert (
        "tfvision-8080" in answer.headers["set-cookie"]
        and "HttpOnly" in answer.headers["set-cookie"]
        and "samesite=strict" in answer.headers["set-cookie"].lower()
    )


def test_a_name_of_another_site_for_this_machine_is_refused(client):
    assert client.get("/api/status", headers={"Host": "evil.example:8080"}).status_code == 400
    assert client.get("/api/status", headers={"Host": "localhost:8080", "X-Token": TOKEN}).status_code == 200


def test_what_another_site_sends_is_refused(client):
    body = json.dumps({"tag": "x", "places": [0]})
    assert client.post("/api/tag", content=body, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post("/api/tag", content=body, headers={"Origin": "http://127.0.0.1:8080"}).status_code == 200


def test_every_answer_has_a_strict_policy(client):
    for path in ("/", "/api/status", "/image/0", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"] and "script-src 'self';" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e%2fserver.py",
        "/static/..%2f..%2fsetup.cfg",
        "/image/../../etc/passwd",
        "/image/-1",
        "/image/6",
        "/outside/..%2f..%2fnotes.json",
        "/outside/" + "0" * 20,
    ],
)
def test_no_path_leads_out(client, path):
    answer = client.get(path)
    assert answer.status_code in (400, 404) and b"root:" not in answer.content and b"import" not in answer.content


def test_pictures_are_served_by_their_number(client, photos):
    answer = client.get("/image/3")
    assert answer.headers["content-type"] == "image/png" and answer.content == (photos / "greens" / "grün 草.png").read_bytes()


def test_a_broken_picture_is_a_404_and_an_empty_thumbnail(client, photos):
    (photos / "reds" / "red 1.png").write_bytes(b"<script>alert(1)</script>")
    answer = client.get("/image/0")
    assert answer.status_code == 404 and b"script" not in answer.content
    count, first = np.frombuffer(client.get("/api/thumbnails?rows=0").content[:8], "<u4")
    assert count == 1 and first in (0, 0xFFFFFFFF)


def test_names_columns_and_codes(client):
    assert client.get("/api/names").json()[3] == "greens/grün 草.png"
    columns = client.get("/api/columns").json()
    assert [column["name"] for column in columns] == ["colour", "number"] and columns[0]["values"] == ["reds", "greens", "blues"]
    assert np.frombuffer(client.get("/api/codes/0").content, "<i4").tolist() == [0, 0, 1, 1, 2, 2]
    assert client.get("/api/codes/9").status_code == 404
    assert columns[1]["kind"] == "number" and len(columns[1]["edges"]) == 7 and "kind" not in columns[0]
    assert np.frombuffer(client.get("/api/numbers/1").content, "<f8").tolist() == [0, 1, 2, 3, 4, 5]
    assert {client.get(f"/api/numbers/{number}").status_code for number in (0, 9)} == {404}


def test_what_filters_keep_is_asked_for_by_a_bit_a_picture(client):
    kept = bytes([0b110101])  # not 1 and 3
    assert client.post("/api/neighbours?q=0&k=6", content=kept).json()["places"] == [5, 2, 4]
    found = client.post("/api/range?q=2&low=0&high=1&order=highest", content=bytes([0b001000])).json()
    assert (found["places"], found["total"], found["whole"]) == ([3], 1, 5)
    query = client.post("/api/compare?q=0", content=kept).json()["queries"][0]
    assert query["count"] == 3 and sorted(query["shortlist"]) == [2, 4, 5]
    path = "/api/tidy/outliers"
    _finished(client, path)
    assert sorted(client.post(path, content=kept).json()["places"]) == [0, 2, 4, 5]
    assert client.post("/api/neighbours?q=0", content=b"12").json()["error"] == "what is kept must be a bit for each of 6 pictures, got 2 bytes"


def test_numbers_are_answered(client):
    assert client.get("/api/neighbours?q=0&k=2").json()["places"][0] == 1
    assert client.get("/api/neighbours?q=0&layer=1").status_code == 200
    scores = np.frombuffer(client.get("/api/similarities?q=2").content, "<f4")
    assert np.isnan(scores[2]) and scores[3] == pytest.approx(0.98, abs=1e-3)
    assert client.get("/api/distribution?q=0").json()["query"]["count"] == 5
    assert client.get("/api/range?q=0&low=0.9&high=1").json()["places"] == [1]
    assert len(client.get("/api/compare?q=0&q=2&q=g:colour=blues").json()["queries"]) == 3


def _finished(client, path):
    for _ in range(100):
        answer = client.get(path)
        if answer.status_code != 202:
            return answer
    raise AssertionError(path)


def test_maps_and_housekeeping_are_jobs(client):
    plane = np.frombuffer(_finished(client, "/api/map?method=pca").content, "<f4")
    assert plane.shape == (12,) and np.isfinite(plane).all()
    found = _finished(client, "/api/tidy/duplicates?least=0.95").json()
    assert found["total"] == 3 and found["groups"][0]["files"][0][:2] == [60, 40]
    assert _finished(client, "/api/tidy/hubs").json()["neighbours"] == 16
    found = _finished(client, "/api/tidy/outliers").json()
    assert len(found["places"]) == sum(found["counts"]) == 6 and found["scores"] == sorted(found["scores"])
    assert _finished(client, "/api/tidy/labels?column=colour").status_code == 200
    assert client.get("/api/tidy/magic").status_code == 404


def test_neighbours_are_found_once_for_all_of_housekeeping(client, session, monkeypatch):
    asked, neighbours = [], session.tables.neighbours
    monkeypatch.setattr(session.tables, "neighbours", lambda *arguments: asked.append(None) or neighbours(*arguments))
    counts = [_finished(client, f"/api/tidy/duplicates?least={least}").json()["pictures"] for least in ("-1e300", 0.5, 0.97, "1e300")]
    assert counts[0] == counts[1] == 6 and counts[3] == 0 and _finished(client, "/api/tidy/hubs").status_code == 200 and len(asked) == 1


def test_a_pool_has_no_more_than_the_first_hits(client, monkeypatch):
    monkeypatch.setattr(answers, "SHORTLIST", 1)
    monkeypatch.setattr(pooling, "DRAWN", 0)
    assert len(client.get("/api/pool?x=its colour&q=0&k=999999999").json()["places"]) <= 2  # one of each layer


def test_a_report_shows_the_marks_of_the_judge_whose_figures_it_has(client):
    for judge, is_right in (("Ann", True), ("Ben", False)):
        client.post("/api/mark", content=json.dumps({"question": "its colour", "query": "0", "marks": {"1": is_right}, "judge": judge}))
    page = client.get("/report?x=its colour&judge=Ben").text
    assert "<small>wrong</small>" in page and "<small>right</small>" not in page


@pytest.mark.parametrize(
    "path, message",
    [
        ("/api/neighbours?q=99", "there is no picture 99"),
        ("/api/neighbours?q=0&layer=7", "there is no layer 7"),
        ("/api/neighbours?q=0&k=many", "k must be a whole number, got 'many'"),
        ("/api/range?q=0&low=nan&high=1", "low must be a number"),
        ("/api/thumbnails?rows=1,x", "rows must be numbers"),
        ("/api/map?method=tsne", "a map is pca or umap"),
        ("/api/tidy/labels?column=shape", "there is no column 'shape'"),
        ("/api/tidy/duplicates?least=inf", "least must be a number"),
    ],
)
def test_wrong_questions_are_answered_with_one_line(client, path, message):
    answer = _finished(client, path)
    assert answer.status_code == 400 and message in answer.json()["error"] and "Traceback" not in answer.text


def test_tags_and_marks_are_by_number_here_and_by_id_on_disk(client, session):
    notes = client.post("/api/tag", content=json.dumps({"tag": "näs 'x'", "places": [1, 3]})).json()
    assert notes["tags"] == {"näs 'x'": [1, 3]} and session.notes.read()["tags"]["näs 'x'"] == ["reds/red 2.png", "greens/grün 草.png"]
    notes = client.post("/api/mark", content=json.dumps({"question": "its colour", "query": "0", "marks": {"1": True, "4": False}})).json()
    assert notes["marks"] == {"its colour": {"0": {"1": True, "4": False}}}
    client.post("/api/conclude", content=json.dumps({"question": "its colour", "conclusion": "yes <b>"}))
    mixed = client.get("/api/pool?x=its colour&q=0&k=2").json()
    assert 0 not in mixed["places"] and {1, 4} <= set(mixed["places"])
    notes = client.post("/api/mark", content=json.dumps({"question": "its colour", "query": "0", "marks": {"1": False}, "judge": "Ann"})).json()
    assert notes["judges"] == {"its colour": {"Ann": {"0": {"1": False}}}} and notes["marks"]["its colour"]["0"]["1"] is True
    assert client.get("/api/verdict?x=its colour&judge=Ann").json()["pooled"][0][0]["share"] == 0
    assert "no name and Ann" in client.get("/report?x=its colour").text
    client.post("/api/mark", content=json.dumps({"question": "its colour", "query": "0", "marks": {"1": None}, "judge": "Ann"}))
    found = client.get("/api/verdict?x=its colour").json()
    assert found["conclusion"] == "yes <b>" and found["queries"][0]["layers"][0][0]["share"] == 1
    report = client.get("/report?x=its colour")
    assert "Do deep features retrieve its colour?" in report.text and "yes &lt;b&gt;" in report.text and "attachment" in report.headers["content-disposition"]
    client.post("/api/drop", content=json.dumps({"question": "its colour"}))
    assert client.get("/api/notes").json()["marks"] == {}


@pytest.mark.parametrize(
    "path, body",
    [
        ("/api/tag", "no json"),
        ("/api/tag", '{"tag": "x", "places": [99]}'),
        ("/api/tag", '{"tag": "", "places": [1]}'),
        ("/api/mark", '{"question": "x", "query": "0", "marks": {"1": "maybe"}}'),
        ("/api/export", '{"kind": "csv", "places": []}'),
        ("/api/export", '{"kind": "zip", "places": [1]}'),
        ("/api/queries", "no picture"),
        ("/api/relabel", '{"column": "colour", "places": [99], "label": "x", "who": "Jo"}'),
        ("/api/relabel", '{"column": "colour", "places": [], "label": "x", "who": "Jo"}'),
        ("/api/relabel", '{"column": "shape", "places": [1], "label": "x", "who": "Jo"}'),
        ("/api/relabel", '{"column": "colour", "places": [1], "label": "", "who": "Jo"}'),
        ("/api/restore-labels", '{"before": {"colour": {"x": null}}}'),
        ("/api/restore-labels", '{"before": {"colour": {"1": {"label": "x"}}}}'),
        ("/api/restore-labels", '{"before": {"colour": {"%s": null}}}' % ("9" * 5000)),
        ("/api/restore-labels", '{"before": {"colour": {"٣": null}}}'),
        ("/api/corrected-manifest", "{}"),
    ],
)
def test_wrong_changes_are_refused(client, path, body):
    answer = client.post(path, content=body)
    assert answer.status_code == 400 and answer.json()["error"]


def test_labels_are_corrected_shown_restored_and_written(client, session):
    asked = {"column": "colour", "places": [1, 2], "label": "blues", "who": "Jo"}
    told = client.post("/api/relabel", content=json.dumps(asked)).json()
    assert {place: (one["label"], one["given"], one["who"]) for place, one in told["columns"]["colour"].items()} == {
        "1": ("blues", "reds", "Jo"),
        "2": ("blues", "greens", "Jo"),
    }
    assert set(session.corrections.read()["columns"]["colour"]) == {"reds/red 2.png", 'greens/green "quoted" & <b>.png'}
    assert client.get("/api/status").json()["corrections"] == 1
    columns = client.get("/api/columns").json()
    codes = np.frombuffer(client.get("/api/codes/0").content, "<i4")
    assert [columns[0]["values"][code] for code in codes] == ["reds", "blues", "blues", "greens", "blues", "blues"]
    assert client.get("/api/titles?q=g:colour=blues").json()[0]["title"] == "colour blues (4)"
    written = client.post("/api/corrected-manifest", content="{}").json()
    rows = list(csv.DictReader(io.StringIO(Path(written["path"]).read_text(encoding="utf-8"))))
    assert [row["colour"] for row in rows] == ["reds", "blues", "blues", "greens", "blues", "blues"] and written["path"] in written["command"]
    once_more = client.post("/api/relabel", content=json.dumps({**asked, "places": [1], "label": "new"})).json()
    restored = client.post("/api/restore-labels", content=json.dumps({"before": once_more["before"]})).json()
    assert restored["columns"] == told["columns"]
    back = client.post("/api/relabel", content=json.dumps({**asked, "label": None})).json()
    assert back["columns"] == {} and [columns[0]["values"][code] for code in np.frombuffer(client.get("/api/codes/0").content, "<i4")][1:3] == [
        "reds",
        "greens",
    ]


@pytest.mark.slow
def test_a_selection_is_exported(client, photos, session):
    client.post("/api/tag", content=json.dumps({"tag": "=cmd", "places": [2]}))
    rows = list(csv.DictReader(io.StringIO(client.post("/api/export", content=json.dumps({"kind": "csv", "places": [2, 0]})).text)))
    assert [row["id"] for row in rows] == ['greens/green "quoted" & <b>.png', "reds/red 1.png"] and rows[0]["tags"] == "'=cmd" and rows[0]["colour"] == "greens"
    rows = list(csv.DictReader(io.StringIO(client.post("/api/export", content=json.dumps({"kind": "manifest", "places": [3]})).text)))
    assert os.path.samefile(rows[0]["image"], photos / "greens" / "grün 草.png")
    for expected in ("a b", "a b 2"):  # twice the same name: nothing is overwritten
        made = client.post("/api/export", content=json.dumps({"kind": "links", "places": [0, 3], "name": "../a/b"})).json()
        folder = session.plan.state / "selections"
        assert os.path.dirname(made["folder"]) == str(folder) and sorted(os.listdir(made["folder"])) == ["grün 草.png", "red 1.png"], expected


def test_a_picture_from_outside_is_kept_under_its_checksum(client, photos):
    encoded = (photos / "blues" / "blue 2.png").read_bytes()
    name = client.post("/api/queries", content=encoded).json()["name"]
    assert client.get(f"/outside/{name[2:]}").content == encoded and client.post("/api/queries", content=encoded).json()["name"] == name
    answer = client.get(f"/api/neighbours?q={name}")
    assert answer.status_code == 400 and "tells of no recipe" in answer.json()["error"]  # vectors of our own: no network to see it with


def test_a_port_in_use_is_one_clear_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match=r"port \d+ of 127.0.0.1 cannot be had .*--port"):
            listen(other.getsockname()[1])


def test_plotlys_script_comes_from_its_package(client):
    answer = client.get("/static/plotly.min.js")
    assert answer.status_code == 200 and b"plotly.js v" in answer.content[:300]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("mark", {"question": "x", "query": "0", "marks": {"one": True}}),
        ("mark", {"question": "x", "query": "0", "marks": {"9" * 5000: True}}),
        ("mark", {"question": "x", "query": "0", "marks": {"٣": True}}),
        ("mark", {"question": "x", "query": "0", "marks": {"1,2": True}}),
        ("mark", {"question": "x", "query": "0", "marks": {"": True}}),
        ("mark", {"question": "x", "query": "0", "marks": {"1": "yes"}}),
        ("mark", {"question": "x", "query": "0", "marks": [[1, True]]}),
        ("mark", {"question": ["x"], "query": "0", "marks": {"1": True}}),
        ("mark", {"question": "x", "query": "9" * 5000, "marks": {"1": True}}),
        ("mark", {"question": "x"}),
        ("tag", {"tag": {"a": 1}, "places": [0]}),
        ("tag", {"tag": "a", "places": {"0": 1}}),
        ("tag", {"tag": "a", "places": [2**70]}),
        ("conclude", {"question": "x", "conclusion": {"a": 1}}),
        ("drop", {"question": []}),
        ("export", {"kind": "csv", "places": "0"}),
        ("export", {"kind": 7, "places": [0]}),
    ],
)
def test_what_is_sent_malformed_is_one_line_and_changes_nothing(client, path, body):
    before = client.get("/api/notes").json()
    answer = client.post(f"/api/{path}", content=json.dumps(body))
    assert answer.status_code == 400 and answer.json()["error"] and "\n" not in answer.json()["error"]
    assert client.get("/api/notes").json() == before


@pytest.mark.parametrize("path", ["/image/" + "9" * 5000, "/api/codes/" + "9" * 5000, "/api/neighbours?q=" + "9" * 5000, "/api/thumbnails?rows=" + "9" * 5000])
def test_a_number_of_many_digits_is_no_fault_of_the_server(client, path):
    assert client.get(path).status_code in (400, 404)


def test_marks_that_were_damaged_are_named_by_every_address_that_needs_them_and_kept(client, session):
    path = session.plan.state / "notes.json"
    client.post("/api/tag", content=json.dumps({"tag": "kept", "places": [0]}))
    path.write_text(path.read_text().replace('"kept"', "kept"))
    before = path.read_bytes()
    for answer in (client.get("/api/notes"), client.get("/api/status"), client.post("/api/tag", content=json.dumps({"tag": "new", "places": [1]}))):
        assert answer.status_code == 400 and "notes.json cannot be read as JSON" in answer.json()["error"]
    assert path.read_bytes() == before


def test_what_connections_do_is_bounded(session):
    with running(session.plan) as url:
        address = url.removeprefix("http://").partition("/")[0].split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=60) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 80_000)
            assert connection.recv(1000).startswith(b"HTTP/1.1 431")


def test_a_page_that_numbers_other_pictures_changes_nothing(client, session):
    body = json.dumps({"tag": "some", "places": [0]})
    current = client.get("/api/status").json()["pictures"]
    refused = client.post("/api/tag", content=body, headers={"X-Pictures": "5-00000000"})
    assert refused.status_code == 400 and refused.json()["is_outdated"] and session.notes.read()["tags"] == {}
    assert client.post("/api/tag", content=body, headers={"X-Pictures": current}).status_code == 200


def test_a_request_is_answered_from_what_was_shown_as_it_came(client, session, monkeypatch):
    """Looked at twice, an update between would give the one half of an answer other pictures than the other."""
    looks, shown, kept = [], session.shown, b"\x3f"
    monkeypatch.setattr(type(session), "shown", property(lambda session: looks.append(session) or shown), raising=False)
    mark = {"question": "x", "query": "0", "marks": {"1": True}}
    asked = [("neighbours?q=0", kept), ("range?q=0&low=-1&high=1", kept), ("compare?q=0&q=g:colour=reds", kept), ("tidy/hubs", kept), ("tidy/duplicates", b"")]
    asked += [("mark", mark), ("export", {"kind": "csv", "places": [0, 5]})]
    asked += [("titles?q=id:reds/red 1.png", None), ("notes", None), ("verdict?x=x", None), ("pool?q=0&x=x", None), ("facts/0", None), ("codes/0", None)]
    for path, body in asked:
        looks.clear()
        answer = client.get(f"/api/{path}") if body is None else client.post(f"/api/{path}", content=body if isinstance(body, bytes) else json.dumps(body))
        assert answer.status_code in (200, 202) and len(looks) == 1, path


def test_titles_lead_from_ids_to_numbers_and_what_is_lost_has_none(client):
    found = client.get("/api/titles", params={"q": ["id:greens/grün 草.png", "1", "g:colour=reds", "id:gone.png", "u:" + "0" * 20]}).json()
    assert [one["place"] for one in found] == [3, 1, None, None, None] and [one["title"] is None for one in found] == [False] * 3 + [True] * 2
    assert client.get("/api/neighbours", params={"q": "id:reds/red 1.png"}).json()["places"][0] == 1


def test_a_picture_from_outside_keeps_its_files_name(client, photos):
    encoded = (photos / "reds" / "red 1.png").read_bytes()
    for given, shown in (("my cat.jpg", "my cat.jpg (from outside)"), ("../../a\nb.png", "a\\nb.png" + " (from outside)"), ("", "a\\nb.png (from outside)")):
        answer = client.post("/api/queries", content=encoded, params={"name": given}).json()
        assert answer["title"] == shown and client.get("/api/titles", params={"q": answer["name"]}).json()[0]["title"] == shown


def test_a_comparison_goes_on_without_what_is_lost(client):
    found = client.get("/api/compare", params={"q": ["0", "g:colour=renamed", "id:gone.png"]}).json()
    assert [query["name"] for query in found["queries"]] == ["0"] and [one["name"] for one in found["lost"]] == ["g:colour=renamed", "id:gone.png"]
    assert client.get("/api/compare?q=id:gone.png").status_code == 400


def test_all_that_the_first_view_imports_is_asked_for_at_once():
    imported = lambda name: set(re.findall(r'^import [^;]*?from "\./(\w+\.js)";', _script(name), re.MULTILINE))
    found = {"main.js", "browse.js", "source.js"}
    while more := set().union(*map(imported, found)) - found:
        found |= more
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'(?:modulepreload" href|module" src)="static/(\w+\.js)"', page)) == found


def _script(name):
    return next(folder / name for folder in (STATIC, PAGE) if (folder / name).is_file()).read_text(encoding="utf-8")
