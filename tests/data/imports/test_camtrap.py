"""Camtrap DP packages in the layout of version 1.0, and of those before."""

import json
import zipfile

import pytest

from tfvision.data.imports.importing import import_photos
from tfvision.data.imports.lineages import RawTaxon
from tfvision.errors import DataError

PACKAGE = {
    "profile": "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0/camtrap-dp-profile.json",
    "name": "test",
    "resources": [{"name": name, "path": f"{name}.csv", "profile": "tabular-data-resource"} for name in ("deployments", "media", "observations")],
    "licenses": [{"name": "CC0-1.0", "scope": "data"}, {"path": "http://creativecommons.org/licenses/by/4.0/", "scope": "media"}],
    "taxonomic": [
        {"scientificName": "Anas platyrhynchos", "taxonRank": "species", "kingdom": "Animalia", "class": "Aves", "order": "Anseriformes", "family": "Anatidae"}
        | {"genus": "Anas", "vernacularNames": {"eng": "mallard"}},
        {"scientificName": "Ardea", "taxonRank": "genus", "kingdom": "Animalia", "class": "Aves", "order": "Pelecaniformes", "family": "Ardeidae"},
    ],
}
DEPLOYMENTS = """deploymentID,locationID,locationName,latitude,longitude
d1,l1,Mica Viane,51.496,4.774
d2,l2,,51.1,4.5
"""
MEDIA = """mediaID,deploymentID,captureMethod,timestamp,filePath,filePublic,fileName,fileMediatype
m1,d1,activityDetection,2020-05-30T02:57:37Z,https://x.org/m1.jpg,true,1.jpg,image/jpeg
m2,d1,activityDetection,2020-05-30T02:57:39Z,media\\d1/m%202.jpg,true,2.jpg,image/jpeg
m3,d2,timeLapse,2020-05-30T04:57:40+02:00,media/m3.jpg,true,3.jpg,image/jpeg
m4,d2,activityDetection,2020-06-01T00:00:00Z,media/m4.jpg,true,4.jpg,image/jpeg
m5,d2,activityDetection,2020-06-02T00:00:00Z,media/m5.jpg,true,5.jpg,image/jpeg
m6,d2,activityDetection,2020-06-02T00:00:00Z,media/m6.mp4,true,6.mp4,video/mp4
"""
OBSERVATIONS = """\
observationID,deploymentID,mediaID,eventID,eventStart,eventEnd,observationLevel,observationType,scientificName,bboxX,bboxY,bboxWidth,bboxHeight
o1,d1,m1,e1,,,media,animal,Anas platyrhynchos,0.1,0.2,0.3,0.4
o2,d1,m1,e1,,,media,animal,Ardea,0.5,0.5,0.6,0.5
o3,d1,m1,e1,,,media,human,,1.5,0.5,0.1,0.1
o4,d1,m2,e1,,,media,blank,,,,,
o5,d1,m2,e1,,,media,unclassified,,,,,
o6,d2,,e2,2020-05-30T02:57:40Z,2020-05-30T02:58:00Z,event,animal,Anas platyrhynchos,,,,
o7,d2,m4,e3,,,media,unknown,,,,,
o8,d1,,e1,2020-05-30T02:00:00Z,2020-05-30T03:00:00Z,event,animal,Ardea,,,,
"""


@pytest.fixture
def package(tmp_path):
    """A function of changes to the files of a package: writes its folder."""

    def write(**changes):
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        files = {"datapackage": PACKAGE, "deployments": DEPLOYMENTS, "media": MEDIA, "observations": OBSERVATIONS, **changes}
        for name, content in files.items():
            text = json.dumps(content) if isinstance(content, dict) else content
            (folder / f"{name}{'.json' if name == 'datapackage' else '.csv'}").write_text(text)
        return folder

    return write


def test_media_have_what_was_observed_in_them_or_in_their_event(read_import, package):
    kind, rows, photos = read_import(package())
    assert kind == "camtrap-dp" and rows == [
        ("https://x.org/m1.jpg", "Anas platyrhynchos", "0.1,0.2,0.3,0.4", ""),
        ("https://x.org/m1.jpg", "Ardea", "0.5,0.5,0.5,0.5", ""),
        ("https://x.org/m1.jpg", "human", "1.5,0.5,0.1,0.1", "a box that lies outside its photo"),
        ("media/d1/m 2.jpg", "blank", "", ""),
        ("media/m3.jpg", "Anas platyrhynchos", "", ""),
        ("media/m4.jpg", "unknown", "", "nobody has said what it shows (unclassified, unknown)"),
        ("media/m5.jpg", "", "", "no observation is of it or of its event"),
        ("media/m6.mp4", "", "", "no observation is of it or of its event"),
    ]
    first, third = photos[0], photos[4]
    lineage = {"kingdom": "Animalia", "class_": "Aves", "order": "Anseriformes", "family": "Anatidae", "genus": "Anas"}
    assert first.taxon == RawTaxon(**lineage, name="Anas platyrhynchos", rank="species")
    assert (first.observation, first.source_id, first.latitude, first.location, first.date) == ("e1", "m1", "51.496", "Mica Viane", "2020-05-30T02:57:37Z")
    assert first.license == "http://creativecommons.org/licenses/by/4.0/" and not first.is_local and third.is_local
    assert (third.observation, third.location, third.longitude) == ("e2", "l2", "4.5")


