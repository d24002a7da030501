import io

import PIL.Image
import pytest

from tfvision.evaluation.survey_plots import draw_accumulation, draw_activity, draw_map

pytestmark = pytest.mark.slow


def size_of(picture):
    return PIL.Image.open(io.BytesIO(picture)).size


def test_activity_has_a_bar_an_hour_and_a_month():
    drawn = draw_activity(list(range(24)), list(range(12)))
    assert drawn == draw_activity(list(range(24)), list(range(12))) and drawn.startswith(b"<?xml")


@pytest.mark.parametrize(
    "places", [{"a": (52.7, -3.5)}, {"a": (52.7, -3.5), "b": (52.7, -3.4)}, {"a": (-89.9, 0), "b": (89.9, 179.9)}, {"$x$": (0, 0), "b": (0.0001, 0)}]
)
def test_a_map_is_drawn_of_any_places(places):
    width, height = size_of(draw_map(places, {"a": 3}, "png"))
    assert width == 960 and height == 780


def test_an_accumulation_ends_at_what_was_found():
    assert size_of(draw_accumulation([1, 5, 9], [1, 2, 2], "png")) == (960, 585)
