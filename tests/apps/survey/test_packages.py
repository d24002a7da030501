import dataclasses
import json

import pytest

from tfvision.apps.survey import camtrap_schemas
from tfvision.apps.survey.camtrap_dp import write_camtrap_dp
from tfvision.apps.survey.darwin_core import write_darwin_core
from tfvision.apps.survey.mega_detector import write_mega_detector
from tfvision.data.imports.occurrences import open_source
from tfvision.data.imports.scratch import scratch_database
from tfvision.errors import DataWarning


def write_package(survey, folder, reviews=None):
    with pytest.warns(DataWarning) as told:
        write_camtrap_dp(survey, folder, reviews or {})
    return [str(one.message) for one in told]


def test_the_validator_finds_no_error_in_the_package(survey, tmp_path, rows_of):
    frictionless = pytest.importorskip("frictionless")
    told = write_package(survey, tmp_path / "dp")
    report = frictionless.Package(str(tmp_path / "dp/datapackage.offline.json")).validate()
    assert report.valid and report.stats["errors"] == 0, report.flatten(["type", "message"])
    assert [task.stats.get("rows") for task in report.tasks] == [2, 5, 9]
    assert [line.split(" leaves out ")[-1].split(";")[0] for line in told] == [
        "deployments without a place: bank",
        "1 photos without a time, which its format asks for",
        "camtrap-dp calls times UTC whose zone is not known (timestampIssues is true there): give --zone +01:00",
    ]


def test_the_validator_would_find_what_is_wrong(survey, tmp_path):
    frictionless = pytest.importorskip("frictionless")
    write_package(survey, tmp_path)
    faults = [("media", "image/jpeg", "jpeg"), ("observations", ",animal,", ",beast,"), ("deployments", "52.7", "95"), ("media", ",ridge,", ",rige,")]
    for table, good, bad in faults:
        path = tmp_path / f"{table}.csv"
        text = path.read_text()
        path.write_text(text.replace(good, bad, 1))
        assert not frictionless.Package(str(tmp_path / "datapackage.offline.json")).validate().valid, (table, bad)
        path.write_text(text)


def test_the_package_is_what_the_profile_asks_for(survey, tmp_path, rows_of):
    write_package(survey, tmp_path)
    package = json.loads((tmp_path / "datapackage.json").read_text())
    assert {"profile", "created", "contributors", "project", "spatial", "temporal", "taxonomic"} <= set(package)
    assert [one["name"] for one in package["resources"]] == ["deployments", "media", "observations"]
    assert {one["profile"] for one in package["resources"]} == {"tabular-data-resource"}
    assert all(one["schema"] == f"https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/{one['name']}-table-schema.json" for one in package["resources"])
    assert package["spatial"]["bbox"] == [-3.5, 51.5, -0.1, 52.7] and package["temporal"] == {"start": "2021-05-03", "end": "2021-05-06"}
    assert [one["scientificName"] for one in package["taxonomic"]] == ["Homo sapiens", "Reds", "Rosa rubra"]
    assert package["taxonomic"][2] == {"scientificName": "Rosa rubra", "taxonRank": "species", "order": "Reds", "genus": "Rosa"}
    events = {row["eventID"]: row for row in rows_of(tmp_path / "observations.csv") if row["observationLevel"] == "event"}
    assert {name: (row["observationType"], row["scientificName"]) for name, row in events.items()} == {
        "ridge/1.JPG": ("animal", "Rosa rubra"),
        "ridge/3..heic": ("human", "Homo sapiens"),
        "ridge/4.JPG": ("blank", ""),
        "valley/1.NEF": ("unknown", ""),
    }
    assert (events["ridge/1.JPG"]["eventStart"], events["ridge/1.JPG"]["eventEnd"]) == ("2021-05-03T12:00:00+02:00", "2021-05-03T12:00:05+02:00")
    media = {row["mediaID"]: row for row in rows_of(tmp_path / "media.csv")}
    assert media["ridge/3..heic"]["filePath"] == "ridge/3%2E%2Eheic" and media["valley/1.NEF"]["fileMediatype"] == "image/x-nikon-nef"
    issues = {row["deploymentID"]: row["timestampIssues"] for row in rows_of(tmp_path / "deployments.csv")}
    assert issues == {"ridge": "false", "valley": "true"}