def test_the_lists_of_a_zip_with_a_folder_around_all(package, tmp_path):
    folder = package()
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"camtrap/{path.name}")
    reports = [import_photos(source, tmp_path / f"out{row}", is_downloaded=False) for row, source in enumerate((tmp_path / "package.zip", folder))]
    assert reports[0] == {**reports[1], "source": str(tmp_path / "package.zip")}
    assert reports[0]["kept"] == {"photos": 3, "observations": 2, "species": 2, "boxes": 1, "rows": 3} and reports[0]["read"]["rows"] == 8
    assert reports[0]["examples"]["a box that lies outside its photo"] == ["https://x.org/m1.jpg"]
    assert reports[0]["ranks"] == ["kingdom", "class", "order", "family", "genus", "species"]
    lines = (tmp_path / "out0" / "photos.csv").read_text().splitlines()
    assert lines[0].endswith(",date,source_id,box,location") and lines[2].split(",")[1:9] == ["", "", "", "", "", "", "blank", "e1"]


def test_the_file_of_the_package_stands_for_its_folder(read_import, package):
    assert read_import(package() / "datapackage.json") == read_import(package())


def test_packages_before_version_1_have_sequences(read_import, package):
    media = "mediaID,deploymentID,sequenceID,timestamp,filePath\nm1,d1,s1,2020-05-30T02:57:37Z,a.jpg\nm2,d1,s1,2020-05-30T02:57:38Z,b.jpg\n"
    observations = "observationID,deploymentID,sequenceID,mediaID,timestamp,observationType,scientificName\no1,d1,s1,,2020-05-30T02:57:37Z,animal,Anas acuta\n"
    _, rows, photos = read_import(package(media=media, observations=observations))
    assert rows == [("a.jpg", "Anas acuta", "", ""), ("b.jpg", "Anas acuta", "", "")] and {photo.observation for photo in photos} == {"s1"}


def test_animals_without_any_name_keep_that_label(read_import, package):
    observations = OBSERVATIONS.replace("Anas platyrhynchos", "").replace("Ardea", "")
    assert read_import(package(observations=observations))[1][0] == ("https://x.org/m1.jpg", "animal", "0.1,0.2,0.3,0.4", "")


def test_a_medium_with_several_taxa_and_no_boxes_is_told(read_import, package):
    observations = OBSERVATIONS.replace("unclassified,,", "animal,Ardea,")
    assert read_import(package(observations=observations))[1][3] == ("media/d1/m 2.jpg", "", "", "several categories in one photo")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datapackage": "[1]"}, "datapackage.json' of .*package describes no data package: it is no JSON object"),
        ({"datapackage": "{"}, "datapackage.json' of .*package cannot be read as JSON"),
        ({"datapackage": "[" * 100_000}, "datapackage.json' of .*package cannot be read as JSON"),
        ({"datapackage": {"resources": [3, {"name": "media", "path": "media.csv"}]}}, "describes no observations: it is no Camtrap DP package"),
        ({"datapackage": {"resources": [{"name": "media", "path": "../../etc/passwd"}]}}, "names '../../etc/passwd' for its media, which the package does not"),
        ({"datapackage": {"resources": [{"name": "media", "path": "https://x.org/m.csv"}]}}, "its media lie at https://x.org/m.csv: download that file"),
        ({"datapackage": {"resources": [{"name": "media", "path": ["media.csv", "deployments.csv"]}]}}, "other files of its resource have other columns"),
    ],
)
def test_a_package_that_is_none_is_told(read_import, package, changes, message):
    with pytest.raises(DataError, match=message):
        read_import(package(**changes))


def test_a_package_of_other_tables_is_read_as_the_table_that_it_has(read_import, written):
    written("other/datapackage.json", {"resources": [{"name": "finds", "path": "finds.csv"}]})
    folder = written("other/finds.csv", "url,species\nhttp://x.org/1.jpg,Parus major\n").parent
    assert read_import(folder)[:2] == ("csv", [("http://x.org/1.jpg", "Parus major", "", "")])


def test_odd_cells_end_nothing(read_import, package):
    observations = OBSERVATIONS.replace("0.1,0.2,0.3,0.4", "nan,x,0.3,0.4").replace("2020-05-30T02:57:40Z", "yesterday")
    deployments = DEPLOYMENTS.replace("deploymentID", "id")
    _, rows, photos = read_import(package(observations=observations, deployments=deployments))
    assert rows[0][3].startswith("a box that is none") and rows[4][3] == "no observation is of it or of its event" and photos[0].location == ""
