import pytest

from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.photo_records import Photo, Source
from tfvision.data.imports.scratch import scratch_database
from tfvision.data.imports.selecting import COLUMNS, Filters, Selection, choose_groups
from tfvision.data.manifest import RANKS
from tfvision.errors import DataError

TIT = RawTaxon("Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Parus", "Parus major")
ROBIN = TIT._replace(family="Muscicapidae", genus="Erithacus", species="Erithacus rubecula")
MONARCH = RawTaxon("Animalia", "Arthropoda", "Insecta", "Lepidoptera", "Nymphalidae", "Danaus", "Danaus plexippus")


def _photo(number, taxon=TIT, **values):
    return Photo(**{"url": f"http://x.org/{number}.jpg", "taxon": taxon, "observation": str(number), **values})


def _select(tmp_path, photos, size="large", ranks=RANKS, **filters):
    """(rows as dicts, dropped)."""
    with scratch_database(tmp_path / "scratch") as database:

        class archive:
            path = "a.zip"

        selection = Selection(database, Source("csv", archive, iter(photos), ranks), Filters(**filters), size)
        selection.fill()
        selection.settle()
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in selection.rows()]
        totals = selection.totals()
    assert totals == {"photos": len(rows), "observations": len({row["group"] for row in rows}), "species": len({row["species"] for row in rows})}
    assert selection.read == len(rows) + sum(selection.dropped.values())
    return rows, dict(selection.dropped)


def test_a_row_in_full(tmp_path):
    facts = {
        "license": "http://creativecommons.org/licenses/by/4.0/",
        "rights_holder": "Jane\n  Doe ",
        "creator": "x" * 999,
        "latitude": "-41.5",
        "longitude": "174",
        "country": "NZ",
        "date": "2020-02-03T10:00:00",
    }
    (row,), _ = _select(tmp_path, [_photo(7, format="image/jpeg", source_id="p1", **facts)])
    assert (
        list(row)
        == list(COLUMNS)
        == [
            "image",
            "kingdom",
            "phylum",
            "class",
            "order",
            "family",
            "genus",
            "species",
            "group",
            "license",
            "rights_holder",
            "creator",
            "url",
            "latitude",
            "longitude",
            "country",
            "date",
            "source_id",
        ]
    )
    assert row["image"].startswith("photos/") and row["image"].endswith(".jpg") and row["image"].count("/") == 2
    assert [row[name] for name in COLUMNS[1:10]] == [*TIT[:7], "7", "CC-BY"]
    assert [row[name] for name in COLUMNS[10:]] == ["Jane Doe", "x" * 300, "http://x.org/7.jpg", "-41.5", "174", "NZ", "2020-02-03", "p1"]


def test_names_of_files_depend_on_the_address_alone(tmp_path):
    first, _ = _select(tmp_path, [_photo(1), _photo(2)])
    second, _ = _select(tmp_path, [_photo(2, observation="other"), _photo(3)])
    names = [row["image"] for row in (*first, *second)]
    assert names[1] == names[2] and len(set(names)) == 3


@pytest.mark.parametrize(
    ("url", "size", "wanted", "number"),
    [
        (
            "https://inaturalist-open-data.s3.amazonaws.com/photos/12/original.jpeg?1565748927",
            "large",
            "https://inaturalist-open-data.s3.amazonaws.com/photos/12/large.jpeg",
            "12",
        ),
        ("https://static.inaturalist.org/photos/12/square.JPG", "medium", "https://static.inaturalist.org/photos/12/medium.JPG", "12"),
        ("https://www.inaturalist.org/photos/12/medium.png", "original", "https://www.inaturalist.org/photos/12/original.png", "12"),
        ("https://evil.org/photos/12/square.jpg", "large", "https://evil.org/photos/12/square.jpg", "1"),
        ("https://evil-inaturalist.org/photos/12/square.jpg", "large", "https://evil-inaturalist.org/photos/12/square.jpg", "1"),
        (" http://x.org/a photo.jpg ", "large", "http://x.org/a%20photo.jpg", "1"),
    ],
)
def test_inaturalists_photos_are_asked_for_by_size(tmp_path, url, size, wanted, number):
    (row,), _ = _select(tmp_path, [_photo(1, url=url)], size)
    assert (row["url"], row["source_id"]) == (wanted, number)


@pytest.mark.parametrize(
    ("url", "format", "suffix"),
    [
        ("http://x.org/a.PNG?x=1", "", ".png"),
        ("http://x.org/a", "", ".jpg"),
        ("http://x.org/a", "image/png", ".png"),
        ("http://x.org/a.php?id=3.webp", "image/webp", ".webp"),
        ("http://x.org/show.php", "StillImage", ".jpg"),
        ("http://x.org/../../a.jpeg", "", ".jpeg"),
    ],
)
def test_suffixes(tmp_path, url, format, suffix):
    (row,), _ = _select(tmp_path, [_photo(1, url=url, format=format)])
    assert row["image"].endswith(suffix) and ".." not in row["image"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"format": "audio/mpeg"}, "a sound, a video or a document"),
        ({"format": "Sound"}, "a sound, a video or a document"),
        ({"url": "http://x.org/a.mp4"}, "a sound, a video or a document"),
        ({"url": "file:///etc/passwd"}, "no address that begins with http"),
        ({"url": "ftp://x.org/a.jpg"}, "no address that begins with http"),
        ({"url": "/etc/passwd.jpg"}, "no address that begins with http"),
        ({"url": ""}, "no address that begins with http"),
        ({"url": "http://x.org/\u202ea.jpg"}, "no address that begins with http"),
        ({"url": "http://x.org/" + "a" * 9000}, "no address that begins with http"),
        ({"url": "../a.jpg", "is_local": True}, "no address that begins with http"),
        ({"url": "/etc/a.jpg", "is_local": True}, "no address that begins with http"),
        ({"url": "C:\\a.jpg", "is_local": True}, "no address that begins with http"),
        ({"problem": "its observation is not in the archive"}, "its observation is not in the archive"),
        ({"taxon": RawTaxon(name="Parus")}, "identified above the species only"),
        ({"taxon": TIT._replace(class_="")}, "no class"),
        ({"url": "http://x.org/0.jpg"}, "the same photo a second time"),
    ],
)
def test_what_cannot_be_used_is_counted_by_reason(tmp_path, values, reason):
    rows, dropped = _select(tmp_path, [_photo(0), _photo(1, **values)])
    assert [row["group"] for row in rows] == ["0"] and dropped == {reason: 1}


