import re

import numpy as np
import pytest

from tfvision.apps.explorer import answers, export, judges, plain_words, pooling, precision
from tfvision.apps.explorer.export import export_site, packed_vectors, public_names
from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.session import Session
from tfvision.errors import DataError
from tfvision.index.folder_gallery import FolderGallery


@pytest.fixture
def site(session, tmp_path):
    for judge, is_right in (("", True), ("Ann", False)):
        session.notes.mark("its colour", "id:reds/red 1.png", {"reds/red 2.png": is_right}, judge)
    export_site(session.plan, tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def site_address(site, serve_folder):
    """The site, served by the standard library."""
    return serve_folder(site)


def test_vectors_are_packed_to_a_byte_a_value(layer):
    data = packed_vectors(layer)
    scales, values = np.frombuffer(data[:24], "<f4"), np.frombuffer(data[24:], np.int8).reshape(6, 3)
    np.testing.assert_allclose(scales[:, None] * values, layer.gallery.row_vectors, atol=0.5 / 127)


def test_more_pictures_than_a_site_holds_are_refused(session, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MOST_PICTURES", 5)
    with pytest.raises(DataError, match="holds 5 pictures at most, colours has 6"):
        export_site(session.plan, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_what_is_there_is_not_overwritten(session, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is there already and not empty"):
        export_site(session.plan, tmp_path / "site")


def test_no_path_of_this_machine_is_told(site, tmp_path):
    for path in site.rglob("*"):
        if path.suffix in (".json", ".html", ".js"):
            assert str(tmp_path) not in path.read_text(encoding="utf-8"), path
    assert [path.name for path in site.iterdir() if path.is_file()] == ["index.html"]


@pytest.mark.slow
def test_the_site_answers_as_the_server_does(site_address, watched_page, session, layer):
    page = watched_page(site_address)
    page.wait_for_selector(".wall")
    ask = """async () => {
        const { StaticSource } = await import("/static/static_source.js"), source = new StaticSource();
        await source.status();
        const plain = value => JSON.parse(JSON.stringify(value));
        return {
            near: plain(await source.neighbours("0", 0, 5)),
            compared: plain(await source.compare(["0", "4", "g:colour=greens"], 0)),
            verdict: plain(await source.verdict("its colour")),
            everyone: plain(await source.verdict("its colour", null)),
            mixed: plain(await source.pool("0", "its colour", 3)),
            drawn: await source.drawn("0", "its colour"),
            anew: await source.drawn("g:colour=reds", "another question"),
            ben: plain((await source.mark("its colour", "0", { 1: true, 4: false }, "Ben")).judges["its colour"]),
            ann: plain(await source.verdict("its colour", "Ann")),
            range: plain(await source.range("0", 0, 0.9, 1, "highest")),
        };
    }"""
    found = page.evaluate(ask)
    expected = answers.neighbours(session.queries, layer, "0", 5)
    np.testing.assert_allclose(found["near"]["scores"], expected["scores"], atol=0.01)
    assert (
        found["near"]["places"][0] == expected["places"][0]
        and found["near"]["percentiles"][0] == expected["percentiles"][0]
        and found["near"]["title"] == expected["title"]
    )
    assert found["range"]["places"] == [1] and found["range"]["total"] == 1
    compared = answers.comparison(session.queries, layer, ["0", "4", "g:colour=greens"])
    assert [query["title"] for query in found["compared"]["queries"]] == [query["title"] for query in compared["queries"]]
    np.testing.assert_allclose(found["compared"]["overlap"], compared["overlap"])
    assert found["verdict"]["queries"][0]["layers"][0][0]["share"] == 1
    notes = session.notes.read()
    ours = [answers.verdict(session.collection, session.queries, notes, "its colour", judge)["pooled"][0][1] for judge in ("", "Ann")]
    for name, one in zip(("verdict", "ann"), ours, strict=True):
        assert found[name]["pooled"][0][1] == pytest.approx(one)
    assert sorted(found["mixed"]["places"]) == [1, 2, 3, 4, 5] and found["ben"] == {"Ann": {"0": {"1": False}}, "Ben": {"0": {"1": True, "4": False}}}
    assert [one["name"] for one in found["ann"]["judges"]] == ["", "Ann", "Ben"]
    everyone = answers.verdict(session.collection, session.queries, notes, "its colour", None)
    assert found["everyone"]["agreement"]["words"] == everyone["agreement"]["words"] and found["everyone"]["drawn"] == pytest.approx(everyone["drawn"])
    assert found["drawn"] == pooling.drawn(session.collection, session.queries, "its colour", "0") and sorted(found["anew"]) == [2, 3, 4, 5]


@pytest.mark.slow
def test_a_query_that_one_layer_lacks_is_judged_by_the_others(make_gallery, photos, tmp_path, serve_folder, watched_page):
    paths = [path for path in sorted(photos.rglob("*.png")) if path.name != "red 1.png"]
    with FolderGallery.create(tmp_path / "fewer", 5, {"identity": "fewer"}) as gallery:
        gallery.add([path.relative_to(photos).as_posix() for path in paths], np.eye(5, dtype=np.float32), list(map(str, paths)))
    session = Session(plan([make_gallery(), tmp_path / "fewer"]))
    session.notes.mark("its colour", "id:reds/red 1.png", {"reds/red 2.png": True})
    export_site(session.plan, tmp_path / "site")
    ask = """async () => {
        const { StaticSource } = await import("/static/static_source.js"), source = new StaticSource();
        await source.status();
        return [await source.verdict("its colour"), await source.pool("0", "its colour", 2)];
    }"""
    found, mixed = watched_page(serve_folder(tmp_path / "site")).evaluate(ask)
    ours = answers.verdict(session.collection, session.queries, session.notes.read(), "its colour", "")
    assert found["lost"] == ours["lost"] == []
    for layer, expected in zip(found["pooled"], ours["pooled"], strict=True):
        assert [pytest.approx(one) for one in expected] == layer
    assert sorted(mixed["places"]) == sorted(pooling.pool(session.collection, session.queries, "its colour", "0", 2))


@pytest.mark.slow
def test_the_numbers_of_the_site_are_those_of_the_server(site_address, watched_page):
    from tfvision.apps.explorer import distributions

    random = np.random.default_rng(0)
    samples = [np.sort(random.normal(0.3, 0.1, 400)).round(3), np.sort(random.normal(0.4, 0.2, 300)).round(2)]  # with ties
    page = watched_page(site_address)
    marks = {name: {str(query): {str(row): bool(random.random() < 0.6) for row in range(9)} for query in range(6)} for name in ("Ann", "Ben", "")}
    ask = """async ([samples, marks]) => {
        const numbers = await import("/static/numbers.js"), verdict = await import("/static/static_verdict.js");
        const [a, b] = samples, edges = numbers.edges(samples, 40);
        const divergence = numbers.jensenShannon(numbers.histogram(a, edges), numbers.histogram(b, edges));
        const precisions = Object.values(marks.Ann).map(one => verdict.precision([...Array(9).keys()], one, 5));
        const told = [verdict.agreement(Object.entries(marks)).words, verdict.majority(Object.entries(marks)), verdict.pooled(precisions)];
        return [numbers.kolmogorovSmirnov(a, b), divergence, numbers.summary(a), numbers.wilson(3, 10), ...told];
    }"""
    distance, divergence, summary, wilson, words, majority, pooled = page.evaluate(ask, [[sample.tolist() for sample in samples], marks])
    ours = plain_words.agreement_words(judges.agreement(marks))
    assert words[:3] == ours[:3] and words[3].split(" (")[0] == ours[3].split(" (")[0]  # Fleiss' interval is by other draws
    assert majority == judges.majority(marks)
    by_row = [{int(row): is_right for row, is_right in one.items()} for one in marks["Ann"].values()]
    assert pooled == pytest.approx(precision.pooled([precision.precision_at(range(9), one, 5) for one in by_row])._asdict(), abs=0.03)
    edges = distributions.common_edges(samples, 40)
    assert distance == pytest.approx(distributions.kolmogorov_smirnov(*samples))
    assert divergence == pytest.approx(distributions.jensen_shannon(*(distributions.histogram(sample, edges) for sample in samples)), abs=0.02)
    assert summary == pytest.approx(distributions.summary(samples[0]))
    assert wilson == pytest.approx([0.10779, 0.60322], abs=1e-4)


@pytest.mark.slow
def test_every_view_of_the_site_opens(site_address, watched_page):
    page = watched_page(site_address)
    waits = {
        "browse": ".wall",
        "map": ".map-legend div",
        "near?q=0": ".columns .wall",
        "distribution?q=0": ".barlayer path",
        "compare?q=0&q=3": ".matrices table",
        "verdict?x=its colour": "aside table",
        "verdict?q=0&x=its colour": "aside button:has-text('Show them now')",
        "tidy": ".groups, .state",
        "tidy?kind=hubs": ".wall",
        "basket": ".state",
    }
    for address, selector in waits.items():
        page.evaluate("address => { location.hash = address }", f"#{address}")
        page.wait_for_selector(f"main.view-{re.split('[?]', address)[0]} {selector.split(',')[0]}")
    page.evaluate("location.hash = '#browse'")
    page.wait_for_selector("main.view-browse .wall [aria-posinset]", state="attached")
    page.keyboard.press("p")
    page.keyboard.press(" ")
    page.get_by_text("Basket (1)").wait_for()
    page.reload()
    page.get_by_text("Basket (1)").wait_for()  # kept in this browser


@pytest.mark.parametrize(
    "values, shown",
    [
        (["/home/me/a/1.png", "/home/me/b/1.png", "/data/2.png", "3.png", 4], ["a/1.png", "b/1.png", "2.png", "3.png", 4]),
        (["/home/me/1.png", "1.png", "1.png 2"], ["1.png 3", "1.png", "1.png 2"]),
        ([r"C:\Users\me\1.png", "file:///home/me/2.png", "~/3.png"], ["1.png", "2.png", "3.png"]),
        (["/home/me/a/", "C:\\b\\"], ["a", "b"]),
        (["/m/01g317", "a/b", "/", "+1"], ["/m/01g317", "a/b", "/", "+1"]),  # labels of Open Images are no paths
    ],
)
def test_paths_of_this_machine_become_names(values, shown):
    assert public_names(values) == shown


def test_ids_that_are_paths_of_any_machine_become_names():
    assert public_names(["/elsewhere/a/1.png", "/elsewhere/b/1.png"], are_ids=True) == ["a/1.png", "b/1.png"]
