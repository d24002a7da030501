import gzip
import json
import shutil
import zipfile

import pytest

from tfvision.data import json_items
from tfvision.data.imports.lineages import RawTaxon
from tfvision.data.imports.occurrences import open_source
from tfvision.data.imports.photo_records import KINDS
from tfvision.data.imports.scratch import scratch_database
from tfvision.errors import DataError, DataWarning


def _read(path, tmp_path):
    """(kind, ranks, observations, photos) of a source."""
    with scratch_database(tmp_path / "scratch") as database:
        source = open_source(path, database)
        with source.archive:
            photos = list(source.photos)
    assert not list((tmp_path / "scratch").iterdir())
    return source.kind, source.ranks, source.observations, photos


def test_an_archive_of_gbif(write_dwca, monarch, tmp_path):
    place = {
        "decimalLatitude": "-41.2",
        "decimalLongitude": "174.7",
        "countryCode": "NZ",
        "eventDate": "2020-02-03T10:00:00",
        "datasetKey": "50c9509d-22c7-4a22-a47d-8c48425ef4a7",
    }
    media = [
        {"gbifID": 2, "identifier": "http://x.org/a.jpg", "format": "image/jpeg", "license": "CC0", "rightsHolder": "Jane", "creator": "Joe"},
        {"gbifID": 1, "identifier": "http://x.org/b.jpg", "type": "StillImage"},
        {"gbifID": 2, "identifier": "http://x.org/c.jpg"},
        {"gbifID": 9, "identifier": "http://x.org/d.jpg"},
    ]
    rows = [
        {"gbifID": 1, **monarch},
        {"gbifID": 2, **monarch, **place, "scientificName": "Danaus plexippus L.", "taxonRank": "SPECIES"},
        {"gbifID": 3, **monarch},
    ]
    kind, _, observations, photos = _read(write_dwca(rows, media), tmp_path)
    assert (kind, observations, len(photos)) == ("darwin-core-archive", 3, 4)
    first = photos[0]
    assert first[2:15] == ("image/jpeg", "2", "", "CC0", "Jane", "Joe", "-41.2", "174.7", "NZ", "2020-02-03T10:00:00", "research", False, "")
    assert first.taxon == RawTaxon(*monarch.values(), name="Danaus plexippus L.", rank="SPECIES")
    assert [(photo.observation, photo.format, photo.grade) for photo in photos[1:3]] == [("1", "StillImage", ""), ("2", "", "research")]
    assert photos[3].problem == "its observation is not in the archive"


def test_a_folder_that_a_zip_program_put_around_all(write_dwca, monarch, tmp_path):
    path = write_dwca([{"gbifID": 1, **monarch}], [{"gbifID": 1, "identifier": "http://x.org/a.jpg"}])
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "outer" / "inner")
    (tmp_path / "outer" / "__MACOSX").mkdir()
    (tmp_path / "outer" / "__MACOSX" / "meta.xml").write_text("x")
    assert _read(tmp_path / "outer", tmp_path) == _read(path, tmp_path)


def test_an_archive_of_inaturalist_with_quoted_tables(tmp_path, dwca_parts, monarch):
    described, table, _, comma = dwca_parts
    core, media = ["id", "occurrenceID", "datasetName", *list(monarch)[:6], "scientificName", "taxonRank"], ["id", "type", "identifier", "license"]
    names = described("core", "Occurrence", "observations.csv", core, comma) + described("extension", "Multimedia", "media.csv", media, comma)
    folder = tmp_path / "inat"
    folder.mkdir()
    (folder / "meta.xml").write_text(f"<archive>{names}</archive>")
    row = {
        "id": 7,
        "occurrenceID": "o",
        "datasetName": '"iNaturalist, research-grade observations"',
        **monarch,
        "scientificName": "Danaus plexippus megalippe",
        "taxonRank": "subspecies",
    }
    (folder / "observations.csv").write_text(table(core, [row], ","))
    (folder / "media.csv").write_text(table(media, [{"id": 7, "identifier": "http://x.org/1.jpg", "license": "CC0"}], ","))
    kind, ranks, _, (photo,) = _read(folder, tmp_path)
    assert kind == "darwin-core-archive" and ranks == tuple(monarch)[:6]
    assert (photo.observation, photo.grade, photo.taxon.rank, photo.taxon.species) == ("7", "research", "subspecies", "")


