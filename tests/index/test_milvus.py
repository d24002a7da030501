import dataclasses
import shutil
import sys

import numpy as np
import pytest

from tfvision.errors import GalleryError, RecipeError, UserError
from tfvision.features.recipe import FeatureRecipe
from tfvision.features.whitening import fit_whitening
from tfvision.index import making, milvus, milvus_server
from tfvision.index.folder_gallery import FolderGallery
from tfvision.index.locations import create_gallery, has_gallery, open_gallery
from tfvision.index.making import add_photos, build_gallery, remove_pictures
from tfvision.index.querying import search_photos
from tfvision.index.vector_search import search


def contents(gallery):
    """{id: (image, metadata, vector)}."""
    vectors = gallery.vectors_of_rows(gallery.live).tolist()
    return {
        gallery.id_of_row(row): (gallery.image_of_row(row), gallery.metadata_of_row(row), vector) for row, vector in zip(gallery.live, vectors, strict=True)
    }


def hits_of(gallery, queries, **options):
    return [[(hit.id, hit.image, pytest.approx(hit.score, abs=1e-5), hit.metadata) for hit in hits] for hits in search(gallery, queries, **options)]


@pytest.fixture
def pair(milvus_location, tmp_path, unit_vectors):
    """The same 400 pictures of 16 values in a folder and in Milvus, open for writing."""
    metadata = [{"part": number % 10, "name": f"n'{number % 3}"} | ({"rare": True, "size": number / 4} if number % 50 == 7 else {}) for number in range(400)]
    rows = [f"p{number}" for number in range(400)], unit_vectors(400), [str(tmp_path / f"{number}.jpg") for number in range(400)], metadata
    with FolderGallery.create(tmp_path / "shelf", 16, {"identity": "x"}) as folder, create_gallery(milvus_location, 16, {"identity": "x"}) as stored:
        folder.add(*rows)
        stored.add(*rows)
        yield folder, stored


@pytest.mark.parametrize(
    "options",
    [
        {"k": 25, "expansion": 5},
        {"rerank": True},
        {"expansion": 3, "rerank": True, "where": "part<4"},
    ],
)
def test_it_answers_as_a_folder_does(pair, milvus_location, unit_vectors, options):
    queries = unit_vectors(5, seed=1)
    expected = hits_of(pair[0], queries, **options)
    assert hits_of(pair[1], queries, **options) == expected
    with open_gallery(milvus_location) as again:
        assert hits_of(again, queries, **options) == expected


def test_what_is_more_than_a_request_takes_goes_in_pieces(pair, milvus_location, unit_vectors, monkeypatch):
    monkeypatch.setattr(milvus, "_RECORDS_AT_ONCE", 7)
    monkeypatch.setattr(milvus, "_ROWS_AT_ONCE", 9)
    monkeypatch.setattr(milvus, "LARGEST_ANSWER", 20)
    rows = [f"q{number}" for number in range(25)], unit_vectors(25, seed=8), ["x"] * 25
    for gallery in pair:
        gallery.remove([f"p{number}" for number in range(20, 60)])
        gallery.add(*rows)
    with open_gallery(milvus_location) as again:
        assert contents(again) == contents(pair[0])
        assert hits_of(again, unit_vectors(2, seed=9), k=30, where="part<7") == hits_of(pair[0], unit_vectors(2, seed=9), k=30, where="part<7")


def test_what_another_process_added_is_found_too(pair, milvus_location, unit_vectors):
    with open_gallery(milvus_location) as reader:
        assert len(reader.live) == 400
        pair[1].add(["new"], unit_vectors(1, seed=7), ["new.jpg"], [{"part": "new"}])
        assert hits_of(reader, unit_vectors(1, seed=7), k=1) == [[("new", "new.jpg", pytest.approx(1), {"part": "new"})]]


def test_a_large_whitening_is_kept_in_pieces(milvus_location):
    vectors = np.random.default_rng(0).normal(size=(300, 256)).astype(np.float32)
    with create_gallery(milvus_location, 256) as gallery:
        gallery.add([str(number) for number in range(300)], vectors, ["x"] * 300)
        whitening = fit_whitening(vectors, 128)
        gallery.rewrite(whitening)
    with open_gallery(milvus_location) as again:
        np.testing.assert_array_equal(again.whitening.projection, whitening.projection)


