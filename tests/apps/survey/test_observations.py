import datetime

import numpy as np
import pytest

from tfvision.apps.survey.detected import Detected, text_of
from tfvision.apps.survey.observations import ANIMAL, ANSWERED, BLANK, NOTHING_THERE, observe
from tfvision.apps.survey.placed_photos import place_photos
from tfvision.apps.survey.state import FileState, SurveyState
from tfvision.data.cards.capture import Capture
from tfvision.data.detections import Detection, FoundInPhoto
from tfvision.data.no_taxa import HUMAN, VEHICLE

NOON = datetime.datetime(2021, 5, 3, 12)
BOX = (0.1, 0.2, 0.3, 0.4)
NAMES = ("Vulpes vulpes", "empty")  # what the model says, by the evidence of an animal


def _told(evidence):
    for rows in evidence:
        name = NAMES[round(float(rows[0, 0]))]
        yield {"taxon": name, "rank": "species", "probability": 0.9, "lineage": [{"rank": "species", "name": name}], "top": []}


@pytest.fixture
def event_of(tmp_path):
    """A function (photos: each the name of its animal, of NAMES, or its categories) -> the one event that they are."""

    def observe_photos(*photos):
        captures = {f"{number}.jpg": Capture(48, 40, NOON + datetime.timedelta(seconds=number), 0) for number in range(len(photos))}
        found = {}
        with SurveyState(tmp_path, "model", lambda: 1) as state:
            for name, own in zip(captures, photos, strict=True):
                if own in NAMES:
                    found[name] = FoundInPhoto(name, [Detection("animal", 0.9, BOX)], {})
                    state.note_looks([(name, FileState(1, 1), text_of(BOX), "")], np.full((1, 1), NAMES.index(own), np.float32), {})
                else:
                    found[name] = FoundInPhoto(name, [], {}, others=[Detection(own, 0.8, BOX)] if own else [])
            (event,) = observe(place_photos(captures, "card"), {}, state, _told, 60.0, Detected("md_v5a", found, {}))
        return event

    return observe_photos


@pytest.mark.parametrize(
    "photos, kind, taxon, counted",
    [
        (("Vulpes vulpes", "person"), ANIMAL, "Vulpes vulpes", [0]),
        (("empty", "Vulpes vulpes"), ANIMAL, "Vulpes vulpes", [1]),
        (("empty", "vehicle"), VEHICLE, "vehicle", [1]),
        (("empty", "person"), HUMAN, "person", [1]),
        (("vehicle", "person"), HUMAN, "person", [0, 1]),
    ],
)
def test_what_the_model_calls_empty_takes_no_part_in_an_event(event_of, photos, kind, taxon, counted):
    event = event_of(*photos)
    assert (event.status, event.kind, event.answer.taxon) == (ANSWERED, kind, taxon)
    assert event.counted == [event.media[number] for number in counted]


def test_an_event_of_nothing_else_is_blank(event_of):
    event = event_of("empty", "")
    assert (event.status, event.reason, event.answer.taxon, event.counted) == (BLANK, NOTHING_THERE, "empty", [])
