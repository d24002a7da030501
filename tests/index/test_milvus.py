import dataclasses
import shutil
import sys

import numpy as np
import pytest

from tfvision.errors import DataError, GalleryError, RecipeError, UserError
from tfvision.features.recipe import FeatureRecipe
from tfvision.features.whitening import fit_whitening
from tfvision.index import making, milvus, milvus_server
from tfvision.index.gallery import Gallery
from tfvision.index.locations import create_gallery, has_gallery, open_gallery
from tfvision.index.making import add_photos, build_gallery, remove_pictures
from tfvision.index.querying import search_photos
from tfvision.index.search import search

HOSTILE = ["plain", 'o\'brien "quoted" \\', "row >= 0) or (1 == 1", "{metadata}", "日本 🦋\n\t", "\udcff not UTF-8", "%s' ] or true"]


def contents(gallery):
    """{id: (image, metadata, vector)}."""
    rows = zip(gallery.images, gallery.metadata, gallery.vectors.tolist(), strict=True)
    return dict(zip(gallery.ids, rows, strict=True))


def answers(gallery, queries, **options):
    return [[(hit.id, hit.image, pytest.approx(hit.score, abs=1e-5), hit.metadata) for hit in hits] for hits in search(gallery, queries, **options)]


@pytest.fixture
def place(tmp_path):
    pytest.importorskip("milvus_lite", reason="milvus-lite, an extra that needs Python 3.12, is not installed")
    return f"milvus://{tmp_path}/store.db/shelf"


@pytest.fixture
def pair(place, tmp_path, unit_vectors):
    """The same 400 pictures of 16 values in a folder and in Milvus, open for writing."""
    metadata = [{"part": number % 10, "name": f"n'{number % 3}"} | ({"rare": True, "size": number / 4} if number % 50 == 7 else {}) for number in range(400)]
    rows = [f"p{number}" for number in range(400)], unit_vectors(400), [str(tmp_path / f"{number}.jpg") for number in range(400)], metadata
    with Gallery.create(tmp_path / "shelf", 16, {"identity": "x"}) as folder, create_gallery(place, 16, {"identity": "x"}) as stored:
        folder.add(*rows)
        stored.add(*rows)
        yield folder, stored


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 25, "expansion": 5},
        {"rerank": True},
        {"expansion": 3, "rerank": True, "where": "part<4"},
        {"where": ["part=1", "part=2", "name!=n'1"]},
        {"where": "name=n'2"},
        {"where": "rare=true"},
        {"where": "rare="},
        {"where": "size>=3.5"},
        {"where": "part>9"},
        {"where": "part<10"},
        {"k": 500},
        {"method": "exact"},
    ],
)
def test_it_answers_as_a_folder_does(pair, place, unit_vectors, options):
    queries = unit_vectors(5, seed=1)
    expected = answers(pair[0], queries, **options)
    assert answers(pair[1], queries, **options) == expected
    with open_gallery(place) as again:
        assert answers(again, queries, **options) == expected


def test_pictures_are_added_replaced_and_removed(pair, place, unit_vectors):
    for gallery in pair:
        gallery.add(["q", "r"], unit_vectors(2, seed=2), ["q.jpg", "r.jpg"], [{"colour": "red", "none": None}, {}])
        gallery.replace(["p3", "s"], unit_vectors(2, seed=3), ["new.jpg", "s.jpg"], [{"part": "three"}, {}])
        gallery.remove([f"p{number}" for number in range(100, 130)])
        gallery.set_facts(is_complete=True)
    assert contents(pair[1]) == contents(pair[0]) and len(pair[1]) == 373
    with open_gallery(place) as again:
        assert contents(again) == contents(pair[0]) and again.facts == {"identity": "x", "is_complete": True}
        assert answers(again, unit_vectors(3, seed=4), where="part!=3") == answers(pair[0], unit_vectors(3, seed=4), where="part!=3")
        assert again.is_of(again.row_of("q"), "q.jpg") and not again.is_of(again.row_of("q"), "r.jpg")
        metadata = {"part": 11, "name": 3, "rare": 1, "size": 7, "colour": 1}
        assert again.info() == {"gallery": place, "images": 373, "removed": 0, "dimension": 16, "metadata": metadata, **again.facts}