@pytest.mark.parametrize(
    ("filters", "kept", "dropped"),
    [
        ({}, "0123", {}),
        ({"licences": ("cc0", "CC-BY 4.0")}, "01", {"licence CC-BY-NC": 1, "licence not given": 1}),
        ({"is_research_grade": True}, "02", {"not research grade": 2}),
        ({"within": ("aves",)}, "013", {"outside --within": 1}),
        ({"within": ("Parus major", "Insecta")}, "012", {"outside --within": 1}),
        ({"countries": ("nz", "US")}, "01", {"another country": 1, "no country": 1}),
        ({"date_from": "2019-06"}, "12", {"another date": 1, "no date": 1}),
        ({"date_to": "2019-06-05"}, "01", {"another date": 1, "no date": 1}),
        ({"date_from": "2019", "date_to": "2019"}, "01", {"another date": 1, "no date": 1}),
        ({"min_per_species": 2}, "01", {"under --min-per-species": 2}),
    ],
)
def test_filters(tmp_path, filters, kept, dropped):
    photos = [
        _photo(0, license="CC0", grade="research", country="NZ", date="2019-05-20"),
        _photo(1, license="CC_BY_4_0", grade="needs_id", country="US", date="2019-06"),
        _photo(2, MONARCH, license="CC-BY-NC", grade="research", country="DE", date="2020-01-01"),
        _photo(3, ROBIN),
    ]
    rows, counts = _select(tmp_path, photos, **filters)
    assert ("".join(row["group"] for row in rows), counts) == (kept, dropped)


def test_a_photo_without_an_observation_is_its_own_group(tmp_path):
    rows, _ = _select(tmp_path, [_photo(1, observation=""), _photo(2, observation="")])
    assert len({row["group"] for row in rows}) == 2 and all(row["group"] for row in rows)


def test_names_under_two_parents_leave_where_fewer_photos_are(tmp_path):
    rows, dropped = _select(tmp_path, [_photo(0), _photo(1), _photo(2, TIT._replace(family="Fringillidae"))])
    assert [row["family"] for row in rows] == ["Paridae"] * 2 and dropped == {"the name stands under two parents": 1}


def test_a_taxon_that_is_nowhere_is_told(tmp_path):
    with pytest.raises(DataError, match="--within: no photo of a.zip with a clean taxonomy is of 'Paridea'; did you mean 'Paridae'"):
        _select(tmp_path, [_photo(0)], within=("Paridea",))


@pytest.mark.parametrize("filters", [{"licences": ("free",)}, {"date_from": "last year"}, {"date_to": "2019-13"}, {"date_from": "2019-1-1"}])
def test_filters_that_make_no_sense_are_told(filters):
    with pytest.raises(DataError, match="--(licence must be of CC0, CC-BY|(from|to) is YYYY, YYYY-MM or YYYY-MM-DD)"):
        Filters(**filters)


def test_max_per_species_keeps_observations_whole_and_fills_up(tmp_path):
    photos = [_photo(f"{group}-{number}", observation=str(group)) for group in range(12) for number in range(3)] + [
        _photo(f"m{number}", MONARCH, observation="m") for number in range(4)
    ]
    chosen = {}
    for seed in range(5):
        rows, dropped = _select(tmp_path, photos, max_per_species=7, seed=seed)
        sizes = {}
        for row in rows:
            sizes.setdefault(row["species"], {}).setdefault(row["group"], []).append(row["url"])
        assert sorted(map(len, sizes["Parus major"].values())) == [1, 3, 3] and dropped == {"over --max-per-species": 29}
        assert list(map(len, sizes["Danaus plexippus"].values())) == [4]
        assert rows == _select(tmp_path, photos, max_per_species=7, seed=seed)[0]
        chosen[seed] = frozenset(sizes["Parus major"])
    assert len(set(chosen.values())) > 1
    rows, _ = _select(tmp_path, photos, max_per_species=2)
    assert len(rows) == 4


def test_choosing_groups():
    assert choose_groups({"a": 5}, 3, 0) == {"a": 3}
    for seed in range(20):
        assert choose_groups({"a": 5, "b": 2, "c": 2}, 4, seed) == {"b": 2, "c": 2}
        kept = choose_groups({"a": 3, "b": 3, "c": 3}, 5, seed)
        assert sorted(kept.values()) == [2, 3]