def test_photos_named_in_the_core(tmp_path, dwca_parts, monarch):
    described, table, *_ = dwca_parts
    core = ["id", "associatedMedia", *monarch]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("meta.xml", f"<archive>{described('core', 'Occurrence', 'o.txt', core)}</archive>")
        archive.writestr(
            "o.txt", table(core, [{"id": 1, "associatedMedia": "http://x.org/1.jpg | http://x.org/2.jpg;http://x.org/3.jpg", **monarch}, {"id": 2, **monarch}])
        )
    _, _, observations, photos = _read(tmp_path / "a.zip", tmp_path)
    assert [photo.url for photo in photos] == ["http://x.org/1.jpg", "http://x.org/2.jpg", "http://x.org/3.jpg"] and {
        photo.observation for photo in photos
    } == {"1"}
    assert observations == 2


def test_gbifs_simple_download(tmp_path, dwca_parts, monarch):
    _, table, *_ = dwca_parts
    columns = ["gbifID", "occurrenceID", *monarch, "scientificName", "countryCode", "mediaType"]
    path = tmp_path / "0001234-240101.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0001234-240101.csv", table(columns, [{"gbifID": 1, **monarch}]))
    with pytest.raises(DataError, match="is GBIF's simple download, which has no addresses of photos: ask GBIF for the same search"):
        _read(path, tmp_path)
    bare = tmp_path / "0001234-240101.csv"
    bare.write_text(table([*columns, "identifier"], [{"gbifID": 5, **monarch, "countryCode": "NZ", "identifier": "http://x.org/1.jpg"}]))
    kind, _, _, (photo,) = _read(bare, tmp_path)
    assert (kind, photo.url, photo.country, photo.taxon.species) == ("gbif-simple", "http://x.org/1.jpg", "NZ", "Danaus plexippus")