@pytest.mark.parametrize("dimension", [16, 4])
def test_whitening_is_kept(pair, place, unit_vectors, dimension):
    whitening = fit_whitening(np.array(pair[0].vectors), dimension)
    pair[1].remove(["p7"])
    pair[0].remove(["p7"])
    for gallery in pair:
        gallery.rewrite(whitening, is_complete=True)
    with open_gallery(place, writable=True) as again:
        assert again.dimension == dimension and again.facts["is_complete"]
        np.testing.assert_array_equal(again.whitening.projection, whitening.projection)
        np.testing.assert_array_equal(again.whitening.mean, whitening.mean)
        queries = whitening.apply(unit_vectors(4, seed=5))
        assert answers(again, queries) == answers(pair[0], queries)
        again.rewrite()
        assert contents(again) == contents(pair[0]) and again.whitening.mean.shape == (16,)


def test_what_is_more_than_a_request_takes_goes_in_pieces(pair, place, unit_vectors, monkeypatch):
    monkeypatch.setattr(milvus, "_RECORDS_AT_ONCE", 7)
    monkeypatch.setattr(milvus, "_ROWS_AT_ONCE", 9)
    monkeypatch.setattr(milvus, "LARGEST_ANSWER", 20)
    rows = [f"q{number}" for number in range(25)], unit_vectors(25, seed=8), ["x"] * 25
    for gallery in pair:
        gallery.remove([f"p{number}" for number in range(20, 60)])
        gallery.add(*rows)
    with open_gallery(place) as again:
        assert contents(again) == contents(pair[0])
        assert answers(again, unit_vectors(2, seed=9), k=30, where="part<7") == answers(pair[0], unit_vectors(2, seed=9), k=30, where="part<7")


def test_a_large_whitening_is_kept_in_pieces(place):
    vectors = np.random.default_rng(0).normal(size=(300, 256)).astype(np.float32)
    with create_gallery(place, 256) as gallery:
        gallery.add([str(number) for number in range(300)], vectors, ["x"] * 300)
        whitening = fit_whitening(vectors, 128)
        gallery.rewrite(whitening)
    with open_gallery(place) as again:
        np.testing.assert_array_equal(again.whitening.projection, whitening.projection)


def test_texts_of_any_kind_stay_what_they_are(place):
    vectors = np.eye(len(HOSTILE), dtype=np.float32)
    with create_gallery(place, len(HOSTILE)) as gallery:
        gallery.add(HOSTILE, vectors, HOSTILE, [{"name": text.replace("\udcff", "?"), "it's": 1} for text in HOSTILE])
        assert gallery.row_of("row >= 0) or (1 == 1") == 2
        gallery.remove(["row >= 0) or (1 == 1"])
    with open_gallery(place, writable=True) as gallery:
        left = [text for text in HOSTILE if not text.startswith("row")]
        assert list(gallery.ids) == left and [image.rpartition("/")[2] for image in gallery.images] == left
        for text in left:
            found = search(gallery, vectors[HOSTILE.index(text)][None], 3, where=f"name={text}".replace("\udcff", "?"))[0]
            assert [hit.id for hit in found] == ([text] if text == text.strip() else [])
        with pytest.raises(GalleryError, match="has no picture with the id 'row in \\[0\\]'"):
            gallery.remove(["row in [0]"])


