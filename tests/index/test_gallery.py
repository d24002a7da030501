"""What every gallery does, wherever it is kept: a new back end is a row of BACK_ENDS and gets all of it."""

import numpy as np
import pytest

from tfvision.errors import DataError, GalleryError
from tfvision.features.whitening import fit_whitening
from tfvision.index.gallery import rows_where
from tfvision.index.locations import create_gallery, has_gallery, open_gallery
from tfvision.index.vector_search import search

BACK_ENDS = ("folder", "milvus")
METADATA = [{"species": "Vanessa atalanta", "year": 2015}, {"species": "Vanessa cardui", "year": 2014}, {"species": "Apis", "wild": True}, {}]
VECTORS = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
TEXTS = ["plain", 'o\'brien "quoted" \\', "row >= 0) or (1 == 1", "{metadata}", "日本 🦋\n\t", "größe", "\udcff not UTF-8", "%s' ] or true", ""]


def contents(gallery):
    """{id: (vector, image, metadata)} of the live pictures."""
    rows = gallery.live
    told = [(gallery.id_of_row(row), gallery.image_of_row(row), gallery.metadata_of_row(row)) for row in rows]
    return {id: (vector, image, metadata) for (id, image, metadata), vector in zip(told, gallery.vectors_of_rows(rows).tolist(), strict=True)}


@pytest.fixture(params=BACK_ENDS)
def location(request, tmp_path):
    """Where a gallery may be made."""
    return request.getfixturevalue("milvus_location") if request.param == "milvus" else str(tmp_path / "shelf")


@pytest.fixture
def shelf(location, tmp_path):
    """An open, writable gallery of four pictures, dimension 3."""
    with create_gallery(location, 3, {"identity": "x"}) as gallery:
        gallery.add(["a", "b", "c", "d"], VECTORS, [str(tmp_path / f"{name}.jpg") for name in "abcd"], METADATA)
        yield gallery


def test_what_is_added_is_read_again(shelf, location, tmp_path):
    with open_gallery(location) as again:
        for gallery in (shelf, again):
            expected = {id: (vector.tolist(), str(tmp_path / f"{id}.jpg"), metadata) for id, vector, metadata in zip("abcd", VECTORS, METADATA, strict=True)}
            assert contents(gallery) == expected
            assert (gallery.location, len(gallery), gallery.rows, gallery.dimension, gallery.facts) == (location, 4, 4, 3, {"identity": "x"})
            assert gallery.row_vectors.tolist() == VECTORS.tolist() and gallery.whitening is None
            years = gallery.columns["year"]
            assert years.values == [2015, 2014] and years.codes.tolist() == [0, 1, -1, -1] and years[1] == 2014
            gallery.check()
            info = gallery.info()
            info.pop("megabytes", None)  # not in Milvus
            counts = {"species": 3, "year": 2, "wild": 1}
            assert info == {"gallery": location, "images": 4, "removed": 0, "dimension": 3, "metadata": counts, "identity": "x", "indexes": []}


def test_pictures_are_added_replaced_and_removed(shelf, location):
    before = contents(shelf)
    shelf.add(["e", "f"], [[4, 4, 4], [5, 5, 5]], ["e.jpg", "f.jpg"], [{"colour": "red", "none": None}, {}])
    shelf.replace(["b", "g"], [[2, 2, 2], [3, 3, 3]], ["b2.jpg", "g.jpg"], [{"species": "new"}, {}])
    shelf.remove(["a", "f"])
    shelf.set_facts(is_complete=True)
    with open_gallery(location) as again:
        for gallery in (shelf, again):
            after = contents(gallery)
            assert set(after) == {"b", "c", "d", "e", "g"} and len(gallery) == 5 and gallery.row_of("a") is None
            assert after["b"][0] == [2, 2, 2] and after["b"][2] == {"species": "new"} and after["e"] == ([4, 4, 4], "e.jpg", {"colour": "red"})
            assert after["c"] == before["c"] and after["d"] == before["d"]
            assert gallery.is_of(gallery.row_of("e"), "e.jpg") and not gallery.is_of(gallery.row_of("e"), "f.jpg")
            assert gallery.facts == {"identity": "x", "is_complete": True}
    shelf.add(["a"], [[6, 6, 6]], ["a.jpg"])  # an id is free again
    assert contents(shelf)["a"] == ([6, 6, 6], "a.jpg", {})