@pytest.mark.parametrize("is_packed", [False, True])
def test_open_data_with_taxa(shared, tmp_path, is_packed):
    folder = shutil.copytree(shared / "data/dwca/inat/inaturalist-open-data", tmp_path / "open")
    (folder / "taxa.csv").chmod(0o644)
    folder.chmod(0o755)
    ancestors = {
        1: ("", 70, "kingdom", "Animalia"),
        2: ("1", 60, "phylum", "Chordata"),
        3: ("1/2", 50, "class", "Aves"),
        33: ("1/2/3", 45, "infraclass", "X"),
        4: ("1/2/3", 40, "order", "O"),
    }
    ancestors |= {
        5: ("1/2/3/4", 30, "family", "F"),
        6: ("1/2/3/33/4/5", 20, "genus", "Rana"),
        53137: ("1/2/3/33/4/5/6", 10, "species", "Rana alpha"),
        47157: ("1/2/3", 40, "order", "P"),
    }
    with open(folder / "taxa.csv", "a") as file:
        for id, (ancestry, level, rank, name) in ancestors.items():
            file.write(f"{id}\t{ancestry}\t{level}\t{rank}\t{name}\ttrue\n")
        file.write("2334\t1/2\t10\tspecies\tRana beta\tfalse\n")
    if is_packed:
        for path in list(folder.iterdir()):
            (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    kind, _, observations, photos = _read(folder, tmp_path)
    assert (kind, observations, len(photos)) == ("inaturalist-open-data", 50, 50)
    first = photos[0]
    assert first.url == "https://inaturalist-open-data.s3.amazonaws.com/photos/35927/original.jpg"
    assert first.taxon == RawTaxon("Animalia", "Chordata", "Aves", "O", "F", "Rana", "Rana alpha", "Rana alpha", "species")
    assert first[3:7] == ("526ababd-aff2-4ce8-b111-d8013b9d8b42", "35927", "CC-BY", "Don Loarie") and first.creator == "Don Loarie"
    assert (first.latitude, first.date, first.grade) == ("38.6097400000", "2011-05-30", "research")
    assert [photo.observation for photo in photos[:3]] == [first.observation] * 3
    of_order = next(photo for photo in photos if photo.source_id == "35950")
    assert of_order.taxon == RawTaxon("Animalia", "Chordata", "Aves", "P", name="P", rank="order") and of_order.creator == "Donna Fernstrom"
    problems = {photo.problem for photo in photos}
    assert problems == {"", "its taxon is not in taxa.csv", "its taxon is no longer in use"}


def _competition(folder, **changes):
    category = {"id": 0, "name": "Parus major", "kingdom": "Animalia", "family": "Paridae", "genus": "Parus", "specific_epithet": "major"}
    images = [
        {"id": id, "file_name": f"train/0/{id}.jpg", "license": 1, "rights_holder": "Jane", "date": "2019-05-06 10:00:00", "latitude": 1.5, "longitude": -2.5}
        for id in (1, 2)
    ]
    images += [{"id": 3, "file_name": "train/0/3.jpg", "license": 0, "latitude": None}, {"id": 4, "file_name": "train/0/4.jpg"}]
    annotations = [
        {"id": 9, "image_id": 1, "category_id": 0},
        {"id": 8, "image_id": 2, "category_id": 0},
        {"id": 7, "image_id": 3, "category_id": 0},
        {"id": 6, "image_id": 3, "category_id": 5},
    ]
    content = {
        "info": {"year": 2021, "x": [1, {"y": "]}"}]},
        "annotations": annotations,
        "images": images,
        "categories": [category],
        "licenses": [{"id": 1, "name": "x", "url": "http://creativecommons.org/licenses/by-nc/4.0/"}],
    }
    path = folder / "train.json"
    path.write_text(json.dumps(content | changes))
    return path


@pytest.mark.parametrize("chunk", [7, 2**20])
def test_a_competition_in_any_order_and_any_chunks(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(json_items, "_CHUNK_BYTES", chunk)
    kind, ranks, _, photos = _read(_competition(tmp_path), tmp_path)
    assert kind == "competition" and ranks == ("kingdom", "family", "genus")
    first, second, third, fourth = photos
    assert first.taxon == RawTaxon(kingdom="Animalia", family="Paridae", genus="Parus", name="Parus major", epithet="major")
    assert (first.url, first.is_local, first.source_id, first.rights_holder, first.latitude, first.date) == (
        "train/0/1.jpg",
        True,
        "1",
        "Jane",
        "1.5",
        "2019-05-06 10:00:00",
    )
    assert first.license == "http://creativecommons.org/licenses/by-nc/4.0/" and first.observation == second.observation != ""
    assert (third.problem, third.observation, fourth.problem) == ("several categories in one photo", "", "no annotation names its category")


@pytest.mark.parametrize(
    "text", ['{"images": [{"id": 1}, ', '{"images": [1 2]}', '{"images" 3}', "[" * 9, '{"a": ' + "[" * 100_000, '{"a": 1', '{"a": ' + "9" * 5000 + "}"]
)
def test_json_that_is_none_is_told(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError):
        _read(tmp_path / "a.json", tmp_path)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("url,species\nhttp://x.org/1.jpg,Parus major\n", "http://x.org/1.jpg"),
        ("Image URL;Scientific name\nhttp://x.org/1.jpg;Parus major\n", "http://x.org/1.jpg"),
        ("species\tidentifier\nParus major\thttp://x.org/1.jpg\n", "http://x.org/1.jpg"),
        ('\ufefftaxon,photo_url\n"Parus major","http://x.org/1.jpg"\n', "http://x.org/1.jpg"),
    ],
)
def test_any_table_with_addresses_and_names(tmp_path, text, url):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    kind, _, _, (photo,) = _read(tmp_path / "a.csv", tmp_path)
    assert (kind, photo.url) == ("csv", url) and "Parus major" in (photo.taxon.species, photo.taxon.name)
    (tmp_path / "b.csv").write_text(text, encoding="utf-16")
    assert _read(tmp_path / "b.csv", tmp_path)[3] == [photo]