def test_photos_go_there_and_are_asked_for_as_in_a_folder(milvus_location, colour_photos, tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    (photos / "red").mkdir(parents=True)
    for number, path in enumerate(sorted(colour_photos.glob("*.png"))[:9]):
        shutil.copy(path, photos / "red" / f"{number}.png")
    (photos / "broken.jpg").write_text("no image")
    recipe, folder = FeatureRecipe("vgg19_slim", layers=("conv1_2",), image_size=32), str(tmp_path / "g")
    finish = making._finish
    monkeypatch.setattr(making, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build_gallery(photos, milvus_location, recipe)
    monkeypatch.setattr(making, "_finish", finish)
    with pytest.raises(GalleryError, match="is an unfinished gallery: go on with --resume"):
        build_gallery(photos, milvus_location, recipe)
    with pytest.raises(GalleryError, match="was begun with another model or other settings"):
        build_gallery(photos, milvus_location, dataclasses.replace(recipe, pooling="max"), is_resumed=True)
    for where in (folder, milvus_location):
        result = build_gallery(photos, where, recipe, is_resumed=where == milvus_location, whitened_dimension=4)
        assert (result["gallery"], result["images"], result["failed"], result["dimension"]) == (where, 9, 1, 4)
        assert remove_pictures(where, ["red/3.png"], "species=nothing") == {"gallery": where, "images": 8, "removed": 1}
        assert add_photos(where, photos)["added"] == 1 and add_photos(where, photos / "red" / "3.png", is_replaced=True)["added"] == 1
    queries = [str(photos / "red" / "5.png"), str(photos / "broken.jpg")]
    with open_gallery(folder) as one, open_gallery(milvus_location) as other:
        expected, found = (list(search_photos(gallery, queries, 5, "species=red")) for gallery in (one, other))
        assert found == expected and found[0]["hits"][0]["id"] == "red/5.png" and "error" in found[1]
        assert one.facts == other.facts


def test_milvus_own_graph_answers_and_exact_search_still_is(pair, milvus_location, unit_vectors, monkeypatch):
    folder, stored = pair
    monkeypatch.setattr(milvus, "_HNSW_FROM", 400)
    said = []
    stored.refresh_index(said.append)
    assert stored.index() == "hnsw" and len(said) == 1 and stored.info()["indexes"] == [{"method": "hnsw", "rows": 400}]
    stored.refresh_index(said.append)
    assert len(said) == 1
    queries = unit_vectors(20, seed=6)
    for where in (None, "part=3"):
        expected = hits_of(folder, queries, where=where)
        assert hits_of(stored, queries, where=where, method="exact") == expected
        same = [len({hit[0] for hit in own} & {hit[0] for hit in other}) for own, other in zip(hits_of(stored, queries, where=where), expected, strict=True)]
        assert np.mean(same) > 9.5
    with pytest.raises(RecipeError, match="must be auto, exact or hnsw, got 'ivfpq'"):
        search(stored, queries, method="ivfpq")


def test_what_is_not_there_is_told(pair, milvus_location, tmp_path):
    assert has_gallery(milvus_location) and not has_gallery(milvus_location + "2") and not has_gallery(f"milvus://{tmp_path}/no.db/shelf")
    with pytest.raises(GalleryError, match=r"shelf\d+2 does not exist: make it with `tfvision index build"):
        open_gallery(milvus_location + "2")
    with pytest.raises(GalleryError, match="no.db does not exist: make the gallery with"):
        open_gallery(f"milvus://{tmp_path}/no.db/shelf")
    with pytest.raises(GalleryError, match=r"shelf\d+_data_1 is no gallery of tfvision"):
        open_gallery(milvus_location + "_data_1")
    with pytest.raises(GalleryError, match="must be like milvus://HOST:PORT/COLLECTION"):
        open_gallery("milvus://localhost")


def test_a_server_that_is_away_is_told(milvus_location, monkeypatch):
    monkeypatch.setattr(milvus_server, "_TIMEOUT_SECONDS", 2)
    with pytest.raises(GalleryError, match="milvus://127.0.0.1:1/shelf: .* is the server running, and TFVISION_MILVUS_TOKEN the right token?"):
        open_gallery("milvus://127.0.0.1:1/shelf")


@pytest.mark.parametrize(("version", "message"), [((3, 11), "need Python 3.12 or later"), ((3, 13), r"pip install 'tfvision\[milvus\]'")])
def test_without_its_client_one_line_says_how_to_get_it(monkeypatch, version, message):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(UserError, match=message):
        open_gallery("milvus://localhost:19530/shelf")
