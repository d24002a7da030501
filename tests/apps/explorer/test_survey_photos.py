import json
import shutil

import pytest

from tfvision.apps.explorer.plan import plan
from tfvision.apps.explorer.session import Session
from tfvision.errors import DataError

MEDIA = """file,status,reason,deployment,event,time,taxon,rank,probability,unknown_probability,animals
a.png,answered,,ridge,a.png,2026-05-03T12:00:00,Rosa,genus,0.8100,0.2,
b.png,answered,,ridge,a.png,2026-05-03T12:00:20,Caerula,genus,0.5500,,
c.png,blank,too dark,ridge,c.png,2026-05-03T14:00:00,,,,,
gone.png,unreadable,no image,ridge,,,,,,,
notes.txt,skipped,not a photo,,,,,,,,
"""
OBSERVATIONS = """event,photos,taxon,rank,probability,agreement,review
a.png,2,Rosa,genus,0.7,0.5,Rosa rubra
c.png,1,,,,,
"""


@pytest.fixture
def survey(tmp_path, photos):
    """The tables of a survey of three photos of a card, and of one that is gone."""
    card, out = tmp_path / "card", tmp_path / "survey"
    card.mkdir()
    for name in "abc":
        shutil.copy(photos / "reds" / "red 1.png", card / f"{name}.png")
    (out / "state").mkdir(parents=True)
    (out / "media.csv").write_text(MEDIA)
    (out / "observations.csv").write_text(OBSERVATIONS)
    (out / "state" / "survey.json").write_text("{}")
    told = {"card": str(card), "model": None, "look_first": [{"event": "a.png", "why": "50% of its photos say otherwise"}]}
    (out / "state" / "explored.json").write_text(json.dumps(told))
    return out


def test_a_survey_shows_its_tables_as_columns_and_what_to_look_at_first(survey):
    found = plan([str(survey)])
    said = []
    pictures = Session(found, said.append).collection.pictures
    assert pictures.ids == ["a.png", "b.png", "c.png"] and found.opens_at == "browse?sort=c%3Alook+at+first&caption=c%3Aevent+answer"
    assert said == [f"note      1 of 4 photos of the survey are not in {survey.parent / 'card'} any more and are not shown"]
    assert pictures.metadata(0) == {
        "status": "answered",
        "deployment": "ridge",
        "event": "a.png",
        "time": "2026-05-03T12:00:00",
        "answer": "Rosa",
        "answer rank": "genus",
        "probability": "0.8100",
        "novelty": "0.2",
        "event answer": "Rosa",
        "event rank": "genus",
        "event probability": "0.7",
        "photos of event": "2",
        "agreement": "0.5",
        "review": "Rosa rubra",
        "look at first": "1",
        "why look": "50% of its photos say otherwise",
    }
    assert pictures.metadata(2)["reason"] == "too dark" and "look at first" not in pictures.metadata(2)
    assert [name for name, _, _ in found.galleries] == ["mobilenet_v2"] and found.state == survey.with_name("survey-explorer") / "explorer"


def test_a_persons_answer_is_seen_at_the_next_call(survey):
    Session(plan([str(survey)]))
    (survey / "observations.csv").write_text(OBSERVATIONS.replace("c.png,1,,,,,", "c.png,1,,,,,blank"))
    assert Session(plan([str(survey)])).collection.pictures.metadata(2)["review"] == "blank"


def test_a_card_that_is_away_and_a_survey_of_an_older_version_are_told(survey):
    shutil.rmtree(survey.parent / "card")
    with pytest.raises(DataError, match="none of the 4 photos of .*survey is in .*card: put the card back"):
        plan([str(survey)])
    (survey / "state" / "explored.json").unlink()
    with pytest.raises(DataError, match="does not say where its card is.*run `tfvision survey CARD --model RUN --out .*survey` once more"):
        plan([str(survey)])
