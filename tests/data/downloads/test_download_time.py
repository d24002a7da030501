import pytest

from tfvision.data.downloads import download_time
from tfvision.data.downloads.download_time import DownloadTime, host_of, tell_time
from tfvision.progress import duration


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0.4 s"), (3, "3 s"), (45, "45 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (120_000, "33 h"), (3.6e6, "1,000 h")]
)
def test_durations_have_the_unit_that_suits_them(seconds, told):
    assert duration(seconds) == told


@pytest.mark.slow
def test_what_1_2_million_photos_take_is_told_by_the_host_with_the_most(capsys):
    urls = ["http://a.org/1.jpg"] * 1_100_000 + ["https://B.org:81/1.jpg"] * 100_000
    tell_time(urls, 4, 10.0)
    told = capsys.readouterr().err
    assert told.startswith("1,200,000 photos of 2 hosts, 1,100,000 of them at a.org: at least 31 h at 10 a second and host")
    assert "more than 0.4 s, as 4 are asked for at once (--connections-per-host)" in told
    tell_time(urls[-3:], 16, 0.01)
    assert capsys.readouterr().err.startswith("3 photos at b.org: at least 5 min at 0.01 a second")
    tell_time(urls[-599:], 4, 10.0)
    tell_time([], 4, 10.0)
    assert capsys.readouterr().err == ""


def test_an_address_that_is_none_has_no_host():
    assert [host_of(url) for url in ("http://[1/2.jpg", "a.jpg", "http://Å.org/a.jpg")] == ["", "", "å.org"]


def test_the_time_that_is_left_is_corrected_by_the_answers(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(download_time.time, "monotonic", lambda: now[0])
    times = DownloadTime(["a"] * 1000 + ["b"] * 100, 10.0)
    assert times.seconds_left == 100  # 1000 at 10 a second
    now[0] = 90.0
    for _ in range(100):
        times.settle("a")
    # 900 left of a, of which 100 came in 90 s, beside 100 that were expected in 10 s; of b, nothing came in 90 s: 100 left, 100 expected in 100 s.
    assert times.seconds_left == pytest.approx(900 * (90 + 10) / (100 + 100))
    for _ in range(900):
        times.settle("a")
    assert times.seconds_left == pytest.approx(100 * (90 + 10) / 100)
    for _ in range(100):
        times.settle("b")
    assert times.seconds_left == 0
