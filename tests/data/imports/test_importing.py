import csv
import functools
import http.server
import json
import os
import threading

import numpy as np
import pytest
from PIL import Image

from tfvision.data.downloads.downloads import DownloadSettings
from tfvision.data.imports.importing import import_photos
from tfvision.data.imports.selecting import COLUMNS, Filters
from tfvision.data.manifest import RANKS, read_source
from tfvision.errors import DataError, DataWarning

FAST = DownloadSettings(is_internal_allowed=True, attempts=1, requests_per_second=1000)


def _rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write_photos(folder, *names):
    random = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (40, 48, 3), np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def web(tmp_path):
    """A folder, and the address at which a server of this machine shows it."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def archive(write_dwca, monarch):
    """A function of the addresses' beginning: an archive of 3 observations with 4 photos, and one identified above the species."""

    def write(start="http://x.org"):
        rows = [{"gbifID": id, **monarch, "eventDate": f"2020-01-0{id}"} for id in (1, 2, 3)] + [
            {"gbifID": 4, **monarch, "species": "", "taxonRank": "GENUS", "scientificName": "Danaus"}
        ]
        media = [{"gbifID": id, "identifier": f"{start}/{name}.jpg", "license": "CC0"} for id, name in ((1, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "e"))]
        return write_dwca(rows, media)

    return write


def test_the_lists_alone(archive, tmp_path):
    out = tmp_path / "out"
    report = import_photos(archive(), out, Filters(licences=("CC0",)), is_downloaded=False)
    rows = _rows(out / "photos.csv")
    assert list(rows[0]) == list(COLUMNS) and sorted(os.listdir(out)) == ["import.json", "photos.csv"]
    assert [(row["group"], row["url"][-5:], row["license"], row["species"], row["date"]) for row in rows] == [
        (id, f"{name}.jpg", "CC0", "Danaus plexippus", f"2020-01-0{id}") for id, name in (("1", "a"), ("1", "b"), ("2", "c"), ("3", "d"))
    ]
    assert b"\r" not in (out / "photos.csv").read_bytes()
    assert report == json.loads((out / "import.json").read_text())
    assert report["read"] == {"photos": 5, "observations": 4} and report["kept"] == {"photos": 4, "observations": 3, "species": 1}
    assert report["dropped"] == {"identified above the species only": 1} and report["examples"] == {"identified above the species only": ["Danaus"]}
    assert (
        report["licences"] == {"CC0": 4}
        and report["ranks"] == list(RANKS)
        and report["kind"] == "darwin-core-archive"
        and report["settings"]["licences"] == ["CC0"]
    )


def test_photos_from_the_web_and_going_on(archive, web, tmp_path):
    folder, address = web
    _write_photos(folder, "a.jpg", "b.jpg")
    (folder / "c.jpg").write_text("This is a text.")
    source, out = archive(address), tmp_path / "out"
    report = import_photos(source, out, download=FAST)
    assert report["photos"]["done"] == 2 and report["photos"]["failed"] == 2 and sum(report["photos"]["reasons"].values()) == 2
    manifest = read_source(out)
    assert manifest.ranks == RANKS and [record.group for record in manifest.records] == ["1", "1"]
    assert manifest.records[0].lineage[-1] == "Danaus plexippus" and [row["url"][-5:] for row in _rows(out / "manifest.csv")] == ["a.jpg", "b.jpg"]
    for record, name in zip(manifest.records, ("a.jpg", "b.jpg"), strict=True):
        assert open(record.path, "rb").read() == (folder / name).read_bytes()
    (folder / "a.jpg").unlink()  # is there already: not asked for again
    _write_photos(folder, "d.jpg")
    report = import_photos(source, out, download=DownloadSettings(is_internal_allowed=True, attempts=1, requests_per_second=1000, is_failed_retried=True))
    assert report["photos"]["done"] == 3 and [record.group for record in read_source(out).records] == ["1", "1", "3"]
    assert report == json.loads((out / "import.json").read_text())


def test_a_folder_stands_in_for_the_web(archive, tmp_path):
    local = _write_photos(tmp_path / "mine", "sub/a.jpg", "d.jpg")
    report = import_photos(archive(), tmp_path / "out", photos=local)
    assert report["photos"]["done"] == 2 and [record.group for record in read_source(tmp_path / "out").records] == ["1", "3"]
    with pytest.raises(DataError, match="--photos: .*nowhere is no folder"):
        import_photos(archive(), tmp_path / "out", photos=tmp_path / "nowhere")