def test_what_a_person_wrote_into_the_package_stays(survey, tmp_path):
    write_package(survey, tmp_path)
    package = json.loads((tmp_path / "datapackage.json").read_text())
    package["title"], package["contributors"] = "Martens of the ridge", [{"title": "Ada"}]
    package["taxonomic"] = []
    (tmp_path / "datapackage.json").write_text(json.dumps(package))
    write_package(survey, tmp_path)
    again = json.loads((tmp_path / "datapackage.json").read_text())
    assert (again["title"], again["contributors"], again["created"]) == ("Martens of the ridge", [{"title": "Ada"}], package["created"])
    assert len(again["taxonomic"]) == 3


def test_a_persons_answer_takes_the_place_of_the_machines(survey, tmp_path, rows_of):
    reviews = {"ridge/1.JPG": "Meles meles", "ridge/3..heic": "empty"}
    write_package(survey, tmp_path, reviews)
    events = {row["eventID"]: row for row in rows_of(tmp_path / "observations.csv") if row["observationLevel"] == "event"}
    told = [(row["observationType"], row["scientificName"], row["classificationMethod"], row["classificationProbability"]) for row in events.values()]
    assert told[:2] == [("animal", "Meles meles", "human", ""), ("blank", "", "human", "")]
    assert {"scientificName": "Meles meles"} in json.loads((tmp_path / "datapackage.json").read_text())["taxonomic"]
    write_darwin_core(survey, tmp_path / "dwc", reviews)
    seen = {row["occurrenceID"]: row["scientificName"] for row in rows_of(tmp_path / "dwc/occurrence.csv")}
    assert seen == {"ridge/1.JPG": "Meles meles", "ridge/5.JPG": "Reds", "bank/1.JPG": "Rosa rubra"}


def test_our_own_reader_of_darwin_core_reads_the_archive(survey, tmp_path):
    write_darwin_core(survey, tmp_path / "dwc", {})
    with scratch_database(tmp_path / "scratch") as database:
        source = open_source(tmp_path / "dwc", database)
        with source.archive:
            photos = list(source.photos)
    assert source.kind == "darwin-core-archive"
    found = [(photo.url, photo.observation, photo.taxon.name, photo.taxon.rank, photo.latitude) for photo in photos]
    assert found[:2] == [(name, "ridge/1.JPG", "Rosa rubra", "species", "52.7") for name in ("ridge/1.JPG", "ridge/2.JPG")]
    assert [photo[0] for photo in found[2:]] == ["ridge/5.JPG", "bank/1.JPG"]


def test_mega_detectors_tools_find_all_photos(survey, tmp_path):
    write_mega_detector(survey, tmp_path / "md.json")
    told = json.loads((tmp_path / "md.json").read_text())
    assert float(told["info"]["format_version"]) >= 1.3 and told["detection_categories"] == {"1": "animal", "2": "person", "3": "vehicle"}
    images = {image["file"]: image for image in told["images"]}
    assert list(images) == [row.photo.name for row in survey.media]
    names = told["classification_categories"]
    (box,) = images["ridge/2.JPG"]["detections"]
    assert box["category"] == "1" and box["bbox"] == [0, 0, 1, 1]
    assert [(names[number], share) for number, share in box["classifications"]] == [("Reds", 0.9), ("Rosa rubra", 0.5), ("Viola prima", 0.2)]
    assert images["ridge/3..heic"]["detections"][0]["category"] == "2"
    assert images["ridge/4.JPG"]["detections"] == [] and images["valley/2.JPG"] == {
        "file": "valley/2.JPG",
        "failure": "Failure image access",
        "detections": None,
    }


def test_the_tables_have_the_fields_of_the_format_in_its_order():
    assert camtrap_schemas.columns("observations")[:8] == (
        *("observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel", "observationType"),
    )
    assert [len(camtrap_schemas.columns(table)) for table in ("deployments", "media", "observations")] == [24, 11, 28]


def test_a_survey_of_nothing_is_a_package_too(survey, tmp_path):
    frictionless = pytest.importorskip("frictionless")
    empty = dataclasses.replace(survey, media=(), observations=())
    write_camtrap_dp(empty, tmp_path / "dp", {})
    assert frictionless.Package(str(tmp_path / "dp/datapackage.offline.json")).validate().valid
    write_darwin_core(empty, tmp_path / "dwc", {})
    write_mega_detector(empty, tmp_path / "md.json")
    assert (tmp_path / "dwc/meta.xml").is_file()
