import json
import shutil

import numpy as np
import pytest

from tfvision.apps.explorer import run_photos
from tfvision.apps.explorer.nearest_labels import nearest_labels
from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.session import Session
from tfvision.errors import DataError, RunError

pytestmark = pytest.mark.usefixtures("opened_once")
ROSA, CAERULA = "Reds,Rosa,Rosa rubra", "Blues,Caerula,Caerula alta"
SURE_AND_WRONG = "confidence where wrong"


@pytest.fixture
def moved(tmp_path):
    """A function (run, source) -> a copy of a frozen run whose photos lie there."""

    def move(run, source):
        copy = shutil.copytree(run, tmp_path / "runs" / run.name)
        facts = json.loads((copy / "recipe.json").read_text())
        (copy / "recipe.json").write_text(json.dumps({**facts, "source": str(source)}))
        return copy

    return move


@pytest.fixture
def some_colours(colour_photos, tmp_path):
    """Eight of the colour_photos: two of a species, one of each validated."""
    folder = tmp_path / "some colours"
    folder.mkdir()
    for path in [*colour_photos.glob("*_0.png"), *colour_photos.glob("*_1.png")]:
        shutil.copy(path, folder / path.name)
    return folder


def _listed_alone(run, names, change=lambda line: line):
    """Leaves these photos in the run's list."""
    header, *lines = (run / "photos.csv").read_text().splitlines()
    (run / "photos.csv").write_text("\n".join([header, *(change(line) for line in lines if line.split(",")[0] in names)]) + "\n")


def _opened(run):
    session = Session(plan([str(run)]))
    session.index()
    return session


def _answers(session):
    pictures = session.collection.pictures
    return {id: pictures.metadata(position) for position, id in enumerate(pictures.ids)}


@pytest.mark.slow
def test_a_species_run_shows_its_photos_and_the_surest_error(colour_run, some_colours, moved, monkeypatch):
    from tfvision.apps.species.identification import SpeciesIdentifier

    run, names = moved(colour_run, some_colours), sorted(path.name for path in some_colours.iterdir())
    _listed_alone(run, names, lambda line: line.replace(ROSA, CAERULA) if line.startswith("Rosa_rubra_0") else line)
    session = _opened(run)
    answers = _answers(session)
    assert sorted(answers) == names and (session.plan.state, session.plan.name) == (run.with_name("colours-explorer") / "explorer", "colours")
    told = next(SpeciesIdentifier.load(run).identify([some_colours / "Rosa_rubra_0.png"]))
    wrong = answers["Rosa_rubra_0.png"]
    assert (wrong["answer"], wrong["probability"]) == (told["taxon"], f"{told['probability']:.4f}")
    assert (wrong["outcome"], wrong["likeliest outcome"], wrong[SURE_AND_WRONG], wrong["species"]) == ("wrong", "wrong", wrong["probability"], "Caerula alta")
    assert all(SURE_AND_WRONG not in answers[name] and answers[name]["outcome"] == "right" for name in names if name != "Rosa_rubra_0.png")
    assert {answer["split"] for answer in answers.values()} <= {"train", "validation"} and wrong["depth"] == str(len(told["lineage"]))
    assert [layer.count for layer in session.collection.layers] == [8]  # by its own features
    columns = list(session.collection.pictures.columns)
    assert columns[:6] == ["answer", "answer rank", "probability", "depth", "outcome", SURE_AND_WRONG]
    assert columns.index("answer") < columns.index("species")  # the labels, from which a page chooses the last, stay last
    assert session.status()["asking"] is None and session.plan.opens_at == "browse?sort=c%3Aconfidence+where+wrong&order=down&caption=c%3Aanswer"

    monkeypatch.setattr("tfvision.apps.species.photo_answers.load_species_network", lambda run: 1 / 0)
    assert _answers(_opened(run)) == answers  # kept: nothing is asked again


def test_what_a_run_kept_is_read_and_only_the_rest_is_asked(colour_run, some_colours, moved):
    run, names = moved(colour_run, some_colours), sorted(path.name for path in some_colours.iterdir())
    _listed_alone(run, names)
    header = "image,species,likeliest,likeliest_probability,taxon,rank,probability,depth,is_right,unknown"
    (run / "answers.csv").write_text(f"{header}\n{names[0]},Caerula alta,Viola prima,0.6000,Blues,order,0.9100,1,0,0.2500\n")
    found = plan([str(run)]).columns
    session = Session(plan([str(run)]))
    assert found.missing(session.collection) == 7 and found.known(session.collection)[names[0]] == {
        "answer": "Blues",
        "answer rank": "order",
        "probability": "0.9100",
        "depth": "1",
        "outcome": "wrong",
        SURE_AND_WRONG: "0.9100",
        "likeliest": "Viola prima",
        "likeliest probability": "0.6000",
        "likeliest outcome": "wrong",
        "novelty": "0.2500",
    }
    assert _answers(session)[names[0]]["answer"] == "Blues"  # from the first moment


