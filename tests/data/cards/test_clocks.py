import datetime

import pytest

from tfvision.data.cards.clocks import parse_duration, parse_shift, shift_of, shifted, why_wrong
from tfvision.errors import DataError

NOW = datetime.datetime(2026, 11, 28, 12)


@pytest.mark.parametrize(
    "text, seconds",
    [("P800=+1h", 3600), ("P800=-3d2h30m", -(3 * 86400 + 9000)), ("HP2X = +90s", 90), ("a=b=1w", 7 * 86400), ("x=+1.5h", 5400), ("x=+10min", 600)],
)
def test_shifts_are_read(text, seconds):
    assert parse_shift(text) == (text.rpartition("=")[0].strip(), seconds)


@pytest.mark.parametrize("text", ["P800", "=+1h", "P800=", "P800=+", "P800=+1y", "P800=an hour", "P800=+1h later", "P800=+1e9h", "P800=++1h"])
def test_what_is_no_shift_is_refused(text):
    with pytest.raises(DataError, match=r"--shift is CAMERA=\+1h"):
        parse_shift(text)


def test_gaps_are_read():
    assert [parse_duration(text) for text in ("60s", "5m", "1h30m", "45", "0")] == [60, 300, 5400, 45, 0]
    with pytest.raises(DataError, match="--gap is a time such as 60s"):
        parse_duration("-5m")


def test_a_shift_is_of_the_camera_by_any_of_its_names():
    shifts = [parse_shift("p800=+1h"), parse_shift("ridge=-1h")]
    assert shift_of(["P800", "valley"], shifts) == datetime.timedelta(hours=1)
    assert shift_of(["", "Ridge"], shifts) == -datetime.timedelta(hours=1)
    assert shift_of(["other"], shifts) == datetime.timedelta(0)
    with pytest.raises(DataError, match="--shift p800 and --shift ridge are of one camera"):
        shift_of(["P800", "ridge"], shifts)


def test_clocks_that_were_never_set_and_those_of_the_future_are_told():
    assert why_wrong(datetime.datetime(1970, 1, 1), NOW) == "before there were such cameras"
    assert why_wrong(datetime.datetime(2031, 1, 1), NOW) == "in the future"
    assert why_wrong(datetime.datetime(2026, 11, 29, 1), NOW) == ""  # another zone
    assert shifted(datetime.datetime(9999, 12, 31), datetime.timedelta(days=2)) == datetime.datetime(9999, 12, 31)
