"""The studio's addresses without a browser: who may ask, what is refused, and what comes back."""

import dataclasses
import io
import json
import zipfile

import numpy as np
import PIL.Image
import pytest
from starlette.testclient import TestClient

from tfvision.apps.style.job import stylize_files
from tfvision.apps.style.sidecar import differences, job_like
from tfvision.apps.style.studio import painting, quick
from tfvision.apps.style.studio.look import Look
from tfvision.apps.style.studio.routes import STATIC
from tfvision.apps.style.studio.server import application, preview_page, running
from tfvision.apps.style.studio.session import MOST_PAINTINGS, MOST_VERSIONS, Session
from tfvision.apps.style.stylization import Progress
from tfvision.errors import DataError, UserError
from tfvision.serving import page_answers

TOKEN = "secret-token"
LOOK = {"strength": 1, "stroke": 1, "colour": "", "size": 64, "style_weight": 100, "blend": {}}


@pytest.fixture
def stranger(session):
    """A client without the token."""
    return TestClient(application(session, TOKEN, 8080), base_url="http://127.0.0.1:8080", follow_redirects=False)


def ask(client, path, body=None, **look):
    """The JSON of a POST that goes well."""
    content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {**LOOK, **look})
    answer = client.post(f"/api/{path}", content=content)
    assert answer.status_code == 200, answer.text
    return answer.json()


def error(client, path, body):
    """The one line of a POST that is refused."""
    answer = client.post(f"/api/{path}", content=body if isinstance(body, bytes) else json.dumps(body))
    assert answer.status_code == 400 and "\n" not in answer.json()["error"]
    return answer.json()["error"]


def pixels_of(encoded):
    with PIL.Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("path", ["/", "/api/status", "/picture/photo/1", "/static/main.js", "/?token=wrong", f"/api/status?token={TOKEN}", "/nowhere"])
