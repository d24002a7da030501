import datetime

import pytest

from tfvision.apps.survey.placed_photos import place_photos
from tfvision.data.cards.capture import Capture
from tfvision.data.cards.clocks import Shift
from tfvision.data.cards.deployments import Deployment
from tfvision.errors import DataError, DataWarning

NOON = datetime.datetime(2026, 5, 3, 12)


def test_photos_outside_of_the_days_of_their_deployment_are_told():
    captures = {f"ridge/{day}.jpg": Capture(8, 8, NOON + datetime.timedelta(days=day)) for day in (0, 1, 2, 5)}
    captures["ridge/old.jpg"] = Capture(8, 8, datetime.datetime(1970, 1, 1), model="HP2X")
    ridge = Deployment("Ridge", "ridge", start=NOON, end=NOON + datetime.timedelta(days=1, hours=1))
    with pytest.warns(DataWarning) as told:
        place_photos(captures, "card", [ridge])
    lines = [str(one.message) for one in told]
    assert lines == [
        "1 photo of HP2X, from 1970-01-01T00:00:00 on, before there were such cameras: put the clock right with --shift 'HP2X'=+TIME",
        "2 photos of Ridge, such as ridge/2.jpg of 2026-05-05, lie outside of its days, 2026-05-03 to 2026-05-04: "
        "are the clock and the table of deployments right?",
    ]


def test_of_several_deployments_in_a_folder_the_clock_put_right_tells_which():
    captures = {f"R1/{hours}.jpg": Capture(8, 8, NOON + datetime.timedelta(hours=hours), model="HP2X") for hours in (-2, 0, 2)}
    listed = [Deployment("before", "R1", start=NOON - datetime.timedelta(days=9), end=NOON), Deployment("after", "R1", start=NOON, end=NOON.replace(month=9))]
    photos = place_photos(captures, "card", listed, [Shift("HP2X", 3 * 3600)])
    assert [photo.deployment.name for photo in photos] == ["after", "after", "after"]
    assert [photo.deployment.name for photo in place_photos(captures, "card", listed)] == ["before", "before", "after"]


def test_a_clock_of_the_future_is_put_back():
    with pytest.warns(DataWarning, match=r"in the future: put the clock right with --shift 'HP2X'=-TIME"):
        place_photos({"a.jpg": Capture(8, 8, datetime.datetime(2091, 1, 1), model="HP2X")}, "card", now=NOON)


def test_deployments_of_other_folders_are_named_with_them():
    listed = [Deployment("R", "media/card/ridge"), Deployment("valley", "valley")]
    with pytest.raises(DataError, match=r"the deployments name no folder of the card: R \(media/card/ridge\), valley; its folders of photos are ridge"):
        place_photos({"ridge/a.jpg": Capture(8, 8, NOON)}, "card", listed)
