import dataclasses
import json

import pytest

from tfvision.apps.survey import camtrap_schemas
from tfvision.apps.survey.camtrap_dp import write_camtrap_dp
from tfvision.apps.survey.darwin_core import write_darwin_core
from tfvision.apps.survey.mega_detector import write_mega_detector
from tfvision.apps.survey.observations import ANIMAL, DETECTED, Answer, Sighting, Taxon
from tfvision.data.detections import Detections
from tfvision.data.imports.occurrences import open_source
from tfvision.data.imports.scratch import scratch_database
from tfvision.data.no_taxa import HUMAN, VEHICLE
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
        "1 photo without a time, which its format asks for",
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


@pytest.fixture
def survey_of_animals(survey):
    """`survey` with a detector: two animals in the first photo and a person beside, one animal that cannot be named, a vehicle."""

    def with_found(event, *sightings):
        media = (dataclasses.replace(event.media[0], sightings=sightings), *(dataclasses.replace(row, sightings=()) for row in event.media[1:]))
        return dataclasses.replace(event, media=media)

    burst, person, dark, *_, nameless = survey.observations
    rosa, other = burst.media[0].answer, burst.media[1].answer
    human, vehicle = (Answer(name, DETECTED, 0.75, (Taxon(DETECTED, name),), ()) for name in ("person", "vehicle"))
    seen = [
        Sighting(ANIMAL, "animal", 0.98765, (0.1, 0.2, 0.3, 0.4), rosa),
        Sighting(ANIMAL, "animal", 0.5, (0.5, 0.2, 0.3, 0.4), other),
        Sighting(HUMAN, "person", 0.75, (0, 0, 1, 1), human),
    ]
    events = [
        with_found(burst, *seen),
        dataclasses.replace(with_found(person, Sighting(VEHICLE, "vehicle", 0.75, (0, 0, 0.00001, 1), vehicle)), answer=vehicle),
        with_found(dark),
        with_found(nameless, Sighting(ANIMAL, "animal", 0.5, (0, 0, 1, 1), nameless.answer)),
    ]
    media = [row for event in events for row in event.media]
    return dataclasses.replace(survey, detector="md_v5a", observations=tuple(events), media=tuple(media))


def test_what_a_detector_found_is_in_the_package_with_its_boxes(survey_of_animals, tmp_path, rows_of):
    frictionless = pytest.importorskip("frictionless")
    write_package(survey_of_animals, tmp_path)
    report = frictionless.Package(str(tmp_path / "datapackage.offline.json")).validate()
    assert report.valid, report.flatten(["type", "message"])
    rows = {row["observationID"]: row for row in rows_of(tmp_path / "observations.csv")}
    told = {name: (row["observationType"], row["scientificName"], row["count"], row["classifiedBy"][:6]) for name, row in rows.items()}
    assert told == {
        "ridge/1.JPG#event": ("animal", "Rosa rubra", "2", "tfvisi"),
        "ridge/1.JPG#human": ("human", "Homo sapiens", "1", "md_v5a"),
        "ridge/1.JPG#1": ("animal", "Rosa rubra", "1", "tfvisi"),
        "ridge/1.JPG#2": ("animal", "Reds", "1", "tfvisi"),
        "ridge/1.JPG#3": ("human", "Homo sapiens", "1", "md_v5a"),
        "ridge/2.JPG": ("animal", "Reds", "", "md_v5a"),
        "ridge/3..heic#event": ("vehicle", "", "1", "md_v5a"),
        "ridge/3..heic#1": ("vehicle", "", "1", "md_v5a"),
        "ridge/4.JPG#event": ("blank", "", "", "md_v5a"),
        "ridge/4.JPG": ("blank", "", "", "md_v5a"),
        "valley/1.NEF#event": ("animal", "", "1", "tfvisi"),
        "valley/1.NEF#1": ("animal", "", "1", "tfvisi"),
    }
    boxes = [rows["ridge/1.JPG#2"][name] for name in ("bboxX", "bboxY", "bboxWidth", "bboxHeight")]
    assert boxes == ["0.5", "0.2", "0.3", "0.4"] and rows["ridge/3..heic#1"]["bboxWidth"] == "0.0001"
    assert [one["scientificName"] for one in json.loads((tmp_path / "datapackage.json").read_text())["taxonomic"]] == ["Homo sapiens", "Reds", "Rosa rubra"]
    write_darwin_core(survey_of_animals, tmp_path / "dwc", {})
    assert [row["individualCount"] for row in rows_of(tmp_path / "dwc/occurrence.csv")] == ["2"]


def test_mega_detectors_tools_find_each_box_with_its_names(survey_of_animals, tmp_path):
    write_mega_detector(survey_of_animals, tmp_path / "md.json")
    assert json.loads((tmp_path / "md.json").read_text())["info"]["detector"] == "md_v5a"
    found, problem = Detections.read(tmp_path / "md.json").of("ridge/1.JPG")
    assert problem == "" and [(one.category, one.confidence, one.classification) for one in found] == [
        *(("animal", 0.9877, "Rosa rubra"), ("animal", 0.5, "Reds"), ("person", 0.75, "")),
    ]
    assert found[1].box == (0.5, 0.2, 0.3, 0.4) and Detections.read(tmp_path / "md.json").of("ridge/4.JPG") == ([], "")


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
