import pytest

from tfvision.data.imports.photo_rows import local_name, plain_coordinates, plain_date


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2019-05-06T10:00:00-07:00", "2019-05-06"),
        ("2019-05-06/2019-06-01", "2019-05-06"),
        ("2019/5/6", "2019-05-06"),
        ("2019-05", "2019-05"),
        ("2019", "2019"),
        ("2019-02-30", ""),
        ("2019-13-01", ""),
        ("0000", ""),
        ("Tue Apr 01 00:00:00 CET 1930", ""),
        ("20190506", ""),
        ("", ""),
    ],
)
def test_dates(text, date):
    assert plain_date(text) == date


@pytest.mark.parametrize(
    ("latitude", "longitude", "place"),
    [
        ("-41.5", " 174", ("-41.5", "174")),
        ("0", "0.0", ("0", "0.0")),
        ("91", "0", ("", "")),
        ("0", "181", ("", "")),
        ("nan", "0", ("", "")),
        ("12", "", ("", "")),
        ("twelve", "1", ("", "")),
        ("48,5", "9,05", ("48.5", "9.05")),
    ],
)
def test_coordinates(latitude, longitude, place):
    assert plain_coordinates(latitude, longitude) == place


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0.jpg", "0.jpg"),
        (" images\\a b.JPG ", "images/a b.JPG"),
        ("./sub/ä.tif", "sub/ä.tif"),
        ("C:\\Users\\anna\\0.jpeg", "Users/anna/0.jpeg"),
        ("http://x.org/0.jpg", ""),
        ("urn:uuid:0.jpg", ""),
        ("www.x.org/0.jpg", ""),
        ("../0.jpg", ""),
        ("/etc/0.jpg", ""),
        ("passwd", ""),
        ("", ""),
    ],
)
def test_names_of_files(text, name):
    assert local_name(text) == name
