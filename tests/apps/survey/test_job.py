import datetime
import json
import os
import shutil

import numpy as np
import pytest

from tfvision.apps.species import evidence
from tfvision.apps.species.identification import SpeciesIdentifier
from tfvision.apps.survey import job
from tfvision.apps.survey.job import SurveySettings, survey_card
from tfvision.apps.survey.state import SurveyState
from tfvision.data.cards.clocks import Shift
from tfvision.errors import DataError, DataWarning, RecipeError

pytestmark = [pytest.mark.usefixtures("opened_once", "figures_once"), pytest.mark.slow]
TABLES = ("media.csv", "observations.csv")


@pytest.fixture(scope="module")
def surveyed(card, colour_run, opened_once, tmp_path_factory):
    """(OUT, what the survey of the card told)."""
    out = tmp_path_factory.mktemp("surveys") / "survey"
    return out, survey_card(card, colour_run, out)


def copy_of(surveyed, folder):
    return shutil.copytree(surveyed[0], folder / "survey")


def tables(out):
    return [(out / name).read_bytes() for name in TABLES]


def test_every_file_of_the_card_is_in_one_row_and_counted(card, surveyed, rows_of):
    out, told = surveyed
    rows = rows_of(out / "media.csv")
    files = [os.path.relpath(os.path.join(parent, name), card) for parent, _, names in os.walk(card) for name in names]
    assert sorted(row["file"] for row in rows) == sorted(files)
    of = {status: [row["file"] for row in rows if row["status"] == status] for status in ("answered", "blank", "unreadable", "skipped")}
    assert sum(map(len, of.values())) == len(rows)
    expected = {"photos": 12, "events": 6, "answered": len(of["answered"]), "blank": len(of["blank"]), "skipped": 4, "broken": len(of["unreadable"])}
    assert {key: value for key, value in told.items() if key != "seconds"} == expected and expected["answered"] == 9
    assert of["blank"] == ["valley/DCIM/IMG_0003.JPG"] and of["unreadable"] == ["valley/DCIM/IMG_0004.JPG", "valley/DCIM/IMG_0005.JPG"]
    reasons = {row["file"]: row["reason"] for row in rows}
    assert reasons["valley/DCIM/IMG_0003.JPG"] == "too dark" and reasons["valley/DCIM/CLIP0001.AVI"] == "a video"
    assert reasons["valley/DCIM/IMG_0004.JPG"].startswith("valley/DCIM/IMG_0004.JPG is damaged")


def test_events_have_one_answer_joined_from_their_photos(card, surveyed, colour_run, rows_of):
    out, _ = surveyed
    media = {row["file"]: row for row in rows_of(out / "media.csv")}
    events = {row["event"]: row for row in rows_of(out / "observations.csv")}
    burst = events["ridge/DCIM/100RECNX/IMG_0000.JPG"]
    photos = [f"ridge/DCIM/100RECNX/IMG_000{number}.JPG" for number in range(3)]
    assert (burst["deployment"], burst["start"], burst["end"]) == ("ridge", "2021-05-03T12:00:00+02:00", "2021-05-03T12:00:40+02:00")
    assert (burst["camera"], burst["latitude"], burst["longitude"], burst["photos"]) == ("RECONYX HP2X P1", "52.7", "-3.5", "3")
    assert {media[photo]["event"] for photo in photos} == {burst["event"]}
    witness = evidence.open_witness(colour_run)
    (seen,) = witness.see([str(card / photo) for photo in photos])
    (joined,) = witness.answers([seen.evidence])
    assert (burst["taxon"], burst["rank"], float(burst["probability"])) == (joined["taxon"], joined["rank"], joined["probability"])
    for photo, own in zip(photos, SpeciesIdentifier.load(colour_run).identify([str(card / photo) for photo in photos]), strict=True):
        assert (media[photo]["taxon"], float(media[photo]["probability"])) == (own["taxon"], own["probability"])
    # The frozen run is of before groups were fitted: an event is answered no more surely than its photos.
    assert float(burst["probability"]) <= max(float(media[photo]["probability"]) for photo in photos)


