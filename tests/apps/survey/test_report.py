import dataclasses
import datetime
import re

import pytest

from tfvision.apps.survey.deployed import deployed
from tfvision.apps.survey.report import accumulation, named_taxa, worth_a_look, write_report

pytestmark = pytest.mark.usefixtures("figures_once")


def test_taxa_are_counted_by_their_events(survey):
    found = named_taxa(survey.observations, {})
    assert [(one.name, one.rank, len(one.events)) for one in found] == [("Rosa rubra", "species", 2), ("Reds", "order", 1)]
    reviews = {"bank/1.JPG": "Meles meles", "ridge/4.JPG": "Meles meles", "ridge/5.JPG": "Rosa_rubra", "valley/1.NEF": "blank"}
    reviewed = [(one.name, one.rank, len(one.events)) for one in named_taxa(survey.observations, reviews)]
    assert reviewed == [("Meles meles", "by a person", 2), ("Rosa rubra", "species", 2)]


def test_events_worth_a_look_are_those_in_doubt_first(survey):
    observations = [dataclasses.replace(one, agreement=0.5) if one.event == "bank/1.JPG" else one for one in survey.observations]
    found = [(one.event, reason) for one, reason in worth_a_look(observations, {})]
    assert found[0] == ("bank/1.JPG", "50% of its photos say otherwise")
    assert {event for event, _ in found} == {"ridge/1.JPG", "ridge/5.JPG", "bank/1.JPG", "valley/1.NEF"}  # neither the blank one nor the person
    assert found[-1] == ("valley/1.NEF", "nothing could be named")
    assert "bank/1.JPG" not in {one.event for one, _ in worth_a_look(observations, {"bank/1.JPG": "Rosa rubra"})}


def test_camera_days_and_the_taxa_found_in_them(survey):
    ridge, valley = [one for one in deployed(survey.media) if one.deployment.name in ("ridge", "valley")]
    assert (ridge.camera_days, valley.camera_days) == (1, 1) and (ridge.latitude, valley.latitude) == (52.7, 51.5)
    later = dataclasses.replace(valley, start=datetime.datetime(2021, 5, 1), end=datetime.datetime(2021, 5, 10))
    assert later.camera_days == 10
    days, taxa = accumulation(survey.observations, [ridge, later], {})
    assert (days, taxa) == ([4, 11], [1, 1])  # until noon of the third: three days of one, one of the other


@pytest.mark.slow
def test_the_page_shows_all_and_escapes_what_people_named(survey, tmp_path):
    hostile = dataclasses.replace(survey, model="<script>alert(1)</script>")
    write_report(hostile, tmp_path / "report.html", {"ridge/1.JPG": "<b>Meles</b>"})
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page and "<b>Meles" not in page and "&lt;b&gt;Meles" in page
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings == ["What was seen", "When", "Where", "How complete", "Deployments", "Worth a look", "Not answered", "How this was made"]
    assert "3 taxa in 6 events of 8 photos, at 3 deployments in 3 camera days." in page
    assert page.count("data:image/svg+xml") == 3 and "cannot be read" in page  # the photos of this survey are nowhere


@pytest.mark.slow
def test_a_survey_of_nothing_has_a_page_too(survey, tmp_path):
    write_report(dataclasses.replace(survey, media=(), observations=()), tmp_path / "report.html", {})
    assert "0 taxa in 0 events of 0 photos" in (tmp_path / "report.html").read_text()
