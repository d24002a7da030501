"""When, where and by which camera a photo was taken, as its EXIF says; what it says wrongly is left out."""

import contextlib
import datetime
import math
import re
import typing
from pathlib import Path

from tfvision.data.decoding import opened_header
from tfvision.data.exif import ExifDirectories, exif_of_image, exif_of_raw
from tfvision.data.image_formats import is_raw_name
from tfvision.errors import DataError

_MAKE, _MODEL, _MAIN_TIME = 0x010F, 0x0110, 0x0132
_TIMES = ((0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012))  # taken, digitised: time, fraction of a second, zone
_MAIN_FRACTION, _MAIN_ZONE = 0x9290, 0x9010
_SERIAL, _WIDTH, _HEIGHT = 0xA431, 0xA002, 0xA003
_MAIN_SERIAL = 0xC62F  # of a DNG
_RAW_HEAD_BYTES = 2 * 2**20
_TIME = re.compile(r"\s*(\d{4})\D(\d\d?)\D(\d\d?)\D+(\d\d?)\D(\d\d?)(?:\D(\d\d?))?")
_ZONE = re.compile(r"\s*([+-])(\d\d?):?(\d\d)")
_QUARTER_MINUTES, _LARGEST_ZONE_MINUTES = 15, 14 * 60


class Capture(typing.NamedTuple):
    """What is known of a photo before its pixels are looked at.

    Attributes:
      width, height: pixels as stored; 0 where the header cannot be read.
      time: by the camera's clock, which knows no zone.
      zone_minutes: east of UTC, where the camera knows it.
      latitude, longitude: degrees; None where there is none. 0, 0 is what receivers write that have found no satellite yet.
      make, model, serial: of the camera.
    """

    width: int = 0
    height: int = 0
    time: datetime.datetime | None = None
    zone_minutes: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    make: str = ""
    model: str = ""
    serial: str = ""


def read_capture(path: Path | str) -> Capture:
    """Reads the header of a photo. One that cannot be read says nothing here: why is told when it is decoded."""
    path = Path(path)
    with contextlib.suppress(OSError, DataError):
        if is_raw_name(path.name):
            return _of_raw(path)
        with opened_header(path, path) as image:
            return _capture(exif_of_image(image), *image.size)
    return Capture()


def _of_raw(path):
    with open(path, "rb") as file:
        encoded = file.read(_RAW_HEAD_BYTES)
        exif = exif_of_raw(encoded)
        if not exif.photo:
            exif = exif_of_raw(encoded + file.read())
    return _capture(exif, _whole(exif.photo.get(_WIDTH)), _whole(exif.photo.get(_HEIGHT)))


def _capture(exif: ExifDirectories, width: int, height: int) -> Capture:
    time, zone = _time_and_zone(exif)
    if zone is None and time is not None:
        zone = _zone_of_satellites(exif.gps, time)
    latitude, longitude = _degrees(exif.gps, 1, 2, "S", 90), _degrees(exif.gps, 3, 4, "W", 180)
    if latitude is None or longitude is None:
        latitude = longitude = None
    serial = _text(exif.photo.get(_SERIAL)) or _text(exif.main.get(_MAIN_SERIAL))
    return Capture(width, height, time, zone, latitude, longitude, _text(exif.main.get(_MAKE)), _text(exif.main.get(_MODEL)), serial)


def _time_and_zone(exif):
    for time, fraction, zone in _TIMES:
        if found := _time(exif.photo.get(time), exif.photo.get(fraction)):
            return found, _zone(exif.photo.get(zone))
    return _time(exif.main.get(_MAIN_TIME), exif.photo.get(_MAIN_FRACTION)), _zone(exif.photo.get(_MAIN_ZONE))


def _time(value, fraction):
    found = _TIME.match(_text(value))
    if not found:
        return None
    digits = re.match(r"\d*", _text(fraction))[0][:6]
    with contextlib.suppress(ValueError):  # 0000:00:00, which cameras write that were never set
        return datetime.datetime(*(int(part or 0) for part in found.groups()), int(digits.ljust(6, "0")))
    return None


def _zone(value):
    text = _text(value)
    if text in ("Z", "UTC"):
        return 0
    found = _ZONE.match(text)
    minutes = (1 if found[1] == "+" else -1) * (60 * int(found[2]) + int(found[3])) if found else None
    return minutes if minutes is not None and abs(minutes) <= _LARGEST_ZONE_MINUTES else None


def _zone_of_satellites(gps, time):
    """How far a camera's clock is from UTC, which satellites tell, where that can be a zone."""
    with contextlib.suppress(ValueError, TypeError, ZeroDivisionError, OverflowError):
        day = _time(f"{_text(gps.get(29))} 00:00:00", "")
        seconds = sum(float(part) * unit for part, unit in zip(gps[7], (3600, 60, 1), strict=True)) if day and 7 in gps else math.nan
        if math.isfinite(seconds):
            minutes = (time - day).total_seconds() / 60 - seconds / 60
            rounded = _QUARTER_MINUTES * round(minutes / _QUARTER_MINUTES)
            if abs(minutes - rounded) <= 2 and abs(rounded) <= _LARGEST_ZONE_MINUTES:
                return rounded
    return None


def _degrees(gps, side, place, negative, most):
    with contextlib.suppress(ValueError, TypeError, ZeroDivisionError, OverflowError):
        parts = gps[place] if isinstance(gps.get(place), tuple) else (gps.get(place),)
        degrees = sum(float(part) / 60**power for power, part in enumerate(parts))
        if math.isfinite(degrees) and 0 <= degrees <= most:
            return round(-degrees if _text(gps.get(side)).upper().startswith(negative) else degrees, 7)
    return None


def _whole(value):
    return value if isinstance(value, int) else 0


def _text(value):
    """A text of EXIF, without what would move a cursor."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""
    text = text.split("\0")[0]
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
