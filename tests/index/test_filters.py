import numpy as np
import pytest

from tfvision.errors import DataError
from tfvision.index.filters import near_misses
from tfvision.index.folder_gallery import FolderGallery
from tfvision.index.gallery import rows_where


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, "abcd"),
        ("species=Vanessa atalanta", "a"),
        (["species=Vanessa atalanta", "species=Apis"], "ac"),  # one of several equalities on one name is enough
        (["species=Vanessa atalanta", "year=2014"], ""),  # on several names all must hold
        ("species!=Apis", "abd"),
        ("species=", "d"),
        ("year>=2014", "ab"),
        ("year<2015", "b"),
        ("year>2014.5", "a"),
        ("year = 2015.0", "a"),
        (["year>=2014", "year<2015", "species!=Apis"], "b"),
        ("species<B", "c"),  # a bound that is no number: by text
        ("species=Nobody", ""),
        ("species=vanessa_atalanta (Linnaeus, 1758)", "a"),  # a name in another spelling
        ("Species!=APIS", "abd"),
    ],
)
def test_conditions_choose_rows(insects, where, expected):
    gallery = FolderGallery.open(insects)
    assert "".join(gallery.ids[row] for row in np.flatnonzero(rows_where(gallery, where))) == expected


def test_truths_and_dates_are_compared(tmp_path):
    with FolderGallery.create(tmp_path / "g", 1) as gallery:
        gallery.add(["a", "b"], np.zeros((2, 1)), ["a", "b"], [{"wild": True, "date": "2015-03-01"}, {"wild": False, "date": "2014-12-31"}])
        assert rows_where(gallery, "wild=true").tolist() == [True, False]
        assert rows_where(gallery, "date>=2015-01-01").tolist() == [True, False]
        gallery.remove(["a"])
        assert rows_where(gallery, "wild=true").tolist() == [False]


def test_a_name_that_nothing_bears_is_told_with_those_that_look_like_it(insects):
    columns = FolderGallery.open(insects).columns
    assert near_misses(columns, "species=Vanesa atalanta") == ["no picture has species=Vanesa atalanta; did you mean 'Vanessa atalanta'?"]
    assert near_misses(columns, ["species=VANESSA ATALANTA", "species!=Vanesa atalanta", "year>=1", "species=qqq"]) == []


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("genus=Vanessa", "the gallery has no metadata 'genus'; it has species, year"),
        ("species", "--where must be like species=Vanessa atalanta or year>=2015, got 'species'"),
        ("=x", "--where must be like"),
    ],
)
def test_mistakes_are_told(insects, where, message):
    with pytest.raises(DataError, match=message):
        rows_where(FolderGallery.open(insects), where)