REAL = {  # file -> kind, photos
    "gbif_0000154-150116162929234.zip": ("darwin-core-archive", 1),
    "inat/observations.csv": ("inaturalist-export", 48),
    "inat/observations_export.csv": ("inaturalist-export", 47),
    "inat/observations.dwc": ("simple-darwin-record-set", 2),
    "inat/test_captive.dwc": ("simple-darwin-record-set", 2),
    "inat/inaturalist-open-data": ("inaturalist-open-data", 50),
}
WITHOUT_PHOTOS = {
    "gbif-results_pydwca.zip": "lists no photos: its meta.xml describes no multimedia extension",
    "inat/observations_dwca.csv": "no column with addresses of photos",
    "inat/taxonomy.csv": "no column with addresses of photos",
    "inat/taxon_aggregates.csv": "no column with addresses of photos",
    "inat/taxon_common_names.csv": "no column with addresses of photos",
    "inat/inaturalist-taxonomy.dwca": "several files could be meant",
    "inat": "several files could be meant",
    ".": "several files could be meant",
}


def test_every_real_file_is_listed_here(shared):
    folder = shared / "data/dwca"
    assert {path.relative_to(folder).as_posix() for top in (folder, folder / "inat") for path in top.iterdir()} | {"."} == {*REAL, *WITHOUT_PHOTOS}


@pytest.mark.parametrize("name", REAL)
def test_real_files_with_photos(shared, tmp_path, name):
    kind, _, _, photos = _read(shared / "data/dwca" / name, tmp_path)
    assert (kind, len(photos)) == REAL[name]


@pytest.mark.parametrize("name", WITHOUT_PHOTOS)
def test_real_files_without_photos_are_told(shared, tmp_path, name):
    with pytest.raises(DataError, match=WITHOUT_PHOTOS[name]):
        _read(shared / "data/dwca" / name, tmp_path)