def test_photos_go_there_and_are_asked_for_as_in_a_folder(place, colour_photos, tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    (photos / "red").mkdir(parents=True)
    for number, path in enumerate(sorted(colour_photos.glob("*.png"))[:9]):
        shutil.copy(path, photos / "red" / f"{number}.png")
    (photos / "broken.jpg").write_text("no image")
    recipe, folder = FeatureRecipe("vgg19_slim", layers=("conv1_2",), image_size=32), str(tmp_path / "g")
    finish = making._finish
    monkeypatch.setattr(making, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build_gallery(photos, place, recipe)
    monkeypatch.setattr(making, "_finish", finish)
    with pytest.raises(GalleryError, match="is an unfinished gallery: go on with --resume"):
        build_gallery(photos, place, recipe)
    with pytest.raises(GalleryError, match="was begun with another model or other settings"):
        build_gallery(photos, place, dataclasses.replace(recipe, pooling="max"), is_resumed=True)
    for where in (folder, place):
        result = build_gallery(photos, where, recipe, is_resumed=where == place, whitened_dimension=4)
        assert (result["gallery"], result["images"], result["failed"], result["dimension"]) == (where, 9, 1, 4)
        assert remove_pictures(where, ["red/3.png"], "species=nothing") == {"gallery": where, "images": 8, "removed": 1}
        assert add_photos(where, photos)["added"] == 1 and add_photos(where, photos / "red" / "3.png", is_replaced=True)["added"] == 1
    queries = [str(photos / "red" / "5.png"), str(photos / "broken.jpg")]
    with open_gallery(folder) as one, open_gallery(place) as other:
        expected, found = (list(search_photos(gallery, queries, 5, "species=red")) for gallery in (one, other))
        assert found == expected and found[0]["hits"][0]["id"] == "red/5.png" and "error" in found[1]
        assert one.facts == other.facts


def test_milvus_own_graph_answers_and_exact_search_still_is(pair, place, unit_vectors, monkeypatch):
    folder, stored = pair
    monkeypatch.setattr(milvus, "_HNSW_FROM", 400)
    said = []
    stored.refresh_index(said.append)
    assert stored.index() == "hnsw" and len(said) == 1 and stored.indexes() == [{"method": "hnsw", "rows": 400}]
    stored.refresh_index(said.append)
    assert len(said) == 1
    queries = unit_vectors(20, seed=6)
    for where in (None, "part=3"):
        expected = answers(folder, queries, where=where)
        assert answers(stored, queries, where=where, method="exact") == expected
        same = [len({hit[0] for hit in own} & {hit[0] for hit in other}) for own, other in zip(answers(stored, queries, where=where), expected, strict=True)]
        assert np.mean(same) > 9.5
    with pytest.raises(RecipeError, match="must be auto, exact or hnsw, got 'ivfpq'"):
        search(stored, queries, method="ivfpq")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda g: g.add(["e"], [[1, 0]], ["e.jpg"]), GalleryError, r"holds vectors of 16 values, got \[1, 2\]"),
        (lambda g: g.add(["e"], [[np.nan] * 16], ["e.jpg"]), GalleryError, "the vector of e is not finite"),
        (lambda g: g.add(["p1"], [[1] * 16], ["e.jpg"]), GalleryError, "has the id 'p1' already"),
        (lambda g: g.add(["e"], [[1] * 16], ["e.jpg"], [{"tags": ["x"]}]), DataError, "metadata 'tags' must be a text"),
        (lambda g: g.remove(["p1", "z"]), GalleryError, "has no picture with the id 'z': nothing was removed"),
        (lambda g: search(g, np.ones((1, 3))), DataError, r"holds vectors of 16 values, got queries of shape \[1, 3\]"),
        (lambda g: search(g, np.ones((1, 16)), where="genus=x"), DataError, "has no metadata 'genus'"),
    ],
)
def test_mistakes_are_told_and_change_nothing(pair, change, error, message):
    before = contents(pair[1])
    with pytest.raises(error, match=message):
        change(pair[1])
    assert contents(pair[1]) == before


def test_what_is_not_there_is_told(pair, place, tmp_path):
    assert has_gallery(place) and not has_gallery(place + "2") and not has_gallery(f"milvus://{tmp_path}/no.db/shelf")
    with pytest.raises(GalleryError, match="shelf2 does not exist: make it with `tfvision index build"):
        open_gallery(place + "2")
    with pytest.raises(GalleryError, match="no.db does not exist: make the gallery with"):
        open_gallery(f"milvus://{tmp_path}/no.db/shelf")
    with pytest.raises(GalleryError, match="shelf_data_1 is no gallery of tfvision"):
        open_gallery(place + "_data_1")
    with pytest.raises(GalleryError, match="is there already: add to it"):
        create_gallery(place, 3)
    with open_gallery(place) as reader, pytest.raises(GalleryError, match="is open for reading only"):
        reader.add(["e"], np.ones((1, 16)), ["e.jpg"])
    with pytest.raises(GalleryError, match="must be like milvus://HOST:PORT/COLLECTION"):
        open_gallery("milvus://localhost")


def test_a_server_that_is_away_is_told(place, monkeypatch):
    monkeypatch.setattr(milvus_server, "_TIMEOUT_SECONDS", 2)
    with pytest.raises(GalleryError, match="milvus://127.0.0.1:1/shelf: .* is the server running, and TFVISION_MILVUS_TOKEN the right token?"):
        open_gallery("milvus://127.0.0.1:1/shelf")


@pytest.mark.parametrize(("version", "message"), [((3, 11), "need Python 3.12 or later"), ((3, 13), r"pip install 'tfvision\[milvus\]'")])
def test_without_its_client_one_line_says_how_to_get_it(monkeypatch, version, message):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(UserError, match=message):
        open_gallery("milvus://localhost:19530/shelf")