def test_photos_that_are_named_by_file_are_found_by_it_and_the_others_on_the_web(tmp_path, web):
    folder, address = web
    _write_photos(folder, "w.jpg")
    local = _write_photos(tmp_path / "mine", "a #1.jpg", "0.jpg", "thumbs/0.jpg", "sub/b.png")
    rows = ["a #1.jpg", "0.jpg", "photos\\SUB\\b.png", "gone.jpg", "notes.txt", f"{address}/w.jpg"]
    (tmp_path / "list.csv").write_text("url,species\n" + "".join(f"{name},Parus major\n" for name in rows))
    report = import_photos(tmp_path / "list.csv", tmp_path / "one", photos=local, download=FAST)
    assert report["photos"]["done"] == 3 and report["dropped"] == {"a sound, a video or a document": 1}
    assert [row["url"] for row in _rows(tmp_path / "one" / "manifest.csv")] == ["a #1.jpg", "0.jpg", "photos/SUB/b.png"]
    (tmp_path / "list.csv").rename(local / "list.csv")
    report = import_photos(local / "list.csv", tmp_path / "two", download=FAST)
    assert report["photos"] == {"done": 4, "failed": 1, "reasons": {f"it is not in {local}": 1}}
    (tmp_path / "list.csv").write_text("file,species\ngone.jpg,Parus major\n")
    with pytest.raises(DataError, match="name the folder with the photos by --photos FOLDER"):
        import_photos(tmp_path / "list.csv", tmp_path / "three")


