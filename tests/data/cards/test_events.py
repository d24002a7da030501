import datetime

from tfvision.data.cards.events import events_by_gap

NOON = datetime.datetime(2021, 5, 3, 12)


def after(*seconds):
    return [None if one is None else NOON + datetime.timedelta(seconds=one) for one in seconds]


def test_photos_within_the_gap_are_one_event():
    assert events_by_gap(after(0, 60, 121, 125), "aaaa", 60) == [[0, 1], [2, 3]]


def test_each_camera_has_its_own():
    assert events_by_gap(after(0, 1, 2, 30), "abab", 60) == [[0, 2], [1, 3]]


def test_the_order_is_that_of_the_times_whatever_the_names():
    assert events_by_gap(after(100, 0, 50), "aaa", 60) == [[1, 2, 0]]


def test_photos_without_a_time_stand_alone():
    assert events_by_gap(after(None, 0, None, 1), "aaaa", 60) == [[0], [1, 3], [2]]


def test_a_gap_of_nothing_joins_photos_of_one_moment_alone():
    assert events_by_gap(after(0, 0, 1), "aaa", 0) == [[0, 1], [2]]
    assert events_by_gap([], "", 60) == []