def test_without_the_token_nothing_is_told(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 403 and "`tfvision studio` printed" in answer.text and "waves" not in answer.text


def test_other_sites_and_other_names_of_this_machine_are_refused(client):
    assert client.get("/api/status", headers={"Host": "elsewhere.example:8080"}).status_code == 400
    assert client.post("/api/stop", content=b"", headers={"Origin": "http://elsewhere.example"}).status_code == 403
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e%2fserver.py", "/picture/photo%2f..%2f/1", "/version/1/picture", "/picture/mask/1"])
def test_no_path_leads_out(client, path):
    assert client.get(path).status_code == 404


def test_the_page_names_nothing_from_elsewhere():
    for path in STATIC.iterdir():
        assert "//" not in path.read_text().replace("http://www.w3.org", "").replace("// ", "").replace("//\n", "") or path.suffix == ".js"
    assert "http" not in (STATIC / "index.html").read_text()


def test_uploads_are_limited_while_they_come(client, monkeypatch):
    monkeypatch.setattr(page_answers, "MAX_UPLOAD_BYTES", 2**20)
    assert error(client, "photo?name=large.png", b"\x89PNG" + b"\0" * 2**20) == "a picture may have 1 MiB at most: scale it down"
    assert client.get("/api/status").json()["photo"]["name"] == "photo.png"


def test_a_broken_file_leaves_what_was_there(client):
    assert "evil.png is no image that can be read" in error(client, "painting?name=..%2fevil.png", b"<script>alert(1)</script>")
    assert [one["name"] for one in client.get("/api/status").json()["paintings"]] == ["waves.png"]


def test_paintings_are_few(client, encoded, painting):
    for number in range(2, MOST_PAINTINGS + 1):
        assert len(ask(client, "painting?name=waves.png", encoded(painting))["paintings"]) == number
    assert f"takes {MOST_PAINTINGS} paintings" in error(client, "painting?name=waves.png", encoded(painting))
    assert len(ask(client, "remove-painting", {"key": "2"})["paintings"]) == MOST_PAINTINGS - 1
    assert "not here" in error(client, "remove-painting", {"key": "2"})


def test_a_painting_of_one_colour_is_told_and_works(client, encoded):
    told = ask(client, "painting?name=grey.png", encoded(np.full((40, 40, 3), 128, np.uint8)))["paintings"]
    assert [one["is_plain"] for one in told] == [False, True]
    assert client.post("/api/quick", content=json.dumps({**LOOK, "colour": "histogram"})).status_code == 200


@pytest.mark.parametrize(
    "change, message",
    [
        ({"strength": 1.5}, "strength must lie between 0 and 1, got 1.5"),
        ({"strength": "much"}, "'strength' is missing or of another kind"),
        ({"stroke": 0}, "stroke must lie between 0.25 and 4"),
        ({"size": 100_000}, "size must lie between 64 and 4096"),
        ({"size": 2**70}, "'size' is missing"),
        ({"colour": "pink"}, "colour must be one of"),
        ({"blend": {"1": -1}}, "blend must be numbers of at least 0"),
        ({"blend": [1]}, "'blend' is missing"),
    ],
)
def test_a_look_that_cannot_be_is_one_line(client, change, message):
    for path in ("quick", "keep", "paint"):
        assert message in error(client, path, {**LOOK, **change})
    assert error(client, "quick", b"[1]") == "this question must be a JSON object"


def test_the_quick_result_follows_the_look(client, photo, painting):
    half = photo / 2 + painting.mean((0, 1)) / 2
    seen = lambda **look: pixels_of(client.post("/api/quick", content=json.dumps({**LOOK, **look})).content)
    assert np.abs(seen() - half).mean() < 6  # a JPEG
    assert np.abs(seen(strength=0) - photo.astype(float)).mean() < 6
    chroma = lambda pixels: (pixels - pixels.mean(-1, keepdims=True)).mean((0, 1))
    assert np.abs(chroma(seen(colour="luminance")) - chroma(photo.astype(float))).max() < 8


def test_a_mask_holds_its_painting_back(client, photo, encoded, half_mask):
    told = ask(client, "mask?painting=1", encoded(half_mask(72, 96)))
    assert told["paintings"][0]["mask"] == 1
    seen = pixels_of(client.post("/api/quick", content=json.dumps(LOOK)).content).astype(float)
    assert np.abs(seen[:, 56:] - photo[:, 56:]).mean() < 6 < 10 < np.abs(seen[:, :40] - photo[:, :40]).mean()
    np.testing.assert_array_equal(pixels_of(client.get("/picture/mask/1").content), half_mask(72, 96))
    assert "a mask has the photo's shape" in error(client, "mask?painting=1", encoded(half_mask(96, 96)))
    assert ask(client, "photo?name=next.png", encoded(photo))["paintings"][0]["mask"] == 0  # it was of the photo before


@pytest.mark.slow
def test_a_kept_picture_comes_with_all_that_makes_it_again(client, session, photo, painting, encoded, half_mask, tmp_path, monkeypatch):
    ask(client, "painting?name=waves.png", encoded(painting[::-1].copy()))
    ask(client, "mask?painting=2", encoded(half_mask(36, 48)))
    (version,) = ask(client, "keep", colour="luminance", strength=0.5, stroke=0.5)["versions"]
    assert (version["kind"], version["width"], version["height"], version["has_masks"]) == ("quick", 64, 48, True)
    assert _made_again(client, version, tmp_path, monkeypatch) == {"photo.png", "waves.png", "waves-2.png", "mask-1.png", "mask-2.png"}


@pytest.mark.slow
def test_a_painted_picture_comes_with_all_that_makes_it_again(client, session, encoded, painting, tmp_path, monkeypatch):
    ask(client, "painting?name=other.png", encoded(painting[::-1].copy()))
    assert ask(client, "paint", style_weight=30, strength=0.5, colour="histogram", blend={"1": 1, "2": 0.5}, stroke=2)["is_painting"] in (True, False)
    session.wait()
    status = client.get("/api/status").json()
    (version,) = status["versions"]
    assert (version["kind"], version["iterations"]) == ("painted", 6) and status["growth"]["stage"] == "done"
    assert status["growth"]["output"] == version["name"] and client.get("/growth/picture").status_code == 200
    assert _made_again(client, version, tmp_path, monkeypatch) == {"photo.png", "waves.png", "other.png"}


def _made_again(client, version, folder, monkeypatch):
    """The names of the files that a version's archive has besides picture and record; the record must make the very picture of them."""
    part = lambda name: client.get(f"/version/{version['key']}/{name}")
    assert part("picture").headers["content-disposition"].endswith(version["name"]) and part("shown").status_code == part("thumbnail").status_code == 200
    with zipfile.ZipFile(io.BytesIO(part("all").content)) as archive:
        names = set(archive.namelist())
        archive.extractall(folder)
    monkeypatch.chdir(folder)
    picture, record = version["name"], f"{version['name']}.json"
    assert (folder / picture).read_bytes() == part("picture").content and (folder / record).read_bytes() == part("record").content
    module = json.loads((folder / record).read_text())["settings"]["module"]
    job = job_like(record, module)
    assert differences(record, job) == []
    (result,) = stylize_files(job, "again.png")
    np.testing.assert_array_equal(pixels_of((folder / result["output"]).read_bytes()), pixels_of(part("picture").content))
    return names - {picture, record}


@pytest.mark.slow
def test_one_picture_is_painted_at_a_time_and_a_stopped_one_is_kept(client, session):
    session.preset = dataclasses.replace(session.preset, iterations=100_000)
    ask(client, "paint")
    assert "a picture is being painted" in error(client, "paint", LOOK)
    while (growth := client.get("/api/status").json()["growth"])["iteration"] is None:
        assert growth["stage"] == "painting"
    ask(client, "stop")
    session.wait()
    status = client.get("/api/status").json()
    (version,) = status["versions"]
    assert version["kind"] == "stopped" and (version["width"], version["height"]) == (64, 48) and status["growth"]["stage"] == "stopped"
    record = client.get("/version/1/record").json()
    assert record["is_stopped"] and record["identity"] is None and record["iterations"] == version["iterations"] >= 1
    assert ask(client, "drop", {"key": "1"})["versions"] == [] and "not here" in error(client, "drop", {"key": "1"})
    assert [one["key"] for one in ask(client, "restore", {})["versions"]] == ["1"]


def test_what_fails_while_it_is_painted_is_told(client, session):
    session.preset = dataclasses.replace(session.preset, network="nowhere.h5")
    ask(client, "paint")
    session.wait()
    status = client.get("/api/status").json()
    assert status["growth"]["stage"] == "failed" and "nowhere.h5" in status["growth"]["error"] and not status["is_painting"]


def test_what_fails_on_its_way_leaves_the_picture_so_far(client, session, photo, monkeypatch):
    def fails(*arguments, on_iteration, **more):
        on_iteration(Progress(1, 1, 3, 9, 4, 1.0, 2.0, 3.0, lambda: photo))
        raise DataError("the style loss became nan")

    monkeypatch.setattr(painting, "stylize", fails)
    ask(client, "paint")
    session.wait()
    status = client.get("/api/status").json()
    (version,) = status["versions"]
    assert (status["growth"]["stage"], status["growth"]["error"]) == ("failed", "the style loss became nan")
    assert status["growth"]["output"] == version["name"] and version["kind"] == "stopped" and version["iterations"] == 3
    # Numbers begin anew with each studio: a browser must not show those of the one before.
    for path in ("/version/1/all", "/version/1/shown", "/picture/photo/1"):
        assert client.get(path).headers["cache-control"] == "no-store"


def test_versions_are_kept_up_to_a_number(client, session):
    session._versions = dict.fromkeys(map(str, range(MOST_VERSIONS)))
    for path in ("keep", "paint"):
        assert f"keeps {MOST_VERSIONS} versions, of 2 GB in all: remove one first" in error(client, path, LOOK)


def test_without_photo_or_painting_there_is_nothing_to_make(empty_session, encoded, photo):
    client = TestClient(application(empty_session, TOKEN, 8080), base_url="http://127.0.0.1:8080")
    client.get(f"/?token={TOKEN}")
    assert error(client, "quick", LOOK) == "there is no photo yet: choose one"
    ask(client, "photo?name=photo.png", encoded(photo))
    assert error(client, "paint", LOOK) == "there is no painting yet: choose one"
    assert "an example is one of Swirls" in error(client, "sample", {"kind": "painting", "name": "Mona Lisa"})
    assert client.get("/sample/photo/Fish").headers["content-type"] == "image/png"


@pytest.mark.slow
def test_without_a_fast_network_the_optimiser_shows_a_small_picture(session, tmp_path, client, monkeypatch):
    monkeypatch.setattr(quick, "_ITERATIONS", 2)
    session.quick = quick.Quick(str(tmp_path / "nowhere"))
    session.quick.load()
    assert client.get("/api/status").json()["quick"]["state"] == "absent" and "nowhere" in client.get("/api/status").json()["quick"]["why"]
    assert pixels_of(client.post("/api/quick", content=json.dumps(LOOK)).content).shape == (144, 192, 3)
    assert "there is no fast network here" in error(client, "keep", LOOK)
    began = []

    def asked_again(*arguments, **how):  # a newer look comes while the older is painted
        session.quick._asked += 1
        began.append(how["on_iteration"](None))

    monkeypatch.setattr(quick, "stylize", asked_again)
    with pytest.raises(quick.Outdated):
        session.glance(Look())
    assert began == [] and client.post("/api/quick", content=json.dumps(LOOK)).content == b""


def test_two_studios_have_ports_of_their_own_and_a_taken_one_is_told():
    with running(Session(module="nowhere")) as one, running(Session(module="nowhere")) as other:
        ports = [int(url.split(":")[2].split("/")[0]) for url in (one, other)]
        assert ports[0] != ports[1] and one.split("=")[1] != other.split("=")[1]
        with pytest.raises(UserError, match="another program has it; choose another with --port"), running(Session(module="nowhere"), ports[0]):
            pass


def test_a_preview_shows_and_takes_nothing():
    lines = []
    with preview_page(lines.append, is_opened=False) as growth:
        growth.begin("photo.jpg", [np.zeros((20, 20, 3), np.uint8)])
        url = lines[0].removeprefix("preview at ")
        import httpx

        with httpx.Client(base_url=url.split("?")[0], follow_redirects=True, timeout=60) as client:
            assert client.get("api/status").status_code == 403 and "stylize --preview" in client.get("api/status").text
            client.get(url)
            status = client.get("api/status").json()
            assert status["is_watching"] and status["growth"]["title"] == "photo.jpg" and client.get("growth/input/0").status_code == 200
            assert (
                client.get("growth/input/1").status_code
                == client.get("growth/picture").status_code
                == client.post("api/photo", content=b"x").status_code
                == 404
            )
