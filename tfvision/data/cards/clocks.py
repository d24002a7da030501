"""Cameras' clocks: which are wrong, and by how much they are put right."""

import datetime
import re
import typing
from collections.abc import Collection, Iterable

from tfvision.errors import DataError

FIRST_YEAR = 1995  # there were hardly any cameras with EXIF before
_UNITS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1, "": 1}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(w|d|h|min|m|s|)", re.IGNORECASE)
_LARGEST_SECONDS = 100 * 366 * 86400


class Shift(typing.NamedTuple):
    """How much is added to the times of a camera.

    Attributes:
      camera: its serial number, model, name or deployment.
      seconds: negative where its clock is fast.
    """

    camera: str
    seconds: float


def parse_shift(text: str) -> Shift:
    """CAMERA=+1h, CAMERA=-3d2h30m -> Shift. Raises DataError."""
    camera, _, amount = text.rpartition("=")
    sign, amount = (amount.strip()[:1], amount.strip()[1:]) if amount.strip()[:1] in ("+", "-") else ("+", amount.strip())
    if not camera.strip() or (seconds := _seconds(amount)) is None:
        raise DataError(f"--shift is CAMERA=+1h (w, d, h, m or s, as in -3d2h), got {text!r}")
    return Shift(camera.strip(), -seconds if sign == "-" else seconds)


def parse_duration(text: str) -> float:
    """60s, 5m, 1h30m, 45 -> seconds. Raises DataError."""
    seconds = _seconds(text.strip())
    if seconds is None:
        raise DataError(f"--gap is a time such as 60s, 5m or 1h, got {text!r}")
    return seconds


def shift_of(names: Collection[str], shifts: Iterable[Shift]) -> datetime.timedelta:
    """What is added to the times of a photo whose camera goes by these names. Raises DataError where two shifts are of it."""
    known = {name.casefold() for name in names if name}
    found = [shift for shift in shifts if shift.camera.casefold() in known]
    if len(found) > 1:
        raise DataError(f"--shift {found[0].camera} and --shift {found[1].camera} are of one camera: give one of them")
    return datetime.timedelta(seconds=found[0].seconds if found else 0)


def shifted(time: datetime.datetime, by: datetime.timedelta) -> datetime.datetime:
    """A time put right; one that would lie beyond the calendar stays."""
    try:
        return time + by
    except OverflowError:
        return time


def why_wrong(time: datetime.datetime, now: datetime.datetime) -> str:
    """Why a time cannot be that of a photo; "" where it can."""
    if time.year < FIRST_YEAR:
        return "before there were such cameras"
    return "in the future" if time > now + datetime.timedelta(days=1) else ""


def _seconds(text):
    parts = [*_PART.finditer(text)]
    if not parts or "".join(part[0] for part in parts).replace(" ", "") != text.replace(" ", ""):
        return None
    seconds = sum(float(part[1]) * _UNITS[part[2].lower()] for part in parts)
    return seconds if seconds <= _LARGEST_SECONDS else None
