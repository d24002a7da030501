import datetime
import warnings

import PIL.Image
import pytest
from PIL.TiffImagePlugin import IFDRational

from tfvision.data import image_formats
from tfvision.data.cards.capture import Capture, read_capture

TAKEN, FRACTION, ZONE, SERIAL = 0x9003, 0x9291, 0x9011, 0xA431


def exif_of(main=(), photo=(), gps=()):
    exif = PIL.Image.Exif()
    exif.update(dict(main))
    exif.get_ifd(0x8769).update(dict(photo))
    exif.get_ifd(0x8825).update(dict(gps))
    return exif


def save(path, **directories):
    PIL.Image.new("RGB", (12, 8), "red").save(path, exif=exif_of(**directories))
    return path


def degrees(*parts):
    return tuple(IFDRational(*part) if isinstance(part, tuple) else IFDRational(part) for part in parts)


def test_time_zone_place_and_camera_are_read(tmp_path):
    photo = {TAKEN: "2021:05:03 14:22:33", FRACTION: "25", ZONE: "+02:00", SERIAL: "P800HG08"}
    gps = {1: "S", 2: degrees(33, 51, (5436, 100)), 3: "E", 4: degrees(151, 12, 0)}
    found = read_capture(save(tmp_path / "a.jpg", main={0x010F: "RECONYX\0", 0x0110: "HP2X"}, photo=photo, gps=gps))
    assert found == Capture(12, 8, datetime.datetime(2021, 5, 3, 14, 22, 33, 250000), 120, -33.8651, 151.2, "RECONYX", "HP2X", "P800HG08")


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "HEIF"])
def test_other_formats_say_it_too(tmp_path, format):
    if format not in ("PNG", "TIFF", "WEBP") and format not in image_formats.formats():
        pytest.skip("needs tfvision[heif]")
    path = tmp_path / f"a.{'heic' if format == 'HEIF' else format.lower()}"
    PIL.Image.new("RGB", (64, 48), "red").save(path, format, exif=exif_of(main={0x0132: "2021:05:03 14:22:33"}, photo={TAKEN: "2021:05:03 14:22:33"}))
    found = read_capture(path)
    assert (found.time, found.width, found.height) == (datetime.datetime(2021, 5, 3, 14, 22, 33), 64, 48)


@pytest.mark.parametrize(
    "text, time",
    [
        ("0000:00:00 00:00:00", None),
        ("2021:02:30 10:00:00", None),
        ("    :  :     :  :  ", None),
        ("2021-05-03T14:22:33", datetime.datetime(2021, 5, 3, 14, 22, 33)),
        ("2021/05/03 14:22", datetime.datetime(2021, 5, 3, 14, 22)),
        ("1970:01:01 00:00:05", datetime.datetime(1970, 1, 1, 0, 0, 5)),
    ],
)
def test_times_as_cameras_write_them(tmp_path, text, time):
    assert read_capture(save(tmp_path / "a.jpg", photo={TAKEN: text})).time == time


def test_the_time_of_digitising_and_of_the_file_stand_in(tmp_path):
    assert read_capture(save(tmp_path / "a.jpg", photo={0x9004: "2021:05:03 14:22:33", 0x9012: "-05:30"})).zone_minutes == -330
    assert read_capture(save(tmp_path / "b.jpg", main={0x0132: "2021:05:03 14:22:33"})).time == datetime.datetime(2021, 5, 3, 14, 22, 33)


@pytest.mark.parametrize(
    "clock, minutes", [("2021:05:04 01:22:33", 345), ("2021:05:03 19:37:30", 0), ("2021:05:05 19:37:33", None), ("2021:05:03 19:30:00", None)]
)
def test_without_a_zone_satellites_tell_it_where_the_clock_can_be_right(tmp_path, clock, minutes):
    gps = {7: degrees(19, 37, 33), 29: "2021:05:03"}
    assert read_capture(save(tmp_path / "a.jpg", photo={TAKEN: clock}, gps=gps)).zone_minutes == minutes


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {1: "N", 2: degrees(95, 0, 0), 3: "E", 4: degrees(1, 0, 0)},
        {1: "N", 2: degrees((0, 0), (0, 0), (0, 0)), 3: "E", 4: degrees(1, 0, 0)},
        {1: "N", 2: degrees(5, 0, 0)},
    ],
)
def test_a_place_that_cannot_be_is_none(tmp_path, gps):
    found = read_capture(save(tmp_path / "a.jpg", gps=gps))
    assert found.latitude is None and found.longitude is None


def test_null_island_is_kept_as_it_stands(tmp_path):
    gps = {1: "N", 2: degrees(0, 0, 0), 3: "E", 4: degrees(0, 0, 0)}
    found = read_capture(save(tmp_path / "a.jpg", gps=gps))
    assert (found.latitude, found.longitude) == (0, 0)


def test_what_cannot_be_read_says_nothing(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no photo")
    whole = save(tmp_path / "a.jpg", photo={TAKEN: "2021:05:03 14:22:33"}).read_bytes()
    (tmp_path / "odd.jpg").write_bytes(whole.replace(b"MM\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xf8"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_capture(tmp_path / "empty.jpg") == read_capture(tmp_path / "text.jpg") == read_capture(tmp_path / "gone.jpg") == Capture()
        assert read_capture(tmp_path / "odd.jpg") == Capture(12, 8)