def test_values_of_inaturalists_files(shared, tmp_path):
    _, _, _, photos = _read(shared / "data/dwca/inat/observations.csv", tmp_path)
    assert photos[0][2:13] == (
        "",
        "117511016",
        "",
        "CC-BY-NC",
        "",
        "riverrose",
        "36.0973385889",
        " -94.1377585222",
        "",
        "2022-05-17 17:06:31-06:00",
        "needs_id",
    )
    assert (photos[0].taxon.name, photos[0].taxon.rank) == ("Danaus plexippus", "species")
    _, _, _, photos = _read(shared / "data/dwca/inat/observations.dwc", tmp_path)
    assert photos[0].url == "https://inaturalist-open-data.s3.amazonaws.com/photos/72181173/original.jpeg"
    assert photos[0][4:15] == (
        "72181173",
        "http://creativecommons.org/licenses/by-nc/4.0",
        "Alex Bairstow",
        "Alex Bairstow",
        "32.8430971478",
        "-117.2815829044",
        "US",
        "2020-05-09T06:01:00-07:00",
        "research",
        False,
        "",
    )


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.txt", "This is a text.", "no column with addresses"),
        ("a.csv", "", "no column with addresses"),
        ("a.csv", "url,label\nhttp://x.org/1.jpg,cat\n", "no column species or scientific_name"),
        ("a.json", "[1]", "no object with images"),
        ("a.json", '{"x": 1}', "no object with images"),
        ("a.xml", "<html/>", "no SimpleDarwinRecordSet"),
        ("a.jpg", "x", "no table, JSON or XML"),
    ],
)
def test_an_unknown_file_is_told_what_can_be_imported(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        _read(tmp_path / name, tmp_path)
    assert all(kind in str(caught.value) for kind in KINDS.values()) and str(tmp_path / name) in str(caught.value)


def _archive(tmp_path, dwca_parts, core, **extensions):
    """A zip of tables: (kind, columns, rows) of the core, and of each extension by its file's name."""
    described, table, *_ = dwca_parts
    path = tmp_path / "archive.zip"
    files = {"core": core, **extensions}
    with zipfile.ZipFile(path, "w") as archive:
        meta = (described("core" if name == "core" else "extension", kind, f"{name}.txt", columns) for name, (kind, columns, _) in files.items())
        archive.writestr("meta.xml", f"<archive>{''.join(meta)}</archive>")
        for name, (_, columns, rows) in files.items():
            archive.writestr(f"{name}.txt", table(columns, rows))
    return path


def _joined(path, tmp_path):
    """[(url, observation, species, date, problem)] of an archive."""
    return [(photo.url, photo.observation, photo.taxon.species, photo.date, photo.problem) for photo in _read(path, tmp_path)[3]]


def test_all_media_extensions_are_read_each_row_by_its_first_filled_column(tmp_path, dwca_parts):
    core = ("Occurrence", ["id", "species"], [{"id": id, "species": f"Parus {id}"} for id in "abc"])
    simple = ("Multimedia", ["id", "identifier"], [{"id": "a", "identifier": "http://x.org/1.jpg"}])
    audubon = [
        {"id": "b", "accessURI": "http://x.org/2.jpg", "identifier": "urn:uuid:2"},
        {"id": "c", "accessURI": "", "identifier": "http://x.org/3.jpg"},
        {"id": "c", "accessURI": "urn:uuid:4", "identifier": "4.jpg"},
    ]
    path = _archive(tmp_path, dwca_parts, core, m=simple, a=("Media", ["id", "accessURI", "identifier"], audubon), x=("Reference", ["id", "identifier"], []))
    urls = ["http://x.org/1.jpg", "http://x.org/2.jpg", "http://x.org/3.jpg", "4.jpg"]
    assert _joined(path, tmp_path) == [(url, id, f"Parus {id}", "", "") for url, id in zip(urls, "abcc", strict=True)]
    with scratch_database(tmp_path / "scratch") as database, open_source(path, database).archive:
        assert open_source(path, database).unread == ("Reference (x.txt)",)


def test_an_archive_of_events_has_its_photos_by_occurrence(tmp_path, dwca_parts):
    events = ("Event", ["id", "eventDate"], [{"id": " e1 ", "eventDate": "2024-05-01"}, {"id": "e2", "eventDate": "2024-05-02"}])
    columns = ["id", "occurrenceID", "species", "eventDate"]
    rows = [
        {"id": "e1", "occurrenceID": "o1", "species": "Parus a"},
        {"id": "e1", "occurrenceID": "o2", "species": "Parus b", "eventDate": "2023"},
        {"id": "e2", "species": "Parus c"},
        {"id": "e2", "species": "Parus c", "occurrenceID": "o4"},
    ]
    media = [{"id": "e1", "identifier": "1.jpg", "occurrenceID": "o2 "}, {"id": "e1", "identifier": "2.jpg", "occurrenceID": "o1"}]
    media += [{"id": "e2", "identifier": "3.jpg"}, {"id": "e1", "identifier": "4.jpg"}, {"id": "e9", "identifier": "5.jpg"}]
    media += [{"id": "e2", "identifier": "6.jpg", "occurrenceID": "o9"}, {"id": "o4", "identifier": "7.jpg"}]
    path = _archive(tmp_path, dwca_parts, events, o=("Occurrence", columns, rows), m=("Multimedia", ["id", "identifier", "occurrenceID"], media))
    assert _joined(path, tmp_path) == [
        ("1.jpg", "o2", "Parus b", "2023", ""),
        ("2.jpg", "o1", "Parus a", "2024-05-01", ""),
        ("3.jpg", "e2", "Parus c", "2024-05-02", ""),
        ("4.jpg", "", "", "", "its event has several taxa, and no occurrenceID says which it shows"),
        ("5.jpg", "", "", "", "its observation is not in the archive"),
        ("6.jpg", "", "", "", "its observation is not in the archive"),
        ("7.jpg", "o4", "Parus c", "2024-05-02", ""),
    ]
    with pytest.raises(DataError, match="lists events only"):
        _read(_archive(tmp_path, dwca_parts, events, m=("Multimedia", ["id", "identifier"], media)), tmp_path)


def test_media_are_joined_by_occurrence_id_where_core_ids_say_nothing(tmp_path, dwca_parts):
    core = (
        "Occurrence",
        ["id", "occurrenceID", "species"],
        [{"id": " 1", "occurrenceID": "o1", "species": "Parus a"}, {"id": "2", "occurrenceID": "o2 ", "species": "Parus b"}],
    )
    media = [{"id": "1 ", "identifier": "1.jpg"}, {"id": "", "identifier": "2.jpg", "occurrenceID": "o2"}, {"id": "o1", "identifier": "3.jpg"}]
    path = _archive(tmp_path, dwca_parts, core, m=("Multimedia", ["id", "identifier", "occurrenceID"], [*media, {"id": "", "identifier": "4.jpg"}]))
    told = [(url, observation, problem) for url, observation, _, _, problem in _joined(path, tmp_path)]
    assert told == [("1.jpg", "1", ""), ("2.jpg", "2", ""), ("3.jpg", "1", ""), ("4.jpg", "", "its observation is not in the archive")]


def test_photos_that_occurrences_name_themselves_are_read_where_no_extension_shows_them(tmp_path, dwca_parts):
    rows = [{"id": id, "associatedMedia": f"{id}.jpg; http://x.org/{id}.jpg", "species": f"Parus {id}"} for id in "ab"]
    media = ("Multimedia", ["id", "identifier"], [{"id": "a", "identifier": "http://x.org/a.jpg"}])
    path = _archive(tmp_path, dwca_parts, ("Occurrence", ["id", "associatedMedia", "species"], rows), m=media)
    assert [(url, observation) for url, observation, *_ in _joined(path, tmp_path)] == [
        ("http://x.org/a.jpg", "a"),
        ("b.jpg", "b"),
        ("http://x.org/b.jpg", "b"),
    ]


def test_a_quote_that_swallows_rows_of_an_archive_is_told(tmp_path, dwca_parts, monarch):
    described, table, _, comma = dwca_parts
    columns = ["id", "locality", "species"]
    rows = [{"id": id, "locality": place, "species": "Parus major"} for id, place in ((1, '"Old quarry'), (2, "x"), (3, 'x"'))]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        meta = described("core", "Occurrence", "o.csv", columns, comma) + described("extension", "Multimedia", "m.txt", ["id", "identifier"])
        archive.writestr("meta.xml", f"<archive>{meta}</archive>")
        archive.writestr("o.csv", table(columns, rows, ","))
        archive.writestr("m.txt", table(["id", "identifier"], [{"id": id, "identifier": f"{id}.jpg"} for id in (1, 2, 3)]))
    with pytest.warns(DataWarning, match="'o.csv' of .*a.zip, line 2 has a quoted field that runs on to line 4; 2 lines that look like rows went into it"):
        _read(tmp_path / "a.zip", tmp_path)


def test_the_first_filled_column_of_each_row_of_a_table(tmp_path):
    (tmp_path / "a.csv").write_text(
        "Image URL;photo_url;species;scientific name;lat;lon\nhttp://x.org/1.jpg;;;Parus major;48,5;9,05\n;http://x.org/2.jpg;Parus ater;x;;\n"
    )
    first, second = _read(tmp_path / "a.csv", tmp_path)[3]
    assert (first.url, first.taxon.name, first.latitude) == ("http://x.org/1.jpg", "Parus major", "48,5")
    assert (second.url, second.taxon.species) == ("http://x.org/2.jpg", "Parus ater")


def test_a_page_is_no_photo_where_a_column_of_photos_is_empty(tmp_path):
    (tmp_path / "a.csv").write_text(
        "url,image_url,species\nhttp://x.org/observations/1,,Parus major\nhttp://x.org/observations/2,http://x.org/2.jpg,Parus major\n"
    )
    assert [photo.url for photo in _read(tmp_path / "a.csv", tmp_path)[3]] == ["http://x.org/2.jpg"]