def test_a_survey_that_was_stopped_anywhere_goes_on_to_the_same_tables(card, surveyed, colour_run, tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "PREDICTION_BATCH", 4)
    note, batches = SurveyState.note_looks, evidence.prediction_batches
    monkeypatch.setattr(evidence, "prediction_batches", lambda manifest, recipe, broken: batches(manifest, recipe, broken, 4))
    for stop in range(3):
        out, calls = tmp_path / f"stopped {stop}", []

        def stopped(state, found, rows, broken, stop=stop, calls=calls):
            if len(calls) == stop:
                content = np.asarray(rows, "<f4").tobytes()
                state._evidence.write(content[: len(content) // 2])  # killed between the evidence and the note of it
                raise KeyboardInterrupt
            calls.append(len(found))
            note(state, found, rows, broken)

        monkeypatch.setattr(SurveyState, "note_looks", stopped)
        with pytest.raises(KeyboardInterrupt):
            survey_card(card, colour_run, out)
        assert not (out / "media.csv").exists()
        with open(out / "state/seen.csv", "a") as file:
            file.write('"ridge/DCIM/100RECNX/IMG_0005.JPG",1')  # a line that a kill cut short
        monkeypatch.setattr(SurveyState, "note_looks", note)
        survey_card(card, colour_run, out)
        assert tables(out) == tables(surveyed[0])


def test_a_second_survey_looks_at_what_is_new_alone(card, surveyed, colour_run, save_photo, tmp_path, monkeypatch):
    out, more, looked = copy_of(surveyed, tmp_path), shutil.copytree(card, tmp_path / "card"), []
    see = evidence.RunWitness.see
    monkeypatch.setattr(evidence.RunWitness, "see", lambda witness, paths, boxes: looked.extend(paths) or see(witness, paths, boxes))
    survey_card(more, colour_run, out)
    assert looked == [] and tables(out) == tables(surveyed[0])
    save_photo(more / "bank/IMG_1.JPG", "blue", datetime.datetime(2021, 5, 9))
    save_photo(more / "valley/DCIM/IMG_0005.JPG", "blue", datetime.datetime(2021, 5, 9), seed=3)  # was empty
    told = survey_card(more, colour_run, out)
    assert looked == [str(more / "bank/IMG_1.JPG"), str(more / "valley/DCIM/IMG_0005.JPG")]
    assert (told["photos"], told["broken"], told["events"]) == (13, 1, 8)
    survey_card(more, colour_run, tmp_path / "anew")
    assert tables(out) == tables(tmp_path / "anew")


def test_gaps_clocks_and_zones_are_changed_without_looking_again(card, surveyed, colour_run, rows_of, tmp_path, monkeypatch):
    out = copy_of(surveyed, tmp_path)
    monkeypatch.setattr(evidence.RunWitness, "see", lambda witness, paths, boxes: pytest.fail("looked again"))
    settings = SurveySettings(gap_seconds=7200, shifts=(Shift("p2", -3600.0),), zone="+01:00", within=("Blues",))
    told = survey_card(card, colour_run, out, settings)
    events = rows_of(out / "observations.csv")
    assert told["events"] == 4 and events[0]["photos"] == "6"
    assert events[1]["start"] == "2021-05-03T11:00:00+01:00" and events[0]["start"] == "2021-05-03T12:00:00+02:00"
    assert {row["lineage"].split(" > ")[0] for row in events} == {"Blues"}


def test_deployments_of_a_table_and_what_it_lacks(card, surveyed, colour_run, rows_of, tmp_path):
    out, listed = copy_of(surveyed, tmp_path), tmp_path / "deployments.csv"
    listed.write_text("deployment,folder,latitude,longitude\nV7,valley,51.5,-0.1\nlost,nowhere,1,1\n")
    with pytest.warns(DataWarning, match="1 deployment of the table has no photo on the card: lost \\(nowhere\\)"):
        survey_card(card, colour_run, out, SurveySettings(deployments=listed))
    places = {row["deployment"]: (row["latitude"], row["longitude"]) for row in rows_of(out / "observations.csv")}
    assert places == {"ridge": ("52.7", "-3.5"), "V7": ("51.5", "-0.1")}
    listed.write_text("deployment,folder\nlost,nowhere\n")
    with pytest.raises(DataError, match="the deployments name no folder of the card: lost \\(nowhere\\); its folders of photos are ridge, valley"):
        survey_card(card, colour_run, out, SurveySettings(deployments=listed))


@pytest.mark.parametrize(
    "settings, error, message",
    [
        (SurveySettings(shifts=(Shift("P9", 60.0),)), DataError, "--shift P9: no photo is by such a camera or of such a deployment; there are P1, P2"),
        (SurveySettings(shifts=(Shift("P1", 60.0), Shift("ridge", 60.0))), DataError, "--shift P1 and --shift ridge are of one camera"),
        (SurveySettings(zone="Mars"), DataError, "--zone is .* got 'Mars'"),
        (SurveySettings(within=("Rossa",)), DataError, "'Rossa' is no taxon of this model; did you mean 'Rosa'"),
        (SurveySettings(target_accuracy=1.5), RecipeError, "1.5"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_photo_is_looked_at(card, colour_run, tmp_path, monkeypatch, settings, error, message):
    monkeypatch.setattr(evidence.RunWitness, "see", lambda witness, paths, boxes: pytest.fail("looked"))
    with pytest.raises(error, match=message):
        survey_card(card, colour_run, tmp_path / "out", settings)


def test_a_survey_by_another_model_is_not_gone_on_with(card, surveyed, colour_run, colour_export, tmp_path):
    with pytest.raises(DataError, match="holds a survey by another model, .* choose another --out, or remove"):
        survey_card(card, colour_export.parent, copy_of(surveyed, tmp_path))


def test_an_export_surveys_as_its_run_does(surveyed, card, colour_export, rows_of, tmp_path):
    survey_card(card, colour_export.parent, tmp_path / "out")
    for own, expected in zip(rows_of(tmp_path / "out/observations.csv"), rows_of(surveyed[0] / "observations.csv"), strict=True):
        assert (own["event"], own["taxon"], own["rank"]) == (expected["event"], expected["taxon"], expected["rank"])


def test_clocks_and_places_that_cannot_be_are_told_in_a_line_each(colour_run, save_photo, rows_of, tmp_path):
    card = tmp_path / "card"
    save_photo(card / "a.jpg", time="1970:01:01 00:00:10", serial="P1")
    save_photo(card / "b.jpg", time="2091:01:01 00:00:10", serial="P2")
    save_photo(card / "c.jpg", time=None, place=(0, 0))
    os.utime(card / "c.jpg", (1.6e9, 1.6e9))
    with pytest.warns(DataWarning) as told:
        assert survey_card(card, colour_run, tmp_path / "out")["events"] == 3
    lines = [str(one.message) for one in told]
    assert lines[0].startswith("1 photo without a time, such as c.jpg: each is an event of its own")
    assert lines[1].startswith("1 photo of RECONYX HP2X P1, from 1970-01-01T00:00:10 on, before there were such cameras: put the clock right with --shift")
    assert lines[2].startswith("1 photo of RECONYX HP2X P2, from 2091-01-01T00:00:10 on, in the future")
    assert lines[3].startswith("1 photo at 0, 0, such as c.jpg")
    assert lines[4].startswith("camtrap-dp leaves out deployments without a place: card") and len(lines) == 5
    assert {row["latitude"] for row in rows_of(tmp_path / "out/observations.csv")} == {""}
    survey_card(card, colour_run, tmp_path / "out", SurveySettings(has_file_times=True, shifts=(Shift("P1", 60.0),), zone="UTC"))
    by_file = {row["file"]: row["time"] for row in rows_of(tmp_path / "out/media.csv")}
    assert by_file["c.jpg"] == datetime.datetime.fromtimestamp(1.6e9 + 60).isoformat() + "+00:00"


@pytest.fixture
def two_animals(card, tmp_path):
    """A function (*boxes of ridge's first photo) -> MegaDetector's JSON of the card: a person in the fourth, nothing in the others, one photo not named."""
    ridge = "ridge/DCIM/100RECNX/IMG_000{}.JPG"
    person = {"category": "2", "conf": 0.8, "bbox": [0.1, 0.1, 0.5, 0.9]}

    def write(*boxes):
        animals = [{"category": "1", "conf": 0.9 - 0.1 * number, "bbox": box} for number, box in enumerate(boxes)]
        found = {ridge.format(0): animals, ridge.format(3): [person], ridge.format(1): [], ridge.format(2): [], ridge.format(4): []}
        images = [{"file": name, "detections": own} for name, own in found.items()]
        images += [{"file": f"valley/DCIM/IMG_000{number}.JPG", "detections": []} for number in (0, 1, 2, 3, 5)]
        images.append({"file": "valley/DCIM/IMG_0004.JPG", "detections": None, "failure": "Failure image access"})
        told = {"info": {"detector": "md_v5a"}, "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"}, "images": images}
        (tmp_path / "md.json").write_text(json.dumps(told))
        return SurveySettings(detections=tmp_path / "md.json")

    return write


def test_each_animal_that_a_detector_found_has_an_answer(card, colour_run, two_animals, rows_of, tmp_path):
    out, left, right = tmp_path / "out", [0, 0, 0.5, 1], [0.5, 0, 0.5, 1]
    with pytest.warns(
        DataWarning, match="1 photo is skipped, of which the detector's file tells nothing; ridge/DCIM/100RECNX/IMG_0005.JPG: .*run the detector"
    ):
        told = survey_card(card, colour_run, out, two_animals(left, right))
    assert {key: told[key] for key in ("photos", "answered", "blank", "skipped", "broken")} == {
        "photos": 11,
        "answered": 2,
        "blank": 8,
        "skipped": 5,
        "broken": 1,
    }
    assert (told["animals"], told["people"], told["vehicles"]) == (2, 1, 0)
    media = {row["file"]: row for row in rows_of(out / "media.csv")}
    first, fourth = (media[f"ridge/DCIM/100RECNX/IMG_000{number}.JPG"] for number in (0, 3))
    assert (first["status"], first["animals"], first["people"], fourth["taxon"], fourth["people"]) == ("answered", "2", "0", "person", "1")
    assert media["ridge/DCIM/100RECNX/IMG_0001.JPG"]["reason"] == "the detector found no animal"
    assert media["valley/DCIM/IMG_0004.JPG"]["reason"] == "the detector failed: Failure image access"
    animals = rows_of(out / "animals.csv")
    assert [(row["file"][-8:], row["left"], row["category"], row["confidence"]) for row in animals] == [
        *(("0000.JPG", "0.0", "animal", "0.9"), ("0000.JPG", "0.5", "animal", "0.8"), ("0003.JPG", "0.1", "person", "0.8"))
    ]
    photo = str(card / first["file"])
    for row, answer in zip(animals, SpeciesIdentifier.load(colour_run).identify([photo] * 2, boxes=[left, right]), strict=False):
        assert (row["taxon"], float(row["probability"])) == (answer["taxon"], answer["probability"])
    events = {row["event"]: row for row in rows_of(out / "observations.csv")}
    burst, people = events[first["file"]], events[fourth["file"]]
    assert (burst["kind"], burst["photos"], burst["answered"], burst["animals"]) == ("animal", "3", "1", "2")
    assert (burst["taxon"], burst["probability"]) == (first["taxon"], first["probability"])
    assert (people["kind"], people["taxon"], people["animals"], people["people"]) == ("human", "person", "0", "1")


def test_an_export_names_animals_as_its_run_does(card, colour_run, colour_export, two_animals, rows_of, tmp_path):
    settings = two_animals([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
    with pytest.warns(DataWarning):
        survey_card(card, colour_run, tmp_path / "by run", settings)
        survey_card(card, colour_export.parent, tmp_path / "by export", settings)
    own, expected = (
        [(row["file"], row["left"], row["taxon"], row["rank"]) for row in rows_of(tmp_path / out / "animals.csv")] for out in ("by export", "by run")
    )
    assert own == expected and len(own) == 3


def test_of_a_changed_file_of_detections_the_new_boxes_alone_are_looked_at(card, colour_run, two_animals, tmp_path, monkeypatch):
    out, looked, see = tmp_path / "out", [], evidence.RunWitness.see
    monkeypatch.setattr(evidence.RunWitness, "see", lambda witness, paths, boxes: looked.extend(boxes) or see(witness, paths, boxes))
    left, right, lower = [0, 0, 0.5, 1], [0.5, 0, 0.5, 1], [0, 0.5, 1, 0.5]
    with pytest.warns(DataWarning):
        survey_card(card, colour_run, out, two_animals(left, right))
        first = tables(out)
        survey_card(card, colour_run, out, two_animals(left, lower))
        assert looked == [(0, 0, 24, 40), (24, 0, 24, 40), (0, 20, 48, 20)] and tables(out) != first
        survey_card(card, colour_run, out, two_animals(left, right))
    assert len(looked) == 3 and tables(out) == first
    assert survey_card(card, colour_run, out)["answered"] == 9 and not (out / "animals.csv").exists()


def test_one_photo_and_a_card_of_none(colour_run, save_photo, rows_of, tmp_path):
    save_photo(tmp_path / "one/a.jpg", time="2021:05:03 12:00:00")
    assert survey_card(tmp_path / "one", colour_run, tmp_path / "one/survey")["events"] == 1  # within the card
    assert survey_card(tmp_path / "one", colour_run, tmp_path / "one/survey")["skipped"] == 0
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="none is empty"):
        survey_card(tmp_path / "none", colour_run, tmp_path / "out")
    (tmp_path / "none/clip.mp4").write_bytes(b"video")
    told = survey_card(tmp_path / "none", colour_run, tmp_path / "out")
    assert (told["photos"], told["events"], told["skipped"]) == (0, 0, 1)
    assert [row["reason"] for row in rows_of(tmp_path / "out/media.csv")] == ["a video"]


def test_a_photo_that_could_not_be_read_for_the_moment_is_tried_again(card, surveyed, colour_run, tmp_path, monkeypatch):
    out, states = tmp_path / "out", job._state_of
    gone = card / "ridge/DCIM/100RECNX/IMG_0001.JPG"
    moved = gone.rename(tmp_path / "IMG_0001.JPG")
    gone.symlink_to("/nowhere/IMG_0001.JPG")
    try:
        assert survey_card(card, colour_run, out)["broken"] == 3
    finally:
        gone.unlink()
        moved.rename(gone)
    monkeypatch.setattr(job, "_state_of", lambda path: states(path) if "IMG_0001" not in path else job.FileState(0, 0))  # as if nothing had changed
    survey_card(card, colour_run, out)
    assert tables(out)[0].count(b"unreadable") == 2


def test_the_explorer_shows_the_photos_of_a_survey_with_its_tables(card, surveyed, colour_run, tmp_path, rows_of):
    from tfvision.apps.explorer.plan import plan
    from tfvision.apps.explorer.session import Session

    found = plan([str(surveyed[0])], state=tmp_path / "state")
    pictures = Session(found).collection.pictures
    rows = {row["file"]: row for row in rows_of(surveyed[0] / "media.csv")}
    assert sorted(pictures.ids) == sorted(name for name, row in rows.items() if row["status"] != "skipped")  # all 12 photos, no other file
    shown = pictures.metadata(pictures.positions["ridge/DCIM/100RECNX/IMG_0000.JPG"])
    row = rows["ridge/DCIM/100RECNX/IMG_0000.JPG"]
    assert (shown["answer"], shown["probability"], shown["event"], shown["time"]) == (row["taxon"], row["probability"], row["event"], row["time"])
    assert {"event answer", "agreement", "photos of event"} <= set(shown) and pictures.path(0).startswith(str(card))
    assert [name for name, _, _ in found.galleries] == [colour_run.name]  # by the features of the survey's run
    report = (surveyed[0] / "report.html").read_text()
    first = pictures.columns.get("look at first")
    assert (first is not None) == ("Worth a look" in report)