def test_rows_without_a_picture_are_not_live(shelf):
    shelf.add(list("efghij"), np.ones((6, 3)), list("efghij"), [{"year": 2000 + number} for number in range(6)])
    shelf.remove(["b"])
    rows = [shelf.row_of(id) for id in "acdefghij"]
    assert shelf.live.tolist() == sorted(rows) and shelf.rows == 10 == len(shelf.row_vectors)
    assert shelf.row_vectors[rows].tolist() == [*VECTORS[[0, 2, 3]].tolist(), *[[1, 1, 1]] * 6]
    assert rows_where(shelf).tolist() == [row in rows for row in range(10)]
    assert {shelf.id_of_row(row) for row in np.flatnonzero(rows_where(shelf, "year!=2015"))} == set("cdefghij")
    found, scores = shelf.nearest(np.float32([[0, 1, 0]]), 9)
    assert sorted(found[0].tolist()) == sorted(rows) and scores[0].tolist() == [1] * 7 + [0, 0]
    assert shelf.vectors_of_rows(np.array([[rows[0], rows[1]], [rows[2], rows[2]]])).tolist() == VECTORS[[[0, 2], [3, 3]]].tolist()


def test_nothing_is_in_a_new_gallery(location):
    assert not has_gallery(location)
    with create_gallery(location, 3) as gallery:
        assert has_gallery(location)
        assert (len(gallery), gallery.rows, gallery.live.tolist(), contents(gallery), dict(gallery.columns)) == (0, 0, [], {}, {})
        assert gallery.row_vectors.shape == (0, 3) and search(gallery, VECTORS) == [[]] * 4
        gallery.remove([])
        assert len(gallery) == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda g: g.add(["e"], [[1, np.nan, 0]], ["e.jpg"]), GalleryError, r"the vector of e is not finite \(NaN or infinite\)"),
        (lambda g: g.add(["e", "f"], [[1, 0, 0], [1, 0, np.inf]], ["e", "f"]), GalleryError, "the vector of f is not finite"),
        (lambda g: g.add(["e"], [[1, 0]], ["e.jpg"]), GalleryError, r"holds vectors of 3 values, got \[1, 2\]"),
        (lambda g: g.add(["a"], [[1, 0, 0]], ["e.jpg"]), GalleryError, "has the id 'a' already"),
        (lambda g: g.add(["e", "e"], [[1, 0, 0]] * 2, ["e.jpg"] * 2), GalleryError, "has the id 'e' already, or it is given twice"),
        (
            lambda g: g.add(["e"], [[1] * 3], ["e.jpg"], [{"species": "new", "tags": ["x"]}]),
            DataError,
            r"metadata 'tags' must be a text, a finite number or a truth, got \['x'\]",
        ),
        (lambda g: g.remove(["a", "z"]), GalleryError, "has no picture with the id 'z': nothing was removed"),
        (lambda g: search(g, np.ones((1, 2))), DataError, r"holds vectors of 3 values, got queries of shape \[1, 2\]"),
        (lambda g: search(g, np.ones((1, 3)), where="genus=x"), DataError, "has no metadata 'genus'"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(shelf, location, change, error, message):
    before = contents(shelf)
    with pytest.raises(error, match=message):
        change(shelf)
    assert contents(shelf) == before
    with open_gallery(location) as again:
        assert contents(again) == before
    shelf.add(["e"], [[1, 0, 0]], ["e.jpg"], [{"species": "newer"}])
    with open_gallery(location) as again:
        assert contents(again) == {**before, "e": ([1, 0, 0], "e.jpg", {"species": "newer"})} and "tags" not in again.columns  # it left no trace


def test_reading_only_means_so(shelf, location):
    with open_gallery(location) as reader:
        for change in (lambda: reader.add(["e"], [[1, 0, 0]], ["e"]), lambda: reader.remove(["a"]), lambda: reader.set_facts(a=1), reader.rewrite):
            with pytest.raises(GalleryError, match="is open for reading only"):
                change()
        assert contents(reader) == contents(shelf)


def test_where_one_is_another_is_not_made(shelf, location):
    with pytest.raises(GalleryError, match="already: add to it with `tfvision index add`"):
        create_gallery(location, 3)
    with pytest.raises(GalleryError, match="a gallery's dimension must be at least 1, got 0"):
        create_gallery(location, 0)


@pytest.mark.parametrize("dimension", [8, 4])
def test_whitened_vectors_keep_their_whitening(location, unit_vectors, dimension):
    vectors = unit_vectors(200, 8)
    whitening = fit_whitening(vectors, dimension)
    with create_gallery(location, 8) as gallery:
        gallery.add([str(number) for number in range(200)], vectors, ["x"] * 200)
        gallery.rewrite(whitening, is_complete=True)
        gallery.remove([str(number) for number in range(100)])
        gallery.rewrite()
    with open_gallery(location) as gallery:
        assert (gallery.dimension, gallery.facts["is_complete"]) == (dimension, True)
        np.testing.assert_allclose([vector for vector, _, _ in contents(gallery).values()], whitening.apply(vectors[100:]), atol=1e-6)
        np.testing.assert_array_equal(gallery.whitening.projection, whitening.projection)
        np.testing.assert_array_equal(gallery.whitening.mean, whitening.mean)


def test_texts_of_any_kind_stay_what_they_are(location):
    vectors = np.eye(len(TEXTS), dtype=np.float32)
    values = [text.replace("\udcff", "?") for text in TEXTS]
    with create_gallery(location, len(TEXTS)) as gallery:
        gallery.add(TEXTS, vectors, [f"folder/{text}" for text in TEXTS], [{"name": value, "it's": 1} for value in values])
        assert gallery.row_of("row >= 0) or (1 == 1") == 2
        gallery.remove(["row >= 0) or (1 == 1"])
    with open_gallery(location, writable=True) as gallery:
        left = [text for text in TEXTS if not text.startswith("row")]
        assert list(contents(gallery)) == left
        assert [image for _, image, _ in contents(gallery).values()] == [f"folder/{text}" if text else "folder" for text in left]
        for text in left:
            found = search(gallery, vectors[TEXTS.index(text)][None], 3, where=f"name={text}".replace("\udcff", "?"))[0]
            assert [hit.id for hit in found] == ([text] if not text or text.strip() else [])
        with pytest.raises(GalleryError, match="has no picture with the id 'row in \\[0\\]'"):
            gallery.remove(["row in [0]"])


@pytest.mark.parametrize(
    ("options", "is_chosen"),
    [
        ({}, lambda number: True),
        ({"k": 25, "where": "part<4"}, lambda number: number % 10 < 4),
        ({"where": ["part=1", "part=2", "name!=n'1"]}, lambda number: number % 10 in (1, 2) and number % 3 != 1),
        ({"where": "rare=true"}, lambda number: number % 50 == 7),
        ({"where": "rare="}, lambda number: number % 50 != 7),
        ({"where": "size>=3.5"}, lambda number: number % 50 == 7 and number >= 14),
        ({"where": "part>9"}, lambda number: False),
        ({"k": 500, "method": "exact"}, lambda number: True),
    ],
)
def test_a_search_finds_what_plain_numpy_finds(crowds, unit_vectors, options, is_chosen):
    queries, vectors = unit_vectors(5, seed=1), unit_vectors(400)
    chosen = np.array([number for number in range(400) if is_chosen(number)], int)
    scores = queries @ vectors[chosen].T
    order = np.argsort(-scores, axis=1)[:, : options.get("k", 10)]
    hits = search(crowds, queries, **options)
    assert [[hit.id for hit in found] for found in hits] == [[f"p{number}" for number in found] for found in chosen[order]]
    np.testing.assert_allclose([[hit.score for hit in found] for found in hits], np.take_along_axis(scores, order, axis=1), atol=1e-5)
    assert all(hit.metadata["part"] == int(hit.id[1:]) % 10 and hit.image == f"{hit.id[1:]}.jpg" for found in hits for hit in found)


@pytest.fixture(scope="module", params=BACK_ENDS)
def crowds(request, tmp_path_factory, unit_vectors):
    """An open gallery of 400 pictures of 16 values."""
    if request.param == "milvus":
        location = f"{request.getfixturevalue('milvus_address')}/crowd"
    else:
        location = tmp_path_factory.mktemp("crowd") / "crowd"
    with create_gallery(location, 16) as gallery:
        gallery.add([f"p{number}" for number in range(400)], unit_vectors(400), [f"{number}.jpg" for number in range(400)], crowd_metadata())
        yield gallery


def crowd_metadata():
    rare = [{"rare": True, "size": number / 4} if number % 50 == 7 else {} for number in range(400)]
    return [{"part": number % 10, "name": f"n'{number % 3}"} | own for number, own in enumerate(rare)]