def test_boxes_and_sequences_reach_the_manifest(tmp_path):
    folder = _write_photos(tmp_path / "set", "1.jpg", "2.jpg")
    images = [{"id": id, "file_name": f"{id}.jpg", "seq_id": "s7"} for id in (1, 2)]
    annotations = [{"image_id": 1, "category_id": 1, "bbox": [2, 3, 20, 10]}, {"image_id": 2, "category_id": 1}]
    annotations.append({"image_id": 1, "category_id": 1, "bbox": [30, 3, 18, 10]})
    annotations.append({"image_id": 1, "category_id": 1, "bbox": [100, 3, 18, 10]})  # the file does not say how large its photos are
    (folder / "a.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "Puma concolor"}]}))
    report = import_photos(folder / "a.json", tmp_path / "out")
    records = read_source(tmp_path / "out").records
    assert [(record.group, record.box) for record in records] == [("s7", (2, 3, 20, 10)), ("s7", (30, 3, 18, 10)), ("s7", (0, 0, 0, 0))]
    names = [row["id"].rpartition("/")[2] for row in _rows(tmp_path / "out" / "manifest.csv")]
    assert [name.partition("#")[1:] for name in names] == [("#", "1"), ("#", "2"), ("", "")]  # of items in a gallery
    assert records[0].path == records[1].path and report["kept"] == {"photos": 2, "observations": 1, "species": 1, "boxes": 3, "rows": 4}
    fault = "1.jpg: the box 100,3,18,10 lies outside its photo of 48 x 40 pixels"
    assert report["photos"] == {"done": 2, "failed": 0, "reasons": {}, "wrong_boxes": {"rows": 1, "examples": [fault]}}
    assert json.loads((tmp_path / "out" / "import.json").read_text()) == report


def test_camera_traps_without_scientific_names_keep_their_labels(tmp_path):
    names = {1: "tayassu pecari", 2: "empty", 3: "white-tailed deer"}
    content = {"images": [{"id": id, "file_name": f"{id}.jpg"} for id in names], "categories": [{"id": id, "name": name} for id, name in names.items()]}
    content["annotations"] = [{"image_id": id, "category_id": id} for id in names]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.warns(DataWarning, match=r"a.json has no scientific names: its categories \(empty, tayassu pecari, white-tailed deer, ...\) are labels"):
        report = import_photos(tmp_path / "a.json", tmp_path / "out", is_downloaded=False)
    assert [row["species"] for row in _rows(tmp_path / "out" / "photos.csv")] == list(names.values()) and report["ranks"] == ["species"]
    content["categories"][0]["name"] = "Tayassu pecari"
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert import_photos(tmp_path / "a.json", tmp_path / "out", is_downloaded=False)["kept"]["photos"] == 2
    assert [row["species"] for row in _rows(tmp_path / "out" / "photos.csv")] == ["Tayassu pecari", "empty"]  # which is no taxon, and no error


def test_a_competition_takes_the_photos_that_lie_beside_it(tmp_path, monarch):
    folder = _write_photos(tmp_path / "set", "train/1/x.jpg", "train/2/x.jpg")
    categories = [{"id": 5, "name": "Danaus plexippus", **{rank: monarch[rank] for rank in RANKS[:6]}, "specific_epithet": "plexippus"}]
    images = [{"id": id, "file_name": f"train/{id}/x.jpg"} for id in (1, 2, 3)]
    (folder / "train.json").write_text(
        json.dumps({"images": images, "annotations": [{"image_id": id, "category_id": 5} for id in (1, 2, 3)], "categories": categories})
    )
    report = import_photos(folder / "train.json", tmp_path / "out")
    assert report["photos"]["done"] == 2 and report["photos"]["failed"] == 1
    manifest = read_source(tmp_path / "out")
    assert [open(record.path, "rb").read() for record in manifest.records] == [(folder / f"train/{id}/x.jpg").read_bytes() for id in (1, 2)]
    assert manifest.records[0].lineage == tuple(monarch.values())


def test_halves_of_characters_in_json_are_replaced(tmp_path, monarch):
    category = {"id": 5, "name": "Danaus plexippus", **{rank: monarch[rank] for rank in RANKS[:6]}}
    odd = {"id": 6, "name": "\ud800 sp.", **{rank: monarch[rank] for rank in RANKS[:6]}}
    images = [{"id": id, "file_name": "\ud800.jpg", "rights_holder": "J\udfffne"} for id in (1, 2)]
    annotations = [{"image_id": 1, "category_id": 5}, {"image_id": 2, "category_id": 6}]
    (tmp_path / "train.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category, odd]}))
    report = import_photos(tmp_path / "train.json", tmp_path / "out", is_downloaded=False)
    (row,) = _rows(tmp_path / "out" / "photos.csv")
    assert (row["url"], row["rights_holder"]) == ("?.jpg", "J?ne") and report["examples"] == {"the species is no binomial": ["? sp."]}


def test_nothing_that_could_be_had_is_told_and_the_ledger_stays(archive, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match="none of 4 photos could be had .*downloads.csv"):
        import_photos(archive(), tmp_path / "out", photos=tmp_path / "mine")
    assert len(_rows(tmp_path / "out" / "downloads.csv")) == 4 and not (tmp_path / "out" / "manifest.csv").exists()


def test_nothing_left_is_told_with_the_reasons(archive, write_dwca, monarch, tmp_path):
    with pytest.raises(DataError, match=r"none of the 5 photos that .* lists is left \(licence CC0: 4, identified above the species only: 1\)"):
        import_photos(archive(), tmp_path / "out", Filters(licences=("CC-BY",)), is_downloaded=False)
    with pytest.raises(DataError, match="lists no photos"):
        import_photos(write_dwca([], []), tmp_path / "out", is_downloaded=False)
    assert os.listdir(tmp_path / "out") == []
    with pytest.raises(DataError, match=r"\(no class: 1\); --keep-gaps keeps lineages with a missing rank"):
        import_photos(
            write_dwca([{"gbifID": 1, **monarch, "class": ""}], [{"gbifID": 1, "identifier": "http://x.org/a.jpg"}]), tmp_path / "out", is_downloaded=False
        )


def test_what_others_wrote_is_never_overwritten(archive, tmp_path):
    source, out = archive(), tmp_path / "out"
    out.mkdir()
    for name in ("photos.csv", "manifest.csv", "labels.csv"):
        (out / name).write_text("mine")
        with pytest.raises(DataError, match=f"holds a {name} that no import wrote"):
            import_photos(source, out, is_downloaded=False)
        assert (out / name).read_text() == "mine"
        (out / name).unlink()
    with pytest.raises(DataError, match="holds the source itself"):
        import_photos(source, source.parent, is_downloaded=False)
    (out / "file").write_text("mine")
    with pytest.raises(DataError, match="is a file"):
        import_photos(source, out / "file", is_downloaded=False)
    with pytest.raises(DataError, match="--size must be one of original, large"):
        import_photos(source, out, size="huge")


def test_a_second_import_takes_the_place_of_the_first_and_leftovers_go(archive, tmp_path):
    source, out = archive(), tmp_path / "out"
    import_photos(source, out, is_downloaded=False)
    (out / ".partial-x.sqlite3").write_text("of a killed process")
    report = import_photos(source, out, Filters(date_from="2020-01-02"), is_downloaded=False)
    assert report["kept"]["photos"] == 2 and len(_rows(out / "photos.csv")) == 2
    assert sorted(os.listdir(out)) == ["import.json", "photos.csv"]


def test_an_import_that_fails_leaves_the_lists_of_before(archive, tmp_path):
    source, out = archive(), tmp_path / "out"
    import_photos(source, out, is_downloaded=False)
    before = (out / "photos.csv").read_bytes()
    source.write_bytes(source.read_bytes()[:-30])
    with pytest.raises(DataError, match="truncated or damaged"):
        import_photos(source, out, is_downloaded=False)
    assert (out / "photos.csv").read_bytes() == before and sorted(os.listdir(out)) == ["import.json", "photos.csv"]


def test_the_same_source_gives_the_same_list(archive, tmp_path):
    for name in ("one", "two"):
        import_photos(archive(), tmp_path / name, Filters(max_per_species=2, seed=3), is_downloaded=False)
    assert (tmp_path / "one/photos.csv").read_bytes() == (tmp_path / "two/photos.csv").read_bytes()


def test_hostile_text_stays_in_its_cell(write_dwca, monarch, tmp_path):
    evil = 'x",../../evil.jpg,"'
    media = [{"gbifID": 1, "identifier": 'http://x.org/../../a",b.jpg', "creator": evil, "rightsHolder": "\x1b[31mred\x00"}]
    import_photos(write_dwca([{"gbifID": 1, **monarch, "countryCode": evil}], media), tmp_path / "out", is_downloaded=False)
    (row,) = _rows(tmp_path / "out" / "photos.csv")
    assert row["creator"] == row["country"] == evil and None not in row and row["rights_holder"] == "[31mred"
    assert set(row["image"].removeprefix("photos/")) <= set("0123456789abcdef/.jpg") and ".." not in row["image"]


def test_progress_ends_where_it_should(archive, tmp_path):
    seen = []
    local = _write_photos(tmp_path / "mine", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    import_photos(archive(), tmp_path / "out", photos=local, progress=lambda *state: seen.append(state))
    assert seen[-1] == ("photos", 4, 4)
    assert next(state for state in seen if state[0].startswith("photos")) == ("photos (0.04 s left)", 0, 4)  # of copies, 100 a second are expected


@pytest.mark.parametrize(
    ("name", "photos", "species"),
    [("gbif_0000154-150116162929234.zip", 1, 1), ("inat/observations.csv", 48, 1), ("inat/observations_export.csv", 43, 19), ("inat/observations.dwc", 2, 1)],
)
def test_real_files(shared, tmp_path, name, photos, species):
    report = import_photos(shared / "data/dwca" / name, tmp_path / "out", is_downloaded=False)
    rows = _rows(tmp_path / "out" / "photos.csv")
    assert len(rows) == len({row["image"] for row in rows}) == report["kept"]["photos"] == photos
    assert len({row["species"] for row in rows}) == report["kept"]["species"] == species
    assert all(row["species"].startswith(row["genus"] + " ") and row["url"].startswith("http") and row["group"] and row["source_id"] for row in rows)


def test_filters_on_a_real_file(shared, tmp_path):
    filters = Filters(within=("Libellula",), is_research_grade=True, licences=("CC-BY-NC",), date_from="2019-08", date_to="2019-08-31")
    report = import_photos(shared / "data/dwca/inat/observations_export.csv", tmp_path / "out", filters, is_downloaded=False)
    with open(shared / "data/dwca/inat/observations_export.csv", encoding="utf-8") as file:
        wanted = [
            row["id"]
            for row in csv.DictReader(file)
            if row["scientific_name"].startswith("Libellula ")
            and row["quality_grade"] == "research"
            and row["license"] == "CC-BY-NC"
            and row["observed_on"].startswith("2019-08")
            and row["image_url"]
        ]
    assert [row["group"] for row in _rows(tmp_path / "out" / "photos.csv")] == wanted and wanted
    assert report["kept"]["photos"] == len(wanted) and report["read"]["photos"] == len(wanted) + sum(report["dropped"].values())