def test_photos_that_are_away_or_changed_are_told_in_one_line_each(colour_run, some_colours, moved, tmp_path):
    run = moved(colour_run, some_colours)
    names = sorted(path.name for path in some_colours.iterdir())
    _listed_alone(run, names)
    (some_colours / names[0]).unlink()
    with open(some_colours / names[1], "ab") as file:
        file.write(b"more")
    said = []
    assert len(Session(plan([str(run)]), said.append).collection.pictures) == 7
    assert said == [
        f"note      1 of 8 photos of the run are not in {some_colours} any more and are not shown: {names[0]}",
        f"note      1 of 8 photos of the run have another size than when it was trained: {names[1]}",
    ]
    shutil.rmtree(some_colours)
    with pytest.raises(DataError, match="none of the 8 photos of .*colours is in .*some colours: put them back"):
        plan([str(run)])


@pytest.mark.slow
def test_a_retriever_run_says_what_a_search_by_its_features_finds(retriever_run, hue_photos, moved):
    session = _opened(moved(retriever_run, hue_photos))
    layer, answers = session.collection.layers[0], _answers(session)
    vectors = np.array([layer.vector(position) for position in range(32)])
    labels = [answers[id]["label"] for id in session.collection.pictures.ids]
    for position, id in enumerate(session.collection.pictures.ids):  # a naive loop
        scores = {other: float(vectors[position] @ vectors[other]) for other in range(32) if other != position}
        same = max(score for other, score in scores.items() if labels[other] == labels[position])
        nearest = max(scores, key=scores.get)
        assert float(answers[id]["nearest same"]) == pytest.approx(same, abs=2e-4)
        assert answers[id]["nearest is"] == labels[nearest]
        assert answers[id]["outcome"] == ("right" if labels[nearest] == labels[position] else "wrong")
    assert {answer["split"] for answer in answers.values()} == {"train", "held-out"}
    assert _answers(Session(session.plan)) == answers  # kept


@pytest.mark.slow
def test_tattoo_runs_are_shown_with_their_scores(detector_run, detection_photos, matcher_run, tattoo_photos, moved):
    run = moved(detector_run, detection_photos)
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["wrong"] = [{"image": "1.png", "label": "other", "score": 1.5, "row": 1, "fold": "2"}]
    (run / "metrics.json").write_text(json.dumps(metrics))
    answers = _answers(_opened(run))
    tested = answers["1.png"]
    assert (tested["outcome when tested"], tested["score when tested"], tested["outcome"]) == ("wrong", "1.5000", "right") and float(
        tested[SURE_AND_WRONG]
    ) > 0.5
    assert answers["0.png"]["answer"] == "tattoo" and float(answers["0.png"]["score"]) > 0 and SURE_AND_WRONG not in answers["0.png"]
    answers = _answers(_opened(moved(matcher_run, tattoo_photos)))
    assert answers["subject1_0.png"]["outcome"] in ("right", "wrong") and "nearest same" not in answers["subject0_0.png"]


def test_equally_near_pictures_count_as_wrong_and_what_has_no_label_does_not_ask(layer):
    found = nearest_labels(layer, np.array([0, 0, 1, -1, 2, 2]))
    assert found.same.tolist() == [1, 0, -1, -1, 5, 4] and found.nearest(0) == 1
    assert found.other[3] == -1 and not any(found.answer(3, "").values()) and not found.answer(2, "any")["nearest same"]
    tied = found._replace(same_scores=found.other_scores)
    assert tied.answer(0, "1")["outcome"] == "wrong" and tied.nearest(0) == found.other[0]


def test_runs_that_cannot_be_shown_are_told(colour_run, tmp_path):
    run = shutil.copytree(colour_run, tmp_path / "unfinished")
    (run / "model.weights.h5").unlink()
    with pytest.raises(RunError, match=r"is not finished: go on with `tfvision train species --run .*unfinished --resume`"):
        plan([str(run)])
    facts = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps({**facts, "application": "stylizer"}))
    with pytest.raises(RunError, match="is a run of 'stylizer', whose network makes no features: explore the folder of its photos"):
        plan([str(run)])


def test_a_damaged_table_of_answers_is_made_again(tmp_path):
    path = tmp_path / "answers.csv"
    run_photos._write(path, {"a": {"answer": "Rosa"}, "broken": {}})
    assert run_photos._read(path) == {"a": {"answer": "Rosa"}, "broken": {"answer": ""}}
    path.write_bytes(bytes(range(32)) * 9)
    assert run_photos._read(path) == {}


def test_answers_of_the_nearest_that_were_damaged_are_made_again(session, tmp_path):
    answers, collection = run_photos.NearestAnswers("colour", tmp_path), session.collection
    assert answers.missing(collection) == 6 and not answers.known(collection)
    answers.make(collection, lambda count: None)
    before = answers.known(collection)
    assert answers.missing(collection) == 0 and len(before) == 6
    (path,) = tmp_path.glob("answers-*.csv")
    path.write_bytes(bytes(range(32)))
    assert answers.missing(collection) == 6
    session.corrections.correct({"colour": dict.fromkeys(collection.pictures.ids, "all the same")}, "Jo")
    session.show_corrections()
    answers.make(collection, lambda count: None)
    assert answers.known(collection) == before  # whatever is corrected meanwhile
